"""What a virtual cohort is made from, and the names of its files."""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from simulation.randomness import patient_seed
from spine.errors import ParametersRejected
from spine.scanner import NATIVE_SPACING_MM

if TYPE_CHECKING:
    pass


Extra = Literal["markups", "meshes"]


MeshFormat = Literal["obj", "stl"]


COMPLETE, UNFINISHED = "COMPLETE", "UNFINISHED"


EXTRAS, MARKUPS, MESHES = "extras", "reconstruction.mrk.json", "meshes"


State = Literal["finished", "other", "unfinished", "absent", "foreign"]


RENDERER = "5"
"""Raised whenever the same seed would give other images or points: old cases are then replaced."""


HEIGHT_MM = (600.0, 1500.0)


WIDTH_MM = (250.0, 600.0)


SWAY_MM = (0.0, 20.0)


_SCHEMA = "plumbline.cohort/1"


_SIZES = "change rows, columns or spacing together: 512 x 256 pixels of 1.435 mm, 1024 x 512 of 0.717 mm"


Looks = Literal["scanner", "mixed"]


@dataclass(frozen=True)
class CohortConfig:
    """What a cohort is made from.

    Attributes:
        count: patients.
        seed: of the cohort.
        shape: (H, W) of a full-length image, pixels; truncated ones have fewer rows.
        spacing_mm: at the isocentre plane.
        workers: processes that draw; each uses one thread.
        extras: what is written beside the images, see ``export``.
        mesh_format: of the meshes.
        looks: of the images: the slot scanner's alone, or the whole family (``looks``).
        sway_mm: standard deviation of the patient's movement between the views in x, y and z; the reconstruction
            shows the still patient.

    Raises:
        ParametersRejected: a value is not possible, or the image could not hold a spine.
    """

    count: int
    seed: int
    shape: tuple[int, int] = (512, 256)
    spacing_mm: float = NATIVE_SPACING_MM * 8
    workers: int = 1
    extras: tuple[Extra, ...] = ()
    mesh_format: MeshFormat = "obj"
    sway_mm: float = 0.0
    looks: Looks = "scanner"

    def __post_init__(self) -> None:
        found = [f"{n} = {v}" for n, v in (("count", self.count), ("workers", self.workers)) if v < 1]
        found += [f"seed = {self.seed}"] if self.seed < 0 else []
        for name, pixels, (low, high) in (("height", self.shape[0], HEIGHT_MM), ("width", self.shape[1], WIDTH_MM)):
            if not low <= pixels * self.spacing_mm <= high:
                found.append(f"image {name} {pixels * self.spacing_mm:.0f} mm (allowed {low:.0f} to {high:.0f})")
        found += _unknown("extras", self.extras, get_args(Extra))
        found += _unknown("looks", (self.looks,), get_args(Looks))
        found += _unknown("mesh_format", (self.mesh_format,), get_args(MeshFormat))
        if not SWAY_MM[0] <= self.sway_mm <= SWAY_MM[1]:
            found.append(f"sway {self.sway_mm} mm (allowed {SWAY_MM[0]:.0f} to {SWAY_MM[1]:.0f})")
        if found:
            raise ParametersRejected(
                "COHORT_IMPOSSIBLE",
                found="; ".join(found),
                expected="counts of 1 or more, a seed of 0 or more, known words, images that hold a spine",
                remedy=_SIZES if any(text.startswith("image") for text in found) else "correct the named values",
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything a single case depends on, apart from its index."""
        made_from = [_SCHEMA, RENDERER, self.seed, list(self.shape), self.spacing_mm]
        if self.options:
            made_from.append(self.options)
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()

    @property
    def options(self) -> dict[str, Any]:
        """What is asked for beyond images of a still patient; empty by default."""
        found: dict[str, Any] = {"extras": sorted(set(self.extras))} if self.extras else {}
        if "meshes" in self.extras:
            found["mesh_format"] = self.mesh_format
        if self.sway_mm:
            found["sway_mm"] = self.sway_mm
        if self.looks != "scanner":
            found["looks"] = self.looks
        return found

    def case_seed(self, index: int) -> int:
        """Seed of one patient (63 bits), the same as in a ``stream`` of this seed."""
        return patient_seed(self.seed, index)


def _unknown(name: str, given: tuple[str, ...], allowed: tuple[str, ...]) -> list[str]:
    return [f"{name} {word!r} (allowed {', '.join(allowed)})" for word in given if word not in allowed]
