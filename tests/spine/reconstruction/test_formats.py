import json
from dataclasses import asdict

import numpy as np
import pytest

from spine.reconstruction.open import points_kind, read_any_reconstruction
from spine.reconstruction.plumbline_json import read_reconstruction, write_reconstruction
from spine.reconstruction.slicer_markups import write_markups
from tests.spine.reconstruction.constructed_reconstructions import reconstruction, spine_points, two_views
from tests.spine.refusals import code_of


def code(path):
    return code_of(read_any_reconstruction, path)


@pytest.fixture
def path(tmp_path):
    """A written reconstruction."""
    write_reconstruction(reconstruction(), tmp_path / "r.json")
    return tmp_path / "r.json"


def assert_same_points(found, expected):
    assert list(found) == list(expected)
    for name, point in expected.items():
        np.testing.assert_array_equal(found[name], point, err_msg=name)


# --- our JSON


def test_json_comes_back_to_the_last_bit(tmp_path):
    points = {name: xyz + np.pi / 10 for name, xyz in spine_points().items()}
    facts = {"age_years": 54.25, "condition": "scoliotic", "simulated": True}
    written = reconstruction(points, geometry=two_views(), hip_radius_mm={"HIP_L": 23.1}, facts=facts)
    write_reconstruction(written, tmp_path / "r.json")
    for found in (read_reconstruction(tmp_path / "r.json"), read_any_reconstruction(tmp_path / "r.json")):
        assert_same_points(found.points, points)
        assert (found.geometry, found.hip_radius_mm, found.facts) == (two_views(), {"HIP_L": 23.1}, facts)
        assert (found.subject_id, found.source_format) == ("s-1", "plumbline-json")


def test_a_point_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="T1_sup"):
        write_reconstruction(reconstruction({"T1_sup": np.array([0, np.nan, 1])}), tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schema": "plumbline.reconstruction/2"}, "SCHEMA_INVALID"),
        ({"units": "m"}, "UNITS_INVALID"),
        ({"axes": "RAS"}, "AXES_INVALID"),
        ({"unexpected": 1}, "SCHEMA_INVALID"),
        *[({missing: None}, "SCHEMA_INVALID") for missing in ("points", "units", "axes", "subject_id")],
        ({"points": [1, 2]}, "SCHEMA_INVALID"),
        ({"points": {"T1_sup": [1, 2]}}, "NOT_FINITE"),
        ({"points": {"T1_sup": [1, 2, None]}}, "NOT_FINITE"),
        ({"points": {"T1_sup": [1, 2, True]}}, "NOT_FINITE"),
        ({"hip_radius_mm": {"HIP_L": "wide"}}, "NOT_FINITE"),
        ({"geometry": {"oblique": {}}}, "GEOMETRY_INVALID"),
        ({"geometry": {"frontal": {"view": "frontal"}}}, "GEOMETRY_INVALID"),
    ],
)
def test_json_is_strict(path, change, expected):
    record = json.loads(path.read_text()) | change
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))
    assert code_of(read_reconstruction, path) == expected


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_json_has_no_nan_or_infinity(path, value):
    path.write_text(path.read_text().replace("300.0", value, 1).replace("310.0", value, 1))
    assert code(path) == "NOT_FINITE"


@pytest.mark.parametrize("text", ["{", "[1, 2", '{"a": ' * 100_000, "\xff"])
def test_broken_json(path, text):
    path.write_bytes(text.encode("latin-1"))
    assert code(path) in ("JSON_INVALID", "FORMAT_UNKNOWN")


# --- our CSV


def test_csv_is_read_to_the_last_bit_with_its_geometry_and_radii(path):
    points = {name: xyz + np.pi / 10 for name, xyz in spine_points().items()}
    lines = ["# subject_id=s-1", "# axes=LPS", "# units=mm", "# hip_radius_mm.HIP_L=23.1"]
    lines += [f"# geometry.{view}={json.dumps(asdict(g))}" for view, g in two_views().items()]
    lines += ["level,name,x,y,z", *(",".join([*n.split("_", 1), *map(repr, p.tolist())]) for n, p in points.items())]
    path.write_text("\n".join(lines))
    found = read_any_reconstruction(path)
    assert_same_points(found.points, points)
    assert (found.geometry, found.hip_radius_mm) == (two_views(), {"HIP_L": 23.1})
    assert (found.subject_id, found.source_format) == ("s-1", "plumbline-csv")


HEAD = "# axes=LPS\n# units=mm\nlevel,name,x,y,z,sd\n"
ROWS = "T1,sup_center,0,0,300,0.1\nL1,SUP_ANT,0,-10,20,\nL2,inf_center,1,0,-15,\n"
ROWS += "FH_L,fh_center,90,0,-280,\nS1,s1_ant,0,-9,-90,\n"


def test_csv_takes_other_spellings_and_further_columns(path):
    path.write_text(HEAD + ROWS)
    assert list(read_any_reconstruction(path).points) == ["T1_sup", "L1_sup_ant", "L2_inf", "HIP_L", "S1_ant"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD.replace("# units=mm\n", "") + ROWS, "UNITS_INVALID"),
        (HEAD.replace("mm", "m") + ROWS, "UNITS_INVALID"),
        (HEAD.replace("LPS", "RAS") + ROWS, "AXES_INVALID"),
        ("# schema=other/1\n" + HEAD + ROWS, "SCHEMA_INVALID"),
        (HEAD + ROWS + "T1,sup,1,2,3\n", "POINT_DUPLICATE"),
        (HEAD + ROWS + "T14,sup,1,2,3\n", "POINT_UNKNOWN"),
        (HEAD + ROWS + "T2,sup,nan,2,3\n", "NOT_FINITE"),
        (HEAD + ROWS + "T2,sup,1;2;3\n", "CSV_INVALID"),
        (HEAD + ROWS + "T2,sup,1,2,left\n", "NOT_FINITE"),
        ("a,b\n1,2\n", "FORMAT_UNKNOWN"),
        ("", "EMPTY_FILE"),
    ],
)
def test_csv_is_strict(path, text, expected):
    path.write_text(text)
    assert code(path) == expected


# --- 3D Slicer


def markups(points, system="LPS", **fields):
    controls = [{"label": n, "position": [float(c) for c in p], "positionStatus": "defined"} for n, p in points.items()]
    markup = {"type": "Fiducial", "coordinateSystem": system, "coordinateUnits": "mm", "controlPoints": controls}
    return {"markups": [markup | fields]}


@pytest.mark.parametrize(("system", "signs"), [("LPS", (1, 1, 1)), ("RAS", (-1, -1, 1)), ("0", (-1, -1, 1))])
def test_slicer_markups_in_both_systems(path, system, signs):
    points = spine_points()
    path.write_text(json.dumps(markups({n: p * signs for n, p in points.items()}, system)))
    found = read_any_reconstruction(path)
    assert_same_points(found.points, points)
    assert found.source_format == "slicer-mrk-json"


def test_slicer_points_that_are_not_defined_are_absent(path):
    record = markups(spine_points())
    record["markups"][0]["controlPoints"][0] |= {"positionStatus": "undefined", "position": None}
    path.write_text(json.dumps(record))
    assert "T1_sup" not in read_any_reconstruction(path).points


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"coordinateSystem": "IJK"}, "AXES_INVALID"),
        ({"coordinateUnits": "m"}, "UNITS_INVALID"),
        ({"controlPoints": [{"label": "F-1", "position": [1, 2, 3]}]}, "POINT_UNKNOWN"),
        ({"controlPoints": [{"label": "T1_sup", "position": [1, 2]}]}, "NOT_FINITE"),
        ({"controlPoints": [{"label": "T1_sup", "position": [1, 2, 3]}] * 2}, "POINT_DUPLICATE"),
        ({"controlPoints": ["T1"]}, "SCHEMA_INVALID"),
        ({"controlPoints": []}, "TOO_FEW_POINTS"),
    ],
)
def test_slicer_is_strict(path, fields, expected):
    path.write_text(json.dumps(markups(spine_points(), **fields)))
    assert code(path) == expected


def test_written_markups_read_back_to_the_last_bit(tmp_path):
    points = {name: xyz + np.pi / 10 for name, xyz in spine_points().items()}
    write_markups(reconstruction(points), tmp_path / "spine.mrk.json")
    assert_same_points(read_any_reconstruction(tmp_path / "spine.mrk.json").points, points)
    record = json.loads((tmp_path / "spine.mrk.json").read_text())
    assert record["@schema"].endswith("/markups-schema-v1.0.3.json#")
    (markup,) = record["markups"]
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == ("Fiducial", "LPS", "mm")
    assert [c["id"] for c in markup["controlPoints"]] == [str(i + 1) for i in range(len(points))]


def test_unreadable_markups_are_not_written(tmp_path):
    points = {"T1_sup": np.array([0, np.nan, 1]), "F-1": np.zeros(3), "T2_sup": np.zeros(2), "T3_sup": np.zeros(3)}
    with pytest.raises(ValueError, match="T1_sup") as caught:
        write_markups(reconstruction(points), tmp_path / "spine.mrk.json")
    assert "T2_sup" in str(caught.value)
    assert "F-1 is not a landmark" in str(caught.value)
    assert "T3_sup" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# --- CT keypoints


def keypoints(bodies=17, cervical=("C7",), shift=0.0):
    levels = [*cervical, *[f"T{i}" for i in range(1, 13)], *[f"L{i}" for i in range(1, 6)]][: bodies + len(cervical)]
    places = {level: np.array([5.0 + i, 20.0, 400 - 25.0 * i]) for i, level in enumerate(levels)}
    entries = [entry(p, "body", level) for level, p in places.items()]
    entries += [entry(p + (12 + shift, 20, 2), "left") for p in places.values()]
    return entries + [entry(p + (-12, 20, 2), "right") for p in places.values()]


def entry(position, kind, level=None):
    described = {"keypoint_type": kind} | ({"spine_level": level} if level else {})
    return {"coordinates": {"world_space": [float(c) for c in position]}, "type": described}


def test_ct_keypoints_become_bodies_and_pedicles(tmp_path):
    path = tmp_path / "scan-7.json"
    path.write_text(json.dumps(keypoints()))
    found = read_any_reconstruction(path)
    assert len(found.points) == 51
    np.testing.assert_array_equal(found.points["L5_ped_left"] - found.points["L5_body"], [12, 20, 2])
    np.testing.assert_array_equal(found.points["T1_ped_right"] - found.points["T1_body"], [-12, 20, 2])
    assert found.facts == {"pedicles_read": True, "levels_not_read": 1, "has_t13": False, "has_l6": False}
    assert found.subject_id == "scan-7"


def test_ct_pedicles_that_do_not_follow_their_bodies_are_left_out(path):
    path.write_text(json.dumps(keypoints(shift=60.0)))
    found = read_any_reconstruction(path)
    assert len(found.points) == 17
    assert found.facts["pedicles_read"] is False


# --- any format


def test_a_reconstruction_is_recognised_by_content(tmp_path):
    write_reconstruction(reconstruction(), tmp_path / "a.xyz")
    (tmp_path / "meta.json").write_text('{"scanner": 3}')
    (tmp_path / "torn.json").write_text('{"schema": "plumbline.recon')
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "table.csv").write_text(HEAD + ROWS)
    names = ("a.xyz", "meta.json", "torn.json", "other.csv", "table.csv")
    found = [name for name in names if points_kind(tmp_path / name)]
    assert found == ["a.xyz", "torn.json", "other.csv", "table.csv"]
    assert code(tmp_path / "meta.json") == "FORMAT_UNKNOWN"
