"""Validation of a dataset: decides whether it may be used for training and evaluation, or which studies have errors.

Contract: a validation writes one folder,

    data_docs/     Great Expectations' own pages on the whole dataset (they load their styles from a network)
    report.html    the report, one file that loads no other file
    result.json    the result, written last: a folder without this file is unfinished

A *failure* concerns the dataset as a whole (a split too small, no evidence for a rule) and always stops the run. A
*finding* concerns one study. With ``on_bad_study="stop"`` one study with an error stops the run. With ``"exclude"``
such studies are listed in ``to_exclude`` for ``exclude_studies``, up to the share ``max_bad_share``.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from spine.dataset import Manifest, read_manifest
from spine.types import Progress
from spine.work import IN_THIS_PROCESS, Work
from validation.dataset.checking import Check, check_dataset
from validation.dataset.data_docs import write_data_docs
from validation.dataset.expectation_run import RuleOutcome
from validation.dataset.leakage import Duplicate
from validation.dataset.results import Failure, Finding, ValidationConfig, ValidationResult, write_result
from validation.dataset.second_reading import RULES as READER_RULES
from validation.dataset.second_reading import Reading
from validation.dataset.selection import landmark_set_of
from validation.dataset.suites import suites
from validation.dataset.validation_page import write_report

_DUPLICATE_RULES = {True: "no_radiograph_in_two_splits", False: "no_radiograph_twice"}
"""The rule on duplicates across splits, and the one on duplicates in one split."""


def validate_dataset(
    dataset: Path,
    out: Path,
    config: ValidationConfig,
    progress: Progress | None = None,
    readings: Sequence[Reading] = (),
    work: Work = IN_THIS_PROCESS,
) -> ValidationResult:
    """Validate a dataset folder and write reports and result to ``out``.

    Args:
        readings: the images as a second reader sees them; without readings, their rules are left out.
        progress: called with (studies checked, all studies).
        work: where the parts of the dataset are checked.

    Raises:
        ContractViolation: ``MANIFEST_ALTERED``.
        ParametersRejected: ``LANDMARK_SET_UNKNOWN``.
    """
    began = time.perf_counter()
    (out / "result.json").unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(dataset)
    landmark_set = landmark_set_of(manifest.landmark_set)
    chosen = suites(config.profile, landmark_set, config.minimums, with_readings=bool(readings))
    check = check_dataset(manifest, chosen, readings, work, progress)
    if config.data_docs:
        write_data_docs(chosen, check.outcomes, out / "data_docs")
    result = judge(manifest, check, config, time.perf_counter() - began, readings)
    write_report(result, config, out)
    write_result(result, config, out)
    return result


def judge(
    manifest: Manifest,
    check: Check,
    config: ValidationConfig,
    seconds: float,
    readings: Sequence[Reading] = (),
) -> ValidationResult:
    """The result of the validation, which follows from the outcomes of all rules."""
    outcomes = check.outcomes
    refusals: dict[tuple[str, str], str] = {(r.study_id, r.view): r.refusal for r in readings}
    findings = tuple(
        sorted(
            (_accepted(finding, config) for finding in findings_of(outcomes, check.duplicates, refusals)),
            key=lambda f: (f.severity, f.study_id, f.rule),
        )
    )
    bad = sorted({f.study_id for f in findings if f.severity == "error"})
    failures = [*_run_failures(outcomes), *_policy_failures(manifest, bad, config)]
    return ValidationResult(
        success=not failures,
        failures=tuple(failures),
        findings=findings,
        to_exclude=tuple(bad) if config.policy == "exclude" else (),
        counts=_counts(manifest, outcomes, findings),
        digest=manifest.digest,
        test_digest=manifest.test_digest,
        outcomes=outcomes,
        seconds=seconds,
    )


def _accepted(finding: Finding, config: ValidationConfig) -> Finding:
    """The finding; a warning if a person accepted the study against the second reader."""
    if finding.rule not in READER_RULES or finding.study_id not in config.accepted_studies:
        return finding
    reason = config.accepted_studies[finding.study_id]
    return replace(finding, severity="warning", message=f"{finding.message} (accepted by a person: {reason})")


def findings_of(
    outcomes: Sequence[RuleOutcome],
    duplicates: Iterable[Duplicate] = (),
    refusals: Mapping[tuple[str, str], str] | None = None,
) -> tuple[Finding, ...]:
    """A finding for every row kept that breaks a rule and belongs to a study; errors come first.

    ``refusals`` has the reason for each (study, view) that a second reader does not accept.
    """
    others = {(d.study_id, _DUPLICATE_RULES[d.across]): d.other for d in duplicates}
    found = []
    for outcome in outcomes:
        for violation in outcome.violations:
            study = violation.row.get("study_id")
            if study is None or outcome.rule is None:
                continue
            where = " ".join(v for k, v in violation.row.items() if k != "study_id")
            message = f"{where + ': ' if where else ''}{describe(outcome, violation.value)}"
            if outcome.rule.name == "reader_accepts":
                view = violation.row.get("view", "")
                message = f"{view}: the second reader: {(refusals or {}).get((study, view), 'not accepted')}"
            if (other := others.get((study, outcome.rule.name))) is not None:
                message = f"{outcome.rule.statement}: found also in study {other}"
            found.append(Finding(study, outcome.rule.name, message, outcome.rule.severity))
    return tuple(sorted(found, key=lambda f: (f.severity, f.study_id, f.rule)))


def describe(outcome: RuleOutcome, value: str) -> str:
    """The value found and the values expected, as text."""
    rule = outcome.rule
    assert rule is not None
    if rule.unique:
        return f"{rule.column} {value} occurs more than once, expected once"
    if rule.allowed is not None:
        return f"{rule.column} {value}, expected one of {len(rule.allowed)} names"
    low = "" if rule.minimum is None else f"{rule.minimum:g}"
    high = "" if rule.maximum is None else f"{rule.maximum:g}"
    expected = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    unit = f" {rule.unit}" if rule.unit else ""
    return f"{rule.column} {value}{unit}, expected {expected}"


def _run_failures(outcomes: Sequence[RuleOutcome]) -> list[Failure]:
    failures = []
    for outcome in outcomes:
        name = outcome.rule.name if outcome.rule else ""
        if not outcome.is_evidence:
            failures.append(Failure(outcome.outcome, outcome.table, name, outcome.note))
        elif outcome.table == "splits":
            messages = [f"{v.row['split']}: {describe(outcome, v.value)}" for v in outcome.violations]
            failures += [Failure("BROKEN", outcome.table, name, message) for message in messages]
    return failures


def _policy_failures(manifest: Manifest, bad: Sequence[str], config: ValidationConfig) -> list[Failure]:
    studies = manifest.count()
    if not bad:
        return []
    named = f"{len(bad)} of {studies} studies: {', '.join(bad[:10])}{' ...' if len(bad) > 10 else ''}"
    if config.policy == "stop":
        return [Failure("BAD_STUDIES", "", "", f"errors in {named}; expected no error (on_bad_study: stop)")]
    failures = []
    if len(bad) > config.max_bad_share * studies:
        message = f"errors in {named}; at most {config.max_bad_share:.0%} may be excluded: check the source of the data"
        failures.append(Failure("TOO_MANY_BAD_STUDIES", "", "", message))
    unusable = set(bad)
    left = Counter(entry.split for entry in manifest.index() if entry.study_id not in unusable)
    for split, minimum in asdict(config.minimums).items():
        if left[split] < minimum:  # type: ignore[index]
            message = f"{left[split]} studies left in {split}, at least {minimum} expected"  # type: ignore[index]
            failures.append(Failure("TOO_FEW_LEFT", "splits", f"enough_{split}", message))
    return failures


def _counts(manifest: Manifest, outcomes: Sequence[RuleOutcome], findings: Sequence[Finding]) -> dict[str, int]:
    bad = {f.study_id for f in findings if f.severity == "error"}
    return {
        "studies": manifest.count(),
        "bad_studies": len(bad),
        "warned_studies": len({f.study_id for f in findings} - bad),
        "studies_from_centres": sum(entry.from_centres for entry in manifest.index()),
        "rules": len(outcomes),
        "rules_broken": sum(o.outcome == "broken" for o in outcomes),
        "rules_without_evidence": sum(not o.is_evidence for o in outcomes),
        "values_evaluated": sum(o.evaluated for o in outcomes),
        **{f"rows_{o.table}": o.rows for o in outcomes},
    }
