"""The versions of the data that a model or an evaluation record of a workspace names.

Contract: the challenger, the champion, the previous champion and the last approved model count, and every evaluation
record on disk. Beside the current version, only these versions must stay in DVC's cache. A registry that has lost the
champion of the history is refused, because it does not say what the champion needs.
"""

from collections.abc import Iterator
from pathlib import Path

from orchestration.pipeline.cache import current_versions
from orchestration.pipeline.report import RECORD
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from orchestration.tracking.run_facts import read_run_facts
from validation.evaluation.record import read_record
from validation.registry.client import open_registry
from validation.registry.errors import errors_as_refusals
from validation.review.changes import RunFacts


def data_versions_in_use(workspace: Workspace) -> frozenset[str]:
    """The current versions, and those that the models and records name."""
    named = [facts.dvc_version for facts in runs_in_use(workspace)]
    named += [read_record(path).dvc_version for path in _records(workspace)]
    return current_versions(workspace) | {version for version in named if version}


def runs_in_use(workspace: Workspace) -> list[RunFacts]:
    """The training runs of the champion, the previous champion and the last approved model.

    Raises:
        GateRefused: the errors of ``history_state``.
    """
    state = history_state(workspace)
    events = [e for e in (state.champion, state.previous, state.baseline) if e is not None]
    if not events:
        return []
    with errors_as_refusals():
        client = open_registry(workspace.tracking_uri)
        return [read_run_facts(client, digest) for digest in sorted({e.digest for e in events})]


def _records(workspace: Workspace) -> Iterator[Path]:
    folders = (workspace.evaluation, workspace.champion_evaluation, workspace.baseline_evaluation)
    yield from (folder / RECORD for folder in folders if (folder / RECORD).exists())
    yield from (workspace.state / "seeds").glob(f"*/evaluation/{RECORD}")
