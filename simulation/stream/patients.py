"""Biplanar pairs of virtual patients, rendered on the training device during training.

Contract: patient i of a seed is always the same. The batch size, the number of workers and the other patients do not
matter.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from simulation.body.patient import build_patient
from simulation.imaging.acquisition import plan_acquisition
from simulation.imaging.appearance import RADIOGRAPH_SHARES, sample_family
from simulation.imaging.field_of_view import scan_geometry
from simulation.population.sampling import sample_patient
from simulation.randomness import host_generator, patient_seed
from simulation.stream.posed import PosedPatient, RenderedBatch, render_in_batches, with_landmarks
from simulation.stream.stream_config import StreamConfig, not_whole, require_none

_VARIED_STREAM, _VARIED_FAMILY_STREAM = 54, 55


class PosedPatients(Dataset[PosedPatient]):
    """The patients of a stream, posed on the CPU by the workers of a ``DataLoader``."""

    def __init__(self, config: StreamConfig) -> None:
        self.config = config

    def __len__(self) -> int:
        return self.config.count

    def __getitem__(self, index: int) -> PosedPatient:
        """Patient ``first + index``."""
        config = self.config
        seed = patient_seed(config.seed, config.first + index)
        varied = bool(host_generator(seed, _VARIED_STREAM).random() < config.varied)
        patient = build_patient(sample_patient(seed, varied=varied), seed)
        family = sample_family(host_generator(seed, _VARIED_FAMILY_STREAM), RADIOGRAPH_SHARES) if varied else None
        acquisitions = {}
        geometry = scan_geometry(patient, config.shape, config.spacing_mm)
        for view in config.views:
            rows, z0 = geometry[view].shape[0], geometry[view].z0_mm
            lower = (config.shape[0] - rows) / 2 * geometry[view].spacing_mm[0]
            whole = replace(geometry[view], shape=config.shape, z0_mm=z0 - lower)
            edges = (0.0, float(rows), 0.0, float(config.shape[1]))
            acquisitions[view] = plan_acquisition(whole, seed, family, edges)
        return with_landmarks(patient, acquisitions, config.names, config.spacing_mm)


class VirtualPatients(IterableDataset[RenderedBatch]):
    """Batches of virtual patients on ``device``, as a data set for a ``DataLoader`` with ``batch_size=None``.

    Args:
        config: configuration of the stream.
        device: device that renders.
        workers: number of processes that pose patients. If it is 0, this process poses them.

    Raises:
        ValuesRejected: ``workers`` is negative.
    """

    def __init__(self, config: StreamConfig, device: torch.device | str = "cpu", workers: int = 0) -> None:
        require_none("STREAM_IMPOSSIBLE", not_whole("workers", workers, 0))
        self.config = config
        self.device = torch.device(device)
        self.workers = workers

    def __len__(self) -> int:
        return -(-self.config.count // self.config.batch_size)

    def __iter__(self) -> Iterator[RenderedBatch]:
        """All batches in order.

        Raises:
            RuntimeError: this is a worker process of a ``DataLoader``.
        """
        if get_worker_info() is not None:
            raise RuntimeError(
                "found VirtualPatients in a worker process of a DataLoader; expected the main process, because every "
                "worker would render the same patients: use DataLoader(..., batch_size=None, num_workers=0) and "
                "VirtualPatients(..., workers=N)"
            )
        yield from render_in_batches(PosedPatients(self.config), self.config.batch_size, self.device, self.workers)
