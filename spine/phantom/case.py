"""One virtual patient on disk: a study folder.

What belongs here: the files of one case. What does not: many cases (``cohort``), reading them back (``intake``).
Contract:

    <case>/frontal.dcm, lateral.dcm, reconstruction.json
    <case>/extras/...     copies of the reconstruction for other programs (``export``), where they were asked for; a
                          reconstruction in this folder does not count beside the case's own
    <case>/COMPLETE       written last: a case without it is unfinished and is drawn again
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
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

COMPLETE, EXTRAS, MARKUPS, MESHES = "COMPLETE", "extras", "reconstruction.mrk.json", "meshes"
_CASE = re.compile(r"case-(\d{5,})")
_FILES = ("frontal.dcm", "lateral.dcm", "reconstruction.json", COMPLETE)

State = Literal["finished", "other", "unfinished", "absent"]


def case_folder(folder: Path, index: int) -> Path:
    """Where a cohort keeps a case."""
    return folder / f"case-{index:05d}"


def case_folders(folder: Path) -> list[Path]:
    """Every case of a cohort's folder."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and _CASE.fullmatch(p.name))


def case_state(case: Path, config: "CohortConfig") -> State:
    """``finished``, ``other`` (finished from another configuration), ``unfinished`` or ``absent``."""
    marker = case / COMPLETE
    if not marker.is_file():
        return "unfinished" if case.is_dir() else "absent"
    if marker.read_text().strip() != config.fingerprint:
        return "other"
    return "finished" if _is_whole(case, config) else "unfinished"


def _is_whole(case: Path, config: "CohortConfig") -> bool:
    """Whether no file is missing; of meshes, whose number differs from patient to patient, one must be there."""
    whole = all((case / name).is_file() for name in _FILES)
    if "markups" in config.extras:
        whole = whole and (case / EXTRAS / MARKUPS).is_file()
    if "meshes" in config.extras:
        whole = whole and any((case / EXTRAS / MESHES).glob(f"*.{config.mesh_format}"))
    return whole


def remove_case(case: Path) -> None:
    """Delete a case's own files, the marker first; a folder that holds anything else stays with that."""
    (case / COMPLETE).unlink(missing_ok=True)
    others = {p for p in case.rglob("*") if p.is_file()} - set(_own_files(case))
    if not others:
        _remove_extras(case)
        for name in _FILES:
            (case / name).unlink(missing_ok=True)
        case.rmdir()


def _own_files(case: Path) -> Iterator[Path]:
    yield from (case / name for name in _FILES)
    yield from _extra_files(case)


def _extra_files(case: Path) -> Iterator[Path]:
    yield case / EXTRAS / MARKUPS
    yield from (p for p in (case / EXTRAS / MESHES).glob("*") if p.suffix in SUFFIXES)


def _remove_extras(case: Path) -> None:
    """Delete the extras that a case was written with; what somebody else put there stays."""
    for path in list(_extra_files(case)):
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
    (case / COMPLETE).unlink(missing_ok=True)
    case.mkdir(parents=True, exist_ok=True)
    _remove_extras(case)
    patient = build_patient(sample_patient(seed), seed)
    scanned = _write_pictures(case, config, index, patient)
    write_reconstruction(scanned, case / "reconstruction.json")
    if config.extras:
        write_extras(case / EXTRAS, patient, scanned, config.extras, config.mesh_format)
    write_text_atomically(case / COMPLETE, config.fingerprint + "\n")
    return index


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
