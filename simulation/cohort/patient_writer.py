"""Renders one patient and writes the patient's folder: two radiographs, the reconstruction and the requested extras."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.body.materials import TUBE_KVP
from simulation.body.patient import VirtualPatient, build_patient
from simulation.cohort.config import EXTRAS, CohortConfig
from simulation.cohort.mesh_export import write_extras
from simulation.cohort.patient_folder import case_folder, finish_case, new_attempt
from simulation.imaging.acquisition import family_of
from simulation.imaging.appearance import AppearanceFamily
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.patient_motion import render_with_motion, sample_patient_motion
from simulation.imaging.render import render_views
from simulation.population.sampling import sample_patient
from spine.landmarks import VIEWS, ViewName
from spine.radiograph.write import write_radiograph
from spine.reconstruction.plumbline_json import write_reconstruction
from spine.scanner import ViewGeometry


def write_case(folder: Path, config: CohortConfig, index: int) -> int:
    """Render one patient and write the patient's folder; return the index. It may be called twice, at the same time."""
    attempt, seed = new_attempt(folder), config.case_seed(index)
    patient = build_patient(sample_patient(seed), seed)
    geometry = scan_geometry(patient, config.shape, config.spacing_mm)
    images, facts = _render(patient, geometry, config)
    _write_radiographs(attempt, config, index, patient, geometry, images)
    scanned = replace(
        patient.reconstruction, geometry=dict(geometry.items()), facts={**patient.reconstruction.facts, **facts}
    )
    write_reconstruction(scanned, attempt / "reconstruction.json")
    if config.extras:
        write_extras(attempt / EXTRAS, patient, scanned, config.extras, config.mesh_format)
    finish_case(attempt, case_folder(folder, index), config)
    return index


def _render(
    patient: VirtualPatient, geometry: Mapping[ViewName, ViewGeometry], config: CohortConfig
) -> tuple[dict[ViewName, NDArray[np.uint16]], dict[str, Any]]:
    """Both images, and the facts about the scan that are added to the reconstruction."""
    family: AppearanceFamily = "scanner" if config.appearance == "scanner" else family_of(patient.seed)
    if not config.patient_motion_mm:
        return render_views(patient, geometry, patient.seed, family), {"appearance": family}
    motion = sample_patient_motion(patient.seed, config.patient_motion_mm)
    images = render_with_motion(patient, geometry, patient.seed, motion, family)
    return images, {"appearance": family, "patient_motion_mm": motion.tolist()}


def _write_radiographs(
    folder: Path,
    config: CohortConfig,
    index: int,
    patient: VirtualPatient,
    geometry: Mapping[ViewName, ViewGeometry],
    images: Mapping[ViewName, NDArray[np.uint16]],
) -> None:
    for view in VIEWS:
        write_radiograph(
            folder / f"{view}.dcm",
            images[view],
            geometry[view],
            patient_id=patient.reconstruction.subject_id,
            study_uid=_uid(config, index, "study"),
            series_uid=_uid(config, index, f"{view} series"),
            sop_uid=_uid(config, index, view),
            simulated=True,
            kvp=TUBE_KVP[view],
            age_years=patient.parameters.age_years,
            sex=patient.parameters.sex,
        )


def _uid(config: CohortConfig, index: int, role: str) -> str:
    """The DICOM UID (root 2.25) of a role: ``study``, ``frontal``, ``frontal series`` ... A role always has one UID."""
    digest = hashlib.sha256(f"{config.fingerprint}/{index}/{role}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"
