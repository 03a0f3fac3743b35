"""One virtual patient on disk: a study folder.

What belongs here: the files of one case. What does not: many cases (``cohort``), reading them back (``intake``).
Contract:

    <case>/frontal.dcm, lateral.dcm, reconstruction.json
    <case>/extras/...     copies of the reconstruction for other programs (``export``), where they were asked for; a
                          reconstruction in this folder does not count beside the case's own
    <case>/UNFINISHED     while it is drawn: whose folder this is; a case that still has it is drawn again
    <case>/COMPLETE       written last: what it was made from, and the size of every file

Nothing is deleted or written over in a folder that has neither marker but something else.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spine.landmarks import VIEWS
from spine.phantom.people.population import sample_patient
from spine.reconstruction.meshes import SUFFIXES
from spine.reconstruction.record import Reconstruction
from spine.storage import write_text_atomically

if TYPE_CHECKING:
    from spine.phantom.cohort import CohortConfig
    from spine.phantom.patient import VirtualPatient
    from spine.phantom.picture.looks import LookFamily

Extra = Literal["markups", "meshes"]
MeshFormat = Literal["obj", "stl"]

COMPLETE, UNFINISHED = "COMPLETE", "UNFINISHED"
EXTRAS, MARKUPS, MESHES = "extras", "reconstruction.mrk.json", "meshes"
_CASE = re.compile(r"case-(\d{5,})")
_FILES = ("frontal.dcm", "lateral.dcm", "reconstruction.json")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")

State = Literal["finished", "other", "unfinished", "absent", "foreign"]


def case_folder(folder: Path, index: int) -> Path:
    """Where a cohort keeps a case."""
    return folder / f"case-{index:05d}"


def case_folders(folder: Path) -> list[Path]:
    """Everything in a cohort's folder that is named like a case."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and _CASE.fullmatch(p.name))


def case_state(case: Path, config: "CohortConfig") -> State:
    """``finished``, ``other`` (finished from another configuration), ``unfinished``, ``absent``, or ``foreign``: it
    holds something, and no cohort says that it is its own."""
    if not case.exists():
        return "absent"
    if _marker(case / UNFINISHED) is not None:
        return "unfinished"
    found = _marker(case / COMPLETE)
    if found is None:
        return "foreign" if not case.is_dir() or any(case.iterdir()) else "absent"
    fingerprint, sizes = found
    if fingerprint != config.fingerprint:
        return "other"
    whole = all(path.is_file() and path.stat().st_size == size for path, size in sizes.items())
    return "finished" if whole else "unfinished"


def _marker(path: Path) -> tuple[str, dict[Path, int]] | None:
    """Fingerprint, and size in bytes of every file of the case, by a marker; None if it is no marker of ours."""
    try:
        fingerprint, *lines = path.read_text().splitlines()
        sizes = {path.parent / name: int(size) for size, name in (line.split(" ", 1) for line in lines)}
    except (OSError, ValueError):
        return None
    return (fingerprint, sizes) if _FINGERPRINT.fullmatch(fingerprint) else None


def remove_case(case: Path) -> None:
    """Delete a case's own files, the markers last; a folder that holds anything else stays, with that alone."""
    _clear(case)
    for marker in (COMPLETE, UNFINISHED):
        (case / marker).unlink(missing_ok=True)
    if not any(case.iterdir()):
        case.rmdir()


def _clear(case: Path) -> None:
    """Delete what a case's marker names, or what an unfinished one may hold; what somebody else put there stays."""
    found, begun = _marker(case / COMPLETE), _marker(case / UNFINISHED) is not None
    own = list(found[1]) if found is not None else []
    if begun:
        own += [*(case / name for name in _FILES), case / EXTRAS / MARKUPS]
        own += [p for p in (case / EXTRAS / MESHES).glob("*") if p.suffix in SUFFIXES]
    for path in own:
        path.unlink(missing_ok=True)
    for folder in (case / EXTRAS / MESHES, case / EXTRAS):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def write_case(folder: Path, config: "CohortConfig", index: int) -> int:
    """Draw one patient and write the case's files, the marker last; returns the index."""
    from spine.phantom.export import write_extras
    from spine.phantom.patient import build_patient
    from spine.reconstruction.plumbline_json import write_reconstruction

    case, seed = case_folder(folder, index), config.case_seed(index)
    case.mkdir(parents=True, exist_ok=True)
    _clear(case)
    others = _files_in(case)
    write_text_atomically(case / UNFINISHED, config.fingerprint + "\n")
    (case / COMPLETE).unlink(missing_ok=True)
    patient = build_patient(sample_patient(seed), seed)
    scanned = _write_pictures(case, config, index, patient)
    write_reconstruction(scanned, case / "reconstruction.json")
    if config.extras:
        write_extras(case / EXTRAS, patient, scanned, config.extras, config.mesh_format)
    lines = [f"{p.stat().st_size} {p.relative_to(case)}" for p in sorted(_files_in(case) - others)]
    write_text_atomically(case / COMPLETE, "\n".join([config.fingerprint, *lines]) + "\n")
    (case / UNFINISHED).unlink()
    return index


def _files_in(case: Path) -> set[Path]:
    return {p for p in case.rglob("*") if p.is_file() and p.name not in (COMPLETE, UNFINISHED)}


def _write_pictures(case: Path, config: "CohortConfig", index: int, patient: "VirtualPatient") -> Reconstruction:
    """Take and write both views; returns the reconstruction with what the scan adds to it."""
    from spine.phantom.picture.field_of_view import scan_geometry
    from spine.phantom.picture.materials import TUBE_KVP
    from spine.phantom.picture.render import render_views
    from spine.phantom.picture.shots import family_of
    from spine.phantom.sway import render_swayed, sample_sway
    from spine.radiograph.write import write_radiograph

    geometry = scan_geometry(patient, config.shape, config.spacing_mm)
    family: LookFamily = "scanner" if config.looks == "scanner" else family_of(patient.seed)
    facts = {**patient.reconstruction.facts, "appearance": family}
    if config.sway_mm:
        sway = sample_sway(patient.seed, config.sway_mm)
        pictures = render_swayed(patient, geometry, patient.seed, sway, family)
        facts["sway_mm"] = sway.tolist()
    else:
        pictures = render_views(patient, geometry, patient.seed, family)
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
    return replace(patient.reconstruction, geometry=dict(geometry.items()), facts=facts)


def _uids(config: "CohortConfig", index: int) -> dict[str, str]:
    """Deterministic UIDs under 2.25. by role: ``study``, ``frontal``, ``frontal series`` ..."""
    roles: Iterable[str] = ("study", *(f"{v}{kind}" for v in VIEWS for kind in ("", " series")))
    digests = {r: hashlib.sha256(f"{config.fingerprint}/{index}/{r}".encode()).digest()[:16] for r in roles}
    return {role: f"2.25.{int.from_bytes(digest)}" for role, digest in digests.items()}
