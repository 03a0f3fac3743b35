"""One person's judgement of a measurement: the correction record, its checks and its JSON form.

Contract: the JSON form has the schema ``SCHEMA``. A record that was built or read satisfies every rule below. Points
are (column, row) in pixels of the image in canonical orientation (``spine.radiograph.read``).

    CORRECTION_UNREADABLE     the bytes are not JSON of this schema, or too large
    CORRECTION_INVALID        a field has an impossible value
    CORRECTION_INCONSISTENT   the decision contradicts the points, for example an accepted record with moved points
    LABEL_UNKNOWN, LABELS_NOT_FINITE, LABELS_OUTSIDE_IMAGE   see ``spine.given_labels``
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spine.errors import LabelsRejected
from spine.given_labels import require_labels
from spine.landmarks import ViewName
from spine.radiograph.orientation import Facing
from spine.study import Points2D, points_from_json, points_to_json

SCHEMA = "plumbline.correction/1"
MAX_RECORD_BYTES = 1 << 20
"""A record of two views with all landmarks has 30 kB."""

CORRECTIONS, ANNOTATIONS = "corrections", "annotations"
"""Kinds of source. ``annotations`` are the cases without a model's proposal, as the main source of a workspace."""

Decision = Literal["accepted", "corrected", "rejected", "annotated"]
"""What the person decided. ``annotated``: all points are set from nothing, and no model proposed any."""

LABEL_WEIGHT: Mapping[Decision, float] = {"accepted": 0.25, "corrected": 1.0, "annotated": 1.0}
"""Weight of the labels of a record in training. Somebody who accepts what a model proposes tends to see it where the
model put it (anchoring), so a proposal that was accepted unchanged is weak evidence. The 0.25 is a choice. A rejected
measurement has no labels."""

CORRECTION_FACTS = ("proposed_by", "decision", "label_weight", "correction")
"""Facts of a study that come from a record: digest of the proposing model, decision, weight, digest of the record."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_DIGEST = r"[0-9a-f]{64}"


@dataclass(frozen=True)
class CorrectedView:
    """The image of one view, with its points before and after.

    Attributes:
        file: name of the radiograph's file in the folder of the case.
        sha256: digest of the file.
        pixels_sha256: ``spine.storage.sha256_of_image`` of the canonical image.
        shape: (H, W) of the canonical image.
        proposed: the model's points.
        points: the points that the person leaves.
        moved, added, removed: names of the points that differ.
        facing: the side of the stored lateral image to which the patient faces, if no tag says it.
        spacing_mm: size of a pixel in the patient, if a person stated it for a picture without tags.
    """

    file: str
    sha256: str
    pixels_sha256: str
    shape: tuple[int, int]
    proposed: Points2D = field(default_factory=dict)
    points: Points2D = field(default_factory=dict)
    moved: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    facing: Facing | None = None
    spacing_mm: float | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the person changed a point."""
        return bool(self.moved or self.added or self.removed)


@dataclass(frozen=True)
class Correction:
    """One decision on the measurement of one case.

    Attributes:
        case: name of the case and of its folder.
        views: view -> image with its points.
        decision: what the person decided.
        who: the person, as the service knows them.
        when: time in UTC, ISO 8601.
        model_digest: digest of the model that proposed the points; None if none did.
        reason: why; a rejected measurement needs one.
        patient: identifier or pseudonym of the patient, for files without one. Intake hashes it.
        study: id of the study of the workspace whose radiographs these are; empty for uploaded radiographs.
        plumbline: version of the software that wrote the record.

    Raises:
        LabelsRejected: see the head of the module.
    """

    case: str
    views: Mapping[ViewName, CorrectedView]
    decision: Decision
    who: str
    when: str
    model_digest: str | None = None
    reason: str = ""
    patient: str = ""
    study: str = ""
    plumbline: str = field(default_factory=lambda: version("plumbline"))

    def __post_init__(self) -> None:
        _require_plain(self)
        shapes = {view: each.shape for view, each in self.views.items()}
        for points in ("points", "proposed"):
            require_labels({view: getattr(each, points) for view, each in self.views.items()}, shapes)
        _require_consistent(self)


def corrected_view(
    file: str,
    sha256: str,
    pixels_sha256: str,
    shape: tuple[int, int],
    proposed: Points2D,
    points: Points2D,
    *,
    facing: Facing | None = None,
    spacing_mm: float | None = None,
) -> CorrectedView:
    """The view of a record, with the names of the points that differ from the proposed ones."""
    changes = _changes(proposed, points)
    return CorrectedView(
        file, sha256, pixels_sha256, shape, proposed, points, *changes, facing=facing, spacing_mm=spacing_mm
    )


def _changes(proposed: Points2D, points: Points2D) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names of the (moved, added, removed) points."""
    both = proposed.keys() & points.keys()
    moved = sorted(n for n in both if not np.array_equal(proposed[n], points[n]))
    return tuple(moved), tuple(sorted(points.keys() - both)), tuple(sorted(proposed.keys() - both))


def _require_plain(record: Correction) -> None:
    """Refuse a record whose fields do not have the form of the schema."""
    try:
        _Record.model_validate(_plain(record))
    except ValidationError as error:
        raise _invalid("CORRECTION_INVALID", _faults(error)) from None


def _require_consistent(record: Correction) -> None:
    views = record.views.values()
    changed, proposed = any(v.is_changed for v in views), any(v.proposed for v in views)
    labelled = any(v.points for v in views)
    files = [view.file for view in views]
    faults = {
        "names of moved, added or removed points that are not those of the points": any(
            (v.moved, v.added, v.removed) != _changes(v.proposed, v.points) for v in views
        ),
        "two views with one file": len(set(files)) < len(files),
        "an accepted measurement with changed points": record.decision == "accepted" and changed,
        "a corrected measurement without a changed point": record.decision == "corrected" and not changed,
        "an annotation with proposed points or a model": record.decision == "annotated"
        and (proposed or record.model_digest is not None),
        "proposed points without the digest of the model": proposed and record.model_digest is None,
        "a rejected measurement without a reason": record.decision == "rejected" and not record.reason.strip(),
        "no point in any view": record.decision != "rejected" and not labelled,
        "a time that is not ISO 8601 in UTC": not _is_utc(record.when),
    }
    found = [text for text, is_fault in faults.items() if is_fault]
    if found:
        raise _invalid("CORRECTION_INCONSISTENT", "; ".join(found))


def _is_utc(when: str) -> bool:
    try:
        return datetime.fromisoformat(when).utcoffset() == datetime.now(UTC).utcoffset()
    except ValueError:
        return False


def correction_to_json(record: Correction) -> str:
    """The record as JSON text."""
    return json.dumps(_plain(record), indent=1, sort_keys=True, allow_nan=False)


def correction_from_json(payload: bytes) -> Correction:
    """The record in ``payload``, or ``LabelsRejected`` (see the head of the module)."""
    if len(payload) > MAX_RECORD_BYTES:
        raise _invalid("CORRECTION_UNREADABLE", f"{len(payload)} bytes, more than {MAX_RECORD_BYTES}")
    try:
        content = json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _invalid("CORRECTION_UNREADABLE", "bytes that are no JSON") from None
    try:
        read = _Record.model_validate(content)
    except ValidationError as error:
        raise _invalid("CORRECTION_UNREADABLE", _faults(error)) from None
    views = {
        view: CorrectedView(
            **{
                **each.model_dump(),
                "proposed": points_from_json(each.proposed),
                "points": points_from_json(each.points),
            }
        )
        for view, each in read.views.items()
    }
    return Correction(**{**read.model_dump(exclude={"schema_", "views"}), "views": views})


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _plain(record: Correction) -> dict[str, Any]:
    views = {
        name: asdict(view) | {"proposed": points_to_json(view.proposed), "points": points_to_json(view.points)}
        for name, view in record.views.items()
    }
    return {"schema": SCHEMA} | asdict(record) | {"views": views}


def _faults(error: ValidationError) -> str:
    """The fields with faults and what is wrong; values and names that the record gave are not quoted."""
    known = {"schema", *_Record.model_fields}
    where = [(str(fault["loc"][0]) if fault["loc"] else "record", fault["type"]) for fault in error.errors()]
    kinds = {f"{name if name in known else 'record'}: {kind}" for name, kind in where}
    return "impossible fields (" + ", ".join(sorted(kinds)) + ")"


def _invalid(code: str, found: str) -> LabelsRejected:
    remedy = "correct the measurement again on the page, or correct the file"
    return LabelsRejected(code, found, f"a record of the schema {SCHEMA} (docs/corrections.md)", remedy)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Point = Annotated[list[float], Field(min_length=2, max_length=2)]
_Points = Annotated[dict[Annotated[str, Field(max_length=32)], _Point], Field(max_length=512)]
_Names = Annotated[tuple[Annotated[str, Field(max_length=32)], ...], Field(max_length=512)]
_Text = Annotated[str, Field(max_length=2000)]


class _View(_Strict):
    """The JSON form of ``CorrectedView``."""

    file: str = Field(pattern=f"^{_NAME}$")
    sha256: str = Field(pattern=f"^{_DIGEST}$")
    pixels_sha256: str = Field(pattern=f"^{_DIGEST}$")
    shape: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    proposed: _Points = {}
    points: _Points = {}
    moved: _Names = ()
    added: _Names = ()
    removed: _Names = ()
    facing: Facing | None = None
    spacing_mm: float | None = Field(None, gt=0, allow_inf_nan=False)


class _Record(_Strict):
    """The JSON form of ``Correction``."""

    schema_: Literal["plumbline.correction/1"] = Field(alias="schema")
    case: str = Field(pattern=f"^{_NAME}$")
    views: dict[ViewName, _View] = Field(min_length=1)
    decision: Decision
    who: str = Field(min_length=1, max_length=200)
    when: str = Field(max_length=40)
    model_digest: str | None = Field(None, pattern=f"^{_DIGEST}$")
    reason: _Text = ""
    patient: str = Field("", max_length=200)
    study: str = Field("", pattern="^([0-9a-f]{16})?$")
    plumbline: str = Field("", max_length=64)


def is_case_name(text: str) -> bool:
    """Whether ``text`` can be the name of a case and its folder: no separators, no leading dot, 1 to 64 characters."""
    return re.fullmatch(_NAME, text) is not None
