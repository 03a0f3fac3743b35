"""The correction page in a browser: points dragged, moved by keys and placed from nothing, and the records of it.

    PLUMBLINE_SCREENSHOTS=docs/correcting pytest tests/browser/test_correction_page.py

takes the pictures of docs/corrections.md.
"""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from inference.radiograph_files import RadiographFile
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.intake.correction_record import read_record, record_files
from spine.landmarks import VIEWS
from spine.scanner import triangulate
from tests.browser.chromium import Page, browser, needs_chromium
from tests.browser.guide_images import keep
from tests.serving.correction.page_server import PageServer, page_server

pytestmark = [needs_chromium, pytest.mark.slow]
NAME = "<img src=x onerror=document.title='run'>"
_SHIFT, _CTRL = 8, 2


@pytest.fixture(scope="module")
def patient(tmp_path_factory) -> dict[str, bytes]:
    """View -> the DICOM file of one virtual patient."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, CohortConfig(count=1, seed=5, shape=(1024, 512), spacing_mm=0.717))
    return {view: (folder / "case-00000" / f"{view}.dcm").read_bytes() for view in VIEWS}


@pytest.fixture
def server(tmp_path):
    with page_server(tmp_path) as running:
        yield running


def open_case(tab: Page, server: PageServer, patient: dict[str, bytes], *, proposed: bool = True) -> str:
    files = [RadiographFile(patient[view], view, view) for view in VIEWS]
    case = server.cases.add(files, proposed=proposed)
    tab.open(server.address(case))
    tab.wait_for("document.body.dataset.measured !== undefined")
    return case.case_id


def circle(view: str, name: str) -> str:
    return f"document.querySelectorAll('.view')[{VIEWS.index(view)}].querySelector('[data-name={name}]')"


def place_of(tab: Page, view: str, name: str) -> list[float]:
    """(column, row) of a point in pixels of its radiograph."""
    return tab.evaluate(f"(c => [c.cx.baseVal.value - 0.5, c.cy.baseVal.value - 0.5])({circle(view, name)})")


def mouse(tab: Page, kind: str, at: list[float]) -> None:
    tab.send("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", buttons=1, clickCount=1)


def drag(tab: Page, view: str, name: str, by: tuple[float, float]) -> None:
    start = tab.evaluate(
        f"(r => [r.x + r.width / 2, r.y + r.height / 2])({circle(view, name)}.getBoundingClientRect())"
    )
    mouse(tab, "mousePressed", start)
    for share in (0.5, 1.0):
        mouse(tab, "mouseMoved", [start[0] + share * by[0], start[1] + share * by[1]])
    mouse(tab, "mouseReleased", [start[0] + by[0], start[1] + by[1]])
    settled(tab)


def settled(tab: Page) -> None:
    """Wait for the server's answer to the last change."""
    before = tab.evaluate("document.body.dataset.measured")
    tab.wait_for(f"document.body.dataset.measured !== {json.dumps(before)}", patience_s=10)
    time.sleep(0.3)


def press(tab: Page, key: str, modifiers: int = 0) -> None:
    code = {"ArrowDown": 40, "ArrowRight": 39, "Delete": 46, "PageDown": 34, "z": 90}[key]
    for kind in ("rawKeyDown", "keyUp"):
        tab.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=modifiers)


def value(tab: Page, parameter: str) -> float:
    text = tab.evaluate(f"document.querySelector('tr[data-parameter={parameter}]').cells[1].textContent")
    return float(text.removesuffix("°").removesuffix(" mm"))


def row(tab: Page, parameter: str) -> str:
    return str(tab.evaluate(f"document.querySelector('tr[data-parameter={parameter}]').innerText"))


def the_record(server: PageServer, case: str):
    (path,) = record_files(server.recorder.folder / case).values()
    return read_record(path)


def slope_in_space(tab: Page, case) -> float:
    """The sacral slope of the points on the page; S1_ant is at the same height in both images."""
    frontal, lateral = (case.inputs[view].geometry for view in VIEWS)
    places = {name: [np.array(place_of(tab, view, name)) for view in VIEWS] for name in ("S1_ant", "S1_post")}
    heights = [g.plane_from_pixels(at)[1] for g, at in zip((frontal, lateral), places["S1_ant"], strict=True)]
    assert heights[0] == pytest.approx(heights[1], abs=0.02)
    front, back = (triangulate(at[0], at[1], frontal, lateral).xyz_mm for at in places.values())
    return float(-np.degrees(np.arctan2(front[2] - back[2], back[1] - front[1])))


def test_points_are_dragged_and_moved_by_keys_and_the_angles_follow(server, patient):
    with browser(1280, 860) as tab:
        case = open_case(tab, server, patient)
        keep(tab, "proposal")
        slope, cobb = value(tab, "sacral_slope"), row(tab, "cobb")
        drag(tab, "lateral", "S1_ant", (-2.0, 14.0))
        moved = np.array(place_of(tab, "lateral", "S1_ant"))
        assert abs(value(tab, "sacral_slope") - slope) > 3
        assert value(tab, "sacral_slope") == pytest.approx(slope_in_space(tab, server.cases.open(case)), abs=0.15)
        assert "moved by hand" in row(tab, "sacral_slope") and row(tab, "cobb") == cobb
        assert tab.evaluate("document.getElementById('status').className") == "unsaved"
        keep(tab, "moved")
        tab.evaluate(f"{circle('lateral', 'L1_sup_ant')}.dispatchEvent(new PointerEvent('pointerdown', {{button: 0}}))")
        tab.choose("point", "lateral/L1_sup_ant")
        before = place_of(tab, "lateral", "L1_sup_ant")
        press(tab, "ArrowDown")
        press(tab, "ArrowRight", _SHIFT)
        after = place_of(tab, "lateral", "L1_sup_ant")
        assert np.round(np.subtract(after, before), 2).tolist() == [10.0, 1.0]
        press(tab, "z", _CTRL)
        assert place_of(tab, "lateral", "L1_sup_ant") == pytest.approx([before[0], before[1] + 1], abs=0.01)
        tab.choose("point", "frontal/HIP_L")
        press(tab, "Delete")
        assert tab.evaluate(f"{circle('frontal', 'HIP_L')} === null")
        tab.evaluate("document.getElementById('who').focus()")
        tab.type(NAME)
        tab.press_button("Save correction")
        tab.wait_for("document.getElementById('status').innerText.startsWith('Saved as record 1')")
        assert NAME in tab.evaluate("document.getElementById('status').innerText")
        assert tab.evaluate("document.title") == "Plumbline: landmarks"
        record = the_record(server, case)
        assert (record.decision, record.who, record.views["frontal"].removed) == ("corrected", NAME, ("HIP_L",))
        assert record.views["frontal"].moved == ("S1_ant",), "at the height of the lateral image"
        assert set(record.views["lateral"].moved) == {"S1_ant", "L1_sup_ant"}
        assert record.views["lateral"].points["S1_ant"].tolist() == pytest.approx(moved.tolist(), abs=0.01)
        assert tab.console == []
        own = f"http://127.0.0.1:{server.service.port}/"
        assert all(url.startswith((own, "data:")) for url in tab.requested)


def test_the_image_is_zoomed_and_its_grey_values_are_chosen(server, patient):
    with browser(1280, 860) as tab:
        open_case(tab, server, patient)
        whole = tab.evaluate("document.querySelector('svg').viewBox.baseVal.width")
        tab.click(".in")
        assert tab.evaluate("document.querySelector('svg').viewBox.baseVal.width") == pytest.approx(whole / 1.4)
        tab.click(".whole")
        assert tab.evaluate("document.querySelector('svg').viewBox.baseVal.width") == whole
        set_window = "(w => { w.value = 100; w.dispatchEvent(new Event('input')); })(document.querySelector('.window'))"
        tab.evaluate(set_window)
        assert float(tab.evaluate("document.querySelector('feFuncR').getAttribute('slope')")) == pytest.approx(2.55)
        assert tab.console == []


def test_a_record_that_somebody_else_saved_is_shown_and_not_overwritten(server, patient):
    with browser(1280, 860) as tab:
        case = open_case(tab, server, patient)
        points = server.service.client.get(f"/correct/case/{case}/data").json()["views"]
        sent = {"decision": "accepted", "who": "B. Two", "after": 0}
        sent["points"] = {view: given["points"] for view, given in points.items()}
        assert server.service.client.post(f"/correct/case/{case}/record", json=sent).json()["version"] == 1
        tab.evaluate("document.getElementById('who').focus()")
        tab.type("A. One")
        tab.evaluate("document.getElementById('reason').focus()")
        tab.type("turned")
        tab.press_button("Reject")
        tab.wait_for("document.getElementById('status').className == 'problem'")
        assert "CORRECTION_CONFLICT" in tab.evaluate("document.getElementById('status').innerText")
        assert the_record(server, case).who == "B. Two"


def test_radiographs_are_annotated_from_nothing_by_clicks_in_order(server, patient):
    with browser(900, 900) as tab:
        case = open_case(tab, server, patient, proposed=False)
        names = tab.evaluate("[...document.getElementById('point').options].slice(0, 6).map(o => o.value)")
        for i in range(6):
            share = 0.2 + 0.05 * i
            at = tab.evaluate(
                f"(r => [r.x + r.width / 2, r.y + r.height * {share}])"
                "(document.querySelector('svg').getBoundingClientRect())"
            )
            mouse(tab, "mousePressed", at)
            mouse(tab, "mouseReleased", at)
        settled(tab)
        keep(tab, "from-nothing")
        tab.evaluate("document.getElementById('who').focus()")
        tab.type("A. Notator")
        tab.press_button("Save landmarks")
        tab.wait_for("document.getElementById('status').innerText.startsWith('6 of ')")
        tab.press_button("Save landmarks")
        tab.wait_for("document.getElementById('status').innerText.startsWith('Saved as record 1')")
        record = the_record(server, case)
        assert (record.decision, record.model_digest) == ("annotated", None)
        assert set(record.views) == {"frontal"}, "a view without points is no label"
        assert {f"frontal/{name}" for name in record.views["frontal"].points} == set(names)
        assert tab.console == []


def test_the_start_page_says_why_a_file_is_refused_and_opens_the_next_one(server, patient, tmp_path):
    (tmp_path / "letter.txt").write_text("not a radiograph")
    (tmp_path / "frontal.dcm").write_bytes(patient["frontal"])
    with browser(900, 700) as tab:
        tab.open(f"http://127.0.0.1:{server.service.port}/correct/")
        choose(tab, tmp_path / "letter.txt")
        tab.press_button("Open")
        tab.wait_for("document.getElementById('status').className == 'problem'")
        said = tab.evaluate("document.getElementById('status').innerText")
        assert "found" in said and "expected" in said and said.split(":")[0].isupper()
        keep(tab, "refused")
        choose(tab, tmp_path / "frontal.dcm")
        tab.press_button("Open")
        tab.wait_for("document.body && document.body.dataset.measured !== undefined")
        assert "/correct/case/" in tab.evaluate("location.href")


def choose(tab: Page, file: Path) -> None:
    """Choose a file for the frontal view on the start page."""
    root = tab.send("DOM.getDocument", depth=1)["root"]["nodeId"]
    field = tab.send("DOM.querySelector", nodeId=root, selector="input[name=frontal]")["nodeId"]
    tab.send("DOM.setFileInputFiles", nodeId=field, files=[str(file)])
