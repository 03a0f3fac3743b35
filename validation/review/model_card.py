"""The content of a model card: facts about the model, training, evaluation, decision and limitations.

A candidate gets its card at registration, and again after the verdict. The bundled model has a card of the same kind.
Sections without a record are left out. Every figure comes from a record. ``card_text`` writes the card.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Agreement, Figure
from validation.evaluation.landmark_errors import LandmarkSummary
from validation.evaluation.record import EvaluationRecord
from validation.gates.verdict import Verdict
from validation.review.changes import NOT_MEASURED, RunFacts, commit_of, device_of, epochs_of, minutes, processor_of
from validation.review.group_errors import GroupErrors
from validation.review.subgroup_names import DIMENSIONS, group_of, in_order

NOT_PROVIDED = "not provided"
INTENDED_USE = (
    "finding landmarks of the spine on frontal and lateral radiographs and measuring its alignment, for "
    "research and for review by a person"
)
COMMON_LIMITS = (
    "the model counts vertebrae to name the levels: an unusual number of vertebrae shifts all names below",
    "the accuracy in a subgroup with few test patients is not known",
    "not for diagnosis or treatment",
)
_VIRTUAL_TRAINING = "trained on virtual patients only: before use on real radiographs, measure the errors on them"
VIRTUAL_TEST = "the evaluation was made on virtual patients and says nothing about real radiographs"

Triple = tuple[float, float | None, float | None]
"""A figure, and the low and the high end of its 95 % interval."""


@dataclass(frozen=True)
class CardParameter:
    """Counts and figures of one parameter. A missing figure is None."""

    name: str
    label: str
    unit: str
    answered: int
    truths: int
    standard_error: Triple | None
    bias: Triple | None
    mean_absolute_error: Triple | None
    interval_coverage: Triple | None
    interval_width: Triple | None


@dataclass(frozen=True)
class CardEvaluation:
    """The evaluation of the model.

    Attributes:
        evidence, test_set, dataset: digests of the evaluation record, the test set and the dataset.
        patients: ``virtual patients`` or ``real patients``.
        count: number of patients.
        groups: title of a dimension -> group -> number of patients.
        parameters: one row for each parameter. The six parameters of Galbusera et al. 2019 come first.
        landmarks: summary of all landmarks in each view and in 3D.
        level_shift_rate: share of the views with shifted level names.
    """

    evidence: str
    test_set: str
    dataset: str
    patients: str
    count: int
    groups: Mapping[str, Mapping[str, int]]
    parameters: tuple[CardParameter, ...]
    landmarks: tuple[LandmarkSummary, ...]
    level_shift_rate: Triple | None


@dataclass(frozen=True)
class ModelCard:
    """The content of a card.

    Attributes:
        model: digest of the model.
        facts: name -> text of each fact about the model.
        training: name -> text of each fact about the training.
        limits: limitations that a user must know.
        evaluation, decision, group_errors: the content of these sections; None for a section without a record.
        tried: what was tried on real radiographs and how it went; each text names its command.
    """

    model: str
    facts: Mapping[str, str]
    training: Mapping[str, str]
    limits: tuple[str, ...]
    evaluation: CardEvaluation | None = None
    decision: Mapping[str, str] | None = None
    group_errors: GroupErrors | None = None
    tried: tuple[str, ...] = ()
    intended_use: str = INTENDED_USE


def judged_card(record: EvaluationRecord, verdict: Verdict, run: RunFacts) -> ModelCard:
    """The card of a judged candidate."""
    return ModelCard(
        model=record.model_digest,
        facts={
            "landmark set": f"`{record.landmark_set}`",
            "reference angles": record.truth_is,
            "size": size_text(record),
        },
        training=_training(run),
        evaluation=evaluation_of(record),
        decision=_decision(verdict),
        limits=limits_of(record),
    )


def evaluation_of(record: EvaluationRecord) -> CardEvaluation:
    """The card's section on the evaluation."""
    measured = sorted(record.statistics.values(), key=lambda a: not PARAMETERS[a.parameter].in_paper)
    return CardEvaluation(
        evidence=record.digest,
        test_set=record.test_digest,
        dataset=record.dataset_digest,
        patients=record.patients_are,
        count=record.n_patients,
        groups={title: _counts(record, dimension) for dimension, title in DIMENSIONS.items()},
        parameters=tuple(_parameter(agreement) for agreement in measured if agreement.n_truth),
        landmarks=tuple(summary for summary in record.landmarks if summary.group == "all"),
        level_shift_rate=_triple(record.level_shift_rate),
    )


def limits_of(record: EvaluationRecord | None, *, virtual_training: bool = False) -> tuple[str, ...]:
    """The limitations of a model; ``record`` is None if it was not evaluated."""
    training = (_VIRTUAL_TRAINING,) if virtual_training else ()
    test = (VIRTUAL_TEST,) if record is not None and record.simulated else ()
    return (*training, *test, *COMMON_LIMITS)


def size_text(record: EvaluationRecord) -> str:
    """The size of the model's files, as text in MB."""
    return NOT_PROVIDED if record.model_bytes is None else f"{record.model_bytes / 1e6:.1f} MB"


def _decision(verdict: Verdict) -> Mapping[str, str]:
    champion = verdict.champion_model
    return {
        "decision": f"**{verdict.decision}**",
        "policy": f"{verdict.policy} version {verdict.policy_version} ({verdict.policy_hash[:12]})",
        "compared with": f"champion `{champion}`" if champion else "there was no champion",
        "verdict": f"`{verdict.digest}`",
    }


def _training(run: RunFacts) -> Mapping[str, str]:
    spent = minutes(run)
    trained = [p for p in run.patients if p.split == "train"]
    images = run.images or "an unknown number of"
    return {
        "trained on": f"{len(trained)} patients, {images} images" if trained else NOT_PROVIDED,
        "code": f"`{commit_of(run)}`" if run.commit else NOT_PROVIDED,
        "preset, seed": f"{run.preset}, {run.seed}" if run.preset else NOT_PROVIDED,
        "device": device_of(run) or NOT_PROVIDED,
        "epochs": epochs_of(run) or NOT_PROVIDED,
        "cost": f"{spent} {processor_of(run)} minutes" if spent else NOT_PROVIDED,
        "energy": run.energy or NOT_MEASURED,
        "libraries": ", ".join(f"{n} {v}" for n, v in run.versions.items()) or NOT_PROVIDED,
        "MLflow run": f"`{run.run_id}`" if run.run_id else NOT_PROVIDED,
        "Dagster run": f"`{run.dagster_run}`" if run.dagster_run else NOT_PROVIDED,
    }


def _counts(record: EvaluationRecord, dimension: str) -> Mapping[str, int]:
    groups = [group_of(study, dimension) for study in record.studies]
    return {group: groups.count(group) for group in in_order(groups)}


def _parameter(agreement: Agreement) -> CardParameter:
    figures = agreement.figures
    return CardParameter(
        name=agreement.parameter,
        label=PARAMETERS[agreement.parameter].label,
        unit=agreement.unit,
        answered=agreement.n,
        truths=agreement.n_truth,
        standard_error=_triple(figures["standard_error_of_estimate"]),
        bias=_triple(figures["bias"]),
        mean_absolute_error=_triple(figures["mae"]),
        interval_coverage=_triple(figures["interval_coverage"]),
        interval_width=_triple(figures["interval_width"]),
    )


def _triple(figure: Figure) -> Triple | None:
    return None if figure.value is None else (figure.value, figure.low, figure.high)
