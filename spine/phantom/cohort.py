"""A virtual cohort on disk: a folder of patients, each with two radiographs and a reconstruction.

What belongs here: which patient gets which seed, the files, restarts. What does not: reading them back
(``intake``). Contract:

    <folder>/case-00017/frontal.dcm, lateral.dcm, reconstruction.json
    <folder>/case-00017/COMPLETE     written last: a case without it is unfinished and is drawn again
    <folder>/COMPLETE                written last of all: the cohort, with what it was made from

A case depends on the cohort's seed, its own index and the picture's size, on nothing else: a larger count adds
cases, another number of workers changes nothing. A re-run keeps finished cases, draws unfinished ones, replaces
cases made from another configuration and removes cases beyond the count.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from spine.errors import ParametersRejected
from spine.landmarks import VIEWS
from spine.phantom.population import sample_patient
from spine.scanner import NATIVE_SPACING_MM
from spine.storage import remove_partials, write_text_atomically

COMPLETE = "COMPLETE"
RENDERER = "2"
"""Raised whenever the same seed would give other pictures or points: old cases are then replaced."""

HEIGHT_MM = (600.0, 1500.0)
WIDTH_MM = (250.0, 600.0)
_SCHEMA = "plumbline.cohort/1"
_CASE = re.compile(r"case-(\d{5,})")
_FILES = {"frontal.dcm", "lateral.dcm", "reconstruction.json", COMPLETE}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CohortConfig:
    """What a cohort is made from.

    Attributes:
        count: patients.
        seed: of the cohort.
        shape: (H, W) of a full-length picture, pixels; truncated ones have fewer rows.
        spacing_mm: at the isocentre plane.
        workers: processes that draw; each uses one thread.

    Raises:
        ParametersRejected: a value is not possible, or the picture could not hold a spine.
    """

    count: int
    seed: int
    shape: tuple[int, int] = (512, 256)
    spacing_mm: float = NATIVE_SPACING_MM * 8
    workers: int = 1

    def __post_init__(self) -> None:
        found = [f"{n} = {v}" for n, v in (("count", self.count), ("workers", self.workers)) if v < 1]
        found += [f"seed = {self.seed}"] if self.seed < 0 else []
        for name, pixels, (low, high) in (("height", self.shape[0], HEIGHT_MM), ("width", self.shape[1], WIDTH_MM)):
            if not low <= pixels * self.spacing_mm <= high:
                found.append(f"picture {name} {pixels * self.spacing_mm:.0f} mm (allowed {low:.0f} to {high:.0f})")
        if found:
            raise ParametersRejected(
                "COHORT_IMPOSSIBLE",
                found="; ".join(found),
                expected="count and workers of 1 or more, a seed of 0 or more, a picture that can hold a spine",
                remedy="change rows, columns or spacing together: 512 x 256 pixels of 1.435 mm, 1024 x 512 of 0.717 mm",
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything a single case depends on, apart from its index."""
        made_from = [_SCHEMA, RENDERER, self.seed, list(self.shape), self.spacing_mm]
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()

    def case_seed(self, index: int) -> int:
        """Seed of one patient (63 bits)."""
        return int(np.random.SeedSequence([self.seed, index]).generate_state(1, np.uint64)[0] >> 1)


@dataclass(frozen=True)
class CohortSummary:
    """What a call of ``write_cohort`` did.

    Attributes:
        requested: patients asked for; written + kept.
        written, kept: drawn now, found finished.
        replaced: of those written, how many had been made from another configuration.
        removed: finished cases beyond the count that were deleted.
        conditions, fields: patients by condition and by field of view.
        seconds: wall time.
    """

    requested: int
    written: int
    kept: int
    replaced: int
    removed: int
    conditions: Mapping[str, int]
    fields: Mapping[str, int]
    seconds: float


def write_cohort(folder: Path, config: CohortConfig, progress: Progress | None = None) -> CohortSummary:
    """Write or complete a cohort.

    Args:
        folder: of the cohort; other files in it are left alone.
        config: what to make.
        progress: called with (done, total) cases.

    Raises:
        OSError: the disk is full or not writable; finished cases stay, a re-run continues.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    state = {i: _state(_case_folder(folder, i), config) for i in range(config.count)}
    pending = [i for i, s in state.items() if s != "finished"]
    removed = _settle(folder, config, bool(pending))
    done = config.count - len(pending)
    for _ in _drawn(folder, config, pending):
        done += 1
        if progress is not None:
            progress(done, config.count)
    people = [sample_patient(config.case_seed(i)) for i in range(config.count)]
    if not (folder / COMPLETE).exists():
        write_text_atomically(folder / COMPLETE, _cohort_marker(config))
    return CohortSummary(
        requested=config.count,
        written=len(pending),
        kept=config.count - len(pending),
        replaced=sum(s == "other" for s in state.values()),
        removed=removed,
        conditions=dict(Counter(p.condition for p in people)),
        fields=dict(Counter(p.field_of_view for p in people)),
        seconds=time.monotonic() - started,
    )


def _settle(folder: Path, config: CohortConfig, pending: bool) -> int:
    """Take down the cohort's marker if it no longer holds, clear partial files and surplus cases; how many."""
    marker = folder / COMPLETE
    if pending or (marker.exists() and marker.read_text() != _cohort_marker(config)):
        marker.unlink(missing_ok=True)
    remove_partials(folder)
    surplus = [p for p in _case_folders(folder) if int(p.name.removeprefix("case-")) >= config.count]
    for path in surplus:
        _remove_case(path)
    return len(surplus)


def _cohort_marker(config: CohortConfig) -> str:
    record = {
        "schema": _SCHEMA,
        "fingerprint": config.fingerprint,
        "renderer": RENDERER,
        "count": config.count,
        "seed": config.seed,
        "shape": list(config.shape),
        "spacing_mm": config.spacing_mm,
    }
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def _case_folder(folder: Path, index: int) -> Path:
    return folder / f"case-{index:05d}"


def _case_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and _CASE.fullmatch(p.name))


def _state(case: Path, config: CohortConfig) -> str:
    """``finished``, ``other`` (finished from another configuration), ``unfinished`` or ``absent``."""
    marker = case / COMPLETE
    if not marker.is_file():
        return "unfinished" if case.is_dir() else "absent"
    whole = all((case / name).is_file() for name in _FILES)
    if marker.read_text().strip() != config.fingerprint:
        return "other"
    return "finished" if whole else "unfinished"


def _remove_case(case: Path) -> None:
    """Delete a case's own files; a folder that holds anything else stays, without its marker."""
    (case / COMPLETE).unlink(missing_ok=True)
    if {p.name for p in case.iterdir()} <= _FILES:
        shutil.rmtree(case)


def _drawn(folder: Path, config: CohortConfig, pending: list[int]) -> Iterator[int]:
    """Draw the pending cases, yielding each index as it is finished."""
    workers = min(config.workers, len(pending))
    if workers <= 1:
        for index in pending:
            yield write_case(folder, config, index)
        return
    # Spawned, not forked: torch and fork do not mix.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_calm) as pool:
        try:
            futures = [pool.submit(write_case, folder, config, index) for index in pending]
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _calm() -> None:
    """Keep a worker to one thread in every library that starts later."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))


def write_case(folder: Path, config: CohortConfig, index: int) -> int:
    """Draw one patient and write the case's files, the marker last; returns the index."""
    from spine.phantom.field_of_view import scan_geometry
    from spine.phantom.materials import TUBE_KVP
    from spine.phantom.patient import build_patient
    from spine.phantom.render import render_views
    from spine.radiograph.write import write_radiograph
    from spine.reconstruction.plumbline_json import write_reconstruction

    case, seed = _case_folder(folder, index), config.case_seed(index)
    (case / COMPLETE).unlink(missing_ok=True)
    case.mkdir(parents=True, exist_ok=True)
    patient = build_patient(sample_patient(seed), seed)
    geometry = scan_geometry(patient, config.shape, config.spacing_mm)
    pictures = render_views(patient, geometry, seed)
    uids = _uids(config, index)
    for view in VIEWS:
        write_radiograph(
            case / f"{view}.dcm",
            pictures[view],
            geometry[view],
            patient_id=patient.reconstruction.subject_id,
            study_uid=uids["study"],
            series_uid=uids[f"{view} series"],
            sop_uid=uids[view],
            simulated=True,
            kvp=TUBE_KVP[view],
            age_years=patient.parameters.age_years,
            sex=patient.parameters.sex,
        )
    scanned = replace(patient.reconstruction, geometry=dict(geometry.items()))
    write_reconstruction(scanned, case / "reconstruction.json")
    write_text_atomically(case / COMPLETE, config.fingerprint + "\n")
    return index


def _uids(config: CohortConfig, index: int) -> dict[str, str]:
    """Deterministic UIDs under 2.25. by role: ``study``, ``frontal``, ``frontal series`` ..."""
    roles: Iterable[str] = ("study", *(f"{v}{kind}" for v in VIEWS for kind in ("", " series")))
    digests = {r: hashlib.sha256(f"{config.fingerprint}/{index}/{r}".encode()).digest()[:16] for r in roles}
    return {role: f"2.25.{int.from_bytes(digest)}" for role, digest in digests.items()}
