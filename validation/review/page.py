"""The report on one candidate: one HTML file for the reviewer, before and after the verdict.

Contract: a browser can open the page as a file. The page loads nothing from a network, and its content security policy
forbids such loading. The page shows the decision or "not judged yet", and whether the patients are virtual or real.
Without a champion the page shows only the challenger. Records that the verdict does not name are refused.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from spine.errors import EvidenceRejected
from spine.landmarks import ViewName
from spine.measurement.registry import PARAMETERS
from spine.storage import write_text_atomically
from spine.times import to_the_minute
from validation.dataset.drift import DriftReport
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import Policy
from validation.gates.shadow_record import ShadowRecord
from validation.gates.verdict import Verdict
from validation.review.actions import advice_for, headline_for, options_for
from validation.review.agreement_charts import AgreementDrawing, draw_agreements
from validation.review.changes import RunFacts, commit_of, compare_data, compare_runs, sort_changes
from validation.review.chart_style import ROLE_COLOURS
from validation.review.decision_table import decision_table
from validation.review.figure_tables import (
    AGREEMENT_HEADINGS,
    LANDMARK_HEADINGS,
    agreement_rows,
    landmark_rows,
    level_shifts,
)
from validation.review.forest import draw_forests
from validation.review.level_charts import draw_calibration, draw_landmark_levels
from validation.review.patients import SHOWN, EncodedImage, Patient, Points, describe_patients
from validation.review.rule_table import rule_table
from validation.review.subgroup_names import DIMENSIONS, in_order
from validation.review.verdict_status import VerdictStatus

LIMIT_BYTES = 15_000_000
"""The largest size of a page. A larger page would open slowly and be hard to send."""


@dataclass(frozen=True)
class ReviewMaterial:
    """The input of a page.

    Attributes:
        verdict: the verdict; None before the gate has judged.
        policy: the policy by which the gate has judged or will judge. Its margins determine the ranks of the patients.
        challenger, champion: the evaluation records that the verdict names.
        challenger_run, champion_run: facts about the training runs.
        images: (study, view) -> image, for the studies to show (``patients.chosen_studies``).
        points: ``challenger``, ``champion`` or ``truth`` -> study -> view -> landmarks.
        populations: the training studies compared with the frozen test set; None if the study store is not at hand.
        test_set_reads: how often the frozen test set was used; None if this is not recorded.
        status: the status of the verdict; None if the history was not read.
        shadow: what the challenger's shadow runs found; None without such runs.
        written_at: the time at which the page is written (ISO 8601).
    """

    verdict: Verdict | None
    policy: Policy
    challenger: EvaluationRecord
    champion: EvaluationRecord | None
    challenger_run: RunFacts = field(default_factory=RunFacts)
    champion_run: RunFacts | None = None
    images: Mapping[tuple[str, ViewName], EncodedImage] = field(default_factory=dict)
    points: Mapping[str, Points] = field(default_factory=dict)
    populations: DriftReport | None = None
    test_set_reads: int | None = None
    status: VerdictStatus | None = None
    shadow: ShadowRecord | None = None
    written_at: str | None = None

    @property
    def records(self) -> Sequence[EvaluationRecord]:
        """The challenger's record and, if there is a champion, the champion's record."""
        return [record for record in (self.challenger, self.champion) if record is not None]


@dataclass(frozen=True)
class Charts:
    """The static charts of a page, each as SVG."""

    agreements: tuple[AgreementDrawing, ...]
    forest: tuple[str, ...]
    levels: tuple[str, ...]
    calibration: str | None


def write_review(material: ReviewMaterial, path: Path) -> Path:
    """Write the page. Return its path.

    Raises:
        EvidenceRejected: ``RECORDS_MISMATCH``: the verdict names other records; ``PAGE_TOO_LARGE``.
    """
    text = render_review(material)
    size = len(text.encode())
    if size > LIMIT_BYTES:
        raise EvidenceRejected(
            "PAGE_TOO_LARGE",
            found=f"a page of {size / 1e6:.1f} MB",
            expected=f"at most {LIMIT_BYTES / 1e6:.0f} MB",
            remedy="encode the images with fewer pixels or with a lower quality",
        )
    write_text_atomically(path, text)
    return path


def render_review(material: ReviewMaterial) -> str:
    """The page as HTML text.

    Raises:
        EvidenceRejected: ``RECORDS_MISMATCH``.
    """
    _require_belonging(material)
    environment = Environment(
        loader=PackageLoader("validation.review", "."),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content = {**_verdict_content(material), **_patients_content(material), **_run_content(material)}
    return environment.get_template("review.html.jinja").render(
        challenger=material.challenger,
        champion=material.champion,
        charts=draw_charts(material.records, material.verdict),
        agreement_headings=AGREEMENT_HEADINGS,
        agreement_rows=agreement_rows(material.records),
        landmark_headings=LANDMARK_HEADINGS,
        landmark_rows=landmark_rows(material.records),
        level_shifts=level_shifts(material.records),
        colours=ROLE_COLOURS,
        svg=Markup,  # The charts and layers escape all texts themselves.
        **content,
    )


def _verdict_content(material: ReviewMaterial) -> dict[str, object]:
    """The parts of the page about the decision: name in the template -> value."""
    verdict, policy, status = material.verdict, material.policy, material.status
    return {
        "verdict": verdict,
        "headline": headline_for(verdict, policy, status) if verdict else "",
        "decision": decision_table(verdict, policy, material.challenger, material.champion) if verdict else None,
        "advice": advice_for(verdict, policy, status) if verdict else "",
        "status": status,
        "open": status is None or not status.decided,
        "written": to_the_minute(material.written_at) if material.written_at else None,
        "options": options_for(verdict, policy, status) if verdict else (),
        "rules": rule_table(verdict) if verdict else None,
        "judged": to_the_minute(verdict.judged_at) if verdict else None,
    }


def _patients_content(material: ReviewMaterial) -> dict[str, object]:
    """The parts of the page about single patients: name in the template -> value."""
    comparison, images, points = material.policy.comparison, material.images, material.points
    patients = describe_patients(material.challenger, material.champion, comparison, images, points)
    return {
        "patients": patients,
        "shown": min(SHOWN, material.challenger.n_patients),
        "in_both": sum(p.loss_rank <= SHOWN and p.change_rank is not None and p.change_rank <= SHOWN for p in patients),
        "groups": _group_choices(patients),
    }


def _run_content(material: ReviewMaterial) -> dict[str, object]:
    """The parts of the page about data, training and provenance: name in the template -> value."""
    ours, theirs = material.challenger_run, material.champion_run
    return {
        "changes": sort_changes(compare_runs(ours, theirs)),
        "data": compare_data(ours, theirs),
        "reads": material.test_set_reads,
        "populations": material.populations,
        "shadow": material.shadow,
        "labels": {name: (parameter.label, parameter.unit) for name, parameter in PARAMETERS.items()},
        "provenance": _provenance(material),
    }


def draw_charts(records: Sequence[EvaluationRecord], verdict: Verdict | None) -> Charts:
    """The static charts of the page."""
    return Charts(
        agreements=draw_agreements(records),
        forest=draw_forests(verdict.differences) if verdict else (),
        levels=draw_landmark_levels(records),
        calibration=draw_calibration(records),
    )


def _require_belonging(material: ReviewMaterial) -> None:
    """Refuse records and a policy that the verdict does not name."""
    verdict, champion = material.verdict, material.champion
    if verdict is None:
        return
    pairs = [
        ("challenger", material.challenger.digest, verdict.challenger_evidence),
        ("champion", champion.digest if champion else None, verdict.champion_evidence),
        ("policy", material.policy.hash, verdict.policy_hash),
    ]
    wrong = [f"{what} {str(a)[:12]} instead of {str(b)[:12]}" for what, a, b in pairs if a != b]
    if wrong:
        raise EvidenceRejected(
            "RECORDS_MISMATCH",
            found="; ".join(wrong),
            expected="the records and the policy that the verdict names",
            remedy="judge again with `plumbline run`, or use the verdict that names these records",
        )


def _group_choices(patients: Sequence[Patient]) -> dict[str, list[tuple[str, str, int]]]:
    """Title of a dimension with several groups -> its choices (value, group, number of patients)."""
    choices: dict[str, list[tuple[str, str, int]]] = {}
    for dimension, title in DIMENSIONS.items():
        counts = Counter(p.groups[dimension] for p in patients)
        if len(counts) > 1:
            choices[title] = [(f"{dimension}={group}", group, counts[group]) for group in in_order(counts)]
    return choices


def _provenance(material: ReviewMaterial) -> dict[str, str]:
    """The digests, versions and runs from which the page was made: name -> text."""
    record, champion, verdict, run = material.challenger, material.champion, material.verdict, material.challenger_run
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(record.environment.items()))
    rows = {
        "challenger": record.model_digest,
        "challenger's evaluation": f"{record.digest}, {to_the_minute(record.evaluated_at)}",
        "frozen test set": record.test_digest,
        "dataset": f"{record.dataset_digest}, DVC {record.dvc_version or 'not versioned'}",
        "landmark set": record.landmark_set,
        "reference angles": record.truth_is,
        "evaluation code (git commit)": commit_of(record.code) or "outside a repository",
        "evaluation environment": libraries,
        "MLflow run": run.run_id or "not registered yet",
        "Dagster run": run.dagster_run or "not run by Dagster",
    }
    if champion is not None:
        rows |= {"champion": champion.model_digest, "champion's evaluation": champion.digest}
    if verdict is not None:
        rows |= {
            "verdict": verdict.digest,
            "policy": f"{verdict.policy} version {verdict.policy_version}, {verdict.policy_hash}",
        }
    return rows
