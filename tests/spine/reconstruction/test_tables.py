"""Tables and point lists as other programs save them: delimiters, decimal commas, encodings, damage."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from spine.reconstruction.open import read_any_reconstruction, read_reconstruction_files
from tests.spine.reconstruction.constructed_reconstructions import reconstruction, spine_points, two_views
from tests.spine.refusals import code_of

POINTS = {name: point + np.pi / 10 for name, point in spine_points().items()}
LINES = ["# subject_id=s-1", "# axes=LPS", "# units=mm", "level,name,x,y,z"]
LINES += [",".join([*name.split("_", 1), *map(repr, point.tolist())]) for name, point in POINTS.items()]
COMMA = "\n".join(LINES) + "\n"


def german(text: str, delimiter: str = ";") -> str:
    lines = text.splitlines()
    return "\n".join(x if x.startswith("#") else x.replace(",", delimiter).replace(".", ",") for x in lines) + "\n"


def excel(text: str) -> str:
    """As Excel saves it again: a delimiter for every empty cell, and quotes around a cell with quotes."""
    geometry = json.dumps(asdict(two_views()["frontal"])).replace('"', '""')
    lines = [x + ";;;;" if x.startswith("#") else x for x in german(text).splitlines()]
    return "\r\n".join(["sep=;", f'"# geometry.frontal={geometry}";;;;', *lines]) + "\r\n"


@pytest.mark.parametrize(
    "payload",
    [
        COMMA.encode(),
        COMMA.encode("utf-8-sig"),
        COMMA.encode("utf-16"),
        COMMA.encode("utf-16-le"),
        COMMA.encode("utf-16-be"),
        COMMA.replace("\n", "\r\n").encode(),
        COMMA.replace(",", "\t").encode("utf-16"),  # Excel's "Unicode text"
        german(COMMA).encode(),
        german(COMMA).encode("utf-8-sig"),
        german(COMMA, "\t").encode(),
        excel(COMMA).encode("cp1252"),
        excel(COMMA.replace("# axes", "# Größe=ä\n# axes")).encode("cp1252"),
    ],
)
def test_a_table_is_read_however_a_spreadsheet_saved_it(tmp_path, payload):
    (tmp_path / "r.csv").write_bytes(payload)
    found = read_any_reconstruction(tmp_path / "r.csv")
    assert list(found.points) == list(POINTS)
    for name, point in POINTS.items():
        np.testing.assert_array_equal(found.points[name], point, err_msg=name)
    assert found.subject_id == "s-1"
    if payload.startswith(b"sep"):
        assert found.geometry == {"frontal": two_views()["frontal"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (german(COMMA).replace("T3;sup;", "T3;sup;1.2", 1), "CSV_INVALID"),  # a point may separate thousands
        (german(COMMA).replace("T3;sup;", "T3;sup;1,2,", 1), "NOT_FINITE"),
        (COMMA.replace("T3,sup,", "T3,sup,1_0", 1), "NOT_FINITE"),
        (COMMA.replace("T3,sup,", 'T3,sup,"', 1), "CSV_INVALID"),  # the quote would swallow all other points
        (COMMA.replace("T3,sup,", "T3,sup,01. Mai", 1), "NOT_FINITE"),
        (COMMA + "T1,sup," + "9" * 200_000 + ",1,2\n", "CSV_INVALID"),
        (COMMA.replace("T3,sup,", "T3,sup," + "9" * 400, 1), "NOT_FINITE"),
        ("name;x;y;z\nT1;1,0;2,0;3,0\n", "FORMAT_UNKNOWN"),
        (COMMA + "\n" * 2**20, "CSV_INVALID"),
        (COMMA.replace("T3,sup,", "T3,sup,1e200", 1), "NOT_FINITE"),
        ("\n".join(x if x[0] == "#" else x.replace(".", ",") for x in LINES), "CSV_INVALID"),  # columns are shifted
    ],
)
def test_a_damaged_table_is_refused_by_name(tmp_path, text, expected):
    (tmp_path / "r.csv").write_text(text)
    assert code_of(read_any_reconstruction, tmp_path / "r.csv") == expected


# --- JSON


def record(**change):
    points = {name: point.tolist() for name, point in spine_points().items()}
    given = {"schema": "plumbline.reconstruction/1", "subject_id": "s", "axes": "LPS", "units": "mm", "points": points}
    return given | change


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_is_read_in_every_unicode_encoding(tmp_path, encoding):
    (tmp_path / "r.json").write_bytes(json.dumps(record()).encode(encoding))
    assert len(read_any_reconstruction(tmp_path / "r.json").points) == len(spine_points())


HUGE = "1" + "0" * 400
LIST = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(record()).replace("310.0", HUGE, 1), "NOT_FINITE"),
        (json.dumps(record()).replace("310.0", "9" * 6000, 1), "NOT_FINITE"),
        (json.dumps(record()).replace("310.0", "1e300", 1), "SIZE_IMPLAUSIBLE"),
        (json.dumps(record())[:-1] + ', "units": "mm"}', "JSON_KEY_TWICE"),
        (json.dumps(record()).replace('"T2_sup"', '"T1_sup"', 1), "JSON_KEY_TWICE"),
        (json.dumps(record(subject_id="\ud800")), "JSON_INVALID"),
        (json.dumps(record(facts={"a": ["x", {"b": "\udfff"}]})), "JSON_INVALID"),
        (json.dumps(record(hip_radius_mm={"HIP_L": 10**400})), "NOT_FINITE"),
        ("[" * 200_000, "JSON_INVALID"),
        ('{"markups": [' + '{"a":' * 100_000, "JSON_INVALID"),
        (json.dumps(record())[: len(json.dumps(record())) // 2], "JSON_INVALID"),
        (json.dumps({"markups": [LIST | {"controlPoints": None}]}), "SCHEMA_INVALID"),
        (json.dumps({"markups": [LIST | {"controlPoints": {"label": "T1_sup"}}]}), "SCHEMA_INVALID"),
        (json.dumps({"markups": [LIST | {"coordinateUnits": "cm"}]}), "UNITS_INVALID"),
        (json.dumps({"markups": [LIST | {"coordinateUnits": ["m", "m", "m"]}]}), "UNITS_INVALID"),
        (json.dumps({"markups": [LIST | {"coordinateUnits": {}}]}), "UNITS_INVALID"),
        (json.dumps({"markups": ["T1_sup"]}), "SCHEMA_INVALID"),
    ],
)
def test_damaged_json_is_refused_by_name(tmp_path, text, expected):
    (tmp_path / "r.json").write_text(text)
    assert code_of(read_any_reconstruction, tmp_path / "r.json") == expected


def test_a_message_quotes_no_name_of_the_file_or_of_an_unknown_point(tmp_path):
    bad = {"Jane Doe": [1, 2, "x"]}
    for name, change in (("a", {"points": bad}), ("b", {"units": "Jane Doe"}), ("c", {"geometry": {"Jane Doe": {}}})):
        path = tmp_path / f"Jane Doe {name}.json"
        path.write_text(json.dumps(record(**change)))
        with pytest.raises(Exception, match=r"^(?!.*Jane).*$"):
            read_any_reconstruction(path)


# --- 3D Slicer


def fcsv(points, system="LPS", sign=(1, 1, 1)):
    lines = ["# Markups fiducial file version = 4.13", f"# CoordinateSystem = {system}"]
    lines += ["# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"]
    for i, (name, point) in enumerate(points.items()):
        lines.append(",".join([str(i), *map(repr, (point * sign).tolist()), "0,0,0,1,1,1,0", name, '"a, b"', ""]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("system", "sign"), [("LPS", 1), ("1", 1), ("RAS", -1), ("0", -1)])
def test_an_fcsv_list_is_read_in_its_own_system(tmp_path, system, sign):
    (tmp_path / "F.fcsv").write_text(fcsv(POINTS, system, (sign, sign, 1)))
    found = read_any_reconstruction(tmp_path / "F.fcsv")
    assert found.source_format == "slicer-fcsv"
    for name, point in POINTS.items():
        np.testing.assert_array_equal(found.points[name], point, err_msg=name)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("# CoordinateSystem = LPS\n", "", "AXES_INVALID"),
        ("= LPS", "= IJK", "AXES_INVALID"),
        ("T1_sup_ant", "T1_sup", "POINT_DUPLICATE"),
        ("T1_sup_ant", "F-1", "POINT_UNKNOWN"),
        (",label,", ",name,", "CSV_INVALID"),
        ("# columns", "# rows", "CSV_INVALID"),
    ],
)
def test_a_damaged_fcsv_list_is_refused(tmp_path, old, new, expected):
    (tmp_path / "F.fcsv").write_text(fcsv(POINTS).replace(old, new, 1))
    assert code_of(read_any_reconstruction, tmp_path / "F.fcsv") == expected


def markups(points, system="LPS", **fields):
    sign = np.array([-1, -1, 1]) if system == "RAS" else np.ones(3)
    controls = [{"label": n, "position": (p * sign).tolist(), "positionStatus": "defined"} for n, p in points.items()]
    given = {"type": "Fiducial", "coordinateSystem": system, "coordinateUnits": "mm", "controlPoints": controls}
    return json.dumps({"markups": [given | fields]})


def halves():
    pelvis = {n: p for n, p in POINTS.items() if n.startswith(("S1", "HIP"))}
    return {n: p for n, p in POINTS.items() if n not in pelvis}, pelvis


def test_the_point_lists_of_a_study_are_joined_each_in_its_own_system(tmp_path):
    spine, pelvis = halves()
    (tmp_path / "spine.mrk.json").write_text(markups(spine, "RAS"))
    (tmp_path / "pelvis.fcsv").write_text(fcsv(pelvis | {"L5_sup": POINTS["L5_sup"]}))
    found = read_reconstruction_files(sorted(tmp_path.iterdir()))
    assert set(found.points) == set(POINTS)
    for name, point in POINTS.items():
        np.testing.assert_allclose(found.points[name], point, atol=1e-12, err_msg=name)


def test_a_point_at_two_places_in_two_lists_is_refused(tmp_path):
    spine, pelvis = halves()
    (tmp_path / "a.mrk.json").write_text(markups(spine))
    (tmp_path / "b.mrk.json").write_text(markups(pelvis | {"L5_sup": POINTS["L5_sup"] + 1}))
    assert code_of(read_reconstruction_files, sorted(tmp_path.iterdir())) == "POINT_DUPLICATE"


def test_two_whole_reconstructions_are_ambiguous(tmp_path):
    (tmp_path / "a.csv").write_text(COMMA)
    (tmp_path / "b.mrk.json").write_text(markups(POINTS))
    assert code_of(read_reconstruction_files, sorted(tmp_path.iterdir())) == "RECONSTRUCTION_AMBIGUOUS"


def test_an_angle_and_undefined_points_are_left_out_and_counted(tmp_path):
    both = json.loads(markups(POINTS))
    angle = LIST | {"type": "Angle", "controlPoints": [{"label": f"A-{i}", "position": [i, 2, 3]} for i in range(3)]}
    both["markups"][0]["controlPoints"].append({"label": "S1_left", "positionStatus": "undefined", "position": None})
    both["markups"].append(angle)
    (tmp_path / "a.mrk.json").write_text(json.dumps(both))
    found = read_any_reconstruction(tmp_path / "a.mrk.json")
    assert set(found.points) == set(POINTS)
    assert found.facts == {"points_undefined": 1, "markups_not_read": 1}


def test_a_file_with_angles_alone_is_no_second_reconstruction(tmp_path):
    (tmp_path / "r.csv").write_text(COMMA)
    angle = LIST | {"type": "Angle", "controlPoints": [{"label": "A-1", "position": [1, 2, 3]}]}
    (tmp_path / "A.mrk.json").write_text(json.dumps({"markups": [angle]}))
    assert read_reconstruction_files(sorted(tmp_path.iterdir())).source_format == "plumbline-csv"
    assert code_of(read_any_reconstruction, tmp_path / "A.mrk.json") == "TOO_FEW_POINTS"


def test_decimal_commas_in_quotes_between_commas_are_read(tmp_path):
    rows = [line.split(",") for line in LINES[4:]]
    lines = [",".join([*row[:2], *(f'"{cell.replace(".", ",")}"' for cell in row[2:])]) for row in rows]
    (tmp_path / "r.csv").write_text("\n".join([*LINES[:4], *lines]))
    np.testing.assert_array_equal(read_any_reconstruction(tmp_path / "r.csv").points["T3_inf"], POINTS["T3_inf"])


# --- VerSe


def centroids(labels=(*range(8, 25), 25, 28), **header):
    entries = [{"label": label, "X": 80.0, "Y": 30.0 + 25 * i, "Z": 32.0} for i, label in enumerate(labels)]
    return json.dumps([{"direction": ["P", "I", "R"]} | header, *entries])


def test_verse_centroids_with_spacing_become_bodies_in_lps_mm(tmp_path):
    labels = (7, *range(8, 20), 28, *range(20, 26))
    (tmp_path / "a_ctd.json").write_text(centroids(labels, zoom=[0.5, 1.0, 3.0]))
    found = read_any_reconstruction(tmp_path / "a_ctd.json")
    levels = [*(f"T{i}" for i in range(1, 14)), *(f"L{i}" for i in range(1, 7))]
    assert list(found.points) == [f"{level}_body" for level in levels]
    np.testing.assert_allclose(found.points["T1_body"], [-32.0 * 3, 80.0 / 2, -55.0])
    assert found.facts == {"levels_not_read": 1, "has_l6": True, "has_t13": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (centroids(), "SPACING_MISSING"),
        (centroids(zoom=[1, 0, 1]), "SPACING_MISSING"),
        (centroids(zoom=[1, 1]), "NOT_FINITE"),
        (centroids(zoom=[1, 1, 1], direction=["P", "I", "I"]), "AXES_INVALID"),
        (centroids(zoom=[1, 1, 1], direction=[{}]), "AXES_INVALID"),
        (centroids((8, 8, 9, 10), zoom=[1, 1, 1]), "POINT_DUPLICATE"),
        (centroids(zoom=[9, 9, 9]), "SIZE_IMPLAUSIBLE"),
    ],
)
def test_verse_centroids_that_fix_no_place_are_refused(tmp_path, text, expected):
    (tmp_path / "a_ctd.json").write_text(text)
    assert code_of(read_any_reconstruction, tmp_path / "a_ctd.json") == expected


# --- L6 and T13


def test_extra_vertebrae_are_named_in_the_facts(tmp_path):
    points = spine_points()
    step = np.array([0, 0, 100.0])
    below = {n: p - step / 4 for n, p in points.items() if n.startswith(("S1", "HIP"))}
    extra = {n.replace("L5", "L6"): p - step / 4 for n, p in points.items() if n.startswith("L5")}
    (tmp_path / "r.json").write_text(
        json.dumps(record(points={n: p.tolist() for n, p in (points | extra | below).items()}))
    )
    found = read_any_reconstruction(tmp_path / "r.json")
    assert found.facts == {"has_l6": True}
    assert "L6_inf" in found.points
    assert reconstruction().facts == {}
