"""The reconstruction of a study folder in other formats: it is read, or the study is refused; never passed over."""

import json

import numpy as np
import pytest

from spine.intake.folder import FolderSource
from spine.reconstruction.plumbline_json import read_reconstruction
from tests.spine.intake.constructed_studies import points, write_study
from tests.spine.refusals import code_of


@pytest.fixture
def study(tmp_path):
    """The folder of a study whose reconstruction file is gone."""
    folder = write_study(tmp_path / "a", 1)
    assert set(read_reconstruction(folder / "reconstruction.json").points) == set(points(1))
    (folder / "reconstruction.json").unlink()
    return folder


def load(folder):
    (candidate,) = FolderSource(folder).contents().candidates
    return candidate.load()


def table(delimiter=",", decimal="."):
    rows = [[*name.split("_", 1), *(f"{c:.6f}".replace(".", decimal) for c in p)] for name, p in points(1).items()]
    lines = [delimiter.join(row) for row in (["level", "name", "x", "y", "z"], *rows)]
    return "\n".join(["# axes=LPS", "# units=mm", *lines]) + "\n"


def markups(names):
    controls = [{"label": n, "position": p.tolist()} for n, p in points(1).items() if n.startswith(names)]
    given = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": controls}
    return json.dumps({"markups": [given]}).encode()


@pytest.mark.parametrize(
    "files",
    [
        {"r.csv": table(";", ",").encode()},
        {"r.csv": table().encode("utf-8-sig")},
        {"r.csv": table("\t").encode("utf-16")},
        {"r.txt": table(";", ",").encode("utf-16-le")},
        {"spine.mrk.json": markups(("T", "L")), "pelvis.mrk.json": markups(("S1", "HIP"))},
    ],
)
def test_points_of_another_program_are_read(study, tmp_path, files):
    for name, payload in files.items():
        (study / name).write_bytes(payload)
    found = load(tmp_path).reconstruction
    assert set(found.points) == set(points(1))
    np.testing.assert_allclose(found.points["T4_inf"], points(1)["T4_inf"], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("r.json", b"", "EMPTY_FILE"),
        ("r.csv", b"", "EMPTY_FILE"),
        ("r.json.txt", b"", "EMPTY_FILE"),
        ("a_ctd.json", b'[{"direction": ["P", "I", "R"]}, {"label": 20, "X": 1, "Y": 2, "Z": 3}]', "SPACING_MISSING"),
        ("r.csv", b"name;x;y;z\nT1;1,0;2,0;3,0\n", "FORMAT_UNKNOWN"),
        ("r.json", b'{"T1": [1.0, 2.0, 3.0]}', "FORMAT_UNKNOWN"),
        ("r.json", b'{"schema": "plumbline.recon', "JSON_INVALID"),
        ("r.json", "\n".join(table().splitlines()[:4]).encode(), "TOO_FEW_POINTS"),
        ("r.xlsx", b"PK\x03\x04", "FORMAT_UNSUPPORTED"),
        ("L3.stl", b"\0" * 90, "MESH_INVALID"),
        ("spine.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "BONE_UNKNOWN"),
    ],
)
def test_points_that_cannot_be_read_refuse_the_study(study, tmp_path, name, payload, expected):
    (study / name).write_bytes(payload)
    assert code_of(load, tmp_path) == expected


def test_a_table_above_the_size_limit_refuses_the_study(study, tmp_path):
    with (study / "r.csv").open("wb") as stream:
        stream.write(table().encode())
        stream.truncate(2**26)
    assert code_of(load, tmp_path) == "FILE_TOO_LARGE"
