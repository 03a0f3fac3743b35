"""The check of a batch, which its own materialisation reports: a check on its own does not know the batch."""

import dagster as dg

from orchestration.alerts import alert
from orchestration.pipeline.step_report import StepReport
from orchestration.pipeline.workspace import Workspace

BATCH_IS_USABLE = dg.AssetCheckSpec(
    "batch_is_usable", asset="batch", description="at least one study of the batch is used or already present"
)


def batch_is_usable(workspace: Workspace, key: str, report: StepReport) -> dg.AssetCheckResult:
    """A batch that brings nothing fails as ERROR: its run ends as a success, and nobody would see the lost delivery."""
    names = ("received", "used", "already present", "quarantined")
    counts = {name: int(report.figures.get(name) or 0) for name in names}
    usable = counts["used"] + counts["already present"] > 0
    found = f"{key}: {counts['received']} studies received, {counts['quarantined']} in quarantine, none usable"
    if not usable:
        alert(workspace, "batch_unusable", f"{found}; `plumbline quarantine` says why")
    return dg.AssetCheckResult(
        passed=usable,
        check_name=BATCH_IS_USABLE.name,
        description=f"{counts['used']} used, {counts['already present']} already present" if usable else found,
        metadata=counts,
    )
