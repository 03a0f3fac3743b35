"""The smoke test: the bytes that would serve are asked about one bundled virtual patient before anything moves.

Contract: no way of asking, no promotion; an answer that is not finite, far from the truth, incomplete or far slower
than the champion's is refused with everything that is wrong with it. It does not measure how good a model is (the
policy does), but that it works where it will serve.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spine.errors import GateRefused
from validation.gates.policy import PhantomStudy, is_number

STUDY = Path(__file__).parent / "virtual_study"
"""The bundled study: ``frontal.png``, ``lateral.png`` and ``study.json`` (geometry and truths)."""


@dataclass(frozen=True)
class PhantomAnswer:
    """What a model said of the bundled study.

    Attributes:
        model_digest: of the bytes that were asked.
        values: parameter -> value, None where it abstains; units: parameter -> unit.
        views: of its contract.
        seconds: shortest wall time of a few askings of the loaded model.
    """

    model_digest: str
    values: Mapping[str, float | None]
    units: Mapping[str, str]
    views: tuple[str, ...]
    seconds: float


AskPhantom = Callable[[Path], PhantomAnswer]
"""Load the model in a folder and ask it about the bundled study."""


@cache
def phantom_truths() -> Mapping[str, tuple[float, str]]:
    """Parameter -> (true value, unit) of the bundled study."""
    record = json.loads((STUDY / "study.json").read_text(encoding="utf-8"))
    return {name: (float(value), str(unit)) for name, (value, unit) in record["truths"].items()}


def require_smoke_test(
    ask: AskPhantom | None, folder: Path, digest: str, limits: PhantomStudy, champion_folder: Path | None = None
) -> PhantomAnswer:
    """Ask the model in ``folder`` and refuse it unless its answer is in order.

    Args:
        ask: how to ask; None is refused.
        folder: the very bytes that would serve; digest: what they must be.
        limits: of the policy.
        champion_folder: the champion's bytes, for comparison; None where there is none.

    Raises:
        GateRefused: SMOKE_TEST_ABSENT, SMOKE_TEST_FAILED.
    """
    if ask is None:
        raise GateRefused(
            "SMOKE_TEST_ABSENT",
            found="no way to ask the model about the bundled study",
            expected="a model that was asked before it serves",
            remedy="promote with `plumbline promote` or the Dagster job, which hand one in",
        )
    answer = _asked(ask, folder)
    if isinstance(answer, str):
        raise _failed([answer])
    rival = _asked(ask, champion_folder) if champion_folder is not None else None
    faults = evaluate_answer(answer, limits, rival if isinstance(rival, PhantomAnswer) else None)
    if answer.model_digest != digest:
        faults.insert(0, f"model {answer.model_digest[:12]} was asked instead of {digest[:12]}")
    if faults:
        raise _failed(faults)
    return answer


def evaluate_answer(answer: PhantomAnswer, limits: PhantomStudy, champion: PhantomAnswer | None) -> list[str]:
    """Everything that is wrong with an answer; empty where it is in order."""
    return [*_wrong_values(answer, limits), *_other_schema(answer, champion), *_slow(answer, limits, champion)]


def _wrong_values(answer: PhantomAnswer, limits: PhantomStudy) -> list[str]:
    faults, answered = [], 0
    for name, (truth, unit) in phantom_truths().items():
        value = answer.values.get(name)
        if value is None:
            continue
        answered += 1
        if not is_number(value):
            faults.append(f"{name} is {value}")
        elif answer.units.get(name) != unit:
            faults.append(f"{name} has unit {answer.units.get(name) or 'none'}, expected {unit}")
        elif unit == "deg" and not abs(value - truth) <= limits.tolerance_deg:
            faults.append(f"{name} is {value:.1f} {unit}, {truth:.1f} is true")
    if answered < limits.least_answers:
        faults.append(f"{answered} parameters answered, at least {limits.least_answers} asked for")
    return faults


def _other_schema(answer: PhantomAnswer, champion: PhantomAnswer | None) -> list[str]:
    unknown = sorted(set(answer.values) - set(phantom_truths()))
    faults = [f"unknown parameters {', '.join(unknown)}"] if unknown else []
    if champion is not None:
        missing = sorted(set(champion.values) - set(answer.values))
        faults += [f"the candidate reports no {name.replace('_', ' ')}; the champion does" for name in missing]
        lacking = sorted(set(champion.views) - set(answer.views))
        faults += [f"no {view} view, which the champion reads" for view in lacking]
    return faults


def _slow(answer: PhantomAnswer, limits: PhantomStudy, champion: PhantomAnswer | None) -> list[str]:
    longest = limits.times_the_champion * champion.seconds if champion is not None else limits.seconds
    longest = min(longest, limits.seconds)
    if is_number(answer.seconds) and 0 < answer.seconds <= longest:
        return []
    return [f"{answer.seconds:.3g} s for the study, at most {longest:.3g} s allowed"]


def _asked(ask: AskPhantom, folder: Path) -> PhantomAnswer | str:
    """The answer, or why there was none: whatever a model does when it is asked is its fault, not ours to survive."""
    try:
        return ask(folder)
    except Exception as error:
        return f"it cannot be asked: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _failed(faults: list[str]) -> GateRefused:
    return GateRefused(
        "SMOKE_TEST_FAILED",
        found="; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else ""),
        expected="finite values near the truth of the bundled study, in the contract's form, in time",
        remedy="the model must not serve as it is: export it again, or train another; nothing moved",
    )
