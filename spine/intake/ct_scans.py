"""Source of CT keypoint sets (the layout of data/ct_keypoints), which are reconstructions without images.

Contract: each ``.json`` file is one study of one patient, without views. The points are in the frame of the CT, so they
are not projected.
"""

from dataclasses import dataclass
from pathlib import Path

from spine.intake.facts import safe_reconstruction
from spine.intake.records import Contents, LoadedStudy, contents_of, fingerprint_of
from spine.reconstruction.open import read_any_reconstruction


@dataclass(frozen=True)
class CtKeypointCandidate:
    """One file of keypoints."""

    file: Path

    @property
    def key(self) -> str:
        """The name of the file."""
        return self.file.name

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of keypoints."""
        return (self.file,)

    def fingerprint(self) -> str:
        """Fingerprint of the file's name, size and modification time."""
        return fingerprint_of(self.files)

    def load(self) -> LoadedStudy:
        """Read the points, or raise ``ReconstructionRejected`` (see ``read_any_reconstruction``)."""
        reconstruction = safe_reconstruction(read_any_reconstruction(self.file))
        return LoadedStudy(f"ct:{self.file.stem}", {}, reconstruction, {**reconstruction.facts, "modality": "ct"})


@dataclass(frozen=True)
class CtKeypointSource:
    """The source of all studies in a folder of keypoint files."""

    location: Path
    name: str = "ct-keypoints"

    def contents(self) -> Contents:
        """One candidate for each ``.json`` file."""
        candidates = [CtKeypointCandidate(file) for file in sorted(self.location.glob("*.json"))]
        return contents_of(self.location, candidates)
