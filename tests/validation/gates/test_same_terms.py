"""G9: a challenger that was evaluated under other conditions than the other model is never promoted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from validation.evaluation.code_environment import PACKAGES, evaluating_environment, sources_digest
from validation.evaluation.record import CodeVersion, EvaluationRecord
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict, judge

Scored = Callable[..., EvaluationRecord]
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def elsewhere(**changes: str) -> Callable[[EvaluationRecord], EvaluationRecord]:
    return lambda r: replace(r, environment={**r.environment, **changes})


OTHER: Mapping[str, tuple[Callable[[EvaluationRecord], EvaluationRecord], str]] = {
    "test set": (lambda r: replace(r, test_digest="0" * 64), "OTHER_TEST_SET"),
    "truths": (lambda r: replace(r, studies=r.studies[1:]), "OTHER_TEST_SET"),
    "kind of patients": (lambda r: replace(r, simulated=False), "OTHER_TEST_SET"),
    "commit": (lambda r: replace(r, code=CodeVersion("0" * 40, False)), "OTHER_CODE"),
    "dirty code": (lambda r: replace(r, code=replace(r.code, dirty=True)), "OTHER_CODE"),
    "changed sources": (elsewhere(sources="0" * 16), "OTHER_ENVIRONMENT"),
    "preprocessing": (elsewhere(preprocessing="99"), "OTHER_ENVIRONMENT"),
    "numpy": (elsewhere(numpy="1.0"), "OTHER_ENVIRONMENT"),
    "onnxruntime": (elsewhere(onnxruntime="1.0"), "OTHER_ENVIRONMENT"),
    "python": (elsewhere(python="3.9.0"), "OTHER_ENVIRONMENT"),
    "a library that one does not record": (lambda r: replace(r, environment={"numpy": "2"}), "OTHER_ENVIRONMENT"),
}


def judged(policy: Policy, challenger: EvaluationRecord, champion: EvaluationRecord, **beside: Any) -> Verdict:
    return judge(policy, Evidence(challenger, champion, **beside), judged_at=AT)


@pytest.mark.parametrize("what", sorted(OTHER))
def test_other_conditions_are_never_promoted(policy: Policy, scored: Scored, what: str) -> None:
    change, code = OTHER[what]
    challenger, champion = scored(noise=1.0, seed=3), scored("champion", "b" * 64, noise=2.0, seed=2)
    baseline = scored("baseline", "c" * 64, noise=2.0, seed=4)
    sibling = scored(model="9" * 64, noise=1.0, seed=9)
    assert judged(policy, challenger, champion, baseline=baseline, other_seeds=(sibling,)).decision == "PROMOTE"
    for verdict in (
        judged(policy, change(challenger), champion),
        judged(policy, challenger, change(champion)),
        judged(policy, challenger, champion, baseline=change(baseline)),
        judged(policy, challenger, champion, other_seeds=(change(sibling),)),
    ):
        assert verdict.decision == "INSUFFICIENT"
        assert code in {r.code for r in verdict.refusals}


def test_the_refusal_names_what_differs(policy: Policy, scored: Scored) -> None:
    challenger, champion = scored(noise=1.0, seed=3), scored("champion", "b" * 64, noise=2.0, seed=2)
    verdict = judged(policy, elsewhere(preprocessing="2")(challenger), elsewhere(preprocessing="1")(champion))
    (refusal,) = (r for r in verdict.refusals if r.code == "OTHER_ENVIRONMENT")
    assert refusal.found == "environment preprocessing 2 of the challenger, preprocessing 1 of the champion"


def test_a_record_names_the_environment_that_made_it(scored: Scored) -> None:
    recorded = scored(noise=1.0, seed=3).environment
    assert dict(recorded) == evaluating_environment()
    assert set(evaluating_environment(1)) == {"numpy", "scipy", "onnxruntime", "python", "sources", "preprocessing"}


def test_one_changed_module_is_other_sources(tmp_path: Path) -> None:
    """In a changed working tree, or outside a checkout, one commit may stand for two codes."""
    digests = set()
    for k, content in enumerate(("x = 1\n", "x = 2\n", "x = 1\n")):
        for package in PACKAGES:
            (tmp_path / str(k) / package).mkdir(parents=True)
            (tmp_path / str(k) / package / "module.py").write_text(content if package == "inference" else "y = 1\n")
        digests.add(sources_digest(tmp_path / str(k)))
    assert len(digests) == 2
