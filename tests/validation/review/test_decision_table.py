"""The page opens with the decision in two sentences and a table of the compared parameters."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from markupsafe import escape

from tests.validation.review.constructed_reviews import AT
from validation.evaluation.outcomes import ParameterOutcome
from validation.evaluation.record import statistics_of
from validation.gates.evidence import Evidence
from validation.gates.paired import POOLED
from validation.gates.rule_results import plain_result
from validation.gates.verdict import judge
from validation.gates.verdict_text import parameter_rows
from validation.review.actions import headline_for
from validation.review.decision_table import decision_table
from validation.review.page import ReviewMaterial, render_review
from validation.review.verdict_status import VerdictStatus

Make = Callable[..., ReviewMaterial]


def table(given: ReviewMaterial):  # type: ignore[no-untyped-def]
    assert given.verdict is not None
    return decision_table(given.verdict, given.policy, given.challenger, given.champion)


def degrees(text: str) -> float:
    return float(re.sub(r"[^0-9.+-]", "", text.replace("−", "-")))


def test_the_difference_of_a_row_is_the_difference_of_its_errors(material: Make) -> None:
    """The record of the champion has all predictions, so no penalty disturbs the sum."""
    given = material()
    champion = given.champion
    assert champion is not None
    doubled = tuple(replace(s, parameters=tuple(_doubled(o) for o in s.parameters)) for s in champion.studies)
    statistics = statistics_of(doubled, 0, champion.seed)
    challenger = replace(champion, model_role="challenger", model_digest="c" * 64, studies=doubled,
                         statistics=statistics)  # fmt: skip
    verdict = judge(given.policy, Evidence(challenger, champion), judged_at=AT)
    rows = table(replace(given, challenger=challenger, verdict=verdict)).rows
    assert [row.label.split(" ")[0] for row in rows] == ["Cobb", "Thoracic", "Lumbar", "Pelvic", "Sacral", "Pelvic"]
    assert [row.label for row in rows] == [row.about for row in parameter_rows(verdict)], (
        "as `plumbline verdict` prints"
    )
    for row in rows:
        assert degrees(row.challenger) == pytest.approx(2 * degrees(row.champion), abs=0.011)
        assert degrees(row.difference) == pytest.approx(degrees(row.champion), abs=0.011)
        assert row.limit.startswith("at most ")
        low, high = (degrees(end) for end in row.interval.split(" to "))
        assert low <= degrees(row.difference) <= high


def _doubled(outcome: ParameterOutcome) -> ParameterOutcome:
    assert outcome.truth is not None and outcome.error is not None
    return replace(outcome, predicted=outcome.truth + 2 * outcome.error)


def test_missing_predictions_are_counted(material: Make) -> None:
    assert {row.challenger.partition("° ")[2] for row in table(material()).rows} == {"(1 missing)"}


def test_a_row_has_the_worst_outcome_of_all_rules_on_its_parameter(material: Make) -> None:
    given = material()
    for name, row in zip(given.policy.comparison.margins, table(given).rows, strict=True):
        outcomes = {r.outcome for r in given.verdict.results if r.subject == name}
        assert row.outcome == ("REJECT" if "REJECT" in outcomes else "INSUFFICIENT" if "INSUFFICIENT" in outcomes
                               else "HOLD" if "HOLD" in outcomes else "PASS")  # fmt: skip
        assert bool(row.causes) == (row.outcome != "PASS")


def test_every_refusal_is_in_the_rows_or_among_the_other_rules(material: Make) -> None:
    given = material()
    found, margins = table(given), given.policy.comparison.margins
    elsewhere = [r for r in given.verdict.refusals if r.subject not in margins and r.subject != POOLED]
    assert len(found.others) == len(elsewhere)
    assert found.together is not None
    (gain,) = [r for r in given.verdict.results if r.subject == POOLED and r.group == "all" and r.kind == "comparison"]
    assert (found.together.outcome == "PASS") == (gain.outcome == "PASS")


def test_a_cause_names_its_group(material: Make) -> None:
    given = material()
    grouped = [r for r in given.verdict.refusals if r.group != "all"]
    assert grouped
    text = render_review(given)
    for result in grouped:
        assert f"in the group {escape(result.group)}" in text
    assert "in a group" not in text


def test_without_a_champion_the_table_has_no_difference(material: Make) -> None:
    given = material(with_champion=False)
    found = table(given)
    assert found.together is None
    assert {(row.champion, row.difference, row.allowed) for row in found.rows} == {("–", "–", "–")}
    page = render_review(given).partition("<body>")[2]
    assert "difference, 95 % interval" not in page and "There is no champion to compare with" in page


def test_the_banner_has_two_sentences(material: Make) -> None:
    verdict = material().verdict
    asked = plain_result(
        "first_champion/model/approval", "first_champion", "HOLD", "APPROVAL_NEEDED", found="none", reason="rule"
    )
    passed = replace(verdict, decision="PROMOTE", results=verdict.passed)
    held = replace(verdict, decision="HOLD", results=(asked,))
    done = VerdictStatus(actions=("promoted on 2026-11-23 12:00 UTC as version 3 by R",), decided=True)
    for judged, status, ending in (
        (verdict, None, "an approval cannot change that."),
        (passed, None, "then promote or reject the model."),
        (held, None, "then approve and promote or reject the model."),
        (passed, done, "promoted on 2026-11-23 12:00 UTC as version 3 by R."),
    ):
        text = headline_for(judged, None, status)
        assert text.endswith(ending)
        assert len(re.findall(r"\. [A-Z]", text)) == 1, text


def test_the_page_begins_with_banner_table_and_changes(material: Make) -> None:
    page = render_review(material()).partition("<body>")[2]
    places = [page.index(text) for text in (
        'class="decision"', 'class="headline"', 'class="decisions"', "<b>Margin</b>:", 'id="changes"', 'id="viewer"',
        'id="rules"',
    )]  # fmt: skip
    assert places == sorted(places)
