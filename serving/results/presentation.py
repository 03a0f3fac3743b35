"""Presentation states: landmarks, lines and values that a viewer draws on the stored radiographs (GSPS).

Contract: one object a grey radiograph. Positions are clipped to the image, as the standard wants them inside it. A
colour radiograph has none, because a grey presentation state cannot refer to it.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.drawing import STYLES
from inference.value_table import value_text
from serving.results.identity import ResultKind, result_uids, series_uid
from serving.results.lines import StoredLines, stored_landmarks, stored_lines
from serving.results.sources import CHARACTER_SET, Source
from serving.results.statements import MANUFACTURER, MODEL_NAME, series_description
from spine.landmarks import VIEWS, ViewName
from spine.measurement.registry import PARAMETERS
from spine.types import Floats

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

SERIES_NUMBER = 9103
_KINDS: dict[ViewName, ResultKind] = {"frontal": "presentation_frontal", "lateral": "presentation_lateral"}
_LANDMARK_COLOUR, _LINE_COLOUR, _VALUE_COLOUR = (255, 138, 76), (255, 214, 92), (236, 240, 245)


def presentations(study: "MeasuredStudy", source: Source) -> list[tuple[ResultKind, Any]]:
    """Kind and pydicom data set of the presentation state of each view that has landmarks."""
    landmarks = stored_landmarks(study)
    return [
        (_KINDS[view], _presentation(study, source, view))
        for view in VIEWS
        if view in source.images and landmarks[view] and int(source.images[view].SamplesPerPixel) == 1
    ]


def _presentation(study: "MeasuredStudy", source: Source, view: ViewName) -> Any:
    from highdicom.pr import GrayscaleSoftcopyPresentationState

    digest, image = study.model.digest, source.images[view]
    annotations = _annotations(study, view, image)
    given: dict[str, Any] = {
        "series_instance_uid": series_uid("presentation_frontal", source.sop_uids, study.model.result_digest),
        "series_number": SERIES_NUMBER,
        "sop_instance_uid": result_uids(source.sop_uids, study.model.result_digest)[_KINDS[view]],
        "instance_number": VIEWS.index(view) + 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": version("plumbline"),
        "device_serial_number": digest,
        "content_label": f"PLUMBLINE_{view.upper()}"[:16],
        "content_description": f"Landmarks, lines and values ({view}), not for diagnosis",
        "graphic_annotations": [annotation for annotation, _ in annotations],
        "graphic_layers": [layer for _, layer in annotations],
        "content_creator_name": "Plumbline^^^^",
        "series_description": series_description(study, "presentation"),
        "specific_character_set": CHARACTER_SET,
    }
    try:
        state = GrayscaleSoftcopyPresentationState([image], **given)
    except Exception:
        # The tags for display (window, lookup table) of the radiograph are malformed, and no viewer can use them.
        state = GrayscaleSoftcopyPresentationState([source.without_display(view)], **given)
    state.BodyPartExamined = "SPINE"  # not paired, so that no laterality is needed
    if image.PhotometricInterpretation == "MONOCHROME1":
        state.PresentationLUTShape = "INVERSE"
    return state


def _annotations(study: "MeasuredStudy", view: ViewName, image: Any) -> list[tuple[Any, Any]]:
    """Annotations with their layers, from the lowest to the highest; none that would be empty."""
    from highdicom.color import CIELabColor
    from highdicom.pr import GraphicAnnotation, GraphicLayer, GraphicObject

    drawn = {name: lines for name, lines in stored_lines(study).items() if lines.view == view}
    points = [
        GraphicObject("POINT", _inside(at[None], image), "PIXEL") for at in stored_landmarks(study)[view].values()
    ]
    lines = [GraphicObject("POLYLINE", _inside(line, image), "PIXEL") for each in drawn.values() for line in each.lines]
    texts = [_text(study, name, each, image) for name, each in drawn.items()]
    graphics: tuple[tuple[str, tuple[int, int, int], list[Any], list[Any]], ...] = (
        ("LANDMARKS", _LANDMARK_COLOUR, points, []),
        ("LINES", _LINE_COLOUR, lines, []),
    )
    made = []
    for order, (name, colour, shapes, words) in enumerate((*graphics, ("VALUES", _VALUE_COLOUR, [], texts)), 1):
        if shapes or words:
            layer = GraphicLayer(name, order, display_color=CIELabColor.from_rgb(*colour))
            made.append((GraphicAnnotation([image], layer, graphic_objects=shapes, text_objects=words), layer))
    return made


def _text(study: "MeasuredStudy", name: str, lines: StoredLines, image: Any) -> Any:
    from highdicom.pr import TextObject

    label = STYLES[name].name if name in STYLES else PARAMETERS[name].label
    column, row = _inside(lines.label_at[None], image)[0]
    text = f"{label} {value_text(study.prediction.parameters[name])}"
    return TextObject(text, "PIXEL", anchor_point=(float(column), float(row)), anchor_point_visible=False)


def _inside(points: Floats, image: Any) -> Floats:
    """(N, 2) positions, clipped to the area of the image."""
    return np.asarray(np.clip(points, 0.0, [float(image.Columns), float(image.Rows)]), dtype=np.float64)
