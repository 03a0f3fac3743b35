"""One virtual patient on disk: a study folder.

Contract:

    <case>/frontal.dcm, lateral.dcm, reconstruction.json
    <case>/extras/...     copies of the reconstruction for other programs (``export``), where they were asked for; a
                          reconstruction in this folder does not count beside the case's own
    <case>/UNFINISHED     while it is drawn: whose folder this is; a case that still has it is drawn again
    <case>/COMPLETE       written last: what it was made from, and the size of every file

A marker is the configuration's fingerprint and a line for every file, its size and its name; ``UNFINISHED`` has names
or patterns and no sizes yet. Nothing is deleted or written over that a marker does not name. Earlier versions named no
files: such a case is drawn again, and its files are known by what those versions called them.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simulation.cohort.config import COMPLETE, EXTRAS, MARKUPS, MESHES, UNFINISHED, CohortConfig, State
from simulation.population.sampling import sample_patient
from spine.landmarks import VIEWS
from spine.reconstruction.meshes import SUFFIXES
from spine.reconstruction.reconstruction import Reconstruction
from spine.storage import partials_of, write_text_atomically

if TYPE_CHECKING:
    from simulation.body.patient import VirtualPatient
    from simulation.imaging.appearance import LookFamily


_CASE = re.compile(r"case-(\d{5,})")
_FILES = ("frontal.dcm", "lateral.dcm", "reconstruction.json")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_OF_EARLIER_VERSIONS = (*_FILES, f"{EXTRAS}/{MARKUPS}", *(f"{EXTRAS}/{MESHES}/*{suffix}" for suffix in SUFFIXES))


def case_folder(folder: Path, index: int) -> Path:
    """Where a cohort keeps a case."""
    return folder / f"case-{index:05d}"


def case_folders(folder: Path) -> list[Path]:
    """Everything in a cohort's folder that is named like a case."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and _CASE.fullmatch(p.name))


def case_state(case: Path, config: CohortConfig) -> State:
    """``finished``, ``other`` (finished from another configuration), ``unfinished``, ``absent``, or ``foreign``: it
    holds something, or is a link, and no cohort says that it is its own."""
    if case.is_symlink():
        return "foreign"
    if not case.exists():
        return "absent"
    if _marker(case / UNFINISHED) is not None:
        return "unfinished"
    found = _marker(case / COMPLETE)
    if found is None:
        empty = case.is_dir() and set(case.iterdir()) <= set(partials_of(case / UNFINISHED))
        return "absent" if empty else "foreign"
    fingerprint, sizes = found
    if fingerprint != config.fingerprint:
        return "other"
    whole = all((case / name).is_file() and (case / name).stat().st_size == size for name, size in sizes.items())
    return "finished" if whole and sizes.keys() >= set(_FILES) else "unfinished"


def in_the_way(case: Path, config: CohortConfig) -> list[Path]:
    """What somebody else put where files of this case belong."""
    own = _own_files(case)
    return sorted(_present(case, _planned(config)) - own)


def _planned(config: CohortConfig) -> list[str]:
    """Names and patterns of everything that a case of this configuration may hold."""
    names = list(_FILES)
    if "markups" in config.extras:
        names.append(f"{EXTRAS}/{MARKUPS}")
    if "meshes" in config.extras:
        names.append(f"{EXTRAS}/{MESHES}/*.{config.mesh_format}")
    return names


def _marker(path: Path) -> tuple[str, dict[str, int]] | None:
    """Fingerprint, and size in bytes by name below the case, of a marker; None if it is no marker of ours."""
    try:
        fingerprint, *lines = path.read_text().splitlines()
        sizes = {name: int(size) for size, name in (line.split(" ", 1) for line in lines)}
    except (OSError, ValueError):
        return None
    outside = any(not name or name.startswith("/") or ".." in name.split("/") for name in sizes)
    return (fingerprint, sizes) if _FINGERPRINT.fullmatch(fingerprint) and not outside else None


def _write_marker(path: Path, fingerprint: str, sizes: Mapping[str, int]) -> None:
    lines = [fingerprint, *(f"{size} {name}" for name, size in sizes.items())]
    write_text_atomically(path, "\n".join(lines) + "\n")


def _own_files(case: Path) -> set[Path]:
    """Files that a case's markers name, and what killed writers of them and of the markers left."""
    finished, begun = (_named(case / marker) for marker in (COMPLETE, UNFINISHED))
    partials = {path for name in (COMPLETE, UNFINISHED, *begun) for path in partials_of(case / name)}
    return _present(case, [*finished, *begun]) | partials


def _named(path: Path) -> Iterable[str]:
    found = _marker(path)
    return () if found is None else found[1] or _OF_EARLIER_VERSIONS


def _present(case: Path, names: Iterable[str]) -> set[Path]:
    """What there is of files by names or patterns."""
    return {p for name in names for p in (case.glob(name) if "*" in name else [case / name]) if p.exists()}


def remove_case(case: Path) -> None:
    """Delete a case's own files, the markers last; a folder that holds anything else stays, with that alone."""
    _clear(case)
    for marker in (COMPLETE, UNFINISHED):
        (case / marker).unlink(missing_ok=True)
    if not any(case.iterdir()):
        case.rmdir()


def _clear(case: Path) -> None:
    """Delete a case's own files but for its markers; what somebody else put there stays."""
    for path in _own_files(case):
        path.unlink(missing_ok=True)
    for folder in (case / EXTRAS / MESHES, case / EXTRAS):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def write_case(folder: Path, config: CohortConfig, index: int) -> int:
    """Draw one patient and write the case's files, the marker last; returns the index."""
    from simulation.body.patient import build_patient
    from simulation.cohort.mesh_export import write_extras
    from spine.reconstruction.plumbline_json import write_reconstruction

    case, seed = case_folder(folder, index), config.case_seed(index)
    case.mkdir(parents=True, exist_ok=True)
    _clear(case)
    _write_marker(case / UNFINISHED, config.fingerprint, dict.fromkeys(_planned(config), 0))
    (case / COMPLETE).unlink(missing_ok=True)
    patient = build_patient(sample_patient(seed), seed)
    scanned = _write_images(case, config, index, patient)
    write_reconstruction(scanned, case / "reconstruction.json")
    if config.extras:
        write_extras(case / EXTRAS, patient, scanned, config.extras, config.mesh_format)
    written = sorted(_present(case, _planned(config)))
    sizes = {path.relative_to(case).as_posix(): path.stat().st_size for path in written}
    _write_marker(case / COMPLETE, config.fingerprint, sizes)
    (case / UNFINISHED).unlink()
    return index


def _write_images(case: Path, config: CohortConfig, index: int, patient: "VirtualPatient") -> Reconstruction:
    """Take and write both views; returns the reconstruction with what the scan adds to it."""
    from simulation.body.materials import TUBE_KVP
    from simulation.imaging.acquisition import family_of
    from simulation.imaging.field_of_view import scan_geometry
    from simulation.imaging.patient_motion import render_swayed, sample_sway
    from simulation.imaging.render import render_views
    from spine.radiograph.write import write_radiograph

    geometry = scan_geometry(patient, config.shape, config.spacing_mm)
    family: LookFamily = "scanner" if config.looks == "scanner" else family_of(patient.seed)
    facts = {**patient.reconstruction.facts, "appearance": family}
    if config.sway_mm:
        sway = sample_sway(patient.seed, config.sway_mm)
        images = render_swayed(patient, geometry, patient.seed, sway, family)
        facts["sway_mm"] = sway.tolist()
    else:
        images = render_views(patient, geometry, patient.seed, family)
    uids = _uids(config, index)
    for view in VIEWS:
        write_radiograph(
            case / f"{view}.dcm",
            images[view],
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
    return replace(patient.reconstruction, geometry=dict(geometry.items()), facts=facts)


def _uids(config: CohortConfig, index: int) -> dict[str, str]:
    """Deterministic UIDs under 2.25. by role: ``study``, ``frontal``, ``frontal series`` ..."""
    roles: Iterable[str] = ("study", *(f"{v}{kind}" for v in VIEWS for kind in ("", " series")))
    digests = {r: hashlib.sha256(f"{config.fingerprint}/{index}/{r}".encode()).digest()[:16] for r in roles}
    return {role: f"2.25.{int.from_bytes(digest)}" for role, digest in digests.items()}
