"""Writes or completes a virtual cohort on disk.

Contract:

    <folder>/case-00017/...   one patient, see ``patient_folder``
    <folder>/COMPLETE         marker with the configuration of the cohort, written last

A case depends on the configuration and its index only. It does not depend on the count or the number of workers. A
second run keeps finished cases and renders unfinished cases. With ``may_replace``, it also replaces cases of another
configuration and removes cases beyond the count. Files that are not part of a cohort are never changed. The required
memory does not depend on the count.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from simulation.cohort.config import COMPLETE, RENDERER, SCHEMA, CohortConfig, FolderState
from simulation.cohort.patient_folder import (
    case_folder,
    case_folders,
    case_state,
    clear_case,
    conflicting_files,
    remove_attempts,
    remove_case,
)
from simulation.population.sampling import sample_patient
from spine.errors import ParametersRejected
from spine.storage import partials_of, write_text_atomically
from spine.types import Progress
from spine.work import IN_THIS_PROCESS, Work


@dataclass(frozen=True)
class CohortSummary:
    """The result of one call of ``write_cohort``.

    Attributes:
        requested: number of requested patients, which is written + kept.
        written: number of patients that this call rendered.
        kept: number of patients that were finished before this call.
        replaced: number of written patients that had been finished with another configuration.
        removed: number of deleted cases beyond the count.
        conditions, fields: number of patients with each condition, and number with each field of view.
        seconds: wall time of the call.
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
    folder: Path,
    config: CohortConfig,
    progress: Progress | None = None,
    *,
    may_replace: bool = True,
    work: Work = IN_THIS_PROCESS,
) -> CohortSummary:
    """Write or complete a cohort.

    Args:
        folder: folder of the cohort. Other files in this folder are not changed.
        config: configuration of the cohort.
        progress: function that is called with the number of finished cases and the number of all cases.
        may_replace: whether finished cases of another configuration or beyond the count may be deleted.
        work: where the patients are rendered.

    Raises:
        ParametersRejected: a file that is not part of a cohort has a name that the cohort needs, or finished cases
            would be deleted without permission. Nothing is changed in these cases.
        PlumblineError: ``WORKER_DIED``. Finished cases stay.
        OSError: the disk is full or not writable. Finished cases stay, and the next run continues.
    """
    started = monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    state = {i: case_state(case_folder(folder, i), config) for i in range(config.count)}
    surplus = _surplus(folder, config)
    _check_conflicts(folder, config, state)
    if not may_replace:
        _check_finished(folder, state, surplus)
    pending = [i for i, s in state.items() if s != "finished"]
    _prepare_folder(folder, config, pending, surplus)
    _write_pending(folder, config, pending, work, progress)
    conditions, fields = _count_patients(config)
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


def _surplus(folder: Path, config: CohortConfig) -> dict[Path, FolderState]:
    """The cases of a cohort that are beyond the count, with their states."""
    beyond = [p for p in case_folders(folder) if int(p.name.removeprefix("case-")) >= config.count]
    states = {path: case_state(path, config) for path in beyond}
    return {path: state for path, state in states.items() if state not in ("foreign", "absent")}


def _check_conflicts(folder: Path, config: CohortConfig, state: Mapping[int, FolderState]) -> None:
    """Refuse to overwrite files that are not part of a cohort."""
    taken = [folder / COMPLETE] if (folder / COMPLETE).exists() and not _is_cohort_marker(folder / COMPLETE) else []
    for index, found in state.items():
        case = case_folder(folder, index)
        if found == "foreign":
            taken.append(case)
        elif found in ("other", "unfinished"):
            taken += conflicting_files(case, config)
    if taken:
        raise ParametersRejected(
            "COHORT_FOLDER_TAKEN",
            found=f"{len(taken)} files or folders that `plumbline cohort` did not write; the first is "
            f"{taken[0].relative_to(folder)} in {folder.name!r}",
            expected="an empty folder, or a cohort folder whose other files do not use the cohort's file names",
            remedy="choose another folder, or move these files",
        )


def _check_finished(folder: Path, state: Mapping[int, FolderState], surplus: Mapping[Path, FolderState]) -> None:
    """Refuse to delete finished patients."""
    other = sum(s == "other" for s in state.values())
    beyond = sum(s in ("finished", "other") for s in surplus.values())
    if other or beyond:
        parts = [f"{other} finished patients of another configuration"] if other else []
        parts += [f"{beyond} finished patients beyond the count"] if beyond else []
        raise ParametersRejected(
            "COHORT_WOULD_REPLACE",
            found=f"{' and '.join(parts)} that would be deleted from {folder.name!r}",
            expected="an empty folder, or a cohort with the same settings and no patient beyond the requested number",
            remedy="choose another folder, add --replace, or keep the settings and request no fewer patients than "
            "the folder has",
        )


def _count_patients(config: CohortConfig) -> tuple[dict[str, int], dict[str, int]]:
    """The number of patients with each condition, and the number of patients with each field of view."""
    conditions: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    for index in range(config.count):
        patient = sample_patient(config.case_seed(index))
        conditions[patient.condition] += 1
        fields[patient.field_of_view] += 1
    return dict(conditions), dict(fields)


def _prepare_folder(
    folder: Path, config: CohortConfig, pending: Sequence[int], surplus: Mapping[Path, FolderState]
) -> None:
    """Delete an outdated marker of the cohort, what killed runs left, surplus cases, and what is rendered again."""
    marker = folder / COMPLETE
    if pending or (marker.exists() and marker.read_text() != _cohort_marker(config)):
        marker.unlink(missing_ok=True)
    for path in partials_of(marker):
        path.unlink(missing_ok=True)
    remove_attempts(folder)
    for path in surplus:
        remove_case(path)
    for index in pending:
        clear_case(case_folder(folder, index), config)


def _is_cohort_marker(path: Path) -> bool:
    try:
        return str(json.loads(path.read_text())["schema"]).startswith(SCHEMA.partition("/")[0])
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _cohort_marker(config: CohortConfig) -> str:
    record = {
        "schema": SCHEMA,
        "fingerprint": config.fingerprint,
        "renderer": RENDERER,
        "count": config.count,
        "seed": config.seed,
        "shape": list(config.shape),
        "spacing_mm": config.spacing_mm,
        **config.options,
    }
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def _write_pending(
    folder: Path, config: CohortConfig, pending: Sequence[int], work: Work, progress: Progress | None
) -> None:
    """Write the pending cases, each in a folder of its attempt."""
    if not pending:
        return
    from simulation.cohort.patient_writer import write_case  # the import of torch takes seconds

    done = config.count - len(pending)
    try:
        with closing(work.run(partial(write_case, folder, config), pending)) as written:
            for number, _ in enumerate(written, done + 1):
                if progress is not None:
                    progress(number, config.count)
    finally:
        remove_attempts(folder)
