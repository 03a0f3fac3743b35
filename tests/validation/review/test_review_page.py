"""The report shows the complete verdict and records, also before a verdict, and loads nothing from a network."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from spine.errors import EvidenceRejected
from spine.measurement.registry import PARAMETERS
from tests.validation.review.constructed_reviews import CHANGED, HTML_NAME, UNANSWERED, N, record
from validation.gates.shadow_record import ShadowParameter, ShadowRecord
from validation.review import page as page_module
from validation.review.chart_style import BAD, GOOD
from validation.review.figure_tables import AGREEMENT_HEADINGS, agreement_rows, landmark_rows
from validation.review.forest import draw_forest
from validation.review.page import ReviewMaterial, render_review, write_review
from validation.review.patients import SHOWN, chosen_studies, describe_patients
from validation.review.rule_table import rule_table

Make = Callable[..., ReviewMaterial]


class Reader(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_every_rule_and_the_whole_digest_are_on_the_page(material: Make) -> None:
    given = material()
    text = render_review(given)
    assert given.verdict.digest in text
    assert f'<p class="decision">{given.verdict.decision}</p>' in text
    assert text.count('<span class="badge') == len(given.verdict.results)
    assert "virtual patients say nothing about real radiographs" in text
    assert "used 3 times so far. With each use it becomes more likely" in text, (
        "the number is explained where it stands"
    )


def test_shadow_runs_are_shown_where_there_were_some(material: Make) -> None:
    assert 'id="shadow"' not in render_review(material())
    cobb, tilt = ShadowParameter(40, 1.25, 9.0, 2, 1), ShadowParameter(0, None, None, 0, 5)
    shadow = ShadowRecord("c" * 64, "d" * 64, 43, 1, {"cobb": cobb, "pelvic_tilt": tilt})
    section = render_review(replace(material(), shadow=shadow)).partition('id="shadow"')[2].partition("</section>")[0]
    cells = re.findall(r"<td>(.*?)</td>", section)
    assert cells[:6] == [PARAMETERS["cobb"].label, "40", "1.2 deg", "9.0 deg", "2", "1"]
    assert cells[6:] == [PARAMETERS["pelvic_tilt"].label, "0", "–", "–", "0", "5"]
    assert "measured 43 studies" in section


def test_rules_that_passed_are_folded_and_the_others_are_open(material: Make) -> None:
    section = render_review(material()).partition('<section id="rules"')[2].partition("</section>")[0]
    folds = re.findall(r"<details( open)?><summary>\d+ (passed: )?", section)
    assert len(folds) > 2
    assert all(bool(is_open) != bool(passed) for is_open, passed in folds)
    assert '<span class="badge REJECT">' in section.partition("<details")[0], "what did not pass is not folded"


def test_rules_that_did_not_pass_come_first(material: Make) -> None:
    given = material()
    table = rule_table(given.verdict)
    assert [row.code for row in table.refused] == [r.code for r in given.verdict.refusals]
    assert len(table.refused) > 0
    passed = sum(len(group.rows) for group in table.passed)
    assert passed + len(table.refused) == len(given.verdict.results)
    assert all(row.outcome == "PASS" for group in table.passed if group.evaluated for row in group.rows)


def test_a_rule_that_was_not_evaluated_has_no_pass_badge(material: Make) -> None:
    given = material()
    unasked = {r.code for r in given.verdict.unasked}
    assert {"NO_BASELINE", "SUBGROUPS_TOO_SMALL"} <= unasked
    (group,) = (g for g in rule_table(given.verdict).passed if not g.evaluated)
    assert {row.code: row.outcome for row in group.rows if row.code in ("NO_BASELINE", "SUBGROUPS_TOO_SMALL")} == {
        "NO_BASELINE": "NOT KNOWN", "SUBGROUPS_TOO_SMALL": "NOT JUDGED",
    }  # fmt: skip
    text = render_review(given)
    evaluated, passed = len(given.verdict.evaluated), len(given.verdict.passed)
    assert f"{passed} of {evaluated} rules passed; {len(unasked)} rules were not evaluated" in text
    assert text.count('<span class="badge PASS">') == passed
    assert evaluated + len(unasked) == len(given.verdict.results)


def test_the_page_loads_nothing_from_a_network(material: Make) -> None:
    text = render_review(material())
    reader = Reader(text)
    addresses = [a for _, attributes in reader.tags for n, a in attributes.items() if n in ("src", "href", "action")]
    assert addresses
    assert all(str(a).startswith(("#", "data:")) for a in addresses)
    (policy,) = [m["content"] for m in reader.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'")
    assert not re.findall(r"https?://", text)


def test_names_from_a_dataset_are_escaped(material: Make) -> None:
    text = render_review(material())
    assert HTML_NAME not in text
    assert "&lt;script&gt;" in text
    assert len(Reader(text).of("script")) == 1


def test_the_page_of_fifty_patients_is_small_and_every_image_has_a_text(material: Make, tmp_path: Path) -> None:
    written = write_review(material(), tmp_path / "report.html")
    assert written.stat().st_size < 15_000_000
    images = Reader(written.read_text()).of("img")
    assert len(images) == 2 * len(describe(material()))
    assert all("radiograph of study" in str(p["alt"]) for p in images)


def test_every_dot_of_a_chart_has_the_name_of_its_study(material: Make) -> None:
    given = material()
    text = render_review(given)
    answered = sum(r.statistics["cobb"].n for r in given.records)
    assert answered == 2 * N - 1
    charts = [m for m in re.findall(r"<svg .*?</svg>", text, re.DOTALL) if "Cobb angle (end plates), c" in m]
    assert len(charts) == 2, "one for each model"
    assert sum(chart.count(f"<title>{CHANGED}</title>") for chart in charts) == 4, "in both panels of both models"
    assert sum(chart.count("<circle ") for chart in charts) == 2 * answered


def test_charts_do_not_affect_the_page_or_one_another(material: Make) -> None:
    text = render_review(material())
    charts = re.findall(r'<svg viewBox="[^"]*" role="img" aria-label="[^"]+"><title>', text)
    assert len(charts) == 2 * len(PARAMETERS) + 7 + 2 + 1, "agreement, forests, levels, calibration"
    assert text.count("<style") == 1, "no style sheet of a chart, which would hold for the whole page"
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {f"#{name}" for name in ids} >= set(re.findall(r'(?:href="|url\()(#[^")]+)', text))


def test_every_figure_of_both_models_is_in_the_tables(material: Make) -> None:
    given = material()
    rows = agreement_rows(given.records)
    assert [row.role for row in rows] == ["challenger", "champion"] * len(PARAMETERS)
    assert {len(row.cells) for row in rows} == {len(AGREEMENT_HEADINGS)}
    cobb = dict(zip(AGREEMENT_HEADINGS, next(r for r in rows if r.subject.startswith("Cobb")).cells, strict=True))
    figures = given.challenger.statistics["cobb"].figures
    assert (cobb["predicted"].text, cobb["predicted"].small) == (f"{N - 1} / {N}", "98%")
    for heading, name, decimals in (
        ("SEE", "standard_error_of_estimate", 2),
        ("slope", "slope", 2),
        ("ICC(A,1)", "icc_a1", 3),
        ("90 % interval coverage", "interval_coverage", 2),
    ):
        figure = figures[name]
        assert cobb[heading].text == f"{figure.value:.{decimals}f}"
        assert cobb[heading].small == f"{figure.low:.{decimals}f}…{figure.high:.{decimals}f}"
    text = render_review(given)
    assert text.count('<td class="role challenger">') == len(rows) // 2 + len(landmark_rows(given.records)) // 2
    assert all(f"<th>{heading}</th>" in text for heading in AGREEMENT_HEADINGS)


def test_a_page_that_is_too_large_is_refused(material: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "LIMIT_BYTES", 100_000)
    with pytest.raises(EvidenceRejected) as refused:
        write_review(material(), tmp_path / "report.html")
    assert refused.value.code == "PAGE_TOO_LARGE"
    assert not (tmp_path / "report.html").exists()


def test_the_first_model_has_a_page_without_a_champion(material: Make) -> None:
    text = render_review(material(with_champion=False))
    assert "This model would be the first champion" in text
    assert 'data-show="champion"' not in text
    assert "There is no champion to compare with" in text
    assert 'data-show="truth"' in text


@pytest.mark.parametrize("what", ["challenger", "champion", "policy"])
def test_records_of_another_verdict_are_refused(material: Make, what: str) -> None:
    given = material()
    other: dict[str, Any] = {
        "challenger": replace(given.challenger, evaluated_at="2026-11-24T12:00:00+00:00"),
        "champion": None,
        "policy": given.policy.model_copy(update={"version": 99}),
    }
    with pytest.raises(EvidenceRejected, match=what) as refused:
        render_review(replace(given, **{what: other[what]}))
    assert refused.value.code == "RECORDS_MISMATCH"


def describe(given: ReviewMaterial) -> Any:
    comparison = given.policy.comparison
    return describe_patients(given.challenger, given.champion, comparison, given.images, given.points)


def test_the_worst_and_the_most_changed_are_shown(material: Make) -> None:
    given = material()
    patients = describe(given)
    assert [p.loss_rank for p in patients] == sorted(p.loss_rank for p in patients), "worst first"
    assert (patients[0].study, patients[1].study) == (UNANSWERED, CHANGED)
    assert {p.loss_rank for p in patients} >= set(range(1, SHOWN + 1))
    assert {p.change_rank for p in patients} >= set(range(1, SHOWN + 1))
    assert all(p.loss_rank <= SHOWN or p.change_rank <= SHOWN or p.place for p in patients)
    assert {p.place: p.loss_rank for p in patients if p.place} == {"worst": 1, "median": 25, "best": 50}
    assert patients[0].loss > patients[1].loss
    assert patients[0].change == pytest.approx(patients[0].loss - patients[0].champion_loss)
    assert chosen_studies(given.challenger, given.champion, given.policy.comparison) == tuple(p.study for p in patients)
    assert len(chosen_studies(given.challenger, None, given.policy.comparison)) == SHOWN + 2, "median and best too"


def test_an_unanswered_patient_has_a_reason_and_no_outline_of_the_challenger(material: Make) -> None:
    first = describe(material())[0]
    assert all(row.challenger == "not predicted" and row.worse for row in first.answers)
    assert first.remarks[0] == f"challenger: {len(PARAMETERS)} parameters not predicted (not seen)"
    (frontal, lateral) = first.views
    assert "challenger 0" in frontal.alt, "no landmark of the challenger is drawn"
    assert "champion 39" in lateral.alt
    order = re.findall(r'class="layer (\w+)"', frontal.layers)
    assert order == ["truth", "champion", "challenger"], "the challenger lies on top"


def test_a_patient_without_an_image_has_a_note(material: Make) -> None:
    assert "No image of this study was available" in render_review(material(images={}))


def test_the_forest_draws_every_difference_of_the_verdict(material: Make) -> None:
    rows = [r for r in material().verdict.differences if r.subject == "cobb"]
    drawing = draw_forest("cobb", rows)
    assert drawing.count("<use ") == len(rows) > 5, "a mark for every row"
    for row in rows:
        assert f"(n = {row.n})" in drawing
        assert f"{row.mean:+.2f}".replace("-", "−") in drawing
    small = [r for r in rows if not r.judged]
    assert small
    assert drawing.count("font-style: italic") == 2 * len(small), "name and figures of those too few to judge"
    assert drawing.count("opacity: 0.35") == 2 * len(small), "interval and mark of those too few to judge"


def test_a_worse_row_beyond_its_margin_is_marked(material: Make) -> None:
    row = next(r for r in material().verdict.differences if r.subject == "cobb" and r.group == "all")
    beyond = replace(row, mean=2.0, low=1.5, high=2.5)
    assert "&gt; margin" in draw_forest("cobb", [beyond])
    assert f"fill: {BAD}" in draw_forest("cobb", [beyond]), "it is written in the colour of what is worse"
    better = draw_forest("cobb", [replace(row, mean=-2.0, low=-2.5, high=-1.5)])
    assert "&gt; margin" not in better and f"fill: {GOOD}" in better


def test_the_page_before_a_verdict(material: Make) -> None:
    text = render_review(material(with_champion=False, verdict=None)).partition("</style>")[2]
    assert "NOT JUDGED YET" in text
    assert "All figures" in text and 'id="patients"' in text and 'id="provenance"' in text
    for absent in ("REJECT", "plumbline approve", 'id="rules"', 'id="decide"', 'href="#decide"', "differences"):
        assert absent not in text, absent
    assert HTML_NAME not in text


@pytest.mark.parametrize("n", [1, 2, 8])
def test_the_page_of_very_few_patients(material: Make, n: int) -> None:
    """The page shows dashes with reasons and no NaN. The eighth patient has no prediction."""
    scored, _ = record("challenger", "a" * 64, 1, n)
    text = render_review(material(with_champion=False, verdict=None, challenger=scored, images={}))
    assert ("at least 3 needed" in text) == (n < 3)
    assert (f"challenger: {n} of {n} values predicted, too few for a chart" in text) == (n < 2)
    assert f"{n - (n == 8)} / {n}" in text
    assert "nan" not in text.lower().replace("provenance", "")
