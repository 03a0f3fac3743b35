"""A virtual cohort on disk: a folder of patients, each with two radiographs and a reconstruction.

Contract:

    <folder>/case-00017/...          one patient, see ``case``
    <folder>/COMPLETE                written last of all: the cohort, with what it was made from

A case depends on the cohort's seed, its own index, the image's size, the extras and the sway, on nothing else: a
larger count adds cases, another number of workers changes nothing. A re-run keeps finished cases, draws unfinished
ones and, where the caller allows it, replaces cases made from another configuration and removes cases beyond the
count. What no cohort wrote is never touched. Memory does not grow with the count.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic

from simulation.cohort.config import _SCHEMA, COMPLETE, RENDERER, CohortConfig, State
from simulation.cohort.patient_folder import case_folder, case_folders, case_state, in_the_way, remove_case, write_case
from simulation.population.sampling import sample_patient
from spine.errors import ParametersRejected
from spine.storage import partials_of, write_text_atomically
from spine.types import Progress
from spine.worker_pool import worker_pool

_QUEUED_PER_WORKER = 4


@dataclass(frozen=True)
class CohortSummary:
    """What a call of ``write_cohort`` did.

    Attributes:
        requested: patients asked for; written + kept.
        written, kept: drawn now, found finished.
        replaced: of those written, how many had been made from another configuration.
        removed: cases beyond the count that were deleted, finished or begun.
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


def write_cohort(
    folder: Path, config: CohortConfig, progress: Progress | None = None, *, may_replace: bool = True
) -> CohortSummary:
    """Write or complete a cohort.

    Args:
        folder: of the cohort; other files in it are left alone.
        config: what to make.
        progress: called with (done, total) cases.
        may_replace: whether finished cases of another configuration, or beyond the count, may go.

    Raises:
        ParametersRejected: what no cohort wrote lies where this one belongs, or finished cases would go that may
            not; nothing is changed then.
        OSError: the disk is full or not writable; finished cases stay, a re-run continues.
    """
    started = monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    state = {i: case_state(case_folder(folder, i), config) for i in range(config.count)}
    surplus = _surplus(folder, config)
    _check_room(folder, config, state)
    if not may_replace:
        _check_finished(folder, state, surplus)
    pending = [i for i, s in state.items() if s != "finished"]
    _settle(folder, config, bool(pending), surplus)
    done = config.count - len(pending)
    for _ in _drawn(folder, config, pending):
        done += 1
        if progress is not None:
            progress(done, config.count)
    conditions, fields = _tallied(config)
    if not (folder / COMPLETE).exists():
        write_text_atomically(folder / COMPLETE, _cohort_marker(config))
    return CohortSummary(
        requested=config.count,
        written=len(pending),
        kept=config.count - len(pending),
        replaced=sum(s == "other" for s in state.values()),
        removed=len(surplus),
        conditions=conditions,
        fields=fields,
        seconds=monotonic() - started,
    )


def _surplus(folder: Path, config: CohortConfig) -> dict[Path, State]:
    """Cases beyond the count that a cohort wrote, or began."""
    beyond = [p for p in case_folders(folder) if int(p.name.removeprefix("case-")) >= config.count]
    states = {path: case_state(path, config) for path in beyond}
    return {path: state for path, state in states.items() if state not in ("foreign", "absent")}


def _check_room(folder: Path, config: CohortConfig, state: Mapping[int, State]) -> None:
    """Refuse to write over what no cohort wrote."""
    taken = [folder / COMPLETE] if (folder / COMPLETE).exists() and not _is_cohort_marker(folder / COMPLETE) else []
    for index, found in state.items():
        case = case_folder(folder, index)
        if found == "foreign":
            taken.append(case)
        elif found in ("other", "unfinished"):
            taken += in_the_way(case, config)
    if taken:
        raise ParametersRejected(
            "COHORT_FOLDER_TAKEN",
            found=f"{len(taken)} files or folders that no cohort wrote where this one belongs, first "
            f"{taken[0].relative_to(folder)} in {folder.name!r}",
            expected="an empty folder, or a cohort's",
            remedy="name another folder, or move those away",
        )


def _check_finished(folder: Path, state: Mapping[int, State], surplus: Mapping[Path, State]) -> None:
    """Refuse to let finished patients go."""
    other = sum(s == "other" for s in state.values())
    beyond = sum(s in ("finished", "other") for s in surplus.values())
    if other or beyond:
        parts = [f"{other} finished patients made from another configuration"] if other else []
        parts += [f"{beyond} finished patients beyond the count"] if beyond else []
        raise ParametersRejected(
            "COHORT_WOULD_REPLACE",
            found=f"{' and '.join(parts)} in {folder.name!r}, which would go",
            expected="an empty folder, or an earlier run of the same cohort with no more patients",
            remedy="name another folder, ask for as many patients and the same settings, or allow it with --replace",
        )


def _tallied(config: CohortConfig) -> tuple[dict[str, int], dict[str, int]]:
    """Patients by condition and by field of view."""
    conditions: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    for index in range(config.count):
        person = sample_patient(config.case_seed(index))
        conditions[person.condition] += 1
        fields[person.field_of_view] += 1
    return dict(conditions), dict(fields)


def _settle(folder: Path, config: CohortConfig, pending: bool, surplus: Mapping[Path, State]) -> None:
    """Take down the cohort's marker if it no longer holds, clear what is left of one, and surplus cases."""
    marker = folder / COMPLETE
    if pending or (marker.exists() and marker.read_text() != _cohort_marker(config)):
        marker.unlink(missing_ok=True)
    for path in partials_of(marker):
        path.unlink(missing_ok=True)
    for path in surplus:
        remove_case(path)


def _is_cohort_marker(path: Path) -> bool:
    try:
        return str(json.loads(path.read_text())["schema"]).startswith(_SCHEMA.partition("/")[0])
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _cohort_marker(config: CohortConfig) -> str:
    record = {
        "schema": _SCHEMA,
        "fingerprint": config.fingerprint,
        "renderer": RENDERER,
        "count": config.count,
        "seed": config.seed,
        "shape": list(config.shape),
        "spacing_mm": config.spacing_mm,
        **config.options,
    }
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def _drawn(folder: Path, config: CohortConfig, pending: list[int]) -> Iterator[int]:
    """Draw the pending cases, yielding each index as it is finished."""
    workers = min(config.workers, len(pending))
    if workers <= 1:
        for index in pending:
            yield write_case(folder, config, index)
        return
    with worker_pool(workers, _calm) as pool:
        try:
            yield from _finished(pool, folder, config, pending)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _finished(pool: Executor, folder: Path, config: CohortConfig, pending: list[int]) -> Iterator[int]:
    """Indices as they are finished; only a few cases wait in the pool, however many there are."""
    waiting = iter(pending)
    running: set[Future[int]] = set()
    while True:
        free = _QUEUED_PER_WORKER * config.workers - len(running)
        running |= {pool.submit(write_case, folder, config, index) for index in islice(waiting, free)}
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _calm() -> None:
    """Keep a worker to one thread in every library that starts later."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
