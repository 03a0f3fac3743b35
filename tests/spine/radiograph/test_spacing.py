import math
from dataclasses import replace
from typing import Any

import pytest

from spine.radiograph.header import SpacingTags
from spine.radiograph.spacing import decide_spacing
from tests.spine.refusals import code_of

SHAPE = (3000, 1000)
A, B = (0.15, 0.16), (0.2, 0.21)
IMPOSSIBLE_MM = [(0.0, 0.0), (-0.2, -0.2), (math.nan, 0.2), (0.1, 0.2), (0.03, 0.03), (0.9, 0.9)]


@pytest.mark.parametrize(
    ("tags", "spacing", "calibration"),
    [
        (SpacingTags(projection=False, pixel_mm=A, imager_mm=B), A, "UNKNOWN"),
        (SpacingTags(projection=False, imager_mm=B), B, "UNKNOWN"),
        (SpacingTags(pixel_mm=A, imager_mm=B, calibration_type="FIDUCIAL"), A, "FIDUCIAL"),
        (SpacingTags(pixel_mm=A, calibration_type="GEOMETRY"), A, "GEOMETRY"),
        (SpacingTags(pixel_mm=A, imager_mm=B), A, "ERMF"),
        (SpacingTags(imager_mm=B, magnification=1.25), (0.16, 0.168), "ERMF"),
        (SpacingTags(imager_mm=B, source_to_detector_mm=1500.0, source_to_patient_mm=1200.0), (0.16, 0.168), "ERMF"),
        (SpacingTags(pixel_mm=B, imager_mm=B, magnification=1.25), (0.16, 0.168), "ERMF"),
        (SpacingTags(imager_mm=B, magnification=1.25, slot=True), B, "PROJECTION"),
        (SpacingTags(imager_mm=B), B, "PROJECTION"),
        (SpacingTags(pixel_mm=B, imager_mm=B), B, "PROJECTION"),
        (SpacingTags(pixel_mm=A), A, "UNKNOWN"),
        (SpacingTags(), None, "NONE"),
    ],
)
def test_the_decision_table(tags, spacing, calibration):
    found = decide_spacing(tags, SHAPE)
    assert found.calibration == calibration
    assert found.spacing_mm == (None if spacing is None else pytest.approx(spacing, rel=1e-12))
    assert found.lengths_allowed == (calibration in ("FIDUCIAL", "GEOMETRY", "ERMF"))


DISTANCES: dict[str, Any] = {"source_to_detector_mm": 1500.0, "source_to_patient_mm": 1200.0}


@pytest.mark.parametrize(
    ("tags", "contradicts"),
    [
        (SpacingTags(pixel_mm=(0.16, 0.16), imager_mm=(0.2, 0.2), **DISTANCES), False),
        (SpacingTags(pixel_mm=(0.166, 0.166), imager_mm=(0.2, 0.2), **DISTANCES), False),  # 3.8 %
        (SpacingTags(pixel_mm=(0.17, 0.17), imager_mm=(0.2, 0.2), **DISTANCES), True),  # 6.3 %
        (SpacingTags(pixel_mm=(0.16, 0.17), imager_mm=(0.2, 0.2), **DISTANCES), True),
        (SpacingTags(pixel_mm=(0.16, 0.18), imager_mm=(0.2, 0.2), **DISTANCES, slot=True), False),  # one axis agrees
        (SpacingTags(pixel_mm=(0.172, 0.172), imager_mm=(0.2, 0.2), **DISTANCES, slot=True), False),  # resampled
        (SpacingTags(pixel_mm=(0.18, 0.18), imager_mm=(0.2, 0.2), **DISTANCES, slot=True), True),
        (SpacingTags(pixel_mm=(0.17, 0.17), imager_mm=(0.2, 0.2), magnification=1.25), True),
        (SpacingTags(pixel_mm=(0.15, 0.15), imager_mm=(0.2, 0.2)), False),
        (SpacingTags(pixel_mm=(0.23, 0.23), imager_mm=(0.2, 0.2)), True),  # smaller at the detector than in the patient
        (SpacingTags(pixel_mm=(0.2, 0.2), imager_mm=(0.2, 0.2), calibration_type="GEOMETRY", **DISTANCES), True),
    ],
)
@pytest.mark.parametrize("calibration_type", ["", "FIDUCIAL", "GEOMETRY"])
def test_a_spacing_that_contradicts_the_header_allows_no_lengths(tags, contradicts, calibration_type):
    if tags.calibration_type:
        calibration_type = tags.calibration_type
    found = decide_spacing(replace(tags, calibration_type=calibration_type), SHAPE)
    assert found.spacing_mm == tags.pixel_mm, "angles are measured with the aspect of PixelSpacing"
    assert found.lengths_allowed is not contradicts
    assert (found.contradiction is not None) is contradicts
    if contradicts:
        assert found.calibration == "UNKNOWN" and "PixelSpacing" in found.contradiction


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        *((SpacingTags(pixel_mm=pair), "SPACING_INVALID") for pair in IMPOSSIBLE_MM),
        (SpacingTags(pixel_mm=A, calibration_type="GEOMETRY", imager_mm=(0.0, 0.0)), "SPACING_INVALID"),
        (SpacingTags(imager_mm=A, magnification=2.5), "MAGNIFICATION_INVALID"),
        (
            SpacingTags(imager_mm=A, magnification=1.4, source_to_detector_mm=1500.0, source_to_patient_mm=1200.0),
            "MAGNIFICATION_CONFLICT",
        ),
    ],
)
def test_an_impossible_value_is_refused_and_not_replaced(tags, code):
    assert code_of(decide_spacing, tags, SHAPE) == code


# --- a magnification that no spine has


@pytest.mark.parametrize(
    "header",
    [
        *({"magnification": m} for m in (1.0, 0.9, 0.0, -1.0, 1.02)),
        {"source_to_detector_mm": 1800.0, "source_to_patient_mm": 1800.0},
        {"source_to_detector_mm": 1800.0, "source_to_patient_mm": 1900.0},
        {"source_to_detector_mm": 1800.0, "source_to_patient_mm": 1790.0},
        {"magnification": 1.0, "source_to_detector_mm": 1500.0, "source_to_patient_mm": 1200.0},
        {"magnification": 1.25, "source_to_detector_mm": 1500.0, "source_to_patient_mm": 1500.0},
    ],
)
@pytest.mark.parametrize("pixel", [None, B])
def test_a_spine_on_the_detector_is_not_believed(header, pixel):
    found = decide_spacing(SpacingTags(pixel_mm=pixel, imager_mm=B, **header), SHAPE)
    assert (found.calibration, found.spacing_mm) == ("PROJECTION", B)
    assert "not believed" in found.rule


@pytest.mark.parametrize("slot", [False, True])
def test_a_geometry_that_rests_on_a_spine_on_the_detector_is_not_believed(slot):
    header: dict[str, Any] = {"source_to_detector_mm": 1800.0, "source_to_patient_mm": 1800.0}
    found = decide_spacing(SpacingTags(pixel_mm=B, calibration_type="GEOMETRY", slot=slot, **header), SHAPE)
    assert found.lengths_allowed is slot


@pytest.mark.parametrize("magnification", [1.03, 1.05, 1.3])
def test_a_small_magnification_of_a_spine_is_believed(magnification):
    found = decide_spacing(SpacingTags(imager_mm=B, magnification=magnification), SHAPE)
    assert found.calibration == "ERMF" and found.spacing_mm[0] == pytest.approx(B[0] / magnification)


@pytest.mark.parametrize(
    ("pixel", "imager"), [(0.14, 0.143), (0.15, 0.148), (0.2, 0.2), (0.143, 0.1431), (0.12, 0.125), (0.17, 0.168)]
)
@pytest.mark.parametrize("calibration_type", ["", "GEOMETRY"])
def test_a_spacing_that_is_the_detectors_has_no_magnification_taken_out(pixel, imager, calibration_type):
    tags = SpacingTags(pixel_mm=(pixel,) * 2, imager_mm=(imager,) * 2, calibration_type=calibration_type)
    found = decide_spacing(tags, SHAPE)
    assert (found.calibration, found.spacing_mm) == ("PROJECTION", (imager,) * 2)
    # A person who measured a known object in the image is believed.
    assert decide_spacing(replace(tags, calibration_type="FIDUCIAL"), SHAPE).calibration == "FIDUCIAL"
    # With a magnification beside it, the detector's spacing is scaled.
    found = decide_spacing(replace(tags, calibration_type="", magnification=1.2), SHAPE)
    assert (found.calibration, found.spacing_mm[0]) == ("ERMF", pytest.approx(imager / 1.2))


@pytest.mark.parametrize(("pixel", "imager"), [(0.133, 0.143), (0.13, 0.143), (0.1, 0.143), (0.175, 0.2)])
def test_a_spacing_with_a_magnification_taken_out_is_believed(pixel, imager):
    found = decide_spacing(SpacingTags(pixel_mm=(pixel,) * 2, imager_mm=(imager,) * 2), SHAPE)
    assert (found.calibration, found.spacing_mm) == ("ERMF", (pixel,) * 2)


def test_different_factors_along_rows_and_columns_contradict_each_other():
    found = decide_spacing(SpacingTags(pixel_mm=(0.2, 0.17), imager_mm=(0.2, 0.2)), SHAPE)
    assert found.calibration == "UNKNOWN" and "in both directions" in found.contradiction


@pytest.mark.parametrize("projection", [True, False])
def test_the_spacing_of_a_digitiser_is_that_of_the_sheet(projection):
    found = decide_spacing(SpacingTags(nominal_mm=A, projection=projection), SHAPE)
    assert (found.spacing_mm, found.lengths_allowed) == (A, False)
    found = decide_spacing(SpacingTags(nominal_mm=A, pixel_mm=A, projection=projection), SHAPE)
    assert (found.spacing_mm, found.lengths_allowed) == (A, False)
