"""Damaged files of every format: each is read, or refused with a code, in little time."""

import json
import time
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.errors import ReconstructionRejected
from spine.landmarks import VERTEBRAE
from spine.reconstruction.open import points_kind, read_any_reconstruction
from spine.reconstruction.reconstruction import Reconstruction
from tests.spine.reconstruction.constructed_meshes import (
    ascii_stl_of,
    obj_of,
    place_of,
    ply_of,
    tube,
    vertebra,
    vtp_of,
)
from tests.spine.reconstruction.test_formats import keypoints
from tests.spine.reconstruction.test_tables import COMMA, POINTS, centroids, excel, fcsv, german, markups, record

MOST_SECONDS = 10.0

TOKENS = [
    *(
        b"",
        b"\0",
        b"\n",
        b'"',
        b"'",
        b";",
        b",",
        b"\t",
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b"#",
        b"<",
        b">",
        b"=",
        b"-",
        b"_",
    ),
    *(
        b"NaN",
        b"Infinity",
        b"null",
        b"true",
        b"1e999",
        b"1e300",
        b"-1",
        b"0",
        b"9" * 30,
        b"9" * 400,
        b"9" * 5000,
        b"1,5",
    ),
    *(b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b'"\\ud800"', b"sep=;\n", b"T1_sup", b"L6", b"[" * 2000),
    *(
        b"x" * 140_000,
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x80",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x00\x00\x80\x7f",
    ),
]


@cache
def originals():
    """Name of a file -> its bytes, of each format that is read."""
    three = {level: vertebra(place_of(level)) for level in VERTEBRAE[:3]}
    ring = tube(place_of("T1"), (20, 15), 10, rows=3)
    return {
        "r.csv": COMMA[:3000].encode(),
        "german.csv": german(COMMA[:3000]).encode(),
        "excel.csv": excel(COMMA[:3000]).encode("cp1252"),
        "wide.csv": COMMA[:3000].encode("utf-16"),
        "r.json": json.dumps(record()).encode(),
        "wide.json": json.dumps(record()).encode("utf-16-le"),
        "r.mrk.json": markups(dict(list(POINTS.items())[:40])).encode(),
        "r.fcsv": fcsv(dict(list(POINTS.items())[:40])).encode(),
        "a_ctd.json": centroids(tuple(range(8, 25)), zoom=[1, 1, 1]).encode(),
        "ct.json": json.dumps(keypoints()).encode(),
        "three.obj": obj_of(three),
        "T1.obj": obj_of({"T1": ring}),
        "T1.stl": ascii_stl_of({"T1": ring}),
        "T1.ply": ply_of(ring, "ascii"),
        "T2.ply": ply_of(ring, "binary_little_endian"),
        "T1.vtp": vtp_of(ring),
        "T2.vtp": vtp_of(ring, "base64", compressed=True),
        "T3.vtp": vtp_of(ring, "appended-raw", compressed=True),
        "T4.vtp": vtp_of(ring, "appended-base64"),
    }


def edited(payload, edits):
    """The payload after edits (kind, place, length, token); places and lengths are shares of the file."""
    for kind, place, length, token in edits:
        start = int(place * len(payload))
        stop = start + int(length * 64 if kind != "cut" else length * len(payload))
        if kind == "repeat":
            token = payload[start:stop] * 3
        payload = payload[:start] + (b"" if kind == "cut" else token) + payload[stop if kind != "insert" else start :]
    return payload


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "cut", "repeat"]),
        st.floats(0, 1),
        st.floats(0, 0.3),
        st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)),
    ),
    max_size=4,
)


def assert_read_or_refused(path, payload):
    path.write_bytes(payload)
    start = time.perf_counter()
    points_kind(path)
    try:
        assert isinstance(read_any_reconstruction(path), Reconstruction)
    except ReconstructionRejected as error:
        assert error.code.isupper()
        assert error.found
        assert error.expected
        assert error.remedy
    assert time.perf_counter() - start < MOST_SECONDS


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(originals())), edits=EDITS)
def test_a_damaged_file_is_read_or_refused(tmp_path, name, edits):
    assert_read_or_refused(tmp_path / name, edited(originals()[name], edits))


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(sorted(originals())), edits=EDITS)
def test_many_damaged_files_are_read_or_refused(tmp_path, name, edits):
    assert_read_or_refused(tmp_path / name, edited(originals()[name], edits))


SUFFIXES = st.sampled_from([".csv", ".json", ".mrk.json", ".fcsv", ".txt", ".obj", ".stl", ".ply", ".vtp", ".xml", ""])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=SUFFIXES, parts=st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=40)), max_size=12))
def test_bytes_of_no_format_are_refused(tmp_path, suffix, parts):
    assert_read_or_refused(tmp_path / f"a{suffix}", b"".join(parts))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.text()
                | st.sampled_from(
                    [
                        "points",
                        "markups",
                        "controlPoints",
                        "label",
                        "position",
                        "direction",
                        "zoom",
                        "X",
                        "coordinates",
                        "type",
                        "schema",
                        "geometry",
                        "facts",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=20,
    ),
    key=st.sampled_from(["points", "markups", "geometry", "facts", "hip_radius_mm", "schema", "subject_id"]),
)
def test_json_of_other_structures_is_refused(tmp_path, value, key):
    assert_read_or_refused(tmp_path / "a.json", json.dumps(value).encode())
    assert_read_or_refused(tmp_path / "b.json", json.dumps(record(**{key: value})).encode())
    assert_read_or_refused(tmp_path / "c.json", json.dumps({"markups": [value]}).encode())
    assert_read_or_refused(tmp_path / "d.json", json.dumps([{"direction": value, "zoom": value}, value]).encode())
