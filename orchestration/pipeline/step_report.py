"""The report of one pipeline step, for the terminal and for Dagster's metadata.

Contract: values are plain numbers and short strings; images are paths. A skipped step repeats the report of its last
run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from orchestration.pipeline.workspace import Workspace
from spine.storage import write_text_atomically

Figure = int | float | str | bool | None
Row = Mapping[str, Figure]
"""One row of a table: column -> value. All rows of a table have the same columns, and those with a unit name it."""


@dataclass(frozen=True)
class StepReport:
    """The result of one step.

    Attributes:
        step: name of the step.
        figures: name -> value, in display order. A name has the unit of its value.
        tables: title -> rows.
        images: title -> PNG.
        pages: title -> HTML page.
        seconds: wall time of the step.
        overhead_seconds: wall time that DVC took before and after the step.
        skipped: whether the step was up to date and did not run.
    """

    step: str
    figures: Mapping[str, Figure]
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    overhead_seconds: float = 0.0
    skipped: bool = False


def counted_by_reason(counts: Mapping[str, int]) -> Figure:
    """The total of the counts with their reasons, e.g. ``5 (3 hidden file, 2 report)``; 0 without any."""
    reasons = [f"{count} {reason}" for reason, count in sorted(counts.items()) if count]
    return f"{sum(counts.values())} ({', '.join(reasons)})" if reasons else 0


def write_step_report(report: StepReport, workspace: Workspace) -> StepReport:
    """Write a step's report under ``state/reports`` and return it."""
    write_text_atomically(workspace.reports / f"{report.step}.json", json.dumps(asdict(report), indent=1))
    return report


def read_step_report(step: str, workspace: Workspace) -> StepReport | None:
    """The report of the step's last run, marked as skipped; None if the step never ran in this workspace."""
    path: Path = workspace.reports / f"{step}.json"
    if not path.exists():
        return None
    return replace(StepReport(**json.loads(path.read_text())), skipped=True)


def progress_text(done: int, total: int, seconds: float) -> str:
    """A step's position, the elapsed time and an estimate of the remaining time, for a line of a log."""
    # Training reports its progress in thousandths of its budget.
    position = f"{done / 10:.0f} %" if total == 1000 else f"{done} of {total}"
    left = f", about {seconds * (total - done) / done:.0f} s left" if 0 < done < total else ""
    return f"{position}, {seconds:.0f} s elapsed{left}"
