"""The configuration of a virtual cohort, and the names of its files."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from simulation.randomness import patient_seed
from spine.errors import ParametersRejected
from spine.scanner import NATIVE_SPACING_MM

Extra = Literal["markups", "meshes"]
MeshFormat = Literal["obj", "stl"]
AppearanceMix = Literal["scanner", "mixed"]
FolderState = Literal["finished", "other", "unfinished", "absent", "foreign"]

RENDERER = "5"
"""The version of the renderer. Raise this number with every change after which a seed gives other images or landmarks.
A cohort with another number has to be rendered again."""
SCHEMA = "plumbline.cohort/1"
COMPLETE, UNFINISHED = "COMPLETE", "UNFINISHED"
EXTRAS, MARKUPS, MESHES = "extras", "reconstruction.mrk.json", "meshes"

HEIGHT_MM = (600.0, 1500.0)
WIDTH_MM = (250.0, 600.0)
PATIENT_MOTION_MM = (0.0, 20.0)
_SIZES = (
    "change rows, columns and spacing together, for example 512 x 256 pixels of 1.435 mm or 1024 x 512 pixels "
    "of 0.717 mm"
)


@dataclass(frozen=True)
class CohortConfig:
    """The configuration of a cohort.

    Attributes:
        count: number of patients.
        seed: seed of the cohort.
        shape: (H, W) of a full-length image in pixels; truncated images have fewer rows.
        spacing_mm: pixel spacing in the isocentre plane.
        extras: additional files of each patient (``mesh_export``).
        mesh_format: file format of the meshes.
        patient_motion_mm: SD of the patient's motion between the views along each axis. The reconstruction has the
            landmarks before the motion.
        appearance: ``scanner`` if all images come from the slot scanner, ``mixed`` for all appearance families.

    Raises:
        ParametersRejected: a value is not possible, or the image is too small for a spine.
    """

    count: int
    seed: int
    shape: tuple[int, int] = (512, 256)
    spacing_mm: float = NATIVE_SPACING_MM * 8
    extras: tuple[Extra, ...] = ()
    mesh_format: MeshFormat = "obj"
    patient_motion_mm: float = 0.0
    appearance: AppearanceMix = "scanner"

    def __post_init__(self) -> None:
        found = [f"count = {self.count}"] if self.count < 1 else []
        found += [f"seed = {self.seed}"] if self.seed < 0 else []
        for name, pixels, (low, high) in (("height", self.shape[0], HEIGHT_MM), ("width", self.shape[1], WIDTH_MM)):
            if not low <= pixels * self.spacing_mm <= high:
                found.append(f"image {name} {pixels * self.spacing_mm:.0f} mm (allowed {low:.0f} to {high:.0f})")
        found += _unknown("extras", self.extras, get_args(Extra))
        found += _unknown("appearance", (self.appearance,), get_args(AppearanceMix))
        found += _unknown("mesh_format", (self.mesh_format,), get_args(MeshFormat))
        low, high = PATIENT_MOTION_MM
        if not low <= self.patient_motion_mm <= high:
            found.append(f"patient_motion_mm = {self.patient_motion_mm:g} (allowed {low:g} to {high:g})")
        if found:
            raise ParametersRejected(
                "COHORT_IMPOSSIBLE",
                found="; ".join(found),
                expected="a count of 1 or more, a seed of 0 or more, and the allowed values in parentheses",
                remedy=_SIZES if any(text.startswith("image") for text in found) else "correct the named values",
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything, except the index, on which a patient depends."""
        made_from = [SCHEMA, RENDERER, self.seed, list(self.shape), self.spacing_mm]
        if self.options:
            made_from.append(self.options)
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()

    @property
    def options(self) -> dict[str, Any]:
        """The settings that change a patient's files and differ from their defaults."""
        found: dict[str, Any] = {"extras": sorted(set(self.extras))} if self.extras else {}
        if "meshes" in self.extras:
            found["mesh_format"] = self.mesh_format
        if self.patient_motion_mm:
            found["patient_motion_mm"] = self.patient_motion_mm
        if self.appearance != "scanner":
            found["appearance"] = self.appearance
        return found

    def case_seed(self, index: int) -> int:
        """The 63-bit seed of one patient. A ``stream`` of the same seed has the same patient seeds."""
        return patient_seed(self.seed, index)


def _unknown(name: str, given: tuple[str, ...], allowed: tuple[str, ...]) -> list[str]:
    return [f"{name} {word!r} (allowed {', '.join(allowed)})" for word in given if word not in allowed]
