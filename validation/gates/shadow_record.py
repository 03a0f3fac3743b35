"""The record of a challenger's shadow runs, as evidence for a verdict.

Contract: the record has digests, counts and differences, and nothing about a patient. It is sealed by its digest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from validation.evaluation.sealing import canonical_json, digest_of, read_sealed, unreadable, write_sealed

SCHEMA = "plumbline.shadow/1"


@dataclass(frozen=True)
class ShadowParameter:
    """One parameter in the cases.

    Attributes:
        count: cases in which both models report a value.
        median, largest: median and largest of the absolute differences, in the parameter's unit; None without cases.
        only_champion, only_challenger: cases in which only this model reports a value.
    """

    count: int
    median: float | None
    largest: float | None
    only_champion: int
    only_challenger: int


@dataclass(frozen=True)
class ShadowRecord:
    """The cases of one challenger beside one champion.

    Attributes:
        champion, challenger: digests of the models.
        cases: number of studies, with those that the challenger refused.
        refused: studies that the challenger refused although the champion measured them.
        parameters: parameter -> what was found.
    """

    champion: str
    challenger: str
    cases: int
    refused: int
    parameters: Mapping[str, ShadowParameter]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return digest_of(SCHEMA, _ADAPTER.dump_python(self, mode="json"))


_ADAPTER = TypeAdapter(ShadowRecord)


def write_shadow_record(record: ShadowRecord, path: Path) -> None:
    """Write the record with its digest to ``path`` atomically."""
    write_sealed(SCHEMA, _ADAPTER.dump_python(record, mode="json"), path)


def read_shadow_record(path: Path) -> ShadowRecord:
    """Read a record and verify its digest.

    Raises:
        EvidenceRejected: ``EVIDENCE_MISSING``, ``EVIDENCE_UNREADABLE``, ``EVIDENCE_SCHEMA``, ``EVIDENCE_ALTERED``.
    """
    content = read_sealed(SCHEMA, path)
    try:
        return _ADAPTER.validate_json(canonical_json(content), strict=True)
    except ValidationError as error:
        raise unreadable(f"{error.error_count()} invalid field(s) in {path.name}", SCHEMA) from error
