"""The reference parameters of one study, measured from its reconstruction or its labels.

Contract: a value is measured from all known points. The value is absent with the reason ``NOT_IN_IMAGE`` if the
images of the study lack a landmark that it depends on, because a model cannot measure what an image does not show.
"""

from collections.abc import Set
from dataclasses import replace

from spine.dataset import Truth
from spine.measurement.in_space import points_in_space
from spine.measurement.measure import measure
from spine.measurement.planes import PLANE_OF_VIEW, PlanePoints, planes_from_points_3d, planes_from_view
from spine.measurement.registry import PARAMETERS, Measured, Plane
from spine.projection import derive_points, project_points
from spine.scanner import is_on_image
from spine.study import Study, StudyView

NOT_IN_IMAGE = "NOT_IN_IMAGE"
END_VERTEBRAE = ("upper_end_vertebra", "lower_end_vertebra")

Planes = dict[Plane, PlanePoints]


def reference_parameters(study: Study) -> dict[str, Truth]:
    """Name -> reference value, or the reason why it is absent, for every parameter of the registry."""
    known = known_planes(study)
    shown = shown_planes(study, known)
    patient, visible = measure(known), measure(shown)
    return {
        name: _truth(patient[name], visible[name], shown.get(parameter.plane)) for name, parameter in PARAMETERS.items()
    }


def known_planes(study: Study) -> Planes:
    """All known points in their planes: the points of the reconstruction or, without a reconstruction, the labels.

    Labels in two calibrated views are measured in space, as ``inference`` measures the landmarks that it finds there.
    """
    if study.reconstruction is not None:
        return planes_from_points_3d(derive_points(study.reconstruction.points))
    labels = {name: derive_points(view.labels) for name, view in study.views.items()}
    in_space = points_in_space(labels, {name: view.geometry for name, view in study.views.items()})
    if in_space:
        return planes_from_points_3d(in_space)
    planes: Planes = {}
    for name, view in study.views.items():
        planes |= planes_from_view(name, derive_points(view.labels), view.spacing_mm, view.calibration)
    return planes


def shown_planes(study: Study, known: Planes) -> Planes:
    """``known`` without the points that the image of the plane does not show. A plane without image is left out."""
    planes: Planes = {}
    for name, view in study.views.items():
        plane = PLANE_OF_VIEW[name]
        if plane in known:
            seen = _names_in_image(study, view)
            points = {n: p for n, p in known[plane].points.items() if n in seen}
            planes[plane] = replace(known[plane], points=points)
    return planes


def _names_in_image(study: Study, view: StudyView) -> Set[str]:
    points = derive_points(view.labels)
    if study.reconstruction is not None and view.geometry is not None:
        points = project_points(study.study_id, view, derive_points(study.reconstruction.points)) | points
    return {landmark for landmark, point in points.items() if is_on_image(point, view.shape)}


def _truth(patient: Measured, visible: Measured, shown: PlanePoints | None) -> Truth:
    if patient.value is None:
        return Truth(None, patient.unit, patient.absent_reason)
    if visible.value is None or shown is None or not _shows_end_vertebrae(patient, shown):
        return Truth(None, patient.unit, NOT_IN_IMAGE)
    return Truth(patient.value, patient.unit, definition=patient.definition)


def _shows_end_vertebrae(patient: Measured, shown: PlanePoints) -> bool:
    """Whether the image shows both end vertebrae of a curve. Otherwise another curve would be measured."""
    levels = [level for key in END_VERTEBRAE if (level := (patient.detail or {}).get(key))]
    return all(shown.has(f"{level}_sup", f"{level}_inf") for level in levels)
