"""The evaluation record: all results of one model on one frozen test set.

Contract: there is one record for each (model digest, test-set digest, code). The same function evaluates champion and
challenger. A record is immutable and sealed. Reading a record verifies its digest *and* computes
the statistics again from the values of each patient. An edited figure is therefore refused even if the digest matches.
Virtual and real patients are never in one record.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from spine.dataset import Example
from spine.errors import EvidenceRejected
from spine.measurement.registry import CENTRES_NOTE, PAPER_PARAMETERS, PARAMETERS
from spine.prediction import Prediction
from validation.evaluation.agreement import RESAMPLES, SEED, Agreement, Figure, agree, proportion
from validation.evaluation.code_environment import evaluating_environment
from validation.evaluation.landmark_errors import LandmarkError, LandmarkSummary, summarise
from validation.evaluation.model_facts import ModelFacts
from validation.evaluation.outcomes import StudyOutcome, outcome_of
from validation.evaluation.sealing import digest_of, open_sealed, unreadable, write_sealed
from validation.evaluation.test_set_check import predictions_by_study, require_frozen, require_one_kind

SCHEMA = "plumbline.evaluation/5"
ModelRole = Literal["challenger", "champion", "baseline"]
UNANSWERED = 5.0
"""In the ranking of patients, the error of a parameter without prediction, in multiples of the mean absolute error."""
_SAME = 1e-9
_VERIFIED = "_verified_digest"


@dataclass(frozen=True)
class CodeVersion:
    """The code of the evaluation: git commit (None outside a repository), and whether it had local changes."""

    commit: str | None
    dirty: bool


@dataclass(frozen=True)
class EvaluationRecord:
    """All results of one model on one frozen test set.

    Attributes:
        model_digest: ``spine.model_digest.model_digest`` of the model's files.
        model_role: ``challenger``, ``champion`` or ``baseline`` (the last model that a person approved).
        test_digest, dataset_digest: ``test_digest`` and ``digest`` of ``spine.dataset.Manifest``.
        dvc_version: DVC's version of the dataset; None if DVC does not track the dataset.
        landmark_set: name in ``spine.landmarks.LANDMARK_SETS``.
        code, environment: commit, and versions of interpreter, libraries, preprocessing and sources.
        simulated: whether the patients are virtual.
        evaluated_at: ISO 8601 with offset.
        resamples, seed: number of bootstrap resamples, and the seed of the bootstrap.
        studies: one outcome for each study, ordered by id.
        statistics: parameter -> agreement, for every parameter of the registry.
        landmarks: landmark summaries by space, level and landmark.
        level_shift_rate: share of views with shifted level names, among the views with enough points.
        studies_from_centres: number of studies with a reference value that is measured from plate centres alone.
        model_bytes: total size of the model's files; None if it was not measured.
        model_facts: how the model was made; None if this is not known.
    """

    model_digest: str
    model_role: ModelRole
    test_digest: str
    dataset_digest: str
    dvc_version: str | None
    landmark_set: str
    code: CodeVersion
    environment: Mapping[str, str]
    simulated: bool
    evaluated_at: str
    resamples: int
    seed: int
    studies: tuple[StudyOutcome, ...]
    statistics: Mapping[str, Agreement]
    landmarks: tuple[LandmarkSummary, ...]
    level_shift_rate: Figure
    studies_from_centres: int = 0
    model_bytes: int | None = None
    model_facts: ModelFacts | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the whole record.

        Raises:
            EvidenceRejected: ``NON_FINITE`` if a figure is NaN or infinite.
        """
        return digest_of(SCHEMA, _to_json(self))

    @property
    def n_patients(self) -> int:
        """Number of patients in the test set."""
        return len({s.patient for s in self.studies})

    @property
    def truth_is(self) -> str:
        """How the reference angles were measured, with the known error of those from plate centres alone."""
        if not self.studies_from_centres:
            return "from plate margins, or as the source gives them"
        return f"{self.studies_from_centres} of {len(self.studies)} studies {CENTRES_NOTE}"

    @property
    def patients_are(self) -> str:
        """``virtual patients`` or ``real patients``, as reports name them."""
        return "virtual patients" if self.simulated else "real patients"


def evaluate(
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    *,
    model_digest: str,
    model_role: ModelRole,
    landmark_set: str,
    test_digest: str,
    dataset_digest: str,
    dvc_version: str | None,
    code_commit: str | None,
    code_dirty: bool,
    evaluated_at: datetime,
    model_bytes: int | None = None,
    model_facts: ModelFacts | None = None,
    preprocessing: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationRecord:
    """Evaluate ``predictions`` on ``examples``, the complete frozen test split.

    In a study without a prediction every parameter and landmark counts as missing. Coverage is the number of
    predictions divided by the number of truths.

    Raises:
        EvidenceRejected: ``TEST_SET_ALTERED`` if the examples do not have the digest ``test_digest``.
        ContractViolation: ``NOT_THE_TEST_SET``, ``PREDICTIONS_MISMATCH``, ``MIXED_PATIENTS``,
            ``PREDICTION_NOT_FINITE``, ``TRUTH_NOT_FINITE``.
    """
    require_frozen(examples, landmark_set, test_digest)
    predicted = predictions_by_study(predictions, examples)
    simulated = require_one_kind(examples)
    studies = []
    for done, example in enumerate(sorted(examples, key=lambda e: e.study_id), start=1):
        studies.append(outcome_of(predicted.get(example.study_id), example))
        if progress:
            progress(done, len(examples))
    return EvaluationRecord(
        model_digest=model_digest,
        model_role=model_role,
        test_digest=test_digest,
        dataset_digest=dataset_digest,
        dvc_version=dvc_version,
        landmark_set=landmark_set,
        code=CodeVersion(code_commit, code_dirty),
        environment=evaluating_environment(preprocessing),
        simulated=simulated,
        evaluated_at=evaluated_at.isoformat(),
        resamples=resamples,
        seed=seed,
        studies=tuple(studies),
        statistics=statistics_of(studies, resamples, seed),
        landmarks=summarise(_all_landmarks(studies)),
        level_shift_rate=_level_shift_rate(studies),
        studies_from_centres=sum(example.is_from_centres for example in examples),
        model_bytes=model_bytes,
        model_facts=model_facts,
    )


def write_record(record: EvaluationRecord, path: Path) -> None:
    """Write the sealed record to ``path`` atomically.

    Raises:
        EvidenceRejected: ``NON_FINITE``; nothing is written.
    """
    write_sealed(SCHEMA, _to_json(record), path)


def read_record(path: Path) -> EvaluationRecord:
    """Read a record, verify its digest, and verify its statistics against the values of its patients.

    Raises:
        EvidenceRejected: ``EVIDENCE_MISSING``, ``EVIDENCE_UNREADABLE``, ``EVIDENCE_SCHEMA``, ``EVIDENCE_ALTERED``,
            ``STATISTICS_INCONSISTENT``.
    """
    opened = open_sealed(SCHEMA, path)
    try:
        record = record_adapter().validate_json(opened.canonical, strict=True)
    except ValidationError as error:
        found = f"{path.name} with {error.error_count()} invalid field(s), the first at {error.errors()[0]['loc']}"
        raise unreadable(found, SCHEMA) from error
    if _to_json(record) != opened.content:
        raise unreadable(f"{path.name} with fields that a record does not have", SCHEMA)
    measured = {outcome.parameter for study in record.studies for outcome in study.parameters}
    if record.studies and (missing := [name for name in PARAMETERS if name not in measured]):
        raise unreadable(f"{path.name} without the parameters {', '.join(missing)}", SCHEMA)
    verify_statistics(record)
    vars(record)[_VERIFIED] = opened.digest  # ``replace`` does not copy this mark, so a changed record is not verified
    return record


def verified_digest(record: EvaluationRecord) -> str | None:
    """The digest of a record that was read and verified; None for a record that was made or changed in memory."""
    return vars(record).get(_VERIFIED)


def verify_statistics(record: EvaluationRecord) -> None:
    """Compute the figures, but not their intervals, again from the values of each patient, and compare the results.

    Raises:
        EvidenceRejected: ``STATISTICS_INCONSISTENT`` with the figures that differ.
    """
    again = statistics_of(record.studies, 0, record.seed)
    wrong = []
    for name, expected in again.items():
        found = record.statistics.get(name)
        wrong += [name] if found is None else [f"{name} {what}" for what in _differences(expected, found)]
    if summarise(_all_landmarks(record.studies)) != tuple(record.landmarks):
        wrong.append("landmark summaries")
    if not _equal(_level_shift_rate(record.studies).value, record.level_shift_rate.value):
        wrong.append("level shift rate")
    if wrong:
        raise EvidenceRejected(
            "STATISTICS_INCONSISTENT",
            found=f"figures that do not follow from the record's patients: {', '.join(wrong[:10])}",
            expected="the statistics of the patients in the record",
            remedy="evaluate again; the record was edited",
        )


def rank_patients(record: EvaluationRecord) -> Mapping[str, str]:
    """``best``, ``median`` and ``worst`` -> study id.

    Studies are ranked by the mean over the paper's parameters of |error| / mean |error| of that parameter in the
    record, so that all parameters have the same weight. A parameter without a prediction has the error ``UNANSWERED``.
    Studies without any truth are left out. The mapping is empty if no study remains.
    """
    maes = {name: record.statistics[name].figures["mae"].value for name in PAPER_PARAMETERS}
    scales = {name: mae or 1.0 for name, mae in maes.items()}
    errors = {s.study_id: _relative_errors(s, scales) for s in record.studies}
    ranked = sorted((float(np.mean(e)), study_id) for study_id, e in errors.items() if e)
    if not ranked:
        return {}
    return {"best": ranked[0][1], "median": ranked[len(ranked) // 2][1], "worst": ranked[-1][1]}


def statistics_of(studies: Sequence[StudyOutcome], resamples: int, seed: int) -> dict[str, Agreement]:
    """Agreement of every parameter of the registry over ``studies``; without intervals if ``resamples`` is 0."""
    statistics = {}
    for name, definition in PARAMETERS.items():
        outcomes = [(s.patient, s.parameter(name)) for s in studies]
        with_truth = [(p, o) for p, o in outcomes if o.truth is not None]
        pairs = [(p, o.truth, o.predicted) for p, o in with_truth if o.predicted is not None]
        statistics[name] = agree(
            name,
            definition.unit,
            np.array([t for _, t, _ in pairs], dtype=np.float64),
            np.array([y for _, _, y in pairs], dtype=np.float64),
            [p for p, _, _ in pairs],
            n_truth=len(with_truth),
            intervals=[o.interval for _, o in with_truth if o.predicted is not None],
            resamples=resamples,
            seed=seed,
        )
    return statistics


def _level_shift_rate(studies: Sequence[StudyOutcome]) -> Figure:
    known = [shift for s in studies for shift in s.level_shifts.values() if shift is not None]
    if not known:
        return Figure(None, absent_reason="no view has enough points")
    return proportion(sum(shift != 0 for shift in known), len(known))


def _all_landmarks(studies: Sequence[StudyOutcome]) -> list[LandmarkError]:
    return [error for study in studies for error in study.landmarks]


def _differences(expected: Agreement, found: Agreement) -> list[str]:
    counts = ("n", "n_truth", "n_patients", "unit")
    wrong = [c for c in counts if getattr(expected, c) != getattr(found, c)]
    missing = Figure(None, absent_reason="missing")
    return wrong + [
        name for name, f in expected.figures.items() if not _equal(f.value, found.figures.get(name, missing).value)
    ]


def _equal(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=_SAME, abs_tol=_SAME)


def _relative_errors(study: StudyOutcome, scales: Mapping[str, float]) -> list[float]:
    """|error| / mean |error| of the parameter, for each of the paper's parameters with a truth."""
    known = [(study.parameter(name), scale) for name, scale in scales.items()]
    return [UNANSWERED if o.error is None else abs(o.error) / scale for o, scale in known if o.truth is not None]


@cache
def record_adapter() -> TypeAdapter[EvaluationRecord]:
    """The adapter that converts between records and JSON; built once, at first use."""
    return TypeAdapter(EvaluationRecord)


def _to_json(record: EvaluationRecord) -> Any:
    return record_adapter().dump_python(record, mode="json", warnings=False)
