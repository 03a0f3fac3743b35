"""G9: a challenger that was evaluated under other conditions than the other model is never promoted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.validation.gates.records import C, Scored, codes, ruled
from validation.evaluation.code_environment import PACKAGES, evaluating_environment, sources_digest
from validation.evaluation.record import CodeVersion, EvaluationRecord
from validation.gates.policy import Policy


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


@pytest.mark.parametrize("what", sorted(OTHER))
def test_other_conditions_are_never_promoted(
    policy: Policy, scored: Scored, good: EvaluationRecord, champion: EvaluationRecord, what: str
) -> None:
    change, code = OTHER[what]
    baseline = scored("baseline", C, noise=2.0, seed=4)
    sibling = scored(model="9" * 64, noise=1.0, seed=9)
    assert ruled(policy, good, champion, baseline=baseline, other_seeds=(sibling,)).decision == "PROMOTE"
    for verdict in (
        ruled(policy, change(good), champion),
        ruled(policy, good, change(champion)),
        ruled(policy, good, champion, baseline=change(baseline)),
        ruled(policy, good, champion, other_seeds=(change(sibling),)),
    ):
        assert verdict.decision == "INSUFFICIENT"
        assert code in codes(verdict)


def test_the_refusal_names_what_differs(policy: Policy, good: EvaluationRecord, champion: EvaluationRecord) -> None:
    verdict = ruled(policy, elsewhere(preprocessing="2")(good), elsewhere(preprocessing="1")(champion))
    (refusal,) = (r for r in verdict.refusals if r.code == "OTHER_ENVIRONMENT")
    assert refusal.found == "environment: preprocessing 2 for the challenger, preprocessing 1 for the champion"


def test_a_record_names_the_environment_that_made_it(good: EvaluationRecord) -> None:
    assert dict(good.environment) == evaluating_environment()
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
