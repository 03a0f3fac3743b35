"""The model card of a candidate: Markdown and JSON, generated from its records; and the CLAIM-style checklist.

Contract: every figure comes from a record, none is typed; the JSON and the Markdown are made from the same content;
what is not on record reads "not provided".
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Agreement, Figure
from validation.evaluation.record import EvaluationRecord
from validation.gates.verdict import Verdict
from validation.review.changes import NOT_MEASURED, RunFacts, epochs_of, minutes
from validation.review.subgroup_names import DIMENSIONS, group_of, in_order

NOT_PROVIDED = "not provided"
SCHEMA = "plumbline.model_card/1"


@dataclass(frozen=True)
class CardParameter:
    """How one parameter was measured: count, and figures with their 95 % intervals (None where absent)."""

    name: str
    label: str
    unit: str
    answered: int
    truths: int
    standard_error: tuple[float, float | None, float | None] | None
    bias: tuple[float, float | None, float | None] | None
    mean_absolute_error: tuple[float, float | None, float | None] | None
    intervals_that_hold: tuple[float, float | None, float | None] | None


@dataclass(frozen=True)
class ModelCard:
    """The content of a card.

    Attributes:
        model, evidence, verdict, test_set, dataset: digests; decision: of the verdict.
        patients: ``virtual patients`` or ``real patients``; count of those tested on; groups: dimension -> group ->
            patients; parameters: one row each; level_shift_rate: share of views; size_mb: of the model's files.
        compared_with: the champion's digest, None for a first one.
        training: what is on record of the fit, in words; limits: what must be known before use.
    """

    model: str
    evidence: str
    verdict: str
    decision: str
    policy: str
    test_set: str
    dataset: str
    landmark_set: str
    patients: str
    count: int
    groups: dict[str, dict[str, int]]
    parameters: tuple[CardParameter, ...]
    level_shift_rate: tuple[float, float | None, float | None] | None
    size_mb: float | None
    compared_with: str | None
    training: dict[str, str]
    intended_use: str
    limits: tuple[str, ...]


def make_card(record: EvaluationRecord, verdict: Verdict, run: RunFacts) -> ModelCard:
    """The card of the candidate that ``record`` and ``verdict`` are about."""
    measured = sorted(record.statistics.values(), key=lambda a: not PARAMETERS[a.parameter].in_paper)
    return ModelCard(
        model=record.model_digest,
        evidence=record.digest,
        verdict=verdict.digest,
        decision=verdict.decision,
        policy=f"{verdict.policy} version {verdict.policy_version} ({verdict.policy_hash[:12]})",
        test_set=record.test_digest,
        dataset=record.dataset_digest,
        landmark_set=record.landmark_set,
        patients=record.patients_are,
        count=record.n_patients,
        groups={title: _counts(record, dimension) for dimension, title in DIMENSIONS.items()},
        parameters=tuple(_parameter(agreement) for agreement in measured if agreement.n_truth),
        level_shift_rate=_triple(record.level_shift_rate),
        size_mb=None if record.model_bytes is None else record.model_bytes / 1e6,
        compared_with=verdict.champion_model,
        training=_training(run),
        intended_use="finding landmarks of the spine on frontal and lateral whole-spine radiographs and measuring its "
        "alignment, for research and for review by a person; not for diagnosis",
        limits=_limits(record),
    )


def card_json(card: ModelCard) -> str:
    """The card for machines."""
    return json.dumps({"schema": SCHEMA, **asdict(card)}, indent=1, sort_keys=True, allow_nan=False)


def card_markdown(card: ModelCard, *, brief: bool = False) -> str:
    """The card for people, as MLflow and a forge show it; ``brief`` keeps to the paper's six."""
    facts: dict[str, Any] = {
        "decision": f"**{card.decision}**, policy {card.policy}",
        "model": f"`{card.model}`",
        "verdict": f"`{card.verdict}`",
        "evidence": f"`{card.evidence}`",
        "landmark set": f"`{card.landmark_set}`",
        "tested on": f"{card.count} **{card.patients}**, frozen test set `{card.test_set[:12]}`",
        "compared with": f"champion `{card.compared_with}`" if card.compared_with else "no champion: there was none",
        "data set": f"`{card.dataset}`",
        "size": NOT_PROVIDED if card.size_mb is None else f"{card.size_mb:.1f} MB",
        **card.training,
    }
    lines = [
        f"{'###' if brief else '#'} Candidate {card.model[:12]}",
        "",
        f"Intended use: {card.intended_use}.",
        "",
        "| | |",
        "|---|---|",
    ]
    lines += [f"| {name} | {told} |" for name, told in facts.items()]
    heads = ("parameter", "answered", "standard error", "bias", "mean absolute error", "90 % intervals that hold")
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [_parameter_row(p) for p in card.parameters if not brief or PARAMETERS[p.name].in_paper]
    shift = NOT_PROVIDED if card.level_shift_rate is None else f"{_share(card.level_shift_rate)} of views"
    told = "Answered: of the patients with a known truth. Brackets are 95 % intervals over patients."
    lines += ["", f"Names of levels shifted: {shift}. {told}", ""]
    if not brief:
        lines += ["| tested patients by | |", "|---|---|"]
        lines += [f"| {title} | {_listed(groups)} |" for title, groups in card.groups.items()]
    lines += ["", "Limits:", "", *(f"- {limit}" for limit in card.limits), ""]
    return "\n".join(lines)


def _listed(groups: dict[str, int]) -> str:
    return ", ".join(f"{group}: {n}" for group, n in groups.items())


def _training(run: RunFacts) -> dict[str, str]:
    spent = minutes(run)
    trained = [p for p in run.patients if p.split == "train"]
    processor = "CPU" if run.device is None or "CPU" in run.device else "GPU"
    return {
        "trained on": f"{len(trained)} patients, {run.images or 'an unknown number of'} images"
        if trained
        else NOT_PROVIDED,
        "code": f"`{run.commit}`" + (" with uncommitted changes" if run.dirty else "") if run.commit else NOT_PROVIDED,
        "preset, seed": f"{run.preset}, {run.seed}" if run.preset else NOT_PROVIDED,
        "device": f"{run.devices or 1} × {run.device}" if run.device else NOT_PROVIDED,
        "epochs": epochs_of(run) or NOT_PROVIDED,
        "cost": f"{spent} {processor} minutes" if spent else NOT_PROVIDED,
        "energy": run.energy or NOT_MEASURED,
        "libraries": ", ".join(f"{n} {v}" for n, v in run.versions.items()) or NOT_PROVIDED,
        "MLflow run": f"`{run.run_id}`" if run.run_id else NOT_PROVIDED,
        "Dagster run": f"`{run.dagster_run}`" if run.dagster_run else NOT_PROVIDED,
    }


def _limits(record: EvaluationRecord) -> tuple[str, ...]:
    virtual = "every figure on this card is of virtual patients and says nothing about real radiographs"
    return (
        *((virtual,) if record.simulated else ()),
        "levels are named by counting: an unusual number of vertebrae shifts every name below it",
        "a subgroup that the test set holds few of was not shown to be measured well",
        "not for diagnosis or treatment",
    )


def _counts(record: EvaluationRecord, dimension: str) -> dict[str, int]:
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
        intervals_that_hold=_triple(figures["interval_coverage"]),
    )


def _triple(figure: Figure) -> tuple[float, float | None, float | None] | None:
    return None if figure.value is None else (figure.value, figure.low, figure.high)


def _parameter_row(row: CardParameter) -> str:
    unit = "°" if row.unit == "deg" else f" {row.unit}"
    cells = [_told(row.standard_error, unit), _told(row.bias, unit, "+"), _told(row.mean_absolute_error, unit)]
    held = NOT_PROVIDED if row.intervals_that_hold is None else _share(row.intervals_that_hold)
    return f"| {row.label} | {row.answered} of {row.truths} | {' | '.join(cells)} | {held} |"


def _share(triple: tuple[float, float | None, float | None]) -> str:
    value, low, high = triple
    return f"{value:.0%}" + ("" if low is None or high is None else f" [{low:.0%}, {high:.0%}]")


def _told(triple: tuple[float, float | None, float | None] | None, unit: str, sign: str = "") -> str:
    if triple is None:
        return NOT_PROVIDED
    value, low, high = triple
    interval = "" if low is None or high is None else f" [{low:{sign}.2f}, {high:{sign}.2f}]"
    return f"{value:{sign}.2f}{unit}{interval}"
