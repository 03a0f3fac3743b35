"""Checks that radiographs and a reconstruction belong together, and joins them into one study.

Contract: ``join_study`` returns a study whose parts agree, or raises ``PairingRejected`` or ``DicomRejected``. It
never turns images, exchanges views or guesses values to make the parts agree.

    STUDY_EMPTY            there is neither a radiograph nor a reconstruction
    VIEW_UNKNOWN           the tags of a radiograph do not name its view
    VIEW_DUPLICATE         there are two frontal or two lateral radiographs
    PATIENT_ID_MISSING     a radiograph has no PatientID, which the split by patient needs; a pseudonym is enough
    PATIENT_MISMATCH       the radiographs are of different patients
    STUDY_MISMATCH         the radiographs are of different studies
    IMAGES_IDENTICAL       the frontal and the lateral radiograph are the same image, perhaps mirrored
    HEIGHT_MISMATCH        the two radiographs differ in height or in position along z
    GEOMETRY_MISSING       there is a reconstruction, but the position of a radiograph in the scanner is unknown
    GEOMETRY_CONFLICT      the reconstruction states another size, spacing or position of an image than the radiograph
    VIEW_MISMATCH          the radiographs and the reconstruction agree only if the views are exchanged
    BURNED_IN_ANNOTATION   a radiograph shows text that identifies the patient, as its tag says
    SPINE_OUTSIDE_IMAGE    the projection of the spine lies outside the image
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spine.errors import DicomRejected, PairingRejected
from spine.intake.facts import safe_reconstruction
from spine.intake.records import LoadedStudy, LoadedView
from spine.intake.view_evidence import Image, views_seem_exchanged
from spine.landmarks import VIEWS, ViewName
from spine.radiograph.read import Radiograph
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry

HEIGHT_TOLERANCE = 0.005
PLACE_TOLERANCE_MM = 0.5
MIN_SHARE_INSIDE = 0.8
MIN_POINTS = 6
_STUDY_FACTS = ("age_years", "sex", "simulated")


def join_study(
    radiographs: Sequence[Radiograph], reconstruction: Reconstruction | None, *, simulated: bool = False
) -> LoadedStudy:
    """Join the parts of one study. ``simulated`` marks the study as simulated.

    Raises:
        PairingRejected, DicomRejected: see the head of the module.
    """
    if not radiographs and reconstruction is None:
        found = "neither a radiograph nor a reconstruction"
        raise PairingRejected("STUDY_EMPTY", found, "at least one of them", "send the study again")
    _check_burned_in(radiographs)
    patient = _patient(radiographs) if radiographs else ""
    by_view = _by_view(radiographs)
    geometries = _geometries(by_view, reconstruction)
    check_parts({view: r.image for view, r in by_view.items()}, geometries, reconstruction)
    facts = _dicom_facts(by_view.values())
    if reconstruction is not None:
        reconstruction = safe_reconstruction(reconstruction)
        patient = patient or f"reconstruction:{reconstruction.subject_id}"
        # A reconstruction may state the age more exactly than DICOM, which states whole years.
        facts |= reconstruction.facts
    views = {view: _loaded(radiograph, geometries.get(view)) for view, radiograph in by_view.items()}
    facts |= {"simulated": True} if simulated else {}
    return LoadedStudy(patient, views, reconstruction, facts, radiographs[0].identity.study_uid if radiographs else "")


def check_parts(
    images: Mapping[ViewName, Image], geometries: Mapping[ViewName, ViewGeometry], reconstruction: Reconstruction | None
) -> None:
    """Check that the (H, W) images, their geometries and the reconstruction of one study fit together.

    Raises:
        PairingRejected: ``IMAGES_IDENTICAL``, ``HEIGHT_MISMATCH``, ``SPINE_OUTSIDE_IMAGE``, ``VIEW_MISMATCH``.
    """
    _check_images(images)
    _check_heights(geometries)
    if reconstruction is not None and images:
        _check_projection(geometries, reconstruction)
        _check_views(images, geometries, reconstruction)


def require_one_examination(radiographs: Mapping[ViewName, Radiograph]) -> None:
    """Refuse two radiographs of different patients, studies or heights, and one radiograph as both views.

    Radiographs without identifiers are accepted: the caller is responsible for them.

    Raises:
        PairingRejected: ``PATIENT_MISMATCH``, ``STUDY_MISMATCH``, ``IMAGES_IDENTICAL``, ``HEIGHT_MISMATCH``.
    """
    _check_identity(radiographs.values(), ignored={""})
    _check_images({view: r.image for view, r in radiographs.items()})
    _check_heights({view: r.geometry for view, r in radiographs.items() if r.geometry is not None})


def _check_burned_in(radiographs: Sequence[Radiograph]) -> None:
    """Refuse a radiograph whose pixels identify the patient (PS3.3 C.7.6.1): every picture of the study would too."""
    if any(radiograph.burned_in for radiograph in radiographs):
        found = "a radiograph with BurnedInAnnotation YES"
        remedy = "redact the text in the pixels and set the tag to NO"
        raise DicomRejected("BURNED_IN_ANNOTATION", found, "pixels that identify nobody", remedy)


def _by_view(radiographs: Sequence[Radiograph]) -> dict[ViewName, Radiograph]:
    unknown = sum(radiograph.view is None for radiograph in radiographs)
    if unknown:
        found = f"{unknown} radiograph(s) whose tags do not name the view"
        raise PairingRejected("VIEW_UNKNOWN", found, "PatientOrientation or ViewPosition", "set one of these tags")
    for view in VIEWS:
        count = sum(radiograph.view == view for radiograph in radiographs)
        if count > 1:
            found = f"{count} {view} radiographs"
            raise PairingRejected("VIEW_DUPLICATE", found, "one of each view", "keep one, or correct the view tags")
    return {view: radiograph for view in VIEWS for radiograph in radiographs if radiograph.view == view}


def require_one_study(radiographs: Sequence[Radiograph]) -> None:
    """Refuse radiographs of several patients or studies.

    Raises:
        PairingRejected: ``PATIENT_ID_MISSING``, ``PATIENT_MISMATCH``, ``STUDY_MISMATCH``.
    """
    if radiographs:
        _patient(radiographs)


def _patient(radiographs: Sequence[Radiograph]) -> str:
    if any(radiograph.identity.patient_id == "" for radiograph in radiographs):
        found = "a radiograph without PatientID"
        raise PairingRejected("PATIENT_ID_MISSING", found, "an identifier", "set PatientID, for example to a pseudonym")
    _check_identity(radiographs, ignored=set())
    return f"dicom:{radiographs[0].identity.patient_id}"


def _check_identity(radiographs: Iterable[Radiograph], *, ignored: set[str]) -> None:
    """Require one patient and one study; identifiers in ``ignored`` are not compared."""
    identities = [radiograph.identity for radiograph in radiographs]
    patients = {identity.patient_id for identity in identities} - ignored
    if len(patients) > 1:
        found = f"radiographs of {len(patients)} patients given as one study"
        raise PairingRejected("PATIENT_MISMATCH", found, "one patient", "give each patient and study by itself")
    if len({identity.study_uid for identity in identities} - ignored) > 1:
        found = "radiographs of different studies"
        raise PairingRejected("STUDY_MISMATCH", found, "one Study Instance UID", "give each study by itself")


def _check_images(images: Mapping[ViewName, Image]) -> None:
    if len(images) < len(VIEWS):
        return
    first, second = (images[view] for view in VIEWS)
    varies = first.size > 0 and first.min() < first.max()
    if varies and any(np.array_equal(first, other) for other in (second, second[:, ::-1])):
        found = "the same image as frontal and as lateral radiograph"
        raise PairingRejected("IMAGES_IDENTICAL", found, "two different images", "correct the view tags, and keep one")


def _geometries(
    by_view: Mapping[ViewName, Radiograph], reconstruction: Reconstruction | None
) -> dict[ViewName, ViewGeometry]:
    """Position of each radiograph in the scanner. If the file lacks u0 and z0, they come from the reconstruction."""
    stated = reconstruction.geometry if reconstruction is not None else {}
    geometries: dict[ViewName, ViewGeometry] = {}
    for view, radiograph in by_view.items():
        if radiograph.geometry is None:
            if reconstruction is not None:
                found = f"a reconstruction and a {view} radiograph whose position in the scanner is unknown"
                remedy = "send the original image from the scanner, or leave the reconstruction out"
                raise PairingRejected("GEOMETRY_MISSING", found, "source distances and a calibrated spacing", remedy)
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
        found = f"a {view} radiograph with the geometry of the other view"
        raise PairingRejected("VIEW_MISMATCH", found, "geometry of its own view", "correct the tags that name the view")
    found = f"a reconstruction and a radiograph that state different sizes, spacings or positions of the {view} image"
    remedy = "send the radiograph and the reconstruction of one scan"
    raise PairingRejected("GEOMETRY_CONFLICT", found, "the radiograph that the reconstruction was made from", remedy)


def _agree(ours: ViewGeometry, theirs: ViewGeometry, with_offset: bool) -> bool:
    """Whether two positions agree within the tolerance over the whole image; the views are not compared."""
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
        found = f"radiographs {heights[0]:.0f} and {heights[1]:.0f} mm high, with centres at z {centres} mm"
        expected = "two radiographs of one scan"
        raise PairingRejected("HEIGHT_MISMATCH", found, expected, "send the two radiographs of one scan")


def _check_projection(geometries: Mapping[ViewName, ViewGeometry], reconstruction: Reconstruction) -> None:
    """Points at the height of the image must lie inside its width. Points above and below the image are permitted."""
    points = np.array(list(reconstruction.points.values()))
    for view, geometry in geometries.items():
        column, row = geometry.project(points).T
        level = (row >= 0) & (row <= geometry.shape[0] - 1)
        inside = level & (column >= 0) & (column <= geometry.shape[1] - 1)
        if level.sum() < min(MIN_POINTS, len(points)) or inside.sum() < MIN_SHARE_INSIDE * level.sum():
            counts = f"{int(inside.sum())} of {len(points)} points inside the {view} image"
            found = f"{counts} ({int(level.sum())} between its upper and lower edge)"
            remedy = "check the isocentre and the axes; send the radiographs and the reconstruction of one scan"
            raise PairingRejected("SPINE_OUTSIDE_IMAGE", found, "a spine inside the image", remedy)


def _check_views(
    images: Mapping[ViewName, Image], geometries: Mapping[ViewName, ViewGeometry], reconstruction: Reconstruction
) -> None:
    if views_seem_exchanged(images, geometries, reconstruction):
        found = "images that fit the reconstruction only if their views are exchanged"
        expected = "tags that name the right view of each image"
        raise PairingRejected("VIEW_MISMATCH", found, expected, "correct the tags that name the view")


def _loaded(r: Radiograph, geometry: ViewGeometry | None) -> LoadedView:
    facts = {name: fact for name, fact in r.facts.items() if name not in _STUDY_FACTS}
    return LoadedView(r.image, r.identity.sop_uid, r.spacing_mm, r.calibration, geometry, facts=facts)


def _dicom_facts(radiographs: Iterable[Radiograph]) -> dict[str, Any]:
    return {name: r.facts[name] for r in radiographs for name in _STUDY_FACTS if name in r.facts}
