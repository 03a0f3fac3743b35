"""The UIDs of results: they follow from the radiographs and the model alone.

Contract: equal radiographs, model and version of the writer give equal UIDs, so a repeated measurement is the same
object, and another model adds objects and replaces none. The UIDs are known before anything is measured. A UID is
``2.25.`` and the decimal value of a UUID that is made of a SHA-256 (PS3.5 B.2).
"""

import hashlib
import uuid
from collections.abc import Collection, Mapping
from typing import Literal

ResultKind = Literal["sr", "overlay", "presentation_frontal", "presentation_lateral", "report"]
RESULT_KINDS: tuple[ResultKind, ...] = ("sr", "overlay", "presentation_frontal", "presentation_lateral", "report")

WRITER_VERSION = "1"
"""Raised whenever the same radiographs and model give other objects: other content, or another formula of a value."""


def file_name(kind: ResultKind) -> str:
    """The name of the file of a result in the folder of one measurement."""
    return f"plumbline-{kind.replace('_', '-')}.dcm"


def result_uids(sop_instance_uids: Collection[str], model_digest: str) -> Mapping[ResultKind, str]:
    """Kind of result -> its SOP Instance UID.

    A measurement without a frontal radiograph has no ``presentation_frontal``, and the same holds for ``lateral``.

    Args:
        sop_instance_uids: those of the radiographs, in any order.
        model_digest: ``Model.result_digest``: the digest of the model, unless a site's calibration changes intervals.
    """
    return {kind: derived_uid(kind, sop_instance_uids, model_digest) for kind in RESULT_KINDS}


def series_uid(kind: ResultKind, sop_instance_uids: Collection[str], model_digest: str) -> str:
    """The Series Instance UID of a result. The presentation states of both views are one series."""
    group = "presentation" if kind.startswith("presentation") else kind
    return derived_uid(f"series {group}", sop_instance_uids, model_digest)


def tracking_uid(parameter: str, sop_instance_uids: Collection[str], model_digest: str) -> str:
    """The Tracking Unique Identifier of the measurement of one parameter."""
    return derived_uid(f"tracking {parameter}", sop_instance_uids, model_digest)


def device_uid(model_digest: str) -> str:
    """The Device Observer UID of a model."""
    return derived_uid("device", (), model_digest)


def derived_uuid(purpose: str, sop_instance_uids: Collection[str], model_digest: str) -> uuid.UUID:
    """The UUID of one object of a result. ``purpose`` tells the objects of one result apart."""
    parts = (purpose, *sorted(set(sop_instance_uids)), model_digest, WRITER_VERSION)
    number = int.from_bytes(hashlib.sha256("|".join(parts).encode()).digest()[:16])
    number = number & ~(0xF << 76) | 8 << 76  # version 8 of RFC 9562: made by a rule of the application
    return uuid.UUID(int=number & ~(0b11 << 62) | 0b10 << 62)


def derived_uid(purpose: str, sop_instance_uids: Collection[str], model_digest: str) -> str:
    """The same as a DICOM UID."""
    return f"2.25.{derived_uuid(purpose, sop_instance_uids, model_digest).int}"
