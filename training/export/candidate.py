"""The record of a finished fit: its config, data, validation error and cost.

Contract: ``fit.json`` is written when a fit begins; it contains the config and the data set's digest. ``fitted.json``
is written after the weights. ``candidate.json`` is written last, after the exported model.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spine.errors import ContractViolation, ParametersRejected
from spine.storage import write_text_atomically
from training.config import TrainingConfig, config_from_json, config_to_json

SCHEMA = "plumbline.candidate/1"
NOT_MEASURED = "not measured"
FIT_FILE, FITTED_FILE, CANDIDATE_FILE = "fit.json", "fitted.json", "candidate.json"


@dataclass(frozen=True)
class StageCost:
    """The cost and the validation error of one stage of a fit; ``seconds`` is wall time, not a sum over devices."""

    seed: int
    devices: int
    device: str
    epochs: int
    steps: int
    seconds: float
    validation_error: float


@dataclass(frozen=True)
class FitSummary:
    """The record of a finished fit.

    Attributes:
        config: config of the fit.
        dataset_digest, test_digest: digest of the data set, and digest of its test set.
        images: number of training images.
        validation_error: smallest mean landmark error on the validation split in the last stage, in ``error_unit``.
        error_unit: ``mm`` or ``px``.
        epochs, steps, seconds, images_per_second: cost of all stages and devices together; ``seconds`` is wall time.
        model_digest: digest of the exported model; None before the export.
        gpu_joules, cpu_joules: energy of the devices during ``seconds`` (``fitting.energy``); None if not measured.
        energy_source: names of the counters that measured the energy.
    """

    config: TrainingConfig
    landmark_set: str
    dataset_digest: str
    test_digest: str
    images: int
    validation_error: float
    error_unit: str
    epochs: int
    steps: int
    seconds: float
    images_per_second: float
    device: str
    precision: str
    versions: Mapping[str, str]
    model_digest: str | None = None
    gpu_joules: float | None = None
    cpu_joules: float | None = None
    energy_source: str = ""
    stages: tuple[StageCost, ...] = ()

    @property
    def energy(self) -> str:
        """The energy of the fit as text, which is ``not measured`` if the machine has no counter."""
        parts = [f"{name} {joules / 1e3:.1f} kJ" for name, joules in self.joules.items()]
        return f"{', '.join(parts)} ({self.energy_source})" if parts else NOT_MEASURED

    @property
    def joules(self) -> Mapping[str, float]:
        """``GPU`` and ``CPU`` -> joules, for the counters that were measured."""
        measured = {"GPU": self.gpu_joules, "CPU": self.cpu_joules}
        return {name: joules for name, joules in measured.items() if joules is not None}


def joined(config: TrainingConfig, parts: Sequence[FitSummary]) -> FitSummary:
    """The summary of several stages: ``config``, the result of the last of ``parts``, and the cost of all ``parts``."""
    seconds = sum(part.seconds for part in parts)
    seen = sum(part.images_per_second * part.seconds for part in parts)
    # A later stage uses the images of a data set again, but uses new virtual patients. With both, all are added.
    images = sum(part.images for part in parts) if config.renders else parts[-1].images
    return replace(
        parts[-1],
        config=config,
        images=images,
        epochs=sum(part.epochs for part in parts),
        steps=sum(part.steps for part in parts),
        seconds=seconds,
        images_per_second=seen / max(seconds, 1e-9),
        gpu_joules=_total([part.gpu_joules for part in parts]),
        cpu_joules=_total([part.cpu_joules for part in parts]),
        stages=tuple(stage for part in parts for stage in part.stages),
    )


def _total(joules: Sequence[float | None]) -> float | None:
    """The sum, or None if a part was not measured."""
    measured = [value for value in joules if value is not None]
    return sum(measured) if len(measured) == len(joules) else None


def claim_folder(out: Path, config: TrainingConfig, dataset_digest: str) -> None:
    """Write ``fit.json``, or check that the fit in the folder has this config and data set.

    Raises:
        ParametersRejected: the folder contains a fit with another config or data set, or other files.
    """
    claim: dict[str, Any] = {"schema": SCHEMA, "config": config_to_json(config), "dataset_digest": dataset_digest}
    path = out / FIT_FILE
    if not path.is_file():
        require_empty(out)
        write_text_atomically(path, json.dumps(claim, indent=1, sort_keys=True))
        return
    found = json.loads(path.read_text())
    if found != claim:
        differing = sorted(k for k in claim["config"] if found.get("config", {}).get(k) != claim["config"][k])
        raise ParametersRejected(
            "FIT_MIXED",
            found=f"a fit in {out.name!r} that differs in {', '.join(differing) or 'its data set'}",
            expected="an empty folder, or an unfinished fit of the same configuration and data",
            remedy="choose another folder, or remove this folder",
        )


def require_empty(out: Path) -> None:
    """Raise ``ParametersRejected`` if the folder ``out`` contains files."""
    others = sorted(p.name for p in out.iterdir()) if out.is_dir() else []
    if others:
        raise ParametersRejected(
            "FOLDER_NOT_EMPTY",
            found=f"{', '.join(others[:4])} in {out.name!r}, and no fit that can be continued",
            expected="a new or empty folder, or the folder of an unfinished fit",
            remedy="choose another folder, so that these files are not overwritten",
        )


def write_summary(summary: FitSummary, path: Path) -> None:
    """Write ``fitted.json`` or ``candidate.json`` atomically."""
    record = {"schema": SCHEMA, **asdict(summary), "config": config_to_json(summary.config)}
    write_text_atomically(path, json.dumps(record, indent=1, sort_keys=True, allow_nan=False))


def read_summary(folder: Path, name: str = CANDIDATE_FILE) -> FitSummary:
    """Read the record of a finished fit.

    Raises:
        ContractViolation: the folder does not contain a finished fit, or the record is damaged.
    """
    path = folder / name
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        record.pop("schema")
        record["config"] = config_from_json(record["config"])
        record["stages"] = tuple(StageCost(**stage) for stage in record["stages"])
        return FitSummary(**record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractViolation(
            "FIT_UNFINISHED",
            found=f"{type(error).__name__} reading {name} in {folder.name!r}",
            expected="the folder of a finished fit",
            remedy="let the same training command run to its end, or finish the export",
        ) from error
