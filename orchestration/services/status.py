"""The status of a workspace: services, runs, models, incoming studies, disk use and the next scheduled run.

Contract: no data, model or record changes. A part that cannot be read is shown with the reason, and the other parts are
shown as usual. The addresses of running services are in ``state/services.json``, which ``make up`` writes; their lock
shows whether they run.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.alerts import Alert, alerts_since
from orchestration.dagster.instance import open_instance
from orchestration.dagster.overview import RunLine, next_schedules, present_runs
from orchestration.lifecycle.history import models_in_use
from orchestration.pipeline.intake import finished_batches, is_taken_in, unfinished_batches
from orchestration.pipeline.leftover import bytes_below
from orchestration.pipeline.lock import SERVICES, WORKSPACE, free
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import answers
from orchestration.tracking.registry import history_state
from spine.errors import PlumblineError
from spine.storage import write_text_atomically
from validation.gates.verdict import read_verdict

FOLDERS = ("data", ".dvc", "state/mlflow", "state/dagster", "state/quarantine", "state/logs")
"""Folders whose size is shown, beside the rest of ``state``."""

LAST_RUNS = 5
ALERTS_OF_DAYS = 7


@dataclass(frozen=True)
class Status:
    """The status of a workspace.

    Attributes:
        services: name -> address, with ``(does not answer)`` where that is so; empty while they start; None if no
            services run.
        writing: whether a run has the lock of the workspace.
        runs: the unfinished runs and the last finished ones.
        schedules: name and next time of each schedule; None if it is switched off.
        models: (role, version, digest) of the models in use.
        verdict: the decision of the latest verdict, with the beginning of its digest.
        waiting: finished batches in the inbox that were not taken in yet.
        unfinished: folders in the inbox without the file ``COMPLETE``.
        alerts: the alerts of the last ``ALERTS_OF_DAYS`` days, oldest first.
        quarantined: number of studies in quarantine.
        disk: folder -> size in bytes.
        free_bytes: free space on the disk of the workspace.
    """

    services: Mapping[str, str] | None
    writing: bool
    runs: list[RunLine]
    schedules: list[tuple[str, datetime | None]]
    models: list[tuple[str, str, str]]
    verdict: str
    waiting: list[str]
    unfinished: list[str]
    alerts: list[Alert]
    quarantined: int
    disk: Mapping[str, int]
    free_bytes: int


def status_of(workspace: Workspace) -> Status:
    """The status of an existing workspace."""
    services = _services(workspace)
    with open_instance(workspace, in_process=True) as instance:
        runs, schedules = present_runs(instance, LAST_RUNS), next_schedules(instance)
    return Status(
        services=services,
        writing=_held(workspace, WORKSPACE),
        runs=runs,
        schedules=schedules,
        # MLflow's server creates or migrates its database while it starts, and a second program must not do this too.
        models=_models(workspace) if services != {} else [("models", "not known", "the services are starting")],
        verdict=_verdict(workspace),
        unfinished=unfinished_batches(workspace),
        waiting=[b.folder.name for b in finished_batches(workspace) if not is_taken_in(workspace, b)],
        alerts=alerts_since(workspace, datetime.now(UTC) - timedelta(days=ALERTS_OF_DAYS)),
        quarantined=len(list(workspace.quarantine.glob("*/reason.json"))),
        disk=_disk(workspace),
        free_bytes=shutil.disk_usage(workspace.root).free,
    )


def services_file(workspace: Workspace) -> Path:
    """The file with the addresses of the services. ``make up`` removes it before it starts them."""
    return workspace.state / "services.json"


def write_services(workspace: Workspace, addresses: Mapping[str, str]) -> None:
    """Record the addresses of the services that were started."""
    write_text_atomically(services_file(workspace), json.dumps(dict(addresses), indent=1))


def _services(workspace: Workspace) -> dict[str, str] | None:
    if not _held(workspace, SERVICES):
        return None
    path = services_file(workspace)
    addresses = json.loads(path.read_text()) if path.exists() else {}
    return {name: at if answers(at) else f"{at} (does not answer)" for name, at in addresses.items()}


def _held(workspace: Workspace, name: str) -> bool:
    with free(workspace, name) as nobody:
        return not nobody


def _models(workspace: Workspace) -> list[tuple[str, str, str]]:
    try:
        return models_in_use(workspace, history_state(workspace))
    except PlumblineError as error:
        return [("models", "not known", f"{error.code}: {error.found}; {error.remedy}")]


def _verdict(workspace: Workspace) -> str:
    if not workspace.verdict_file.exists():
        return "none yet"
    try:
        judged = read_verdict(workspace.verdict_file)
    except PlumblineError as error:
        return f"not known ({error.code}: {error.found})"
    return f"{judged.decision} (verdict {judged.digest[:12]}, model {judged.challenger_model[:12]})"


def _disk(workspace: Workspace) -> dict[str, int]:
    sizes = {name: bytes_below(workspace.root / name) for name in FOLDERS}
    inner = sum(size for name, size in sizes.items() if name.startswith("state/"))
    return sizes | {"the rest of state": bytes_below(workspace.state) - inner}
