"""Whether radiographs and a reconstruction belong together, and the study they make.

Contract: ``paired`` returns a study whose parts agree, or raises ``PairingRejected``; nothing is turned, swapped or
guessed to make them agree.

    STUDY_EMPTY            neither radiograph nor reconstruction
    VIEW_UNKNOWN           a radiograph whose tags do not tell its view
    VIEW_DUPLICATE         two frontals or two laterals
    PATIENT_ID_MISSING     a radiograph without PatientID (splits by patient need one; a pseudonym will do)
    PATIENT_MISMATCH, STUDY_MISMATCH   radiographs of different patients or studies
    HEIGHT_MISMATCH        two radiographs of one scan that differ in height or place along z
    GEOMETRY_MISSING       a reconstruction with a radiograph that has no place in the scanner
    GEOMETRY_CONFLICT      radiograph and reconstruction disagree on that place
    VIEW_MISMATCH          radiograph and reconstruction agree only with the views exchanged
    PROJECTION_OUTSIDE     the spine does not fall into the image
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spine.errors import PairingRejected
from spine.intake.facts import safe_reconstruction
from spine.intake.records import LoadedStudy, LoadedView
from spine.intake.view_evidence import views_seem_exchanged
from spine.landmarks import VIEWS, ViewName
from spine.radiograph.read import Radiograph
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry

HEIGHT_TOLERANCE = 0.005
PLACE_TOLERANCE_MM = 0.5
LEAST_INSIDE = 0.8
LEAST_POINTS = 6
_STUDY_FACTS = ("age_years", "sex", "simulated")


def paired(
    radiographs: Sequence[Radiograph], reconstruction: Reconstruction | None, *, simulated: bool = False
) -> LoadedStudy:
    """Join the parts of one study.

    Args:
        radiographs: radiographs as read.
        reconstruction: as read, or None.
        simulated: mark the study as simulated whatever its tags say.

    Raises:
        PairingRejected: codes as in the module's table.
    """
    if not radiographs and reconstruction is None:
        raise PairingRejected(
            "STUDY_EMPTY",
            found="neither radiograph nor reconstruction",
            expected="at least one",
            remedy="send the study again",
        )
    by_view = _by_view(radiographs)
    patient = (
        _patient(radiographs)
        if radiographs
        else f"reconstruction:{reconstruction.subject_id}"
        if reconstruction
        else ""
    )
    geometries = _geometries(by_view, reconstruction)
    _check_heights(geometries)
    if reconstruction is not None and by_view:
        _check_projection(geometries, reconstruction)
        images = {view: radiograph.image for view, radiograph in by_view.items()}
        if views_seem_exchanged(images, geometries, reconstruction):
            raise PairingRejected("VIEW_MISMATCH", found="images that fit the reconstruction only with their views exchanged", expected="view tags that tell the view", remedy="have the view tags corrected")  # fmt: skip
    views = {view: _loaded(radiograph, geometries.get(view)) for view, radiograph in by_view.items()}
    return LoadedStudy(
        patient, views, safe_reconstruction(reconstruction), _facts(by_view.values(), reconstruction, simulated)
    )


def _by_view(radiographs: Sequence[Radiograph]) -> dict[ViewName, Radiograph]:
    unknown = sum(radiograph.view is None for radiograph in radiographs)
    if unknown:
        raise PairingRejected("VIEW_UNKNOWN", found=f"{unknown} radiograph(s) whose tags do not tell the view", expected="PatientOrientation or "
                "ViewPosition", remedy="have the tags set")  # fmt: skip
    for view in VIEWS:
        count = sum(radiograph.view == view for radiograph in radiographs)
        if count > 1:
            raise PairingRejected(
                "VIEW_DUPLICATE",
                found=f"{count} {view} radiographs",
                expected="one radiograph a view",
                remedy="keep one, or correct the view tags",
            )
    return {view: radiograph for view in VIEWS for radiograph in radiographs if radiograph.view == view}


def _patient(radiographs: Sequence[Radiograph]) -> str:
    patients = {radiograph.identity.patient_id for radiograph in radiographs}
    if "" in patients:
        raise PairingRejected(
            "PATIENT_ID_MISSING",
            found="a radiograph without PatientID",
            expected="an identifier",
            remedy="set PatientID, e.g. to a pseudonym",
        )
    _check_identity(radiographs)
    return f"dicom:{patients.pop()}"


def _check_identity(radiographs: Sequence[Radiograph], *, blank_differs: bool = True) -> None:
    """One patient, one study; a missing identifier differs from a given one unless told otherwise."""
    ignored = set() if blank_differs else {""}
    patients = {radiograph.identity.patient_id for radiograph in radiographs} - ignored
    if len(patients) > 1:
        raise PairingRejected(
            "PATIENT_MISMATCH",
            found=f"{len(patients)} patients",
            expected="one",
            remedy="sort the radiographs by patient",
        )
    if len({radiograph.identity.study_uid for radiograph in radiographs} - ignored) > 1:
        raise PairingRejected(
            "STUDY_MISMATCH",
            found="radiographs of different studies",
            expected="one Study Instance UID",
            remedy="one folder for each study",
        )


def require_one_examination(radiographs: Mapping[ViewName, Radiograph]) -> None:
    """Refuse two radiographs that must not be measured together: other patients, studies or heights of one scan.

    Radiographs without identifiers are taken as they are: whoever gives them by hand vouches for them.

    Raises:
        PairingRejected: PATIENT_MISMATCH, STUDY_MISMATCH, HEIGHT_MISMATCH.
    """
    _check_identity(list(radiographs.values()), blank_differs=False)
    _check_heights(
        {view: radiograph.geometry for view, radiograph in radiographs.items() if radiograph.geometry is not None}
    )


def _geometries(
    by_view: Mapping[ViewName, Radiograph], reconstruction: Reconstruction | None
) -> dict[ViewName, ViewGeometry]:
    """Place of each radiograph in the scanner: its own, completed from the reconstruction where the file is silent."""
    stated = reconstruction.geometry if reconstruction is not None else {}
    geometries: dict[ViewName, ViewGeometry] = {}
    for view, radiograph in by_view.items():
        if radiograph.geometry is None:
            if reconstruction is not None:
                found = f"a {view} radiograph without a place in the scanner beside a reconstruction"
                remedy = "send the scanner's own image, or no reconstruction"
                raise PairingRejected(
                    "GEOMETRY_MISSING", found=found, expected="source distances and calibrated spacing", remedy=remedy
                )
            continue
        geometries[view] = radiograph.geometry
        if view in stated:
            _check_agreement(view, radiograph, stated)
            if not radiograph.offset_recorded:
                geometries[view] = replace(radiograph.geometry, u0_mm=stated[view].u0_mm, z0_mm=stated[view].z0_mm)
    return geometries


def _check_agreement(view: ViewName, radiograph: Radiograph, stated: Mapping[str, ViewGeometry]) -> None:
    assert radiograph.geometry is not None
    if _agree(radiograph.geometry, stated[view], radiograph.offset_recorded):
        return
    other = stated.get(VIEWS[1 - VIEWS.index(view)])
    if other is not None and _agree(radiograph.geometry, other, radiograph.offset_recorded):
        raise PairingRejected(
            "VIEW_MISMATCH",
            found=f"a {view} radiograph in the place of the other view",
            expected="views that agree",
            remedy="correct the tags",
        )
    found, expected = (
        f"another size, spacing or place of the {view} radiograph in the reconstruction",
        "the radiograph it was made from",
    )
    raise PairingRejected(
        "GEOMETRY_CONFLICT",
        found=found,
        expected=expected,
        remedy="send the radiograph and the reconstruction of one scan",
    )


def _agree(ours: ViewGeometry, theirs: ViewGeometry, with_offset: bool) -> bool:
    """Whether two places are the same to a fraction of a millimetre over the whole image (views not compared)."""
    spacing = np.subtract(ours.spacing_mm, theirs.spacing_mm) * ours.shape
    numbers = [*spacing, ours.source_to_isocentre_mm - theirs.source_to_isocentre_mm]
    if with_offset:
        numbers += [ours.u0_mm - theirs.u0_mm, ours.z0_mm - theirs.z0_mm]
    return ours.shape == theirs.shape and float(np.max(np.abs(numbers))) <= PLACE_TOLERANCE_MM


def _check_heights(geometries: Mapping[ViewName, ViewGeometry]) -> None:
    if len(geometries) < 2:
        return
    frontal, lateral = (geometries[view] for view in VIEWS)
    heights = [g.shape[0] * g.spacing_mm[0] for g in (frontal, lateral)]
    if abs(heights[0] / heights[1] - 1) > HEIGHT_TOLERANCE or abs(frontal.z0_mm - lateral.z0_mm) > PLACE_TOLERANCE_MM:
        centres = f"{frontal.z0_mm:.0f} and {lateral.z0_mm:.0f}"
        found = f"radiographs {heights[0]:.0f} and {heights[1]:.0f} mm high, centred at z {centres} mm"
        raise PairingRejected(
            "HEIGHT_MISMATCH",
            found=found,
            expected="one scan of both views",
            remedy="send the two radiographs of one scan",
        )


def _check_projection(geometries: Mapping[ViewName, ViewGeometry], reconstruction: Reconstruction) -> None:
    """Points at the image's height must lie in its width; a truncated image may miss those above and below."""
    points = np.array(list(reconstruction.points.values()))
    for view, geometry in geometries.items():
        column, row = geometry.project(points).T
        level = (row >= 0) & (row <= geometry.shape[0] - 1)
        inside = level & (column >= 0) & (column <= geometry.shape[1] - 1)
        if level.sum() < min(LEAST_POINTS, len(points)) or inside.sum() < LEAST_INSIDE * level.sum():
            found = (
                f"{int(inside.sum())} of {len(points)} points in the {view} image ({int(level.sum())} at its height)"
            )
            raise PairingRejected(
                "PROJECTION_OUTSIDE",
                found=found,
                expected="the spine in the image",
                remedy="check isocentre, axes and the pair",
            )


def _loaded(radiograph: Radiograph, geometry: ViewGeometry | None) -> LoadedView:
    facts = {name: value for name, value in radiograph.facts.items() if name not in _STUDY_FACTS}
    return LoadedView(
        radiograph.image,
        radiograph.identity.sop_uid,
        radiograph.spacing_mm,
        radiograph.calibration,
        geometry,
        facts=facts,
    )


def _facts(radiographs: Any, reconstruction: Reconstruction | None, simulated: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for radiograph in radiographs:
        facts |= {name: radiograph.facts[name] for name in _STUDY_FACTS if name in radiograph.facts}
    safe = safe_reconstruction(reconstruction)
    # A reconstruction knows the age more finely than a DICOM age in whole years.
    facts |= safe.facts if safe is not None else {}
    return facts | ({"simulated": True} if simulated else {})
