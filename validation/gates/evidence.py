"""The evidence for one verdict: the evaluation records of the judged model and of the models beside it."""

from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from spine.errors import EvidenceRejected
from validation.evaluation.record import EvaluationRecord, record_adapter, verified_digest
from validation.evaluation.sealing import canonical_json


@dataclass(frozen=True)
class Evidence:
    """What a verdict is made from.

    Attributes:
        challenger: the record of the judged model.
        champion: of the model that serves, evaluated again on the same test set; None where none serves.
        baseline: of the last model that a person approved, in that role; the champion's record where it is that model.
        other_seeds: of fits of the challenger's recipe with other seeds, evaluated as challengers on the same test set.
    """

    challenger: EvaluationRecord
    champion: EvaluationRecord | None = None
    baseline: EvaluationRecord | None = None
    other_seeds: tuple[EvaluationRecord, ...] = ()

    @cached_property
    def challenger_digest(self) -> str | None:
        """None where the record is malformed."""
        return evidence_digest(self.challenger)

    @cached_property
    def champion_digest(self) -> str | None:
        """Digest of the champion's record; None without a champion or with a malformed record."""
        return evidence_digest(self.champion) if self.champion else None

    @cached_property
    def baseline_digest(self) -> str | None:
        """Digest of the baseline's record; None without a baseline or with a malformed record."""
        return evidence_digest(self.baseline) if self.baseline else None

    @cached_property
    def seed_digests(self) -> tuple[str | None, ...]:
        """Digest of each record of ``other_seeds``; None for a malformed one."""
        return tuple(evidence_digest(record) for record in self.other_seeds)

    @property
    def separate_baseline(self) -> EvaluationRecord | None:
        """The baseline, unless it is the champion."""
        if self.baseline and self.champion and self.baseline.model_digest == self.champion.model_digest:
            return None
        return self.baseline


def evidence_digest(record: EvaluationRecord) -> str | None:
    """The record's digest; None where the record contains NaN, infinity or values of another type."""
    if (verified := verified_digest(record)) is not None:
        return verified
    try:
        content = record_adapter().dump_python(record, mode="json", warnings=False)
        record_adapter().validate_json(canonical_json(content), strict=True)
        return record.digest
    except (EvidenceRejected, ValidationError):
        return None
