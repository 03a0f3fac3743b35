"""The structured report as highdicom reads it: values, intervals, sites, reasons, and points on the stored image."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest

from inference.measured_study import MeasuredStudy
from serving.results.codes import ABSENCE_CODES, CLASS_CODES, PARAMETER_CODES
from serving.results.lines import stored_landmarks, stored_regions
from serving.results.objects import ResultObject, result_objects
from spine.landmarks import VIEWS, ViewName
from spine.measurement.planes import PLANE_OF_VIEW
from spine.measurement.registry import PARAMETERS
from spine.radiograph.orientation import Orientation
from tests.serving.results.measured import ORIENTATIONS, measured, read, stored_as

pytestmark = pytest.mark.slow


def content_of(object_: ResultObject) -> Any:
    """The measurement report, read back from bytes."""
    return highdicom.sr.srread(io.BytesIO(object_.encoded())).content


def groups_of(content: Any) -> dict[str, Any]:
    """Label of a parameter -> its measurement group."""
    groups = [*content.get_planar_roi_measurement_groups(), *content.get_image_measurement_groups()]
    return {group.tracking_identifier: group for group in groups}


def evaluations_of(content: Any) -> list[Any]:
    return list(
        next(
            item for item in content[0].ContentSequence if item.name.meaning == "Qualitative Evaluations"
        ).ContentSequence
    )


def test_values_units_and_intervals_are_read_back(objects: tuple[ResultObject, ...], pair: MeasuredStudy) -> None:
    groups = groups_of(content_of(objects[0]))
    with_value = {name: m for name, m in pair.prediction.parameters.items() if m.value is not None}
    assert set(groups) == {PARAMETERS[name].label for name in with_value} and len(groups) >= 10
    for name, found in with_value.items():
        (measurement,) = groups[PARAMETERS[name].label].get_measurements()
        assert measurement.name.value == PARAMETER_CODES[name].value
        assert measurement.value == pytest.approx(found.value, abs=0.05)
        assert measurement.unit.value == found.unit
        if found.interval is None:
            continue
        ends = {i.name.value: i for i in measurement[0].ContentSequence if i.ValueType == "NUM"}
        assert {item.unit.value for item in ends.values()} == {found.unit}
        low, high = ends["INTERVAL_90_LOW"].value, ends["INTERVAL_90_HIGH"].value
        assert (low, high) == pytest.approx(found.interval, abs=0.05)
        assert measurement.value + ends["371886008"].value == pytest.approx(high, abs=1e-6)
        assert measurement.value - ends["371885007"].value == pytest.approx(low, abs=1e-6)


def test_a_curve_has_its_end_vertebrae_as_sites_and_names_the_model(
    objects: tuple[ResultObject, ...], pair: MeasuredStudy
) -> None:
    (cobb,) = groups_of(content_of(objects[0]))["Cobb angle (end plates)"].get_measurements()
    detail = pair.prediction.parameters["cobb"].detail or {}
    ends = [detail["upper_end_vertebra"], detail["lower_end_vertebra"]]
    assert [site.value.meaning for site in cobb.finding_sites] == [f"{end} vertebra" for end in ends]
    texts = [item.TextValue for item in cobb[0].ContentSequence if item.ValueType == "TEXT"]
    assert f"model sha256:{pair.model.digest}" in texts
    equal = {same.CodeValue for same in cobb[0].ConceptNameCodeSequence[0].EquivalentCodeSequence}
    assert equal == {"RDE264", "COBB"}


def test_every_absent_parameter_has_its_code_and_its_sentence(case: Path) -> None:
    study = measured({"lateral": case / "lateral.dcm"})
    content = content_of(result_objects(study)[0])
    absent = {name: m for name, m in study.prediction.parameters.items() if m.value is None}
    assert len(absent) >= 5
    codes = {i.name.value: i.value for i in evaluations_of(content) if i.ValueType == "CODE"}
    texts = {i.name.value: i.value for i in evaluations_of(content) if i.ValueType == "TEXT"}
    for name, found in absent.items():
        code = PARAMETER_CODES[name].value
        assert codes.pop(code).value == ABSENCE_CODES[str(found.absent_code)].value
        assert texts[code] == f"{PARAMETERS[name].label}: {found.absent_reason}"
        assert PARAMETERS[name].label not in groups_of(content)
    assert codes == {}


def test_every_class_has_its_value_or_its_reason(objects: tuple[ResultObject, ...], pair: MeasuredStudy) -> None:
    texts = {i.name.value: i.value for i in evaluations_of(content_of(objects[0])) if i.ValueType == "TEXT"}
    assert any(found.value for found in pair.prediction.classes.values())
    for name, found in pair.prediction.classes.items():
        assert texts[CLASS_CODES[name].value].startswith(found.value or f"not measured: {found.absent_reason}")


def test_notes_say_what_the_report_is(objects: tuple[ResultObject, ...]) -> None:
    comments = [i.value for i in evaluations_of(content_of(objects[0])) if i.name.meaning == "Comment"]
    assert comments[0] == "Measured by software (AI), not verified by a person. Not for diagnosis."
    assert "The model was trained on simulated data only." in comments
    assert any("90 % intervals from" in text for text in comments)


def test_every_value_has_a_region_on_the_radiograph_of_its_plane(
    objects: tuple[ResultObject, ...], pair: MeasuredStudy
) -> None:
    regions = stored_regions(pair)
    assert set(regions) == {name for name, m in pair.prediction.parameters.items() if m.value is not None}
    assert {PLANE_OF_VIEW[region.view] == PARAMETERS[name].plane for name, region in regions.items()} == {True}
    centres = [stored_landmarks(pair)["lateral"][plate] for plate in ("L1_sup", "L5_inf", "S1_sup")]
    line = regions["pi_minus_ll"].points  # it has no lines of its own
    assert [int(np.abs(line - centre).sum(axis=1).argmin()) for centre in centres] == [0, len(line) - 2, len(line) - 1]


def on_stored(points: np.ndarray, shape: tuple[int, int], across: str, down: str) -> np.ndarray:
    """Where (column, row) of a canonical image of ``shape``, counted from its corner, lie in the stored image."""
    x = shape[1] - points[:, 0] if "-x" in (across, down) else points[:, 0]
    z = shape[0] - points[:, 1] if "-z" in (across, down) else points[:, 1]
    return np.stack([z, x] if across[-1] == "z" else [x, z], axis=1)


@pytest.mark.parametrize(("across", "down"), ORIENTATIONS)
def test_points_lie_on_the_stored_image_in_all_eight_orientations(
    case: Path, objects: tuple[ResultObject, ...], pair: MeasuredStudy, across: str, down: str
) -> None:
    """The radiographs of the pair are stored as canonical, so the points of its report are the expected ones."""
    turned = measured({view: stored_as(read(case, view), across, down) for view in VIEWS})
    made = result_objects(turned)
    expected, found = (groups_of(content_of(each)) for each in (objects[0], made[0]))
    assert set(found) == set(expected) and len(expected) >= 10
    for label in expected:
        view: ViewName = "lateral" if "Cobb" not in label and "Coronal" not in label else "frontal"
        want = on_stored(expected[label].roi.value, pair.inputs[view].image.shape, across, down)
        np.testing.assert_allclose(found[label].roi.value, want, atol=1e-3)
    _require_equal_landmarks(made, turned)


def _require_equal_landmarks(made: tuple[ResultObject, ...], turned: MeasuredStudy) -> None:
    """The presentation states show the landmarks of the measurement at their places in the stored images."""
    for number, view in enumerate(VIEWS, 2):
        layer = made[number].dataset.GraphicAnnotationSequence[0]
        points = np.array([shape.GraphicData for shape in layer.GraphicObjectSequence])
        want = np.array(list(stored_landmarks(turned)[view].values()))
        inside = np.clip(want, 0, turned.grids[view].stored_shape[::-1])
        np.testing.assert_allclose(points, inside, atol=1e-3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_points_are_right_where_the_model_reads_the_direction(
    case: Path, objects: tuple[ResultObject, ...], mirrored: bool
) -> None:
    dataset = stored_as(read(case, "lateral"), "-x" if mirrored else "x", "z")
    del dataset.PatientOrientation
    del dataset.PixelSpacing  # and with it the geometry
    study = measured({"lateral": dataset})
    assert study.grids["lateral"].mirrored == mirrored
    assert study.grids["lateral"].orientation == Orientation("lateral", "", verified=False, facing="unknown")
    found = groups_of(content_of(result_objects(study)[0]))["Sacral slope"].roi.value
    want = groups_of(content_of(objects[0]))["Sacral slope"].roi.value
    columns = float(dataset.Columns)
    want = np.stack([columns - want[:, 0], want[:, 1]], axis=1) if mirrored else want
    np.testing.assert_allclose(found, want, atol=1.5)  # the lines of a radiograph without its pair differ a little


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump of dcmtk is not installed")
def test_a_second_reader_reads_the_report(objects: tuple[ResultObject, ...], tmp_path: Path) -> None:
    (tmp_path / "sr.dcm").write_bytes(objects[0].encoded())
    call = ["dsrdump", "-q", str(tmp_path / "sr.dcm")]
    done = subprocess.run(call, capture_output=True, text=True, errors="replace", timeout=60)  # it cuts letters apart
    assert done.returncode == 0, done.stderr
    assert 'NUM:(,,"Cobb angle")' in done.stdout and "UNVERIFIED" in done.stdout
