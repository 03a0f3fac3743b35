"""The radiographs of one study from files that a person or a program names: their views, and notes about their tags.

Contract: DICOM files name their views themselves, unless somebody states them; a picture (PNG, JPEG) needs its view.
``spine.radiograph`` is imported in the functions, so that importing this module does not wait for pydicom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inference.inputs import ImageInput
from spine.errors import InputRejected, ParametersRejected
from spine.landmarks import ViewName

if TYPE_CHECKING:
    from spine.radiograph.orientation import Facing
    from spine.radiograph.read import Radiograph


@dataclass(frozen=True)
class RadiographFile:
    """One file to be measured.

    Attributes:
        content: its path, or its bytes.
        name: how messages and the report call the file.
        view: the view, if somebody stated it.
        facing: the side of the stored lateral image to which the patient faces, if somebody stated it.
        spacing_mm: the size of a pixel in the patient, for a picture, if somebody stated it.
    """

    content: Path | bytes = field(repr=False)
    name: str
    view: ViewName | None = None
    facing: "Facing | None" = None
    spacing_mm: float | None = None


@dataclass(frozen=True)
class OpenedRadiograph:
    """A radiograph and its file."""

    file: RadiographFile
    radiograph: "Radiograph"

    @property
    def needs_facing(self) -> bool:
        """Whether neither a tag nor a person says to which side the patient faces."""
        return self.radiograph.orientation.facing == "unknown"


def open_radiographs(files: Sequence[RadiographFile]) -> dict[ViewName, OpenedRadiograph]:
    """View -> its radiograph, from one file or two.

    Raises:
        InputRejected: a file that cannot be read, or two files that do not belong to one examination.
        ParametersRejected: ``FILES_UNCLEAR``, ``VIEW_UNCLEAR``, ``FACING_UNUSED``, ``SPACING_UNUSED``.
    """
    from spine.intake.pairing import require_one_examination

    if not 1 <= len(files) <= 2:
        expected = "one file, or one frontal and one lateral file"
        raise ParametersRejected("FILES_UNCLEAR", f"{len(files)} files", expected, "measure each study by itself")
    found: dict[ViewName, OpenedRadiograph] = {}
    for file in files:
        radiograph = _read(file)
        found[_free_view(file, radiograph, found)] = OpenedRadiograph(file, radiograph)
    if "lateral" not in found and any(file.facing in ("left", "right") for file in files):
        remedy = "omit the direction of the patient"
        raise ParametersRejected("FACING_UNUSED", "a direction, but no lateral radiograph", "a lateral one", remedy)
    require_one_examination({view: opened.radiograph for view, opened in found.items()})
    return found


def _read(file: RadiographFile) -> "Radiograph":
    from spine.radiograph.orientation import GivenOrientation
    from spine.radiograph.picture import is_picture, read_picture
    from spine.radiograph.read import read_radiograph

    # Without a stated direction the image is accepted as stored, and the model reads the direction from it.
    given = GivenOrientation(file.view, None if file.view == "frontal" else file.facing or "unknown")
    try:
        if is_picture(file.content):
            return read_picture(file.content, given, file.spacing_mm)
        radiograph = read_radiograph(file.content, given)
    except InputRejected as error:
        what = f"{file.name}: {error.found}"
        raise type(error)(error.code, found=what, expected=error.expected, remedy=error.remedy) from error
    if file.spacing_mm is not None:
        found = f"{file.name}: a stated spacing for a DICOM file"
        raise ParametersRejected("SPACING_UNUSED", found, "a picture without tags", "omit it: the tags are used")
    return radiograph


def _free_view(file: RadiographFile, radiograph: "Radiograph", found: Mapping[ViewName, OpenedRadiograph]) -> ViewName:
    view = radiograph.view
    if view is not None and view not in found:
        return view
    raise ParametersRejected(
        "VIEW_UNCLEAR",
        found=f"{file.name}: {'another file has the same view' if view else 'its tags do not name the view'}",
        expected="one frontal file, one lateral file, or one file of each view",
        remedy="give one file of each view"
        if view
        else f"state the view, e.g. --frontal {file.name} or --lateral {file.name}",
    )


def input_of(view: ViewName, opened: OpenedRadiograph) -> ImageInput:
    """The image to be measured, with notes about its tags."""
    radiograph = opened.radiograph
    return ImageInput(
        radiograph.image,
        radiograph.spacing_mm,
        radiograph.calibration,
        radiograph.geometry,
        opened.file.name,
        radiograph.identity.sop_uid or None,
        radiograph.facts.get("body_part"),
        _notes(view, radiograph),
    )


def _notes(view: ViewName, radiograph: "Radiograph") -> tuple[str, ...]:
    notes = []
    if not radiograph.orientation.verified and view == "frontal":
        notes.append(
            "frontal: no orientation tag; the left of the image is taken for the right of the patient. If this is "
            "wrong, left and right are exchanged in the results"
        )
    if radiograph.orientation.facing in ("left", "right"):
        notes.append(f"lateral: no orientation tag; the patient faces {radiograph.orientation.facing} as stated")
    if radiograph.contradiction is not None:
        notes.append(
            f"no lengths from the {view} radiograph, its header contradicts itself: {radiograph.contradiction}"
        )
    notes += [f"{view}: {remark}" for remark in radiograph.remarks]
    return tuple(notes)
