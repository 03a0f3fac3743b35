"""Virtual patients without a disk: drawn on the training device as a network asks for them.

Contract: patient i of a seed is always the same patient, whatever the batch, the number of workers or what was drawn
before; parameters and pose are worked out on CPU workers (a few milliseconds a patient), bones, soft parts, exposure
and display on the device. Needs torch, numpy and scipy only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from simulation.body.batch import PatientBatch
from simulation.body.patient import VirtualPatient, build_patient
from simulation.imaging.acquisition import Shot, ShotTable, plan_shot, tabulate
from simulation.imaging.appearance import RADIOGRAPH_SHARES, LookFamily, sample_family
from simulation.imaging.display import MAXIMUM
from simulation.imaging.field_of_view import RADIOGRAPH_FINEST_MM, radiograph_field, scan_geometry
from simulation.imaging.render import render_batch
from simulation.parameters import PatientParameters
from simulation.population.sampling import sample_patient
from simulation.randomness import numbers, patient_seed
from simulation.stream.stream_config import (
    drawn_points,
    impossible_numbers,
    not_whole,
    refuse,
    too_small,
    unknown_words,
)
from simulation.threads import one_thread
from spine.landmarks import GALBUSERA39, VERTEBRAE, VIEWS, ViewName
from spine.scanner import NATIVE_SPACING_MM

_FIELD_STREAM, _FAMILY_STREAM, _CASE_STREAM = 51, 52, 53
_ATTEMPTS = 64
_WHOLE_RADIOGRAPH_MM = 735.0
_OPERATED_COME = 0.4
"""Fewer radiographs show metal than patients carry some."""


@dataclass(frozen=True)
class Planned:
    """One patient, posed but not drawn.

    Attributes:
        arrays: a row of ``PatientBatch``.
        shots: view -> image to take.
        landmarks: view -> (K, 2) pixels (column, row).
        present: view -> (K,) whether the point exists and lies on the image.
        facts: condition, age and so on.
        finest_mm: no pixel of the stream is smaller.
    """

    arrays: Mapping[str, NDArray[np.float32]]
    shots: Mapping[ViewName, Shot]
    landmarks: Mapping[ViewName, NDArray[np.float32]]
    present: Mapping[ViewName, NDArray[np.bool_]]
    facts: Mapping[str, Any]
    finest_mm: float


@dataclass(frozen=True)
class Rendered:
    """A batch of N patients on the device.

    Attributes:
        images: view -> (N, 1, H, W) float32, 0 to 1.
        landmarks: view -> (N, K, 2) float32 pixels (column, row).
        present: view -> (N, K) bool.
        sheets: view -> (N, 4) top, bottom, left, right of the field in pixels; around it the image is black.
        seeds: of the patients.
        facts: of each patient.
    """

    images: Mapping[ViewName, Tensor]
    landmarks: Mapping[ViewName, Tensor]
    present: Mapping[ViewName, Tensor]
    sheets: Mapping[ViewName, Tensor]
    seeds: tuple[int, ...]
    facts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class StreamConfig:
    """What a stream draws.

    Attributes:
        seed: of the stream.
        count: patients of one pass.
        batch_size: patients drawn together.
        shape: (H, W); every image has all of it, short fields are letterboxed in black below.
        spacing_mm: of full-length images.
        views: which.
        names: K landmarks to project.
        first: index of the first patient, to go on where another pass ended.
    """

    seed: int
    count: int
    batch_size: int = 32
    shape: tuple[int, int] = (512, 256)
    spacing_mm: float = NATIVE_SPACING_MM * 8
    views: tuple[ViewName, ...] = VIEWS
    names: tuple[str, ...] = GALBUSERA39.names
    first: int = 0

    def __post_init__(self) -> None:
        found = impossible_numbers(self.count, self.seed, self.shape, self.batch_size, self.first)
        found += unknown_words("views", self.views, VIEWS)
        found += unknown_words("names", self.names, drawn_points())
        if not found:
            found += too_small(self.shape, self.spacing_mm)
        refuse("STREAM_IMPOSSIBLE", found)


class PlannedPatients(Dataset[Planned]):
    """Patients of a stream, posed on the CPU: what the workers of a ``DataLoader`` do."""

    def __init__(self, config: StreamConfig) -> None:
        self.config = config

    def __len__(self) -> int:
        return self.config.count

    def __getitem__(self, index: int) -> Planned:
        """Patient ``first + index``."""
        config = self.config
        seed = patient_seed(config.seed, config.first + index)
        patient = build_patient(sample_patient(seed), seed)
        shots = {}
        geometry = scan_geometry(patient, config.shape, config.spacing_mm)
        for view in config.views:
            rows, z0 = geometry[view].shape[0], geometry[view].z0_mm
            lower = (config.shape[0] - rows) / 2 * geometry[view].spacing_mm[0]
            whole = replace(geometry[view], shape=config.shape, z0_mm=z0 - lower)
            shots[view] = plan_shot(whole, seed, sheet=(0.0, float(rows), 0.0, float(config.shape[1])))
        return planned(patient, shots, config.names, config.spacing_mm)


def planned(patient: VirtualPatient, shots: Mapping[ViewName, Shot], names: Sequence[str], finest_mm: float) -> Planned:
    """A patient with the landmarks of each image."""
    points = patient.reconstruction.points
    known = np.array([name in points for name in names])
    xyz = np.array([points.get(name, np.zeros(3)) for name in names])
    landmarks, present = {}, {}
    for view, shot in shots.items():
        pixels = shot.project(xyz)
        top, bottom, left, right = shot.overlay.sheet
        column, row = pixels[:, 0], pixels[:, 1]
        inside = (row >= top - 0.5) & (row <= bottom - 0.5) & (column >= left - 0.5) & (column <= right - 0.5)
        landmarks[view], present[view] = pixels.astype(np.float32), known & inside
    return Planned(patient.arrays, shots, landmarks, present, patient.reconstruction.facts, finest_mm)


class VirtualPatients(IterableDataset[Rendered]):
    """Batches of virtual patients, drawn on ``device``; hand it to a ``DataLoader`` with ``batch_size=None``.

    Args:
        config: what to draw.
        device: where.
        workers: processes that pose patients; 0 does it in this one.

    Raises:
        ValuesRejected: fewer workers than none.
    """

    def __init__(self, config: StreamConfig, device: torch.device | str = "cpu", workers: int = 0) -> None:
        refuse("STREAM_IMPOSSIBLE", not_whole("workers", workers, 0))
        self.config = config
        self.device = torch.device(device)
        self.workers = workers

    def __len__(self) -> int:
        return -(-self.config.count // self.config.batch_size)

    def __iter__(self) -> Iterator[Rendered]:
        """All batches in order.

        Raises:
            RuntimeError: in a worker process of a ``DataLoader``.
        """
        if get_worker_info() is not None:
            raise RuntimeError(
                "VirtualPatients was handed to a DataLoader with worker processes, each of which would draw the same "
                "patients; use DataLoader(..., batch_size=None, num_workers=0) and VirtualPatients(..., workers=N)"
            )
        for batch in _loader(PlannedPatients(self.config), self.config.batch_size, self.workers):
            yield draw(batch, self.device)


@dataclass(frozen=True)
class Bundle:
    """Several ``Planned`` on the host, stacked.

    Numpy, not torch: tensors from a worker cost a file descriptor each.
    """

    rows: Mapping[str, NDArray[np.float32]]
    shots: Mapping[ViewName, ShotTable]
    landmarks: Mapping[ViewName, NDArray[np.float32]]
    present: Mapping[ViewName, NDArray[np.bool_]]
    facts: tuple[Mapping[str, Any], ...]


def bundle(patients: Sequence[Planned]) -> Bundle:
    """Collate posed patients."""
    first = patients[0]
    return Bundle(
        {n: np.stack([p.arrays[n] for p in patients]) for n in first.arrays},
        {v: tabulate([p.shots[v] for p in patients], first.finest_mm) for v in first.shots},
        {v: np.stack([p.landmarks[v] for p in patients]) for v in first.shots},
        {v: np.stack([p.present[v] for p in patients]) for v in first.shots},
        tuple(p.facts for p in patients),
    )


def _loader(patients: Dataset[Planned], batch_size: int, workers: int) -> Iterable[Bundle]:
    return DataLoader(
        patients,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=bundle,
        multiprocessing_context="spawn" if workers else None,  # torch and fork do not mix
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread if workers else None,
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


@torch.inference_mode()
def draw(batch: Bundle, device: torch.device | str) -> Rendered:
    """Draw posed patients on a device."""
    patients = PatientBatch(**{n: torch.from_numpy(a).to(device) for n, a in batch.rows.items()})
    with one_thread() if patients.device.type == "cpu" else nullcontext():
        images = render_batch(patients, batch.shots)
    return Rendered(
        {v: (p.to(torch.float32) / MAXIMUM)[:, None] for v, p in images.items()},
        {v: torch.from_numpy(a).to(device) for v, a in batch.landmarks.items()},
        {v: torch.from_numpy(a).to(device) for v, a in batch.present.items()},
        {v: torch.from_numpy(table.overlays.edges[:, 5:]).to(device) for v, table in batch.shots.items()},
        next(iter(batch.shots.values())).seeds,
        batch.facts,
    )


CORNER_NAMES = tuple(f"{v}_{plate}_{side}" for v in VERTEBRAE for plate in ("sup", "inf") for side in ("right", "left"))
"""The corners of T1..L5 as the public frontal labels order them: the image's left (the patient's right) first."""


@dataclass(frozen=True)
class FrontalRadiographs:
    """Plain frontal radiographs of N patients.

    Attributes:
        images: (N, H, W) uint8.
        corners: (N, 17, 4, 2) float32 pixels (column, row): upper left, upper right, lower left, lower right in the
            image.
        visible: (N, 17, 4) bool.
    """

    images: Tensor
    corners: Tensor
    visible: Tensor


@dataclass(frozen=True)
class RadiographVariant:
    """What may vary among radiographs: for ablations of the sim-to-real figure.

    Attributes:
        families: shares of looks.
        cropped: strips around the spine instead of the whole width.
    """

    families: Mapping[LookFamily, float]
    cropped: bool = True


_SCANNER_ONLY: Mapping[LookFamily, float] = {"scanner": 1.0, "cr": 0.0, "radiograph": 0.0, "flat": 0.0, "hard": 0.0}
RADIOGRAPH_VARIANTS: Mapping[str, RadiographVariant] = {
    "all": RadiographVariant(RADIOGRAPH_SHARES),
    "scanner": RadiographVariant(_SCANNER_ONLY),
    "uncropped": RadiographVariant(RADIOGRAPH_SHARES, cropped=False),
}


class PlannedRadiographs(Dataset[Planned]):
    """Frontal radiographs, posed on the CPU; only patients with the usual 17 vertebrae."""

    def __init__(
        self,
        count: int,
        seed: int,
        shape: tuple[int, int],
        variant: RadiographVariant,
        first: int = 0,
        names: Sequence[str] = CORNER_NAMES,
    ) -> None:
        self.count, self.seed, self.shape, self.variant, self.first = count, seed, shape, variant, first
        self.names = tuple(names)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Planned:
        """Radiograph ``first + index``."""
        seed, parameters = self._who(index)
        patient = build_patient(parameters, seed)
        rng = numbers(seed, _FIELD_STREAM)
        if self.variant.cropped:
            field = radiograph_field(patient, self.shape, rng)
            geometry, sheet, cone = field.geometry, field.sheet, field.cone
            finest = RADIOGRAPH_FINEST_MM / self.shape[0]
        else:
            finest = _WHOLE_RADIOGRAPH_MM / self.shape[0]
            geometry = scan_geometry(in_full_length(patient), self.shape, finest)["frontal"]
            sheet, cone = (0.0, float(self.shape[0]), 0.0, float(self.shape[1])), None
        family = sample_family(numbers(seed, _FAMILY_STREAM), self.variant.families)
        shot = plan_shot(geometry, seed, family, sheet, cone)
        return planned(patient, {"frontal": shot}, self.names, finest)

    def _who(self, index: int) -> tuple[int, PatientParameters]:
        """The first of a radiograph's candidates who comes for one, and the seed."""
        for attempt in range(_ATTEMPTS):
            seed = patient_seed(self.seed, (self.first + index) * _ATTEMPTS + attempt)
            parameters = sample_patient(seed)
            if parameters.anatomy == "standard" and _comes_for_a_radiograph(parameters, numbers(seed, _CASE_STREAM)):
                return seed, parameters
        raise RuntimeError(
            f"none of {_ATTEMPTS} patients comes for radiograph {self.first + index} of seed {self.seed}"
        )


def _comes_for_a_radiograph(parameters: PatientParameters, rng: np.random.Generator) -> bool:
    """Whole-spine frontal radiographs are mostly taken for a curve: straight spines are rarer than among all
    patients.
    """
    major = max((curve.cobb_deg for curve in parameters.curves), default=0.0)
    wanted = np.interp(major, [8.0, 50.0], [0.06, 1.0])
    return bool(rng.random() < wanted * (_OPERATED_COME if parameters.instrumentation else 1.0))


def in_full_length(patient: VirtualPatient) -> VirtualPatient:
    """The same patient, scanned in full length."""
    return replace(patient, parameters=replace(patient.parameters, field_of_view="full"))


def drawn_radiographs(
    radiographs: PlannedRadiographs, batch_size: int, device: torch.device | str, workers: int = 0
) -> Iterator[Rendered]:
    """Batches of planned radiographs, drawn on a device, in order."""
    for batch in _loader(radiographs, batch_size, workers):
        yield draw(batch, device)


def frontal_radiographs(
    count: int,
    seed: int,
    shape: tuple[int, int] = (896, 384),
    device: torch.device | str = "cpu",
    variant: str = "all",
    workers: int = 0,
    batch_size: int = 16,
    first: int = 0,
) -> FrontalRadiographs:
    """A pool of plain frontal radiographs with corner labels, kept on the device: radiographs ``first`` to ``first +
    count``.

    Raises:
        ValuesRejected: no such variant, or impossible numbers; a ``ValueError``.
    """
    found = [*impossible_numbers(count, seed, shape, batch_size, first), *not_whole("workers", workers, 0)]
    found += unknown_words("variant", [variant], RADIOGRAPH_VARIANTS)
    refuse("RADIOGRAPHS_IMPOSSIBLE", found)
    images = torch.empty(count, *shape, dtype=torch.uint8, device=device)
    corners, visible, done = [], [], 0
    radiographs = PlannedRadiographs(count, seed, shape, RADIOGRAPH_VARIANTS[variant], first)
    for drawn in drawn_radiographs(radiographs, batch_size, device, workers):
        image = drawn.images["frontal"][:, 0]
        images[done : done + len(image)] = (image * 255).round().to(torch.uint8)
        corners.append(drawn.landmarks["frontal"])
        visible.append(drawn.present["frontal"])
        done += len(image)
    return FrontalRadiographs(
        images, torch.cat(corners).unflatten(1, (17, 4)), torch.cat(visible).unflatten(1, (17, 4))
    )
