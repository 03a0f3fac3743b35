"""Source of study folders, whose radiographs and reconstruction are recognised by content, not by file name.

Each folder in the location is one study, with files at any depth. DICOM files directly in the location form one more
study.

A radiograph is a file that starts like DICOM. A file with the suffix ``.dcm``, ``.dicom`` or ``.ima`` must be DICOM. A
study with a text file called ``lateral.dcm`` is refused, because the study would otherwise lose its lateral view
silently. Reports, presentation states and DICOMDIRs next to the radiographs are ignored. Links are not followed.

A file that looks like points is never ignored: it is read, or the study is refused (``spine.reconstruction.open``). A
reconstruction in a folder ``extras`` is a copy for another program. It is read only if the study has no other
reconstruction. Radiographs are read from every folder.

A simulated study is written in several steps. Its writer adds the file ``COMPLETE`` at the end, in the folder of the
study or in the location. Without this file, the study is unfinished and is refused.

Contract: there is one candidate for each study folder, in the order of the folder names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spine.errors import PairingRejected
from spine.intake.pairing import join_study
from spine.intake.records import LoadedStudy, fingerprint_of
from spine.radiograph.read import Radiograph, read_radiograph
from spine.radiograph.structure import is_dicom
from spine.reconstruction.open import points_kind, read_reconstruction_files
from spine.reconstruction.reconstruction import Reconstruction

COMPLETE = "COMPLETE"
EXTRAS = "extras"
MAX_FILES = 500
_RADIOGRAPH_SUFFIXES = (".dcm", ".dicom", ".ima")
# DICOMDIR, presentation states, structured reports, encapsulated documents.
_IGNORED_SOP_CLASSES = tuple(
    b"1.2.840.10008." + tail for tail in (b"1.3.10", b"5.1.4.1.1.11.", b"5.1.4.1.1.88.", b"5.1.4.1.1.104.")
)


@dataclass(frozen=True)
class FolderCandidate:
    """One study folder: its path relative to the location, its sorted files, and whether it has a ``COMPLETE`` file."""

    key: str
    files: tuple[Path, ...]
    is_complete: bool
    simulated: bool

    def fingerprint(self) -> str:
        """Fingerprint of the files' names, sizes and modification times."""
        return fingerprint_of(self.files, str(self.is_complete), str(self.simulated))

    def load(self) -> LoadedStudy:
        """Read the radiographs and the reconstruction and join them.

        Raises:
            InputRejected: ``TOO_MANY_FILES``, ``STUDY_UNFINISHED``, ``UID_CONFLICT``, and the codes of ``pairing``,
                ``read_radiograph`` and ``read_reconstruction_files``.
        """
        if len(self.files) > MAX_FILES:
            found = f"{len(self.files)} files"
            expected = f"at most {MAX_FILES} files in a study"
            raise PairingRejected("TOO_MANY_FILES", found, expected, "make one folder for each study")
        if not self.is_complete and self.simulated:
            raise _unfinished()
        radiographs = [read_radiograph(file) for file in self.files if _is_radiograph(file)]
        if not self.is_complete and any(radiograph.facts.get("simulated") for radiograph in radiographs):
            raise _unfinished()
        return join_study(_without_copies(radiographs), self._reconstruction(), simulated=self.simulated)

    def _reconstruction(self) -> Reconstruction | None:
        every = [f for f in self.files if not _is_radiograph(f) and points_kind(f) is not None]
        files = [f for f in every if EXTRAS not in (f.parent.name, f.parent.parent.name)] or every
        return read_reconstruction_files(files) if files else None


@dataclass(frozen=True)
class FolderSource:
    """The source of all study folders in a location."""

    location: Path
    name: str = "folder"
    simulated: bool = False

    def candidates(self) -> Sequence[FolderCandidate]:
        """One candidate for each folder, and one candidate for the radiographs directly in the location."""
        complete = (self.location / COMPLETE).exists()
        entries = sorted(e for e in self.location.iterdir() if not e.name.startswith("."))
        folders = [e for e in entries if e.is_dir() and not e.is_symlink()]
        found = [self._candidate(folder.name, _files_below(folder), complete) for folder in folders]
        loose = tuple(e for e in entries if e.is_file() and not e.is_symlink())
        if any(_is_radiograph(file) for file in loose):
            found.append(self._candidate(".", loose, complete))
        return [candidate for candidate in found if candidate.files]

    def _candidate(self, key: str, files: tuple[Path, ...], complete: bool) -> FolderCandidate:
        marked = complete or any(file.name == COMPLETE for file in files)
        return FolderCandidate(key, tuple(f for f in files if f.name != COMPLETE), marked, self.simulated)


def _files_below(folder: Path) -> tuple[Path, ...]:
    files = (f for f in folder.rglob("*") if f.is_file() and not f.is_symlink())
    return tuple(sorted(f for f in files if not f.name.startswith(".")))


def _is_radiograph(file: Path) -> bool:
    if not is_dicom(file):
        return file.suffix.lower() in _RADIOGRAPH_SUFFIXES
    with file.open("rb") as stream:
        meta = stream.read(1024)
    at = meta.find(b"\x02\x00\x02\x00UI")
    return at < 0 or not meta[at + 8 :].startswith(_IGNORED_SOP_CLASSES)


def _without_copies(radiographs: list[Radiograph]) -> list[Radiograph]:
    """The radiographs without further copies of the same image (equal instance UID and pixels)."""
    kept: list[Radiograph] = []
    for radiograph in radiographs:
        same = [k for k in kept if k.identity.sop_uid == radiograph.identity.sop_uid]
        if any(k.image.shape != radiograph.image.shape or (k.image != radiograph.image).any() for k in same):
            found = "two different images with the same SOP Instance UID"
            expected = "one image for each SOP Instance UID"
            raise PairingRejected("UID_CONFLICT", found, expected, "export the images again")
        if not same:
            kept.append(radiograph)
    return kept


def _unfinished() -> PairingRejected:
    found = "a simulated study without its COMPLETE file"
    remedy = "wait until the writer has finished, or write the study again"
    return PairingRejected("STUDY_UNFINISHED", found, "the file COMPLETE, which the writer adds last", remedy)
