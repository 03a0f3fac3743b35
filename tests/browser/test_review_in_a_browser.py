"""The report and MLflow in a browser, with mouse and keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.environment import quiet_environment
from orchestration.links import OF_TRAINING
from orchestration.services.processes import free_port
from orchestration.tracking.describe import review_candidate
from spine.measurement.registry import PARAMETERS
from tests.browser.chromium import Page, browser, needs_chromium
from tests.browser.mlflow_pages import mlflow_of, open_run
from tests.judged_workspace import MOST_CHANGED, UNANSWERED, Judged, judged_workspace
from validation.gates.verdict import read_verdict

SECTIONS = ("verdict", "rules", "differences", "agreement", "levels", "calibration", "patients", "changes", "decide",
            "provenance")  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    needs_chromium,
    pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning:mlflow"),
]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, empty_mlflow_database: Path, port: int) -> Iterator[Judged]:
    """A workspace with fifty patients, a challenger and a champion, whose MLflow pages are at ``port``."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet_environment().items():
            patch.setenv(name, value)
        patch.delenv("PLUMBLINE_TRACKING_URI", raising=False)
        made = judged_workspace(tmp_path_factory.mktemp("judged"), mlflow_database=empty_mlflow_database)
        review_candidate(made.workspace, made.params)
        yield made


@pytest.fixture
def page(judged: Judged) -> Iterator[Page]:
    with browser() as tab:
        tab.open(judged.workspace.report_page.as_uri())
        yield tab
        assert tab.console == [], "the page wrote errors or warnings to the console"


@pytest.fixture(scope="module")
def mlflow_address(judged: Judged, port: int) -> Iterator[str]:
    """The address of an MLflow server for the judged workspace."""
    with mlflow_of(judged.workspace, port) as address:
        yield address


def visible(tab: Page, selector: str) -> bool:
    return bool(tab.evaluate(
        f"[...document.querySelectorAll({selector!r})].some(e => e.getClientRects().length && "
        "getComputedStyle(e).visibility !== 'hidden')"
    ))  # fmt: skip


def layer(tab: Page) -> Any:
    return tab.evaluate("document.getElementById('viewer').dataset.layer")


def study(tab: Page) -> Any:
    return tab.evaluate("document.querySelector('article:not([hidden])').dataset.study")


def test_a_reviewer_sees_everything_of_fifty_patients(page: Page, judged: Judged) -> None:
    verdict = read_verdict(judged.workspace.verdict_file)
    assert judged.workspace.report_page.stat().st_size <= 15_000_000
    assert page.evaluate("document.querySelector('.decision').textContent") == verdict.decision
    assert page.evaluate("document.getElementById('verdict-digest').textContent") == verdict.digest
    assert page.count("table.rules tbody tr") == len(verdict.results)
    assert page.count(".forest svg") == 7, "six parameters, and all of them together"
    assert page.count(".charts svg") == 2 * len(PARAMETERS), "one chart for each model"
    assert page.count("#agreement table.figures tbody tr") == 2 * len(PARAMETERS)
    charts = (".banner", ".forest svg", ".levels svg", ".calibration svg", ".figures")
    for section in (*(f"#{name}" for name in SECTIONS), *charts):
        assert visible(page, section), section


def test_nothing_is_loaded_from_a_network(page: Page) -> None:
    assert page.requested
    assert not [address for address in page.requested if not address.startswith(("file:", "data:"))]
    assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'got through', () => 'refused')") == "refused"
    page.console.clear()  # it has the refused request


def test_every_image_has_a_text_and_can_be_decoded(page: Page) -> None:
    images = "[...document.querySelectorAll('article img')]"
    assert page.evaluate(f"{images}.length") >= 40
    assert page.evaluate(f"{images}.every(i => i.alt.includes('radiograph of study'))")
    assert page.evaluate(f"Promise.all({images}.map(i => i.decode())).then(() => true)")
    assert page.evaluate("[...document.querySelectorAll('svg[role=img]')].every(s => s.getAttribute('aria-label'))")


def test_overlays_switch_by_keyboard(page: Page) -> None:
    page.click("#stage h3")
    shown = "article:not([hidden]) .layer.{}"
    assert layer(page) == "challenger"
    assert visible(page, shown.format("truth"))
    assert not visible(page, shown.format("champion"))
    page.press("ArrowRight")
    assert layer(page) == "champion"
    assert visible(page, shown.format("champion"))
    assert not visible(page, shown.format("challenger"))
    page.press("ArrowRight")
    assert layer(page) == "truth"
    page.press("ArrowRight")
    assert layer(page) == "challenger", "after the last layer comes the first"
    page.press("ArrowLeft")
    assert layer(page) == "truth"
    page.press("2")
    page.press("t")
    assert visible(page, shown.format("champion"))
    assert not visible(page, shown.format("truth"))
    page.press("0")
    assert not visible(page, "article:not([hidden]) .layer")


def test_patients_change_by_keyboard_and_the_page_is_reached_by_tab(page: Page) -> None:
    assert study(page) == UNANSWERED, "the patient without any answer is the worst"
    page.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip", "the first tab stop leads to the patients"
    page.evaluate("document.getElementById('viewer').focus()")
    page.press("ArrowDown")
    second = study(page)
    assert second != UNANSWERED
    page.press("k")
    assert study(page) == UNANSWERED
    for control in ("choose-set", "choose-group", "choose-sort"):
        page.press("Tab")
        assert page.evaluate("document.activeElement.id") == control
    page.press("ArrowDown")
    assert study(page) == UNANSWERED, "an arrow key in a list of choices changes the choice, not the patient"
    page.choose("choose-sort", "loss")
    page.press("Tab")
    assert page.evaluate("document.activeElement.dataset.study") == UNANSWERED, "one tab stop for the whole list"
    page.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.study") == second, "the patient that is shown has the focus"
    page.press("Tab")
    assert page.evaluate("document.activeElement.dataset.show") == "challenger", "the next tab stop is after the list"
    page.press("k")
    page.press("ArrowUp")
    assert study(page) == UNANSWERED, "the first stays the first"


def test_overlays_switch_by_mouse(page: Page) -> None:
    page.click("[data-show=champion]")
    assert layer(page) == "champion"
    assert page.evaluate("document.querySelector('[data-show=champion]').getAttribute('aria-checked')") == "true"
    page.click("#under")
    assert not visible(page, "article:not([hidden]) .layer.truth")
    page.click(f"#list button[data-study={MOST_CHANGED}]")
    assert study(page) == MOST_CHANGED


def test_filter_and_sort(page: Page) -> None:
    def choose(what: str, value: str) -> Any:
        page.choose(f"choose-{what}", value)
        return page.evaluate(
            "[...document.querySelectorAll('#list li:not([hidden]) button')].map(b => b.dataset.study)"
        )

    everybody = choose("set", "all")
    worst, changed = choose("set", "worst"), choose("set", "changed")
    assert len(worst) == len(changed) == 20
    places = choose("set", "place")
    assert len(places) == 3 and places[0] == UNANSWERED, "worst, median, best"
    assert set(worst) | set(changed) | set(places) == set(everybody)
    choose("set", "all")
    adults = choose("group", "condition=healthy adult")
    assert 0 < len(adults) < len(everybody)
    assert all(int(name.removeprefix("study")) % 3 == 0 for name in adults)
    choose("group", "")
    assert choose("sort", "worsened")[:2] == [UNANSWERED, MOST_CHANGED]
    assert choose("sort", "study") == sorted(everybody)
    assert page.evaluate("document.getElementById('how-many').textContent") == f"{len(everybody)} of {len(everybody)}"


def test_it_fits_a_laptop(judged: Judged) -> None:
    for width, height in ((1366, 768), (1280, 800), (1280, 720)):
        with browser(width, height) as tab:
            tab.open(judged.workspace.report_page.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, "the page has no sideways scrolling"
            bottom = tab.evaluate(f"{BOX}(document.querySelector('table.decisions')).bottom")
            assert bottom <= height or height < 768, "a refusal has the most text"
            tab.show("viewer")
            for ratio in ("0.3", "0.5", "1.4"):
                tab.evaluate(f"document.querySelectorAll('figure[style]').forEach(f => f.style = '--ratio: {ratio}')")
                seen = "[...document.querySelectorAll('article:not([hidden]) :is(.radiograph, .answers)')]"
                assert tab.evaluate(f"{seen}.length") == 3
                boxes = tab.evaluate(f"{seen}.map(e => {{ const b = {BOX}(e); return [b.top, b.bottom, b.right]; }})")
                assert all(top >= 0 and right <= width for top, _, right in boxes), (ratio, boxes)
                seen_whole = boxes if height >= 800 else boxes[:2]
                assert all(bottom <= height for _, bottom, _ in seen_whole), (ratio, boxes)


BOX = "(e => e.getBoundingClientRect())"


def test_level_names_stand_beside_the_image_and_change_with_the_model(page: Page) -> None:
    page.click(f"#list button[data-study={MOST_CHANGED}]")
    names = "[...document.querySelectorAll('article:not([hidden]) .levels-of')].filter(e => e.getClientRects().length)"
    assert page.evaluate(f"{names}.map(e => e.className)") == ["levels-of challenger"] * 2
    assert page.evaluate(f"{names}.every(e => {BOX}(e).right <= {BOX}(e.parentElement.querySelector('img')).left + 1)")
    assert page.evaluate(f"{names}.every(e => e.children.length >= 10)")
    page.click("[data-show=champion]")
    assert page.evaluate(f"{names}.map(e => e.className)") == ["levels-of champion"] * 2


def test_it_can_be_read_in_a_narrow_window(judged: Judged) -> None:
    with browser(500, 800) as tab:
        tab.open(judged.workspace.report_page.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 500
        outside = (
            "[...document.querySelectorAll('.rules td, pre, dd, article:not([hidden]) .radiograph')]"
            ".filter(e => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth).length"
        )
        assert tab.evaluate(outside) == 0, "no column is cut"
        assert visible(tab, "td.why")
        assert (
            tab.evaluate("document.querySelector('article:not([hidden]) .radiograph').getBoundingClientRect().width")
            > 300
        )
        assert visible(tab, ".narrow"), "a chart wider than the window has a note"


def test_the_decision_fits_the_pane_that_mlflow_leaves_beside_its_assistant(judged: Judged) -> None:
    with browser(510, 800) as tab:
        tab.open(judged.workspace.report_page.as_uri())
        beyond = "(t => t.scrollWidth - t.parentElement.clientWidth)(document.querySelector('table.decisions'))"
        assert tab.evaluate(beyond) <= 0, "no column is cut"
        assert tab.evaluate(f"{BOX}(document.querySelector('table.decisions')).bottom") <= 800


def test_mlflow_shows_the_run_and_its_page(mlflow_address: str, judged: Judged) -> None:
    verdict = read_verdict(judged.workspace.verdict_file)
    with browser() as tab:
        open_run(tab, mlflow_address, judged.challenger_run)
        tab.wait_for(f"document.body.innerText.includes({verdict.digest!r})")
        text = tab.evaluate("document.body.innerText")
        assert "report" in text
        assert "Standard error of the estimate" in text
        address = tab.evaluate('[...document.links].find(a => a.innerText == "report").href')
        place = f"{mlflow_address}/#/experiments/1/runs/{judged.challenger_run}/artifacts/report/report.html"
        assert address == place + OF_TRAINING
        tab.open("about:blank")
        tab.open(address)
        shown = tab.wait_for("document.getElementById('verdict-digest')?.textContent", in_frame=True)
        assert shown == verdict.digest
        count = tab.wait_for("document.getElementById('how-many')?.textContent", in_frame=True)
        assert count.endswith(" of 31"), "the viewer's script runs inside MLflow too"


def test_mlflow_shows_the_version_with_card_and_verdict(mlflow_address: str, judged: Judged) -> None:
    verdict = read_verdict(judged.workspace.verdict_file)
    with browser() as tab:
        tab.open(f"{mlflow_address}/#/models/plumbline-candidates/versions/2")
        tab.wait_for(f"document.body.innerText.includes({verdict.digest!r})")
        text = tab.evaluate("document.body.innerText")
        assert "not for diagnosis" in text
        links = tab.evaluate("Object.fromEntries([...document.links].map(a => [a.innerText, a.href]))")
        assert links["Dagster run"] == f"{mlflow_address}/dagster/runs/00000002-dagster"
        assert links["report"].endswith("/artifacts/report/report.html" + OF_TRAINING)
