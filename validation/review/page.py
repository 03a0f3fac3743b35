"""The reviewer's page: one HTML file from which a person decides about a candidate, without a network.

Contract: the page works from a file, asks nothing of any network (its own security policy forbids it), says at its top
what was decided on whose patients, and with no champion shows what there is of the challenger. Records that are not
those of the verdict are refused.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from spine.errors import EvidenceRejected
from spine.landmarks import ViewName
from spine.storage import write_text_atomically
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.gates.verdict_text import summarise_verdict
from validation.review.actions import advice_for, options_for
from validation.review.agreement_charts import draw_agreements
from validation.review.changes import RunFacts, compare_data, compare_runs
from validation.review.forest import draw_forests
from validation.review.level_charts import draw_calibration, draw_landmark_levels
from validation.review.patients import SHOWN, EncodedImage, Patient, Points, describe_patients
from validation.review.rule_table import rule_table
from validation.review.subgroup_names import DIMENSIONS, in_order
from validation.review.verdict_status import Aftermath, day

LIMIT_BYTES = 15_000_000
"""A page that weighs more is refused: it would not open quickly, nor travel."""


@dataclass(frozen=True)
class ReviewMaterial:
    """Everything a page is made of.

    Attributes:
        verdict, policy: the decision, and what it was decided by.
        challenger, champion: the evaluation records that the verdict names.
        challenger_run, champion_run: what is on record of their training.
        images: (study, view) -> image of the studies to show (``patients.chosen_studies``).
        points: ``challenger``, ``champion``, ``truth`` -> study -> view -> landmarks.
        test_set_reads: how often the frozen test set was read; None where no ledger was kept.
        done, written_at: what had been done about the verdict when the page was written (ISO 8601); None: nobody asked.
    """

    verdict: Verdict
    policy: Policy
    challenger: EvaluationRecord
    champion: EvaluationRecord | None
    challenger_run: RunFacts = field(default_factory=RunFacts)
    champion_run: RunFacts | None = None
    images: Mapping[tuple[str, ViewName], EncodedImage] = field(default_factory=dict)
    points: Mapping[str, Points] = field(default_factory=dict)
    test_set_reads: int | None = None
    done: Aftermath | None = None
    written_at: str | None = None


def write_review(material: ReviewMaterial, path: Path) -> Path:
    """Write the page; its path.

    Raises:
        EvidenceRejected: ``RECORDS_OF_ANOTHER`` where records and verdict do not belong together; ``PAGE_TOO_LARGE``.
    """
    text = render_review(material)
    weight = len(text.encode())
    if weight > LIMIT_BYTES:
        raise EvidenceRejected(
            "PAGE_TOO_LARGE",
            found=f"{weight / 1e6:.1f} MB",
            expected=f"at most {LIMIT_BYTES / 1e6:.0f} MB",
            remedy="encode the images smaller",
        )
    write_text_atomically(path, text)
    return path


def render_review(material: ReviewMaterial) -> str:
    """The page as text.

    Raises:
        EvidenceRejected: ``RECORDS_OF_ANOTHER``.
    """
    _require_belonging(material)
    environment = Environment(
        loader=PackageLoader("validation.review", "."),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    verdict, records = material.verdict, _records(material)
    policy = material.policy.comparison
    patients = describe_patients(material.challenger, material.champion, policy, material.images, material.points)
    return environment.get_template("review.html.jinja").render(
        verdict=verdict,
        terms=summarise_verdict(verdict),
        advice=advice_for(verdict, material.policy, material.done),
        done=material.done,
        open=material.done is None or not material.done.over,
        written=day(material.written_at) if material.written_at else None,
        options=options_for(verdict, material.policy, material.done),
        rules=rule_table(verdict),
        challenger=material.challenger,
        champion=material.champion,
        forest=draw_forests(verdict.differences),
        agreements=draw_agreements(records),
        levels=draw_landmark_levels(records),
        calibration=draw_calibration(records),
        patients=patients,
        shown=min(SHOWN, material.challenger.n_patients),
        in_both=sum(p.worst <= SHOWN and p.changed is not None and p.changed <= SHOWN for p in patients),
        groups=_group_choices(patients),
        run=material.challenger_run,
        champion_run=material.champion_run,
        changes=compare_runs(material.challenger_run, material.champion_run),
        data=compare_data(material.challenger_run, material.champion_run),
        reads=material.test_set_reads,
        drawn=Markup,  # the drawings escape every word in them
    )


def _records(material: ReviewMaterial) -> Sequence[EvaluationRecord]:
    return [r for r in (material.challenger, material.champion) if r is not None]


def _require_belonging(material: ReviewMaterial) -> None:
    verdict, champion = material.verdict, material.champion
    pairs = [
        ("challenger", material.challenger.digest, verdict.challenger_evidence),
        ("champion", champion.digest if champion else None, verdict.champion_evidence),
        ("policy", material.policy.hash, verdict.policy_hash),
    ]
    wrong = [f"{what} {str(found)[:12]}, judged {str(judged)[:12]}" for what, found, judged in pairs if found != judged]
    if wrong:
        raise EvidenceRejected(
            "RECORDS_OF_ANOTHER",
            found="; ".join(wrong),
            expected="the records and the policy that the verdict names",
            remedy="judge again (`plumbline run`), or name the verdict of these records",
        )


def _group_choices(patients: Sequence[Patient]) -> dict[str, list[tuple[str, str, int]]]:
    """Title of a dimension -> (value of the choice, group, patients), where there is more than one group."""
    choices: dict[str, list[tuple[str, str, int]]] = {}
    for dimension, title in DIMENSIONS.items():
        counts = Counter(p.groups[dimension] for p in patients)
        if len(counts) > 1:
            choices[title] = [(f"{dimension}={group}", group, counts[group]) for group in in_order(counts)]
    return choices
