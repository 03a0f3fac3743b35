"""Posed patients, which are computed and collated on the CPU and then rendered on a device in batches.

Contract: workers on the CPU compute parameters and pose in a few milliseconds for each patient. The device computes
bones, soft tissue, exposure and display.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from simulation.body.batch import PatientBatch
from simulation.body.patient import VirtualPatient
from simulation.cuda_graphs import all_to_device, to_device
from simulation.imaging.acquisition import Acquisition, AcquisitionTable, tabulate
from simulation.imaging.display import MAXIMUM
from simulation.imaging.render import render_batch
from simulation.threads import one_thread
from spine.landmarks import ViewName
from spine.types import Bool, Float
from spine.worker_pool import leave_process_group


@dataclass(frozen=True)
class PosedPatient:
    """One patient who is posed, but not yet rendered.

    Attributes:
        arrays: name -> array; together they are one row of ``PatientBatch``.
        acquisitions: view -> settings of the image.
        landmarks: view -> positions (column, row) of the K landmarks in pixels.
        present: view -> whether each landmark exists and is on the image.
        facts: facts about the patient, such as condition and age.
        min_pixel_mm: lower bound of all pixel sizes of the stream.
    """

    arrays: Mapping[str, NDArray[np.float32]]
    acquisitions: Mapping[ViewName, Acquisition]
    landmarks: Mapping[ViewName, Float[NDArray[np.float32], "K 2"]]
    present: Mapping[ViewName, Bool[NDArray[np.bool_], " K"]]
    facts: Mapping[str, Any]
    min_pixel_mm: float


@dataclass(frozen=True)
class PosedBatch:
    """N posed patients, stacked.

    The arrays are numpy arrays, because every torch tensor from a worker process needs a file descriptor.
    """

    rows: Mapping[str, NDArray[np.float32]]
    acquisitions: Mapping[ViewName, AcquisitionTable]
    landmarks: Mapping[ViewName, Float[NDArray[np.float32], "N K 2"]]
    present: Mapping[ViewName, Bool[NDArray[np.bool_], "N K"]]
    facts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class RenderedBatch:
    """N rendered patients on the device.

    Attributes:
        images: view -> images with values from 0 to 1.
        landmarks: view -> positions (column, row) of the landmarks in pixels.
        present: view -> whether each landmark exists and is on the image.
        bounds: view -> top, bottom, left and right edge of the radiograph in pixels. The image is black outside.
        seeds: seed of each patient.
        facts: facts about each patient.
    """

    images: Mapping[ViewName, Float[Tensor, "N 1 H W"]]
    landmarks: Mapping[ViewName, Float[Tensor, "N K 2"]]
    present: Mapping[ViewName, Bool[Tensor, "N K"]]
    bounds: Mapping[ViewName, Float[Tensor, "N 4"]]
    seeds: tuple[int, ...]
    facts: tuple[Mapping[str, Any], ...]


def with_landmarks(
    patient: VirtualPatient, acquisitions: Mapping[ViewName, Acquisition], names: Sequence[str], min_pixel_mm: float
) -> PosedPatient:
    """A posed patient whose landmarks ``names`` are projected into each image."""
    points = patient.reconstruction.points
    known = np.array([name in points for name in names])
    xyz = np.array([points.get(name, np.zeros(3)) for name in names])
    landmarks, present = {}, {}
    for view, acquisition in acquisitions.items():
        pixels = acquisition.project(xyz)
        top, bottom, left, right = acquisition.overlay.bounds
        column, row = pixels[:, 0], pixels[:, 1]
        inside = (row >= top - 0.5) & (row <= bottom - 0.5) & (column >= left - 0.5) & (column <= right - 0.5)
        landmarks[view], present[view] = pixels.astype(np.float32), known & inside
    return PosedPatient(patient.arrays, acquisitions, landmarks, present, patient.reconstruction.facts, min_pixel_mm)


def collate_posed(patients: Sequence[PosedPatient]) -> PosedBatch:
    """Stack posed patients."""
    first = patients[0]
    return PosedBatch(
        {n: np.stack([p.arrays[n] for p in patients]) for n in first.arrays},
        {v: tabulate([p.acquisitions[v] for p in patients], first.min_pixel_mm) for v in first.acquisitions},
        {v: np.stack([p.landmarks[v] for p in patients]) for v in first.acquisitions},
        {v: np.stack([p.present[v] for p in patients]) for v in first.acquisitions},
        tuple(p.facts for p in patients),
    )


def render_in_batches(
    patients: Dataset[PosedPatient], batch_size: int, device: torch.device | str, workers: int = 0
) -> Iterator[RenderedBatch]:
    """Batches of rendered patients, in order. ``workers`` processes pose them; 0 means that this process poses them."""
    loader: Iterable[PosedBatch] = DataLoader(
        patients,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=collate_posed,
        multiprocessing_context="spawn" if workers else None,  # torch does not survive a fork
        prefetch_factor=4 if workers else None,
        worker_init_fn=_prepare_worker if workers else None,
    )
    for batch in loader:
        yield render_posed(batch, device)


def _prepare_worker(worker: int) -> None:
    leave_process_group()
    torch.set_num_threads(1)


@torch.inference_mode()
def render_posed(batch: PosedBatch, device: torch.device | str) -> RenderedBatch:
    """Render posed patients on a device."""
    patients = PatientBatch(**all_to_device(batch.rows, device))
    with one_thread() if patients.device.type == "cpu" else nullcontext():
        images = render_batch(patients, batch.acquisitions)
    return RenderedBatch(
        {v: (p.to(torch.float32) / MAXIMUM)[:, None] for v, p in images.items()},
        {v: to_device(a, device) for v, a in batch.landmarks.items()},
        {v: to_device(a, device) for v, a in batch.present.items()},
        {v: to_device(table.overlays.edges[:, 5:], device) for v, table in batch.acquisitions.items()},
        next(iter(batch.acquisitions.values())).seeds,
        batch.facts,
    )
