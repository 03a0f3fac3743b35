"""Asset checks, which can stop a run.

Contract: a check without evidence fails. A failure has the severity ERROR, which blocks. Only a verdict that permits no
promotion has the severity WARN, which does not block: the run succeeds, and ``champion`` is skipped. A check stops only
the run that it belongs to, so promotion verifies everything again.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.alerts import alert
from orchestration.dagster.assets.materialising import VIOLATIONS
from orchestration.dagster.resources import WorkspacePaths
from orchestration.pipeline.drift import latest_drift
from orchestration.pipeline.intake import STUDY_COUNTS
from orchestration.pipeline.step_report import StepReport, read_step_report
from spine.errors import EvidenceRejected
from validation.gates.verdict import read_verdict
from validation.gates.verdict_text import decision_sentence, explain, sentence

REASONS_SHOWN = 3


@dg.asset_check(asset="studies", description="received = used + already present + waiting + quarantined")
def nothing_lost(paths: WorkspacePaths) -> dg.AssetCheckResult:
    """Every received study is used, already present, waiting or quarantined."""
    report = read_step_report("studies", paths.folders)
    if report is None:
        return _no_evidence("studies")
    counts = {name: int(report.figures.get(name) or 0) for name in ("received", *STUDY_COUNTS)}
    received, lost = counts["received"], counts["received"] - sum(counts[name] for name in STUDY_COUNTS)
    parts = " + ".join(f"{counts[name]} {name}" for name in STUDY_COUNTS)
    return _result(
        lost == 0 and received > 0,
        f"{received} received{', but' if lost else ' ='} {parts}",
        counts,
    )


@dg.asset_check(asset="drift", description="new studies are like the studies that the model learnt from")
def population_is_stable(paths: WorkspacePaths) -> dg.AssetCheckResult:
    """A warning, because a person decides what drift means: other patients, another scanner, or a wrong export."""
    found = latest_drift(paths.folders)
    if found is None:
        return _no_evidence("drift")
    counts = {"new studies": found.new_studies, "features drifted": len(found.drifted)}
    if found.outcome == "drifted":
        named = ", ".join(found.drifted[:REASONS_SHOWN]) + (" ..." if len(found.drifted) > REASONS_SHOWN else "")
        text = f"{found.new_studies} new studies differ from the training population in {named}"
        alert(paths.folders, "drift", text)
        return _result(False, text, counts, severity=dg.AssetCheckSeverity.WARN)
    few = f"{found.new_studies} new and {found.old_studies} known studies are too few for a comparison"
    return _result(True, few if found.outcome == "too few studies" else "no feature has drifted", counts)


@dg.asset_check(asset="validation", blocking=True, description="every expectation was evaluated and met")
def dataset_is_valid(paths: WorkspacePaths) -> dg.AssetCheckResult:
    """No model is trained on a dataset that fails its validation."""
    report = read_step_report("validation", paths.folders)
    if report is None:
        return _no_evidence("validation")
    evaluated, outcome = report.figures.get("expectations"), report.figures.get("outcome")
    passed = outcome == "passed" and isinstance(evaluated, int) and evaluated > 0
    if passed:
        return _result(True, f"all {evaluated} expectations met", _shown(report))
    why = report.figures.get(VIOLATIONS) or f"outcome {outcome!r}"
    return _result(False, f"{report.figures.get('failed')} of {evaluated} expectations failed: {why}", _shown(report))


@dg.asset_check(asset="candidate", description="a retraining has succeeded within retrain.alert_after_days")
def retraining_is_recent() -> dg.AssetCheckResult:
    """A run that retrains passes. The sensor ``abandoned_runs`` reports a failure if no retraining happens any more."""
    return _result(True, "this run retrains", {}, severity=dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset="verdict", blocking=True, description="the sealed verdict is PROMOTE")
def gate_promotes(paths: WorkspacePaths) -> dg.AssetCheckResult:
    """A missing or edited verdict stops the run. A verdict other than PROMOTE is shown as a warning."""
    try:
        judged = read_verdict(paths.folders.verdict_file)
    except EvidenceRejected as error:
        return _result(False, str(error), {})
    reasons = "; ".join(sentence(refusal) for refusal in judged.refusals[:REASONS_SHOWN])
    more = f"; and {len(judged.refusals) - REASONS_SHOWN} more" if len(judged.refusals) > REASONS_SHOWN else ""
    metadata = {"verdict": dg.MetadataValue.md(explain(judged)), "digest": judged.digest}
    promoted = judged.decision == "PROMOTE"
    shown = decision_sentence(judged) + ("" if promoted else f" {reasons}{more}")
    return _result(promoted, shown, metadata, severity=dg.AssetCheckSeverity.WARN)


def _shown(report: StepReport) -> dict[str, dg.MetadataValue]:
    rows = [f"| {name} | {value} |" for name, value in report.figures.items()]
    return {"evidence": dg.MetadataValue.md("\n".join(["| figure | value |", "| --- | --- |", *rows]))}


def _no_evidence(step: str) -> dg.AssetCheckResult:
    return _result(False, f"NO_EVIDENCE: there is no report of step {step!r} in this workspace", {})


def _result(
    passed: bool,
    description: str,
    metadata: Mapping[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passed, severity=severity, description=description, metadata=metadata)
