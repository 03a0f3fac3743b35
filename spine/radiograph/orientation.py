"""The view of an image, and the turn that brings it into the canonical orientation.

The canonical orientation is ``L\\F`` for a frontal image (columns run to the patient's left) and ``P\\F`` for a lateral
image (columns run to the back). Rows run to the feet. Contract: the view and the orientation come from the tags, and
from a person where the tags are silent (``GivenOrientation``). The direction that the patient faces determines the sign
of every sagittal angle. Therefore, a lateral image without PatientOrientation is refused if nobody states the
direction, except if the caller asks for the image as stored in order to find the direction in it. A frontal image
without PatientOrientation is assumed to be canonical and is marked ``unverified``. Only the side of a curve depends on
this assumption.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spine.errors import DicomRejected
from spine.landmarks import ViewName
from spine.radiograph.header import OrientationTags
from spine.radiograph.tags import CORRECT_TAG

_AXES = {"L": "x", "R": "x", "P": "y", "A": "y", "F": "z", "H": "z"}
_CANONICAL = {"frontal": "L", "lateral": "P"}
_POSITIONS: dict[str, ViewName] = {
    **dict.fromkeys(("AP", "PA"), "frontal"),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLD", "RLD"), "lateral"),
}
# PS3.16 CID 4010, DX View. SNOMED CT replaced SNOMED-RT, whose codes old images have.
_SNOMED_CT: dict[str, ViewName] = {
    **dict.fromkeys(("272479007", "399348003", "399033003"), "frontal"),  # postero-anterior, antero-posterior, frontal
    **dict.fromkeys(("399173006", "399198007", "399067008", "30730003"), "lateral"),  # left, right, lateral, sagittal
}
# R-10214 is an earlier code of postero-anterior, and R-10222 of sagittal.
_SNOMED_RT: dict[str, ViewName] = {
    **dict.fromkeys(("R-40888", "R-10214", "R-10206", "R-10202"), "frontal"),
    **dict.fromkeys(("R-10236", "R-10232", "R-102CD", "R-10222", "G-A145"), "lateral"),
}
_CODES = _SNOMED_CT | _SNOMED_RT
"""Code value -> view. The designator of the coding scheme (SCT, SRT, SNM3, 99SDM) is not compared: the values of the
two schemes differ in form, and designators are often wrong."""


Facing = Literal["left", "right", "unknown"]
"""The side of the stored image to which the patient faces."""


@dataclass(frozen=True)
class GivenOrientation:
    """What a person states about an image whose tags are silent.

    Attributes:
        view: the view, or None if the tags must name it.
        facing: the direction of the patient in a lateral image. ``unknown`` accepts the image as stored. With None, a
            lateral image without PatientOrientation is refused.
    """

    view: ViewName | None = None
    facing: Facing | None = None


NOTHING_GIVEN = GivenOrientation()


@dataclass(frozen=True)
class Orientation:
    """The steps that make a stored image canonical: first the transposition, then the flips.

    Attributes:
        view: ``frontal``, ``lateral``, or None if no tag names the view.
        found: PatientOrientation, e.g. ``R\\F``, or an empty string.
        verified: whether the file has PatientOrientation.
        facing: for a lateral image without PatientOrientation, the direction that a person gave; else None.
    """

    view: ViewName | None
    found: str
    verified: bool
    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    facing: Facing | None = None

    @property
    def applied(self) -> str:
        """The steps of ``apply`` as text, for the record of the image."""
        steps = {"transposed": self.transpose, "rows flipped": self.flip_rows, "columns flipped": self.flip_columns}
        return ", ".join(name for name, applies in steps.items() if applies) or "as stored"

    def apply(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """(H, W) stored image -> canonical (H, W) or (W, H)."""
        turned = image.T if self.transpose else image
        turned = turned[::-1] if self.flip_rows else turned
        return np.ascontiguousarray(turned[:, ::-1] if self.flip_columns else turned)

    def turn_pair(self, pair: tuple[float, float] | None) -> tuple[float, float] | None:
        """(row, column) spacing or shape of the stored image -> spacing or shape of the canonical image."""
        return (pair[1], pair[0]) if pair is not None and self.transpose else pair


def decide_orientation(tags: OrientationTags, given: GivenOrientation = NOTHING_GIVEN) -> Orientation:
    """Decide the view and the turn that the image needs.

    Raises:
        DicomRejected: ``ORIENTATION_INVALID``, ``ORIENTATION_UNKNOWN``, ``VIEW_MISMATCH``, ``FACING_MISMATCH``.
    """
    named = _named_view(tags)
    if not tags.patient_orientation:
        _require_given_view(named, given)
        return _without_orientation(tags, named or given.view, given)
    across, down = _letters(tags.patient_orientation)
    transpose = _AXES[across] == "z"
    if transpose:
        across, down = down, across
    view: ViewName = "frontal" if _AXES[across] == "x" else "lateral"
    if named is not None and named != view:
        found = f"a PatientOrientation of a {view} view, but a ViewPosition or ViewCodeSequence of a {named} view"
        raise DicomRejected("VIEW_MISMATCH", found, "tags that agree", CORRECT_TAG)
    _require_given_view(view, given)
    flip = across != _CANONICAL[view]
    stated = view == "lateral" and given.facing in ("left", "right")
    if stated and not transpose and (given.facing == "right") != flip:
        found = f"a patient who faces {given.facing} by --facing, but not by PatientOrientation"
        raise DicomRejected("FACING_MISMATCH", found, "tags and options that agree", "omit --facing: the tag is used")
    found = "\\".join(tags.patient_orientation)
    return Orientation(view, found, True, transpose, flip_rows=down == "H", flip_columns=flip)


def _named_view(tags: OrientationTags) -> ViewName | None:
    names = {_POSITIONS.get(tags.view_position), _CODES.get(tags.view_code)} - {None}
    if len(names) > 1:
        found = "ViewPosition and ViewCodeSequence of different views"
        raise DicomRejected("VIEW_MISMATCH", found, "tags that agree", CORRECT_TAG)
    return names.pop() if names else None


def _require_given_view(named: ViewName | None, given: GivenOrientation) -> None:
    if named is not None and given.view is not None and named != given.view:
        found = f"a {named} image by its tags, given as {given.view}"
        raise DicomRejected("VIEW_MISMATCH", found, "the view of the tags", f"give the file as {named}")


def _without_orientation(tags: OrientationTags, view: ViewName | None, given: GivenOrientation) -> Orientation:
    if tags.flipped or tags.rotation_deg or (view == "lateral" and given.facing is None):
        found = "no PatientOrientation on a lateral, flipped or rotated image"
        remedy = "set the tag to the orientation of the stored image"
        raise DicomRejected("ORIENTATION_UNKNOWN", found, "PatientOrientation, e.g. P\\F", remedy)
    facing = given.facing if view == "lateral" else None
    return Orientation(view, "", verified=False, flip_columns=facing == "right", facing=facing)


def _letters(orientation: tuple[str, ...]) -> tuple[str, str]:
    """Main directions along a row and down a column. An oblique direction such as ``LF`` counts as its first letter."""
    if len(orientation) != 2 or not all(text and set(text) <= _AXES.keys() for text in orientation):
        found = "PatientOrientation without two directions"
        raise DicomRejected("ORIENTATION_INVALID", found, "two directions, e.g. L\\F", CORRECT_TAG)
    across, down = orientation[0][0], orientation[1][0]
    if {_AXES[across], _AXES[down]} not in ({"x", "z"}, {"y", "z"}):
        found = f"directions {across} and {down}"
        raise DicomRejected("ORIENTATION_INVALID", found, "one direction along the body and one across it", CORRECT_TAG)
    return across, down
