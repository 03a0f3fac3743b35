"""Notes on a measurement: what to check in the images before the values are used.

Contract: a note is a sentence without a full stop. It changes no value.
"""

from collections.abc import Mapping

from inference.decoding import Decoded
from inference.inputs import ImageInput
from inference.vertebral_column import field_of_view, lean_notes, lean_of
from spine.landmarks import VERTEBRAE, ViewName, level_of
from spine.measurement.planes import PLANE_OF_VIEW, PlanePoints
from spine.measurement.registry import PARAMETERS, Measured, Plane
from spine.study import Points2D

LEAST_IN_A_LATERAL: Mapping[str, float] = {
    "lumbar_lordosis_l1_s1": 0.0,
    "lumbar_lordosis_l1_l5": -10.0,
    "sacral_slope": 5.0,
}
"""Parameter -> value in degrees. Smaller values are rare in patients, and usual in a mirrored lateral radiograph."""


FEW_ROWS = 256
"""An image with fewer rows is enlarged to at least twice its size for the network, and no calibration image was."""


def notes_of(
    planes: Mapping[Plane, PlanePoints],
    decoded: Mapping[ViewName, Decoded],
    parameters: Mapping[str, Measured],
    views: Mapping[ViewName, ImageInput],
) -> tuple[str, ...]:
    """Every note on a measurement."""
    points = {view: found.points for view, found in decoded.items()}
    return (
        *_size_notes(views),
        *_field_notes(points, views),
        *_length_notes(planes, views),
        *_chain_notes(decoded),
        *_kyphosis_notes(parameters),
    )


def _size_notes(views: Mapping[ViewName, ImageInput]) -> tuple[str, ...]:
    small = {view: image.image.shape[0] for view, image in views.items() if image.image.shape[0] < FEW_ROWS}
    return tuple(f"the {view} image has only {rows} rows: expect larger errors" for view, rows in small.items())


def _field_notes(points: Mapping[ViewName, Points2D], views: Mapping[ViewName, ImageInput]) -> tuple[str, ...]:
    """Images of a part of the spine, and images in which the spine leans so much that they may be turned."""
    fields = {view: field_of_view(found) or "" for view, found in points.items()}
    lumbar = [view for view, field in fields.items() if field.startswith("lumbar")]
    parts = [f"the {view} radiograph shows a part of the spine: {fields[view]}" for view in lumbar]
    leans = {view: lean_of(found, views[view].spacing_mm) for view, found in points.items()}
    return (*parts, *(note for view, lean in leans.items() for note in lean_notes(lean, view)))


def lengths_withheld(planes: Mapping[Plane, PlanePoints], views: Mapping[ViewName, ImageInput]) -> dict[ViewName, str]:
    """View -> why no length is measured in it."""
    reasons = {view: planes[PLANE_OF_VIEW[view]].lengths_reason for view in views}
    return {view: reason for view, reason in reasons.items() if reason is not None}


def _length_notes(planes: Mapping[Plane, PlanePoints], views: Mapping[ViewName, ImageInput]) -> tuple[str, ...]:
    """Notes from reading the images, and calibrated images whose lengths are withheld."""
    given = [note for image in views.values() for note in image.notes]
    withheld = lengths_withheld(planes, views).items()
    wrong = [f"no lengths from the {view} radiograph: {r}" for view, r in withheld if views[view].lengths_allowed]
    return (*given, *wrong)


def _chain_notes(decoded: Mapping[ViewName, Decoded]) -> tuple[str, ...]:
    """Warnings about vertebrae that were dropped because they lie outside the chain."""
    notes = []
    for view, found in decoded.items():
        lost = {level_of(name) for name, code in found.dropped.items() if code == "LANDMARKS_OUT_OF_CHAIN"}
        if lost:
            levels = ", ".join(v for v in VERTEBRAE if v in lost)
            notes.append(f"{levels} left out: found in the {view} image out of line with the other vertebrae")
    return tuple(notes)


def _kyphosis_notes(parameters: Mapping[str, Measured]) -> tuple[str, ...]:
    """A warning if the lumbar spine or the sacrum leans as it does in a mirrored lateral radiograph."""
    for name, least in LEAST_IN_A_LATERAL.items():
        value = parameters[name].value
        if value is not None and value < least:
            label = PARAMETERS[name].label
            return (f"{label} is {value:.0f} degrees, which is rare: the lateral image may be mirrored or turned",)
    return ()
