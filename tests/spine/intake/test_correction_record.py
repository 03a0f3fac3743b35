"""Correction records: what is written comes back, nothing is overwritten, and impossible records are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spine.errors import InputRejected, LabelsRejected
from spine.intake.correction import Correction, corrected_view, correction_from_json, correction_to_json
from spine.intake.correction_record import read_correction, record_files, write_correction
from spine.storage import sha256_of_bytes

DIGEST = "a" * 64
FILM = b"radiograph"
PROPOSED = {"L1_sup": np.array([10.0, 20.5]), "L1_inf": np.array([11.0, 30.0]), "S1_ant": np.array([5.0, 90.0])}
AFTER = {"L1_sup": np.array([12.25, 20.5]), "L1_inf": np.array([11.0, 30.0]), "HIP_L": np.array([40.0, 95.0])}


def view(proposed=None, points=None, file="lateral.dcm", **options):
    proposed, points = PROPOSED if proposed is None else proposed, AFTER if points is None else points
    return corrected_view(file, sha256_of_bytes(FILM), DIGEST, (100, 50), proposed, points, **options)


def record(case="case-1", decision="corrected", lateral=None, **changes):
    fields = {"who": "Dr B", "when": "2026-12-01T10:00:00+00:00", "model_digest": DIGEST} | changes
    return Correction(case, {"lateral": lateral or view()}, decision, **fields)


def refusal(code, make):
    with pytest.raises(InputRejected) as raised:
        make()
    assert raised.value.code == code, raised.value
    return str(raised.value)


def test_a_record_names_what_moved_and_comes_back(tmp_path):
    written = record(reason="S1 was on L5", patient="P-7")
    assert write_correction(tmp_path / "case-1", written, {"lateral": FILM}, seen=0) == 1
    found = read_correction(tmp_path / "case-1")
    lateral = found.views["lateral"]
    assert (lateral.moved, lateral.added, lateral.removed) == (("L1_sup",), ("HIP_L",), ("S1_ant",))
    assert correction_to_json(found) == correction_to_json(written)
    assert np.array_equal(lateral.points["L1_sup"], AFTER["L1_sup"])
    assert (tmp_path / "case-1" / "lateral.dcm").read_bytes() == FILM


def test_records_are_appended_and_the_newest_counts(tmp_path):
    case = tmp_path / "case-1"
    write_correction(case, record(), {"lateral": FILM}, seen=0)
    first = record_files(case)[1].read_bytes()
    second = record(decision="rejected", reason="another patient's lateral")
    assert write_correction(case, second, {"lateral": FILM}, seen=1) == 2
    assert read_correction(case).decision == "rejected" and record_files(case)[1].read_bytes() == first


def test_a_repeated_request_writes_nothing_and_another_one_conflicts(tmp_path):
    case = tmp_path / "case-1"
    write_correction(case, record(), {"lateral": FILM}, seen=0)
    again = record(when="2026-12-01T10:00:05+00:00")
    assert write_correction(case, again, {"lateral": FILM}, seen=0) == 1
    other = record(decision="accepted", lateral=view(points=PROPOSED))
    refusal("CORRECTION_CONFLICT", lambda: write_correction(case, other, {"lateral": FILM}, seen=0))
    assert list(record_files(case)) == [1]


def test_a_case_keeps_its_radiographs(tmp_path):
    case, other = tmp_path / "case-1", b"another radiograph"
    write_correction(case, record(), {"lateral": FILM})
    replaced = record(lateral=replace(view(), sha256=sha256_of_bytes(other)))
    refusal("CORRECTION_CONFLICT", lambda: write_correction(case, replaced, {"lateral": other}, seen=1))
    refusal("CORRECTION_FILE_DIFFERS", lambda: write_correction(case, record(), {"lateral": other}))
    (case / "lateral.dcm").write_bytes(other)
    refusal("CORRECTION_FILE_DIFFERS", lambda: read_correction(case))
    (case / "lateral.dcm").unlink()
    refusal("CORRECTION_FILE_MISSING", lambda: read_correction(case))
    (case / "lateral.dcm").symlink_to(tmp_path / "elsewhere")
    refusal("CORRECTION_FILE_MISSING", lambda: read_correction(case))


@pytest.mark.parametrize("name", ["../escape", "a/b", "/etc/passwd", ".hidden", "", "x" * 65, "a\nb", "..", "nul\0"])
def test_names_that_are_paths_are_refused(tmp_path, name):
    refusal("CORRECTION_INVALID", lambda: record(case=name))
    refusal("CORRECTION_INVALID", lambda: record(lateral=view(file=name)))
    refusal("CASE_INVALID", lambda: write_correction(tmp_path / "other", record(), {"lateral": FILM}))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"decision": "accepted"}, "CORRECTION_INCONSISTENT"),
        ({"lateral": view(points=PROPOSED)}, "CORRECTION_INCONSISTENT"),
        ({"decision": "rejected"}, "CORRECTION_INCONSISTENT"),
        ({"decision": "annotated"}, "CORRECTION_INCONSISTENT"),
        ({"model_digest": None}, "CORRECTION_INCONSISTENT"),
        ({"when": "yesterday"}, "CORRECTION_INCONSISTENT"),
        ({"when": "2026-12-01T10:00:00"}, "CORRECTION_INCONSISTENT"),
        ({"lateral": replace(view(), moved=("L1_inf",))}, "CORRECTION_INCONSISTENT"),
        ({"decision": "approved"}, "CORRECTION_INVALID"),
        ({"who": ""}, "CORRECTION_INVALID"),
        ({"model_digest": "../model"}, "CORRECTION_INVALID"),
        ({"reason": "x" * 2001}, "CORRECTION_INVALID"),
        ({"lateral": view(spacing_mm=float("nan"))}, "CORRECTION_INVALID"),
    ],
)
def test_contradictions_are_refused(changes, code):
    refusal(code, lambda: record(**changes))


def test_a_rejection_and_an_annotation_need_only_what_they_say():
    record(decision="rejected", reason="blurred", lateral=view(points=PROPOSED))
    record(decision="annotated", model_digest=None, lateral=view(proposed={}))


@pytest.mark.parametrize(
    ("points", "code"),
    [
        ({"<b>T4</b>": [1, 2]}, "LABEL_UNKNOWN"),
        ({"T4_sup": [1e999, 2]}, "LABELS_NOT_FINITE"),
        ({"T4_sup": [51, 2]}, "LABELS_OUTSIDE_IMAGE"),
        ({"T4_sup": [1, 2, 3]}, "CORRECTION_UNREADABLE"),
        ({"T4_sup": "here"}, "CORRECTION_UNREADABLE"),
        ({f"T4_{n}": [1, 2] for n in range(600)}, "CORRECTION_UNREADABLE"),
    ],
)
def test_impossible_points_in_a_file_are_refused(points, code):
    content = json.loads(correction_to_json(record()))
    content["views"]["lateral"]["points"] = points
    message = refusal(code, lambda: correction_from_json(json.dumps(content).replace("Infinity", "1e999").encode()))
    assert "<b>" not in message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 200_000,
        b'{"schema": NaN}',
        b" " * (1 << 20) + b"{}",
        b'{"a": 1' + b"0" * 9000 + b"}",
    ],
)
def test_bytes_that_are_no_record_are_refused(payload):
    refusal("CORRECTION_UNREADABLE", lambda: correction_from_json(payload))


def test_unknown_views_and_fields_are_refused():
    for key, value in (("views", {"oblique": {}}), ("extra", 1), ("schema", "plumbline.correction/9")):
        content = json.loads(correction_to_json(record())) | {key: value}
        refusal("CORRECTION_UNREADABLE", lambda content=content: correction_from_json(json.dumps(content).encode()))


def test_a_reason_with_markup_is_kept_as_text_and_never_in_a_message(tmp_path):
    reason = "<script>alert(1)</script>"
    write_correction(tmp_path / "case-1", record(reason=reason), {"lateral": FILM})
    assert read_correction(tmp_path / "case-1").reason == reason
    assert "script" not in refusal("CORRECTION_INVALID", lambda: record(reason=reason * 200))


def test_a_folder_without_records_is_refused(tmp_path):
    refusal("CORRECTION_MISSING", lambda: read_correction(tmp_path / "case-1"))
    with pytest.raises(LabelsRejected):
        (tmp_path / "case-2").mkdir()
        (tmp_path / "case-2" / "record-0001.json").symlink_to(tmp_path)
        read_correction(tmp_path / "case-2")
