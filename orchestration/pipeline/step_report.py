"""StepReport: what a step says of itself, for the terminal, Dagster's metadata and later readers.

Contract: values are plain numbers and short strings; images are paths; a step that was skipped repeats what it said
when it ran.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from orchestration.pipeline.workspace import Workspace
from spine.storage import write_text_atomically

"""Called with (done, total)."""

Figure = int | float | str | bool | None


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    Attributes:
        step: its name.
        figures: what a person wants to know, in the order to show it.
        images: title -> PNG.
        pages: title -> HTML page.
        seconds: wall time of the work itself.
        overhead_seconds: wall time of versioning around it.
        skipped: nothing had changed, so nothing was computed.
    """

    step: str
    figures: Mapping[str, Figure]
    images: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    overhead_seconds: float = 0.0
    skipped: bool = False


def write_step_report(report: StepReport, workspace: Workspace) -> StepReport:
    """Write a step's report under ``state/reports`` and return it."""
    write_text_atomically(workspace.reports / f"{report.step}.json", json.dumps(asdict(report), indent=1))
    return report


def read_step_report(step: str, workspace: Workspace) -> StepReport | None:
    """The report of the step's last run, marked as skipped; None when it never ran here."""
    path: Path = workspace.reports / f"{step}.json"
    if not path.exists():
        return None
    return replace(StepReport(**json.loads(path.read_text())), skipped=True)
