"""The radiographs that a user names on the command line, and the text that identifies their study."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inference.radiograph_files import OpenedRadiograph, RadiographFile
from orchestration.pipeline.params import existing_workspace
from orchestration.pipeline.workspace import Workspace
from spine.landmarks import ViewName

if TYPE_CHECKING:
    from spine.radiograph.orientation import Facing


@dataclass(frozen=True)
class NamedFiles:
    """The files of a command: those whose tags name the view, and those that an option gives to a view.

    ``facing`` is the side of the stored lateral image to which the patient faces, and ``spacing_mm`` the size of a
    pixel in the patient, if a person stated them.
    """

    files: tuple[Path, ...]
    frontal: Path | None = None
    lateral: Path | None = None
    facing: "Facing | None" = None
    spacing_mm: float | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file, with those of unknown view first."""
        return (*self.files, *(file for file in (self.frontal, self.lateral) if file is not None))

    def to_measure(self) -> list[RadiographFile]:
        """The files for ``inference.radiograph_files``.

        Raises:
            click.UsageError: no file, or more than two.
        """
        if not 1 <= len(self.all) <= 2:
            raise click.UsageError("give one file, or one frontal and one lateral file")
        views: list[ViewName | None] = [None] * len(self.files)
        views += ["frontal"] if self.frontal else []
        views += ["lateral"] if self.lateral else []
        return [
            RadiographFile(file, file.name, view, self.facing if view != "frontal" else None, self.spacing_mm)
            for file, view in zip(self.all, views, strict=True)
        ]


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
