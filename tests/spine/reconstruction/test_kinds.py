"""What a file is taken for, from its name and first bytes: no file that looks like points may be passed over."""

import json

import pytest

from spine.errors import ReconstructionRejected
from spine.reconstruction.decoding import MAX_FILE_BYTES
from spine.reconstruction.kinds import HEAD_BYTES
from spine.reconstruction.open import points_kind, read_any_reconstruction

TABLE = "level;name;x;y;z\nT1;sup;1,0;2,0;3,0\n"
CTD = json.dumps([{"direction": ["P", "I", "R"]}, {"label": 20, "X": 79.1, "Y": 40.9, "Z": 32.3}])
NOTES = "Patient seen on 2024-01-02, brace since 2023.\nCobb 45 degrees, Risser 2. Next visit in 6 months (12 weeks).\n"


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("a.csv", TABLE.encode(), "table"),
        ("a.csv", TABLE.encode("utf-16"), "table"),
        ("a.csv", TABLE.encode("utf-16-le"), "table"),
        ("a.CSV", b"", "table"),
        ("a.csv", b"\0" * 500, "table"),
        ("a.csv", b"\x89\0\xff\0garbage\0", "unreadable points"),
        ("a.tsv", b"a\tb\n1\t2\n", "table"),
        ("a.fcsv", b"", "table"),
        ("a.txt", TABLE.encode(), "table"),
        ("a.txt", b"1.0 2.0 3.0\n2 3 4\n4 5 6\n", "table"),
        ("a.dat", b"T1 10.5 20.25 300\n", "table"),
        ("a", TABLE.encode("utf-8-sig"), "table"),
        ("a.json", CTD.encode(), "json"),
        ("a.json.txt", CTD.encode("utf-16"), "json"),
        ("a.json.txt", b"", "json"),
        ("a.json", b'{"schema": "plumbline.recon', "json"),
        ("a.json", b"not json 1 2 3", "json"),
        ("a.json", b'{"points": 5}', "json"),
        ("a.json", ("[" * 90_000).encode(), "json"),
        ("a.json", json.dumps({"p": {"x": 1, "y": 2, "z": 3}}).encode(), "json"),
        ("a.txt", CTD.encode(), "json"),
        ("a.mrk.json", b'{"markups": []}', "slicer markups"),
        ("a.json", b'{"markups": [', "slicer markups"),
        ("a.xlsx", b"PK\x03\x04", "spreadsheet"),
        ("a.ods", b"", "spreadsheet"),
        ("a.mat", b"MATLAB 5.0", "array"),
        ("a.npz", b"PK", "array"),
        ("a.stl", b"\0" * 90, "mesh"),
        ("a.obj", b"", "mesh"),
        ("a.ply", b"ply\n", "mesh"),
        ("a", b"ply\nformat ascii 1.0\n", "mesh"),
        ("a.vtp", b"<VTKFile", "mesh"),
        ("a.wrl", b"#VRML V2.0 utf8", "mesh of another format"),
        ("a.vtk", b"# vtk DataFile Version 4.0", "mesh of another format"),
        ("a.o3", b"# ---", "LIO .o3 points"),
        ("a.xml", b'<point name="T1" x="1.5" y="2.5" z="3.5"/>', "table"),
        ("notes.txt", NOTES.encode(), None),
        ("notes.txt", NOTES.encode("utf-16"), None),
        ("notes.txt", b"", None),
        ("meta.json", b'{"scanner": 3, "site": "north"}', None),
        ("readme.md", b"1 2 3\n1 2 3\n1 2 3\n", None),
        ("viewer.js", b"1, 2, 3\n" * 9, None),
        ("report.pdf", b"%PDF-1.4\n0 0 612 792\n" * 9, None),
        ("f.dcm", b"\0" * 128 + b"DICM" + b"1 2 3\n" * 9, None),
        ("COMPLETE", b"", None),
        ("list.csv", b"", "table"),
        ("names.csv", b"name,comment\nanna,none\n", None),
    ],
)
def test_a_file_is_taken_for_what_it_looks_like(tmp_path, name, payload, expected):
    (tmp_path / name).write_bytes(payload)
    assert points_kind(tmp_path / name) == expected


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.mrk.json", "a.stl"])
def test_a_file_above_the_size_limit_is_refused_without_being_read(tmp_path, name):
    path = tmp_path / name
    with path.open("wb") as stream:
        stream.write(b"[1, 2, 3,\n")
        stream.truncate(MAX_FILE_BYTES + 1)
    assert points_kind(path) is not None
    with pytest.raises(ReconstructionRejected, match="FILE_TOO_LARGE"):
        read_any_reconstruction(path)


def test_a_long_file_is_judged_by_its_head(tmp_path):
    (tmp_path / "long.csv").write_text(TABLE + "T2;sup;1,0;2,0;3,0\n" * (HEAD_BYTES // 10))
    (tmp_path / "long.json").write_text(json.dumps({"rows": [[1, 2]] * HEAD_BYTES}))
    assert points_kind(tmp_path / "long.csv") == "table"
    assert points_kind(tmp_path / "long.json") == "json"


@pytest.mark.parametrize("name", ["a.xlsx", "a.mat", "a.wrl", "a.o3"])
def test_a_format_that_is_not_read_is_refused_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04" * 50)
    with pytest.raises(ReconstructionRejected, match=r"FORMAT_UNSUPPORTED.*(save|write)"):
        read_any_reconstruction(tmp_path / name)
