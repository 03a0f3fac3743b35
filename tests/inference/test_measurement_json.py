"""The JSON of a measurement: each field is documented, each documented field exists, each absence has its code."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.calibration import FEW_PATIENTS, Calibration, SpreadLaw
from inference.input_check import InputLimits
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.measurement_json import REPORT_SCHEMA, report_json
from inference.overlay import draw_overlay
from spine.landmarks import VERTEBRAE, VIEWS, ViewName
from spine.measurement.registry import ABSENT_CODES
from spine.study import CalibrationType
from tests.inference.fake_model import CONTRACT, knowing_model
from tests.inference.test_measure_views import GEOMETRY, IMAGE, POINTS, PX_MM, SHAPE

PAGE = (Path(__file__).parents[2] / "docs" / "measurement-json.md").read_text()
LAW = SpreadLaw(floor=1.0, error=0.1, gain=0.5, radius=2.0)
LAWS: Mapping[str, Mapping[str, SpreadLaw]] = {view: {"centres": LAW, "sacrum": LAW, "pelvis": LAW} for view in VIEWS}
CALIBRATION = Calibration(FEW_PATIENTS, "patients of a test", LAWS, {"cobb": 2.0, "sacral_slope": 2.0})
VARIABLE = {"views": "VIEW", "refused": "VIEW", "parameters": "PARAMETER", "classes": "CLASS", "findings": "FINDING"}
VARIABLE |= dict.fromkeys(("landmarks_3d_mm", "landmarks_px", "radius_90_px", "spread_px", "dropped"), "LANDMARK")

Points = Mapping[ViewName, Mapping[str, np.ndarray]]


def _report(
    points: Points = POINTS,
    views: tuple[ViewName, ...] = VIEWS,
    calibration: Calibration | None = CALIBRATION,
    calibrated: bool = True,
    image: NDArray[np.uint16] = IMAGE,
) -> dict[str, Any]:
    model = knowing_model(points, SHAPE)
    model = replace(model, contract=replace(CONTRACT, calibration=calibration))
    placed = {v: ImageInput(image, (PX_MM, PX_MM), "GEOMETRY", GEOMETRY[v], f"{v}.dcm", "1.2.3") for v in views}
    inputs = placed if calibrated else {v: ImageInput(IMAGE) for v in views}
    report = json.dumps(report_json(measure_views(model, inputs), model, inputs), allow_nan=False)
    return dict(json.loads(report))


def _only(view: ViewName, first: str, last: str) -> Points:
    kept = VERTEBRAE[VERTEBRAE.index(first) : VERTEBRAE.index(last) + 1]
    return {**POINTS, view: {n: p for n, p in POINTS[view].items() if n.split("_")[0] in kept}}


def _moved(names: tuple[str, ...], px: float) -> Points:
    lateral = {n: p + np.array([0.0, px if n in names else 0.0]) for n, p in POINTS["lateral"].items()}
    return {**POINTS, "lateral": lateral}


def _reversed() -> Points:
    lateral = dict(POINTS["lateral"])
    lateral["S1_ant"], lateral["S1_post"] = lateral["S1_post"], lateral["S1_ant"]
    return {**POINTS, "lateral": lateral}


def _stray(level: str) -> Points:
    frontal = {n: p + np.array([0.0, 90.0 * n.startswith(f"{level}_")]) for n, p in POINTS["frontal"].items()}
    return {**POINTS, "frontal": frontal}


def _folded() -> Points:
    """Hips above the sacrum, so that pelvic tilt and incidence are impossible."""
    lateral = {n: p - np.array([0.0, 150.0 * n.startswith("HIP")]) for n, p in POINTS["lateral"].items()}
    return {**POINTS, "lateral": lateral}


def _covered() -> NDArray[np.uint16]:
    """The image with a blank region from T8 to L1."""
    rows = [POINTS["frontal"][f"{vertebra}_sup"][1] for vertebra in ("T8", "L1")]
    image = IMAGE.copy()
    image[int(rows[0]) - 10 : int(rows[1]) + 10] = 0
    return image


@cache
def _reports() -> dict[str, dict[str, Any]]:
    """Code of absence (or another name) -> a report that has it."""
    limits = replace(CALIBRATION, limits=InputLimits())
    return {
        "whole": _report(),
        "uncalibrated model": _report(calibration=None),
        "uncertain levels": _report(calibration=replace(CALIBRATION, level_margin=1e3)),
        "VIEW_MISSING": _report(views=("frontal",)),
        "VIEW_REFUSED": _report(_only("frontal", "T1", "T11"), calibration=limits),
        "LANDMARKS_NOT_SEEN": _report(_only("lateral", "T6", "L5"), views=("lateral",)),
        "LANDMARK_HEIGHTS_DIFFER": _report(_moved(("HIP_L", "HIP_R", "S1_sup"), 30 / PX_MM)),
        "LANDMARKS_IN_BLANK_REGION": _report(views=("frontal",), image=_covered()),
        "LANDMARKS_OUT_OF_CHAIN": _report(_stray("T1"), views=("frontal",)),
        "CURVE_NOT_SEEN": _report(_only("frontal", "T9", "L5"), views=("frontal",)),
        "BEYOND_ANATOMY": _report(_folded(), views=("lateral",)),
        "MARGINS_REVERSED": _report(_reversed(), views=("lateral",)),
        "TOO_FEW_VERTEBRAE": _report(_only("frontal", "L2", "L5"), views=("frontal",)),
        "LENGTHS_UNCALIBRATED": _report(calibrated=False),
    }


def _fields(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every field that holds something, with capitals for keys that differ."""
    if path:
        yield ".".join(path)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _fields(inner, (*path, VARIABLE[path[-1]] if path and path[-1] in VARIABLE else key))


def _rows(heading: str) -> dict[str, str]:
    table = PAGE.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, flags=re.MULTILINE))


def test_every_field_of_the_output_is_documented_and_every_documented_field_exists() -> None:
    found = {field for report in _reports().values() for field in _fields(report)}
    groups = {field.rsplit(".", 1)[0] for field in found if "." in field}  # documented by their fields
    groups |= {group.rsplit(".", 1)[0] for group in groups if "." in group}
    documented = set(_rows("field"))
    assert found - groups <= documented
    assert documented <= found


def test_the_page_names_this_schema_and_every_calibration() -> None:
    assert f"`{REPORT_SCHEMA}`" in PAGE
    assert all(f"`{kind}`" in _rows("field")["views.VIEW.calibration"] for kind in get_args(CalibrationType))


@pytest.mark.parametrize("code", [code for code in ABSENT_CODES if code != "NOT_PREDICTED"])
def test_each_code_of_absence_is_reported_where_it_occurs(code: str) -> None:
    parameters = _reports()[code]["parameters"].values()
    assert code in {p.get("absent_code") for p in parameters}
    for parameter in parameters:
        assert (parameter["value"] is None) == ("absent_code" in parameter) == ("absent_reason" in parameter)


def test_the_report_identifies_the_model_and_the_radiographs() -> None:
    report = _reports()["VIEW_MISSING"]
    assert (report["model"]["digest"], report["model"]["trained_on_simulated_data"]) == ("0" * 64, True)
    assert (report["views"]["frontal"]["calibration"], report["landmarks_3d_mm"]) == ("GEOMETRY", {})
    assert len(report["views"]["frontal"]["landmarks_px"]) == len(CONTRACT.names)
    files = {view: (given["file"], given["sop_instance_uid"]) for view, given in _reports()["whole"]["views"].items()}
    assert files == {"frontal": ("frontal.dcm", "1.2.3"), "lateral": ("lateral.dcm", "1.2.3")}


@pytest.mark.parametrize(("patients", "rough"), [(9, True), (59, True), (60, False), (1188, False)])
def test_intervals_state_their_number_of_patients(patients: int, rough: bool) -> None:
    calibration = replace(CALIBRATION, patients=patients)
    intervals = _report(calibration=calibration)["intervals"]
    assert (intervals["patients"], intervals["rough"]) == (patients, rough)
    assert calibration.remark == (f"interval from {patients} patients: rough" if rough else None)
    assert _reports()["uncalibrated model"]["intervals"] is None


def test_the_overlay_marks_rough_intervals() -> None:
    model = knowing_model(POINTS, SHAPE)
    model = replace(model, contract=replace(CONTRACT, calibration=CALIBRATION))
    inputs = {v: ImageInput(IMAGE, (PX_MM, PX_MM), "GEOMETRY", GEOMETRY[v]) for v in VIEWS}
    found = measure_views(model, inputs)
    assert found.parameters["cobb"].interval is not None
    given = inputs, found.points, found.parameters
    plain, marked = draw_overlay(*given), draw_overlay(*given, rough_intervals="interval from 9 patients: rough")
    changed = np.argwhere((np.asarray(plain, dtype=int) != np.asarray(marked, dtype=int)).any(axis=2))
    assert len(np.unique(changed[:, 0] // 20)) >= 3  # both intervals and the legend
    assert (np.asarray(marked)[74:-60] == (255, 196, 64)).all(axis=2).any()
