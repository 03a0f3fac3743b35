"""The evidence for one verdict: the evaluation records of the challenger and of the models it is compared with."""

from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from spine.errors import EvidenceRejected
from validation.evaluation.record import EvaluationRecord, record_adapter, verified_digest
from validation.evaluation.sealing import canonical_json
from validation.gates.shadow_record import ShadowRecord


@dataclass(frozen=True)
class Evidence:
    """The evaluation records for one verdict. All models are evaluated on the same test set.

    Attributes:
        challenger: the record of the model to judge.
        champion: the record of the current champion; None without a champion.
        baseline: the record of the last model that a person approved; None without such a model. If the champion is
            that model, this is the champion's record. Otherwise the record has the role ``baseline``.
        other_seeds: the records of fits of the challenger's recipe with other seeds. Their role is ``challenger``.
        shadow: the record of the challenger's shadow runs; None without such runs.
    """

    challenger: EvaluationRecord
    champion: EvaluationRecord | None = None
    baseline: EvaluationRecord | None = None
    other_seeds: tuple[EvaluationRecord, ...] = ()
    shadow: ShadowRecord | None = None

    @cached_property
    def challenger_digest(self) -> str | None:
        """Digest of the challenger's record; None if the record is malformed."""
        return evidence_digest(self.challenger)

    @cached_property
    def champion_digest(self) -> str | None:
        """Digest of the champion's record; None without a champion, or if the record is malformed."""
        return evidence_digest(self.champion) if self.champion else None

    @cached_property
    def baseline_digest(self) -> str | None:
        """Digest of the baseline's record; None without a baseline, or if the record is malformed."""
        return evidence_digest(self.baseline) if self.baseline else None

    @cached_property
    def seed_digests(self) -> tuple[str | None, ...]:
        """Digest of each record in ``other_seeds``; None for a malformed record."""
        return tuple(evidence_digest(record) for record in self.other_seeds)

    @property
    def separate_baseline(self) -> EvaluationRecord | None:
        """The baseline's record; None without a baseline, or if the baseline is the champion."""
        if self.baseline and self.champion and self.baseline.model_digest == self.champion.model_digest:
            return None
        return self.baseline


def evidence_digest(record: EvaluationRecord) -> str | None:
    """The record's digest; None if the record contains NaN, infinity or values of a wrong type."""
    if (verified := verified_digest(record)) is not None:
        return verified
    try:
        content = record_adapter().dump_python(record, mode="json", warnings=False)
        record_adapter().validate_json(canonical_json(content), strict=True)
        return record.digest
    except (EvidenceRejected, ValidationError):
        return None
