"""The report page on a workspace's candidate: collects evidence, images and run facts, and writes the page.

Contract: the page can be written again at any time from the workspace and the registry. If the registry cannot be read,
the page shows "not known", because a verdict must not wait for links.
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from orchestration.pipeline.params import Params, read_params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.report import RECORD, gather_report
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from orchestration.tracking.run_facts import read_run_facts
from orchestration.tracking.shadow_cases import shadow_record
from spine.errors import GateRefused, PlumblineError
from validation.evaluation.record import EvaluationRecord, read_record
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict, read_verdict
from validation.registry.client import open_registry
from validation.review.actions import approval_notice
from validation.review.changes import RunFacts
from validation.review.page import ReviewMaterial, write_review
from validation.review.verdict_status import VerdictStatus, status_of


def write_report_page(workspace: Workspace, params: Params, out: Path | None = None) -> Path:
    """Write the report on the latest evaluation, with its verdict if any, to ``out`` or the workspace's report file.

    Raises:
        EvidenceRejected: verdict or records are missing, altered or do not belong together.
    """
    return write_review(gather_material(workspace, params), out or workspace.report_page)


def gather_material(workspace: Workspace, params: Params) -> ReviewMaterial:
    """The content of the report on the latest evaluation.

    Champion and run facts are shown only with a verdict. Without a verdict the report shows the candidate alone.
    """
    challenger = read_record(workspace.evaluation / RECORD)
    verdict = _verdict_on(workspace, challenger)
    if verdict is None:
        return gather_report(workspace, params, challenger)
    records = {"challenger": challenger}
    if verdict.champion_evidence is not None:
        records["champion"] = read_record(workspace.champion_evaluation / RECORD)
    facts = read_facts(workspace, records)
    return replace(
        gather_report(workspace, params, challenger, records.get("champion")),
        verdict=verdict,
        challenger_run=facts["challenger"],
        champion_run=facts.get("champion"),
        status=status_of_actions(workspace, verdict),
        shadow=shadow_record(workspace, verdict.champion_model or "", verdict.challenger_model),
    )


def _verdict_on(workspace: Workspace, challenger: EvaluationRecord) -> Verdict | None:
    """The latest verdict, if it judges this record; None if it judges an earlier candidate."""
    if not workspace.verdict_file.exists():
        return None
    verdict = read_verdict(workspace.verdict_file)
    return verdict if verdict.challenger_evidence == challenger.digest else None


def status_of_actions(workspace: Workspace, verdict: Verdict) -> VerdictStatus:
    """The status of a verdict from the history, or the reason why the history cannot be read."""
    try:
        return status_of(verdict, history_state(workspace), datetime.now(UTC))
    except PlumblineError as error:
        return VerdictStatus(unknown=f"{error.code}, {error.found}")


def required_action(workspace: Workspace, verdict: Verdict, done: VerdictStatus) -> str:
    """The approval that the verdict's policy requires now, with the command; "" if no approval is required."""
    return approval_notice(verdict, _policy_of(workspace, verdict), done, where=shlex.quote(str(workspace.root)))


def _policy_of(workspace: Workspace, verdict: Verdict) -> Policy | None:
    """The policy of the verdict; None if the workspace now has another policy or no valid policy."""
    try:
        policy = workspace_policy(read_params(workspace.params_file), workspace)
    except PlumblineError:
        return None
    return policy if policy.hash == verdict.policy_hash else None


def read_facts(workspace: Workspace, records: Mapping[str, EvaluationRecord]) -> dict[str, RunFacts]:
    """Role -> facts of the training run in MLflow; all unknown if MLflow does not respond."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = open_registry(workspace.tracking_uri)
        return {role: read_run_facts(client, record.model_digest) for role, record in records.items()}
    except (MlflowException, SQLAlchemyError, OSError, GateRefused):
        return {role: RunFacts() for role in records}
