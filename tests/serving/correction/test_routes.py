"""The correction page's answers: the model's values, moved points, decisions, refusals."""

import re

import httpx
import numpy as np
import pytest

from inference.bundled import open_bundled
from serving.correction.answers import label_of, names_of
from serving.correction.cases import CaseStore
from spine.errors import GateRefused
from spine.intake.correction_record import read_record, record_files
from spine.landmarks import MARGINS175, PLATES, VIEWS
from spine.storage import sha256_of_image
from tests.serving.correction.page_server import page_server, virtual_pair
from tests.serving.service.running import DIGEST, PICTURES, SETTINGS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with page_server(tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture(scope="module")
def case(server, tmp_path_factory):
    return server.cases.add(virtual_pair(tmp_path_factory.mktemp("pair")), proposed=True)


@pytest.fixture
def client(server):
    with httpx.Client(base_url=f"http://127.0.0.1:{server.service.port}", timeout=60) as plain:
        yield plain


def data_of(client, case):
    return client.get(f"/correct/case/{case.case_id}/data").json()


def points_of(data):
    return {view: dict(given["points"]) for view, given in data["views"].items()}


def value_of(result, parameter):
    return next(row for row in result["values"] if row["parameter"] == parameter)


def test_the_page_shows_what_the_model_measured(client, case):
    data = data_of(client, case)
    assert data["proposed"] and data["version"] == 0 and DIGEST[:12] in data["about"]
    for name, measured in case.proposal.parameters.items():
        shown = [row for row in data["result"]["values"] if row["parameter"] == name]
        if measured.value is not None:
            assert shown[0]["value"].startswith(f"{measured.value:.1f}") and not shown[0]["changed"]
            assert bool(shown[0]["interval"]) == (measured.interval is not None)
    image = client.get(f"/correct/case/{case.case_id}/frontal.png")
    assert image.content.startswith(b"\x89PNG") and image.headers["content-type"] == "image/png"


def test_a_moved_point_changes_its_angles_as_the_formula_says_and_no_others(client, case):
    data = data_of(client, case)
    points = points_of(data)
    unmoved = client.post(f"/correct/case/{case.case_id}/measure", json={"points": points}).json()
    assert unmoved["values"] == data["result"]["values"]
    front, back = (np.array(points["lateral"][name]) for name in ("S1_ant", "S1_post"))
    points["lateral"]["S1_ant"] = (front + np.array([0.0, 12.0])).tolist()
    sent = {"points": points, "moved": ["lateral", "S1_ant"]}
    moved = client.post(f"/correct/case/{case.case_id}/measure", json=sent).json()
    changed = [n for n, place in moved["points"]["frontal"].items() if place != data["views"]["frontal"]["points"][n]]
    assert changed == ["S1_ant"], "the other image shows the point at the same height"
    slope, before = value_of(moved, "sacral_slope"), value_of(data["result"], "sacral_slope")
    geometry = case.inputs["lateral"].geometry
    row_mm, column_mm = geometry.spacing_mm

    def tilt(anterior):
        across, down = (back - anterior) * np.array([column_mm, row_mm])
        return np.degrees(np.arctan2(-down, across))

    change = float(slope["value"].rstrip("°")) - float(before["value"].rstrip("°"))
    expected = tilt(front + np.array([0.0, 12.0])) - tilt(front)
    assert abs(change) > 3 and change == pytest.approx(expected, rel=0.1)  # in 3D, with the magnification at S1
    assert slope["changed"] and slope["interval"] == "" and "moved by hand" in slope["remark"]
    cobb = value_of(moved, "cobb")
    assert not cobb["changed"] and cobb["interval"] == value_of(data["result"], "cobb")["interval"]


def test_decisions_are_recorded_once_and_a_newer_record_is_not_overwritten(client, server, case):
    data = data_of(client, case)
    points = points_of(data)
    removed = next(iter(points["frontal"]))
    del points["frontal"][removed]
    sent = {"decision": "corrected", "points": points, "who": "Dr. <b>A</b>", "reason": "", "after": 0}
    address = f"/correct/case/{case.case_id}/record"
    assert client.post(address, json=sent).json() == {"version": 1, "decision": "corrected", "who": "Dr. <b>A</b>"}
    assert client.post(address, json=sent).json()["version"] == 1, "a repeated request changes nothing"
    again = client.post(address, json={**sent, "reason": "another"})
    assert again.status_code == 409 and again.json()["code"] == "CORRECTION_CONFLICT"
    later = data_of(client, case)
    assert later["version"] == 1 and points_of(later) == points
    accepted = {"decision": "accepted", "points": points, "who": "B", "after": 1}
    assert client.post(address, json=accepted).json()["code"] == "CORRECTION_INCONSISTENT"
    rejected = {"decision": "rejected", "points": points, "who": "B", "reason": "turned", "after": 1}
    assert client.post(address, json=rejected).json()["version"] == 2
    first, second = (read_record(path) for path in record_files(server.recorder.folder / case.case_id).values())
    assert (first.model_digest, first.who, first.views["frontal"].removed) == (DIGEST, "Dr. <b>A</b>", (removed,))
    assert (second.decision, second.reason) == ("rejected", "turned")
    assert first.views["lateral"].pixels_sha256 == sha256_of_image(case.inputs["lateral"].image)


BAD = [
    ({"decision": "corrected", "points": {}, "who": "", "after": 0}, "DECISION_INVALID"),
    ({"decision": "rejected", "points": {}, "who": "A", "after": 0}, "DECISION_INVALID"),
    ({"decision": "promoted", "points": {}, "who": "A", "after": 0}, "DECISION_INVALID"),
    ({"decision": "corrected", "points": {}, "who": "A\x00", "after": 0}, "DECISION_INVALID"),
    ({"decision": "corrected", "points": {}, "who": "A", "after": True}, "DECISION_INVALID"),
    ({"decision": "corrected", "points": {"side": {}}, "who": "A", "after": 0}, "POINTS_INVALID"),
    ({"decision": "corrected", "points": {"frontal": {"T4_sup": [1, "2"]}}, "who": "A", "after": 0}, "POINTS_INVALID"),
    ({"decision": "corrected", "points": {"frontal": {"T4_sup": [1, 10**400]}}, "who": "A"}, "POINTS_INVALID"),
]


@pytest.mark.parametrize(("sent", "code"), BAD)
def test_a_decision_that_is_none_is_refused(client, case, sent, code):
    answer = client.post(f"/correct/case/{case.case_id}/record", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    ("points", "code"),
    [
        ({"frontal": {"X9_sup": [10, 10]}}, "LABEL_UNKNOWN"),
        ({"frontal": {"T4_sup": [-10, 10]}}, "LABELS_OUTSIDE_IMAGE"),
        ({"frontal": {"T4_sup_ant": [10, 10]}}, "LABEL_UNKNOWN"),
    ],
)
def test_points_that_no_image_shows_are_refused(client, case, points, code):
    answer = client.post(f"/correct/case/{case.case_id}/measure", json={"points": points})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "0" * 24, "%00", "A" * 24])
def test_a_case_is_no_path(client, name):
    assert client.get(f"/correct/case/{name}/data").status_code in (404, 422)


def test_a_page_allows_its_own_script_only(client, case):
    page = client.get(f"/correct/case/{case.case_id}/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?! type=\"module\" src=\"/)|onclick|http:|https:", page.text)
    assert client.get("/correct/page/..%2Froutes.py").status_code in (404, 422)


def test_uploads_open_a_case_from_a_proposal_or_from_nothing(client, server):
    files = {view: (f"../{view}<b>.png", png) for view, png in PICTURES.items()}
    opened = client.post("/correct/cases", files=files, data={"start": "proposal"})
    assert opened.status_code == 303 and re.fullmatch(r"/correct/case/[0-9a-f]{24}/", opened.headers["location"])
    again = client.post("/correct/cases", files=files, data={"start": "proposal"})
    assert again.headers["location"] == opened.headers["location"]
    empty = client.post("/correct/cases", files={"frontal": files["frontal"]}, data={"start": "empty"})
    data = client.get(f"{empty.headers['location']}data").json()
    assert not data["proposed"] and data["views"]["frontal"]["points"] == {}
    assert all(row["value"] == "not measured" for row in data["result"]["values"])
    unknown = client.post("/correct/cases", files={"lateral": files["lateral"]}, data={"start": "empty"})
    assert client.get(f"{unknown.headers.get('location', '/')}data").status_code in (404, 422)
    log = server.service.log.getvalue()
    assert "<b>" not in log and "../" not in log


def test_a_case_stays_when_its_radiographs_come_again_while_no_model_answers(tmp_path):
    def no_model():
        raise GateRefused("NO_MODEL", "no model", "a model", "promote one")

    store = CaseStore(tmp_path / "cases", open_bundled)
    case = store.add(virtual_pair(tmp_path / "pair"), proposed=True)
    waiting = CaseStore(tmp_path / "cases", no_model)
    with pytest.raises(GateRefused):
        waiting.add(virtual_pair(tmp_path / "pair"), proposed=True)
    assert store.require(case.case_id).is_dir(), "somebody may work on it"
    with pytest.raises(GateRefused):
        waiting.add(virtual_pair(tmp_path / "pair")[:1], proposed=True)
    assert [folder.name for folder in (tmp_path / "cases").iterdir()] == [case.case_id], "a new one is not kept"


def test_radiographs_that_are_rejected_without_a_proposal_become_no_labels(client, server, tmp_path):
    case = server.cases.add(virtual_pair(tmp_path)[:1], proposed=False)
    points = {"frontal": {"T1_sup_left": [10.0, 10.0]}}
    sent = {"decision": "rejected", "points": points, "who": "A", "reason": "not a spine", "after": 0}
    assert client.post(f"/correct/case/{case.case_id}/record", json=sent).json()["decision"] == "rejected"


def test_without_a_key_nothing_of_the_page_answers(tmp_path):
    with page_server(tmp_path, SETTINGS) as server, httpx.Client() as plain:
        case = server.cases.add(virtual_pair(tmp_path / "pair"), proposed=True)
        assert plain.get(f"{server.address(case)}data").status_code == 401
        named = server.service.client.get(f"/correct/case/{case.case_id}/data").json()
        assert named["identity"] == "ris"


def test_every_landmark_has_words_and_is_placed_from_head_to_foot(case, server, tmp_path):
    empty = server.cases.add(virtual_pair(tmp_path)[:1], proposed=False)
    names = names_of(empty, "frontal")
    assert names[:2] == ["T1_sup_left", "T1_sup_right"] and not set(names) & set(PLATES)
    for view in VIEWS:
        assert set(names_of(case, view)) == set(MARGINS175.names_in(view))
    words = [label_of(name) for name in MARGINS175.names]
    assert len(set(words)) == len(words) and label_of("T4_sup_ant") == "T4 upper plate, front"
