"""The radiographs that a user names: their files, their views, and what the person must know about their tags.

Contract: pydicom is imported in the functions, so that ``--help`` and usage errors do not wait for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inference.inputs import ImageInput
from orchestration.pipeline.params import existing_workspace
from orchestration.pipeline.workspace import Workspace
from spine.errors import InputRejected, ParametersRejected
from spine.landmarks import ViewName

if TYPE_CHECKING:
    from spine.radiograph.orientation import Facing, GivenOrientation
    from spine.radiograph.read import Radiograph


@dataclass(frozen=True)
class NamedFiles:
    """The files of a command: those whose tags name the view, and those that an option gives to a view.

    ``facing`` is the side of the stored lateral image to which the patient faces, if a person stated it.
    """

    files: tuple[Path, ...]
    frontal: Path | None = None
    lateral: Path | None = None
    facing: "Facing | None" = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file, with those of unknown view first."""
        return (*self.files, *(file for file in (self.frontal, self.lateral) if file is not None))


@dataclass(frozen=True)
class OpenedRadiograph:
    """A radiograph and its file."""

    file: Path
    radiograph: "Radiograph"

    @property
    def needs_facing(self) -> bool:
        """Whether neither a tag nor a person says to which side the patient faces."""
        return self.radiograph.orientation.facing == "unknown"


def open_radiographs(named: NamedFiles) -> dict[ViewName, OpenedRadiograph]:
    """View -> its radiograph.

    Raises:
        click.UsageError: no file, more than two files, or ``facing`` without a lateral image.
        InputRejected: a file that cannot be read, or two files that do not belong to one examination.
        ParametersRejected: ``VIEW_UNCLEAR``.
    """
    from spine.intake.pairing import require_one_examination
    from spine.radiograph.orientation import GivenOrientation

    if not 1 <= len(named.all) <= 2:
        raise click.UsageError("give one file, or one frontal and one lateral file")
    facing = named.facing or "unknown"
    given = [(file, GivenOrientation(None, facing)) for file in named.files]
    given += [(named.frontal, GivenOrientation("frontal"))] if named.frontal else []
    given += [(named.lateral, GivenOrientation("lateral", facing))] if named.lateral else []
    found: dict[ViewName, OpenedRadiograph] = {}
    for file, orientation in given:
        radiograph = _read(file, orientation)
        found[_free_view(file, radiograph, found)] = OpenedRadiograph(file, radiograph)
    if named.facing and "lateral" not in found:
        raise click.UsageError(f"--facing {named.facing}: there is no lateral radiograph; omit --facing")
    require_one_examination({view: opened.radiograph for view, opened in found.items()})
    return found


def _read(file: Path, given: "GivenOrientation") -> "Radiograph":
    from spine.radiograph.read import read_radiograph

    try:
        return read_radiograph(file, given)
    except InputRejected as error:
        what = f"{file.name}: {error.found}"
        raise type(error)(error.code, found=what, expected=error.expected, remedy=error.remedy) from error


def _free_view(file: Path, radiograph: "Radiograph", found: Mapping[ViewName, OpenedRadiograph]) -> ViewName:
    view = radiograph.view
    if view is not None and view not in found:
        return view
    raise ParametersRejected(
        "VIEW_UNCLEAR",
        found=f"{file.name}: {'another file has the same view' if view else 'its tags do not name the view'}",
        expected="one frontal file, one lateral file, or one file of each view",
        remedy="give one file of each view" if view else f"use --frontal {file.name} or --lateral {file.name}",
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
        notes.append(f"lateral: no orientation tag; the patient faces {radiograph.orientation.facing} by --facing")
    if radiograph.contradiction is not None:
        notes.append(
            f"no lengths from the {view} radiograph, its header contradicts itself: {radiograph.contradiction}"
        )
    notes += [f"{view}: {remark}" for remark in radiograph.remarks]
    return tuple(notes)


def identification_of(opened: Mapping[ViewName, OpenedRadiograph], workspace: Workspace) -> str:
    """Study date and pseudonym of the patient, as text. The pseudonym is that of the workspace's studies.

    Raises:
        ParametersRejected: the folder is not a workspace, so it has no key for pseudonyms.
    """
    from spine.intake.pseudonym import load_pseudonym_key, pseudonym

    existing_workspace(workspace.root)
    identities = [each.radiograph.identity for each in opened.values()]
    dates = sorted({identity.study_date for identity in identities} - {""})
    patients = sorted({identity.patient_id for identity in identities} - {""})
    key = load_pseudonym_key(workspace.pseudonym_key_file)
    names = ["p" + pseudonym(key, "patient", f"dicom:{patient}") for patient in patients]
    return f"study {', '.join(dates) or 'without date'}   patient {', '.join(names) or 'without identifier'}"
