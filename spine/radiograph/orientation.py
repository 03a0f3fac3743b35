"""Which view an image is, and how to turn it into the canonical hanging.

Canonical: frontal ``L\\F`` (columns run to the patient's left), lateral ``P\\F`` (columns run to the back), rows run
to the feet. Contract: the view and the hanging come from tags or not at all. A lateral without PatientOrientation is
refused, because facing decides every sagittal sign; a frontal without it is taken as hung in the usual way and marked
``unverified`` (only the side of a curve depends on it).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import ViewName
from spine.radiograph.header import HangingTags
from spine.radiograph.tags import refuse

_AXES = {"L": "x", "R": "x", "P": "y", "A": "y", "F": "z", "H": "z"}
_CANONICAL = {"frontal": "L", "lateral": "P"}
_POSITIONS: dict[str, ViewName] = {
    **dict.fromkeys(("AP", "PA"), "frontal"),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLD", "RLD"), "lateral"),
}
# SNOMED CT, CID 4010: PA, AP; left lateral, right lateral, lateral.
_CODES: dict[str, ViewName] = {
    **dict.fromkeys(("272479007", "399348003"), "frontal"),
    **dict.fromkeys(("399173006", "399198007", "399067008"), "lateral"),
}


@dataclass(frozen=True)
class Hanging:
    """How a stored image becomes canonical: transpose first, then the flips.

    Attributes:
        view: ``frontal``, ``lateral``, or None when no tag tells.
        found: the orientation found, e.g. ``R\\F``, or empty.
        verified: whether PatientOrientation was there.
    """

    view: ViewName | None
    found: str
    verified: bool
    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def done(self) -> str:
        """What was done, for the record."""
        steps = [
            ("transposed", self.transpose),
            ("rows flipped", self.flip_rows),
            ("columns flipped", self.flip_columns),
        ]
        return ", ".join(name for name, applies in steps if applies) or "as stored"

    def apply(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """(H, W) stored image -> canonical (H, W) or (W, H)."""
        turned = image.T if self.transpose else image
        turned = turned[::-1] if self.flip_rows else turned
        return np.ascontiguousarray(turned[:, ::-1] if self.flip_columns else turned)

    def turn_pair(self, pair: tuple[float, float] | None) -> tuple[float, float] | None:
        """(row, column) spacing or shape of the stored image -> that of the canonical one."""
        return (pair[1], pair[0]) if pair is not None and self.transpose else pair


def decide_hanging(tags: HangingTags) -> Hanging:
    """Read the view and the turn it needs.

    Raises:
        DicomRejected: ``ORIENTATION_INVALID``, ``ORIENTATION_UNKNOWN``, ``VIEW_MISMATCH``.
    """
    named = _named_view(tags)
    if not tags.patient_orientation:
        return _without_orientation(tags, named)
    across, down = _letters(tags.patient_orientation)
    transpose = _AXES[across] == "z"
    if transpose:
        across, down = down, across
    view: ViewName = "frontal" if _AXES[across] == "x" else "lateral"
    if named is not None and named != view:
        found = f"orientation of a {view} and position or code of a {named} view"
        refuse("VIEW_MISMATCH", found, "tags that agree", "have the view tags corrected")
    found = "\\".join(tags.patient_orientation)
    return Hanging(view, found, True, transpose, flip_rows=down == "H", flip_columns=across != _CANONICAL[view])


def _named_view(tags: HangingTags) -> ViewName | None:
    names = {_POSITIONS.get(tags.view_position), _CODES.get(tags.view_code)} - {None}
    if len(names) > 1:
        refuse("VIEW_MISMATCH", "view position and view code of different views", "one view", "have the tags corrected")
    return names.pop() if names else None


def _without_orientation(tags: HangingTags, named: ViewName | None) -> Hanging:
    if named == "lateral" or tags.flipped or tags.rotation_deg:
        found = "no PatientOrientation on a lateral, flipped or rotated image"
        refuse("ORIENTATION_UNKNOWN", found, "PatientOrientation, e.g. P\\F", "have the tag set to the image's hanging")
    return Hanging(named, "", verified=False)


def _letters(orientation: tuple[str, ...]) -> tuple[str, str]:
    """Main directions along a row and down a column; oblique images such as ``LF`` count by their first letter."""
    if len(orientation) != 2 or not all(text and set(text) <= _AXES.keys() for text in orientation):
        refuse(
            "ORIENTATION_INVALID", "PatientOrientation without two directions", "e.g. L\\F", "have the tag corrected"
        )
    across, down = orientation[0][0], orientation[1][0]
    if {_AXES[across], _AXES[down]} not in ({"x", "z"}, {"y", "z"}):
        found = f"directions {across} and {down}"
        refuse("ORIENTATION_INVALID", found, "one along the body and one across it", "have the tag corrected")
    return across, down
