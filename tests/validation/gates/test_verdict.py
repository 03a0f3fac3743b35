"""The verdict: its four decisions, its monotonicity, and the evidence with which no challenger passes."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.errors import EvidenceRejected
from spine.measurement.registry import PAPER_PARAMETERS
from tests.validation.gates.records import B, Scored, codes, ruled, summarised, with_outcomes
from validation.evaluation.agreement import Figure
from validation.evaluation.record import CodeVersion, EvaluationRecord
from validation.gates.paired import paired_difference, pooled_difference
from validation.gates.policy import FRONTAL_RADIOGRAPHS_POLICY, AcceptedEvidence, FirstChampion, Policy, read_policy
from validation.gates.rule_kinds import ParameterRule
from validation.gates.verdict import read_verdict, write_verdict
from validation.gates.verdict_text import decision_sentence, explain, explain_briefly, parameter_rows, summarise_verdict


def with_figure(record: EvaluationRecord, parameter: str, name: str, value: Any) -> EvaluationRecord:
    agreement = record.statistics[parameter]
    figure = value if isinstance(value, Figure) else replace(agreement.figures[name], value=value)
    figures = {**agreement.figures, name: figure}
    return replace(record, statistics={**record.statistics, parameter: replace(agreement, figures=figures)})


def with_answer(record: EvaluationRecord, index: int, parameter: str, predicted: Any) -> EvaluationRecord:
    absent = "not seen" if predicted is None else None
    return with_outcomes(
        record,
        lambda o, i: (
            replace(o, predicted=predicted, predicted_absent_reason=absent)
            if (o.parameter, i) == (parameter, index)
            else o
        ),
    )


def test_good_challenger_is_promoted(policy: Policy, good: EvaluationRecord, champion: EvaluationRecord) -> None:
    verdict = ruled(policy, good, champion)
    assert verdict.decision == "PROMOTE", explain(verdict)
    assert not verdict.refusals
    assert (verdict.challenger_evidence, verdict.champion_evidence) == (good.digest, champion.digest)
    assert verdict.policy_hash == policy.hash
    limits = [r for r in verdict.results if r.kind == "limit"]
    assert len(limits) >= 4 * len(PAPER_PARAMETERS) + 2


def test_first_champion_follows_the_policy(policy: Policy, good: EvaluationRecord) -> None:
    assert ruled(policy, good).decision == "PROMOTE"
    asks = FirstChampion(decision="needs_approval", reason="a hospital wants to see it first")
    verdict = ruled(policy.model_copy(update={"first_champion": asks}), good)
    assert (verdict.decision, codes(verdict)) == ("HOLD", {"APPROVAL_NEEDED"})


def test_no_champion_is_never_a_pass_for_a_model_judged_on_real_patients(
    policy: Policy, good: EvaluationRecord
) -> None:
    """G8: without a champion, a person must decide on a model that was tested on real patients."""
    verdict = ruled(policy, replace(good, simulated=False))
    assert verdict.decision != "PROMOTE"
    assert "APPROVAL_NEEDED" in codes(verdict)
    assert read_policy(FRONTAL_RADIOGRAPHS_POLICY).first_champion.decision == policy.first_champion.decision


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.1", True, [1.0]])
@pytest.mark.parametrize("name", ["standard_error_of_estimate", "coverage", "bias", "icc_a1"])
def test_no_figure_that_is_no_finite_number_passes(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, name: str, value: Any
) -> None:
    """G2: missing, NaN, infinite or of another type."""
    for rival in (None, champion):
        verdict = ruled(policy, with_figure(good, "cobb", name, value), rival)
        assert verdict.decision == "INSUFFICIENT"
        assert codes(verdict) & {"FIGURE_MISSING", "NON_FINITE"}


@pytest.mark.parametrize(
    ("name", "value"), [("standard_error_of_estimate", -0.1), ("coverage", 1.5), ("coverage", -1.0), ("icc_a1", 2.0)]
)
def test_no_impossible_figure_passes(policy: Policy, good: EvaluationRecord, name: str, value: float) -> None:
    """G2: a negative error keeps every ceiling, and no evaluation makes one."""
    verdict = ruled(policy, with_figure(good, "cobb", name, value))
    assert (verdict.decision, codes(verdict)) == ("INSUFFICIENT", {"FIGURE_MISSING"})
    assert "impossible" in verdict.refusals[0].found


@pytest.mark.parametrize("value", [math.nan, math.inf, "31.0"])
def test_no_answer_that_is_no_finite_number_passes(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, value: Any
) -> None:
    broken = with_answer(good, 4, "cobb", value)
    for ours, theirs in ((broken, champion), (good, with_answer(champion, 4, "cobb", value)), (broken, None)):
        verdict = ruled(policy, ours, theirs)
        assert verdict.decision == "INSUFFICIENT"
        assert "MALFORMED" in codes(verdict)
        assert None in (verdict.challenger_evidence, verdict.champion_evidence if theirs else None)


def test_empty_evidence_is_no_pass(policy: Policy, good: EvaluationRecord) -> None:
    """G1: no studies, no statistics, no landmarks."""
    assert "NO_EVIDENCE" in codes(ruled(policy, replace(good, studies=())))
    assert ruled(policy, replace(good, statistics={})).decision == "INSUFFICIENT"
    verdict = ruled(policy, replace(good, landmarks=()))
    assert (verdict.decision, codes(verdict)) == ("INSUFFICIENT", {"FIGURE_MISSING"})
    stripped = tuple(replace(s, parameters=s.parameters[:2]) for s in good.studies)
    assert "MALFORMED" in codes(ruled(policy, replace(good, studies=stripped)))


def test_too_few_patients_are_insufficient_however_good_or_bad(policy: Policy, scored: Scored) -> None:
    for noise in (0.1, 40.0):
        verdict = ruled(policy, scored(noise=noise, n=20))
        assert verdict.decision == "INSUFFICIENT"
        assert {"TOO_FEW_PATIENTS", "TOO_FEW_TRUTHS"} <= codes(verdict)


def test_limits_reject(policy: Policy, scored: Scored) -> None:
    assert "ABOVE_CEILING" in codes(ruled(policy, scored(noise=6.0)))
    shifted = ruled(policy, scored(noise=0.5, bias=-5.2))
    assert shifted.decision == "REJECT"
    refused = {r.figure_name for r in shifted.refusals}
    assert "bias" in refused
    assert "standard_error_of_estimate" not in refused, "a shift that SEE cannot see"


def test_answers_shrunk_to_their_mean_do_not_pass(policy: Policy, scored: Scored) -> None:
    """The predictions are nearly the same for all patients: a tiny standard error, no bias, but useless."""
    shrunk = with_outcomes(scored(noise=1.0), lambda o, _: replace(o, predicted=35 + 0.02 * ((o.truth or 0) - 35)))
    record = summarised(shrunk)
    assert record.statistics["pelvic_tilt"].figures["standard_error_of_estimate"].value < 0.5  # type: ignore[operator]
    verdict = ruled(policy, record)
    assert verdict.decision == "REJECT"
    assert "icc_a1" in {r.figure_name for r in verdict.refusals}


def test_answering_only_the_easy_half_is_rejected(policy: Policy, scored: Scored) -> None:
    """G10: the model predicts 30 of 50 patients nearly perfectly, and the others not at all."""
    verdict = ruled(policy, scored(noise=0.2, abstain=20))
    assert verdict.decision == "REJECT"
    refused = {r.figure_name for r in verdict.refusals}
    assert {"coverage", "share that lacks a prediction", "level_shift_rate"} <= refused
    assert not refused & {"standard_error_of_estimate", "bias"}, "the predictions that exist are right"


def test_ties_and_worse_models_do_not_replace(policy: Policy, scored: Scored, champion: EvaluationRecord) -> None:
    twin = scored("challenger", "e" * 64, noise=2.0, seed=2)
    verdict = ruled(policy, twin, champion)
    assert (verdict.decision, codes(verdict)) == ("HOLD", {"NO_GAIN"})
    assert pooled_difference(twin, champion, policy.comparison).mean == 0.0  # type: ignore[union-attr]
    worse = ruled(policy, scored(noise=2.4, seed=5, bias=1.5), champion)
    assert worse.decision in ("HOLD", "REJECT")
    assert "NO_GAIN" in codes(worse)
    itself = replace(champion, model_role="challenger")
    assert codes(ruled(policy, itself, champion)) == {"SAME_MODEL"}


def test_a_much_better_mean_does_not_buy_one_worse_parameter(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    """Pelvic tilt has an error of 2.6 degrees in all patients, and everything else is twice as good."""
    record = with_outcomes(
        good,
        lambda o, i: replace(o, predicted=(o.truth or 0) + 2.6 * (-1) ** i) if o.parameter == "pelvic_tilt" else o,
    )
    verdict = ruled(policy, record, champion)
    assert verdict.decision in ("HOLD", "REJECT")
    assert {r.subject for r in verdict.refusals} == {"pelvic_tilt"}


def test_records_that_cannot_be_compared(
    policy: Policy, scored: Scored, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    """G9: another role, or other true values. ``test_same_terms`` has the other conditions."""
    verdict = ruled(policy, good, replace(champion, model_role="challenger"))
    assert (verdict.decision, codes(verdict)) == ("INSUFFICIENT", {"ROLES_SWAPPED"})
    # Other true values are also detected if they have the same digest.
    other = replace(scored("champion", B, noise=2.0, test_seed=8), test_digest=good.test_digest)
    assert "OTHER_TEST_SET" in codes(ruled(policy, good, other))
    swapped = ruled(policy, champion, good)
    assert (swapped.decision, codes(swapped)) == ("INSUFFICIENT", {"ROLES_SWAPPED"})


def test_kind_of_patients_and_dirty_code(policy: Policy, good: EvaluationRecord) -> None:
    strict = AcceptedEvidence(patients="real", dirty_code="refused", reason="clinical use needs real patients")
    verdict = ruled(policy.model_copy(update={"evidence": strict}), replace(good, code=CodeVersion("c" * 40, True)))
    assert {"WRONG_PATIENTS", "DIRTY_CODE"} <= codes(verdict)
    assert verdict.decision == "INSUFFICIENT"
    assert "virtual patients" in explain(ruled(policy, good))


def test_missing_view_and_level_shift(policy: Policy, good: EvaluationRecord) -> None:
    shifted = replace(good, level_shift_rate=Figure(0.3))
    assert codes(ruled(policy, shifted)) == {"ABOVE_CEILING"}
    unknown = replace(good, level_shift_rate=Figure(None, absent_reason="too few levels"))
    assert ruled(policy, unknown).decision == "INSUFFICIENT"
    halved = tuple(replace(s, coverage=0.5) if s.group == "all" else s for s in good.landmarks)
    assert codes(ruled(policy, replace(good, landmarks=halved))) == {"BELOW_FLOOR"}


def test_interval_end_can_be_held_against_a_limit(policy: Policy, good: EvaluationRecord) -> None:
    figure = good.statistics["cobb"].figures["standard_error_of_estimate"]
    assert figure.value is not None and figure.high is not None
    between = (figure.value + figure.high) / 2
    for compare, outcome in (("value", "PASS"), ("high", "REJECT")):
        rules = [
            r.model_copy(update={"at_most": between, "compare": compare})
            if isinstance(r, ParameterRule) and (r.parameter, r.figure) == ("cobb", "standard_error_of_estimate")
            else r
            for r in policy.rules
        ]
        row = parameter_rows(ruled(policy.model_copy(update={"rules": rules}), good))[0]
        assert (row.about, row.outcome) == ("Cobb angle (end plates)", outcome)


WORSE = {"standard_error_of_estimate": 1, "coverage": -1, "icc_a1": -1, "bias": 1}


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([0.5, 1.5, 2.6, 3.6]),
    st.lists(st.tuples(st.sampled_from(PAPER_PARAMETERS), st.sampled_from(sorted(WORSE)), st.floats(0, 5)), max_size=4),
    st.booleans(),
)
def test_worse_figures_never_turn_a_refusal_into_promote(
    policy: Policy, scored: Scored, champion: EvaluationRecord, noise: float, changes: list[Any], against: bool
) -> None:
    record = scored(noise=noise, seed=3)
    rival = champion if against else None
    before = ruled(policy, record, rival).decision
    for parameter, name, amount in changes:
        value = record.statistics[parameter].figures[name].value or 0.0
        record = with_figure(
            record, parameter, name, value + math.copysign(amount, WORSE[name] if value >= 0 or name != "bias" else -1)
        )
    after = ruled(policy, record, rival).decision
    assert before == "PROMOTE" or after != "PROMOTE"


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.sampled_from([0.6, 1.2, 1.8, 2.0, 2.4]), st.floats(1.0, 3.0))
def test_larger_errors_never_turn_a_refusal_into_promote(
    policy: Policy, scored: Scored, champion: EvaluationRecord, noise: float, scale: float
) -> None:
    """All errors of the challenger are larger, and its statistics are computed again."""
    before, after = (ruled(policy, scored(noise=noise, seed=4, scale=s), champion) for s in (1.0, scale))
    assert before.decision == "PROMOTE" or after.decision != "PROMOTE"


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(PAPER_PARAMETERS),
    st.lists(st.tuples(st.integers(0, 49), st.one_of(st.none(), st.floats(0, 80))), min_size=1, max_size=6),
)
def test_worse_answers_never_lower_a_bound(
    policy: Policy, scored: Scored, champion: EvaluationRecord, parameter: str, changes: list[Any]
) -> None:
    """If predictions become worse or are withheld, the paired bounds do not become smaller."""
    record = scored(noise=3.0, seed=6)
    bounds = paired_difference(record, champion, parameter, policy.comparison)
    pooled = pooled_difference(record, champion, policy.comparison)
    for index, more in changes:
        outcome = record.studies[index].parameter(parameter)
        assert outcome.truth is not None
        away = math.copysign(more or 0.0, outcome.error or 1.0)
        worse = None if more is None or outcome.predicted is None else outcome.predicted + away
        record = with_answer(record, index, parameter, worse)
    after = paired_difference(record, champion, parameter, policy.comparison)
    after_pooled = pooled_difference(record, champion, policy.comparison)
    assert bounds and pooled and after and after_pooled
    assert after.high >= bounds.high - 1e-12 and after.mean >= bounds.mean - 1e-12
    assert after_pooled.high >= pooled.high - 1e-12


def noisy(record: EvaluationRecord, rng: np.random.Generator) -> EvaluationRecord:
    """The same patients with new random errors of two degrees; the statistics stay."""
    return with_outcomes(record, lambda o, _: replace(o, predicted=(o.truth or 0) + rng.normal(0, 2)))


def test_equal_models_rarely_appear_better(policy: Policy, good: EvaluationRecord) -> None:
    """Two hundred pairs of equal models on 50 patients: a gain may be seen about once in forty (3.0 % of 3000)."""
    rng, quick = np.random.default_rng(8), policy.comparison.model_copy(update={"resamples": 1000})
    taken = 0
    for _ in range(200):
        pooled = pooled_difference(noisy(good, rng), noisy(good, rng), quick)
        taken += pooled is not None and pooled.high < 0
    assert taken <= 10


def test_judging_is_pure_and_sealed(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, tmp_path: Path
) -> None:
    first, second = (ruled(policy, good, champion) for _ in range(2))
    assert first == second and first.digest == second.digest
    path = tmp_path / "verdict.json"
    write_verdict(first, path)
    assert read_verdict(path) == first
    path.write_text(path.read_text().replace('"PROMOTE"', '"REJECT"', 1))
    with pytest.raises(EvidenceRejected, match="EVIDENCE_ALTERED"):
        read_verdict(path)


def test_text_and_table(policy: Policy, scored: Scored, champion: EvaluationRecord) -> None:
    verdict = ruled(policy, scored(noise=3.2, seed=3), champion)
    rows = {row.about: row for row in parameter_rows(verdict)}
    tilt = rows["Pelvic tilt"]
    assert (tilt.threshold, tilt.unit, tilt.outcome) == (2.7, "deg", "REJECT")
    assert tilt.figure is not None and tilt.figure > 2.7
    assert "ABOVE_CEILING" in tilt.note
    assert len([r for r in rows if not r.startswith("all")]) == len(PAPER_PARAMETERS)
    text = explain(verdict)
    for phrase in ("REJECT", "Pelvic tilt", "at most 2.7 deg", "Why:", "[ABOVE_CEILING]", "virtual patients", B[:12]):
        assert phrase in text, phrase
    assert " nan " not in text.lower()


def test_the_text_counts_what_it_lists_and_what_it_leaves_out(
    policy: Policy, good: EvaluationRecord, scored: Scored, champion: EvaluationRecord
) -> None:
    for record in (good, scored(noise=3.2, seed=3)):
        verdict = ruled(policy, record, champion)
        text = explain(verdict)
        answered, _, unasked = text.partition("These rules were not required or not judged")
        listed = len(re.findall(r"^- ", answered, flags=re.MULTILINE))
        assert len(re.findall(r"^- ", unasked, flags=re.MULTILINE)) == len(verdict.unasked) > 0
        counted = re.search(r"(\d+) of (?:(\d+) rules|them are about the model)", text)
        left_out = re.search(r"^The other (\d+) ", text, flags=re.MULTILINE)
        assert counted and left_out
        assert int(counted[1]) == listed
        assert listed + int(left_out[1]) == len(verdict.evaluated)
        assert counted[2] in (None, str(len(verdict.evaluated)))


def test_a_hold_says_whether_an_approval_by_a_person_permits_the_promotion(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    same = ruled(policy, replace(champion, model_role="challenger", model_digest=good.model_digest), champion)
    needed = FirstChampion(decision="needs_approval", reason="a person answers for it")
    waiting = ruled(policy.model_copy(update={"first_champion": needed}), good)
    assert (same.decision, waiting.decision) == ("HOLD", "HOLD")
    never, waits = "no approval by a person permits its promotion", "only waits for a person's approval"
    for verdict, words in ((same, never), (waiting, waits)):
        assert words in decision_sentence(verdict)
        assert verdict.waits_for_approval == (verdict is waiting)
        for text in (explain(verdict), explain_briefly(verdict), summarise_verdict(verdict)):
            assert text.startswith(decision_sentence(verdict))


def test_the_brief_explanation_has_five_sentences(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, scored: Scored
) -> None:
    worse = scored(noise=6.0, seed=3)
    for verdict in (ruled(policy, good, champion), ruled(policy, good), ruled(policy, worse, champion)):
        lines = explain_briefly(verdict).splitlines()
        assert len(lines) == 5
        assert all(line.endswith(".") for line in lines)
        assert lines[0].startswith(f"{verdict.decision}: ")
        assert f"verdict {verdict.digest[:12]}" in lines[4]
        assert not verdict.refusals or verdict.refusals[0].code in lines[2]
        assert len(verdict.refusals) != 1 or "did not pass; it is about" in lines[1]
    assert "did not pass; they are about" in lines[1]
    assert "8 more" not in lines[1] and " more." in lines[1], "only the first subjects are named"
