"""The smoke test: the bytes that would serve measure one bundled virtual patient before anything changes.

Contract: without a way to run the model nothing is promoted. A result that is not finite, far from the truth,
incomplete or far slower than the champion's is refused with every fault. The test shows that a model works where it
will serve. How good the model is, the policy decides.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spine.errors import GateRefused
from validation.gates.policy import VirtualStudyLimits, is_number

STUDY = Path(__file__).parent / "virtual_study"
"""The bundled study: ``frontal.png``, ``lateral.png`` and ``study.json`` (geometry and true values)."""


@dataclass(frozen=True)
class VirtualStudyResult:
    """What a model measured on the bundled study.

    Attributes:
        model_digest: of the bytes that were loaded.
        values: parameter -> value, None where the model reports none; units: parameter -> unit.
        views: of the model's contract.
        seconds: shortest wall time of several runs of the loaded model.
    """

    model_digest: str
    values: Mapping[str, float | None]
    units: Mapping[str, str]
    views: tuple[str, ...]
    seconds: float


MeasureVirtualStudy = Callable[[Path], VirtualStudyResult]
"""Load the model in a folder and measure the bundled study with it."""


@cache
def virtual_study_truths() -> Mapping[str, tuple[float, str]]:
    """Parameter -> (true value, unit) of the bundled study."""
    record = json.loads((STUDY / "study.json").read_text(encoding="utf-8"))
    return {name: (float(value), str(unit)) for name, (value, unit) in record["truths"].items()}


def require_smoke_test(
    measure: MeasureVirtualStudy | None,
    folder: Path,
    digest: str,
    limits: VirtualStudyLimits,
    champion_folder: Path | None = None,
) -> VirtualStudyResult:
    """Measure the bundled study with the model in ``folder``, and refuse the model if its result is faulty.

    Args:
        measure: how to run a model; None is refused.
        folder: the files of the model that is to be deployed.
        digest: the digest of these files.
        limits: of the policy.
        champion_folder: the champion's bytes, for comparison; None where there is none.

    Raises:
        GateRefused: SMOKE_TEST_ABSENT, SMOKE_TEST_FAILED.
    """
    if measure is None:
        raise GateRefused(
            "SMOKE_TEST_ABSENT",
            found="no function that runs the model on the bundled study",
            expected="a smoke test before the model serves",
            remedy="use `plumbline promote`, `plumbline rollback` or the Dagster job, which run the test",
        )
    result = _measured(measure, folder)
    if isinstance(result, str):
        raise _failed([result])
    rival = _measured(measure, champion_folder) if champion_folder is not None else None
    faults = check_result(result, limits, rival if isinstance(rival, VirtualStudyResult) else None)
    if result.model_digest != digest:
        faults.insert(0, f"model {result.model_digest[:12]} was run instead of {digest[:12]}")
    if faults:
        raise _failed(faults)
    return result


def check_result(
    result: VirtualStudyResult, limits: VirtualStudyLimits, champion: VirtualStudyResult | None
) -> list[str]:
    """Every fault of a result; empty where it has none."""
    return [*_wrong_values(result, limits), *_missing_outputs(result, champion), *_slow(result, limits, champion)]


def _wrong_values(result: VirtualStudyResult, limits: VirtualStudyLimits) -> list[str]:
    faults, answered = [], 0
    for name, (truth, unit) in virtual_study_truths().items():
        value = result.values.get(name)
        if value is None:
            continue
        answered += 1
        if not is_number(value):
            faults.append(f"{name} is {value}")
        elif result.units.get(name) != unit:
            faults.append(f"{name} has unit {result.units.get(name) or 'none'}, expected {unit}")
        elif unit == "deg" and not abs(value - truth) <= limits.tolerance_deg:
            faults.append(f"{name} is {value:.1f} {unit}; the true value is {truth:.1f}")
    if answered < limits.least_answers:
        faults.append(f"{answered} parameters have a value; the policy requires at least {limits.least_answers}")
    return faults


def _missing_outputs(result: VirtualStudyResult, champion: VirtualStudyResult | None) -> list[str]:
    unknown = sorted(set(result.values) - set(virtual_study_truths()))
    faults = [f"unknown parameters {', '.join(unknown)}"] if unknown else []
    if champion is not None:
        missing = sorted(set(champion.values) - set(result.values))
        faults += [f"the candidate reports no {name.replace('_', ' ')}; the champion does" for name in missing]
        views = sorted(set(champion.views) - set(result.views))
        faults += [f"the candidate reads no {view} view; the champion does" for view in views]
    return faults


def _slow(result: VirtualStudyResult, limits: VirtualStudyLimits, champion: VirtualStudyResult | None) -> list[str]:
    longest = limits.times_the_champion * champion.seconds if champion is not None else limits.seconds
    longest = min(longest, limits.seconds)
    if is_number(result.seconds) and 0 < result.seconds <= longest:
        return []
    return [f"{result.seconds:.3g} s for the study, at most {longest:.3g} s allowed"]


def _measured(measure: MeasureVirtualStudy, folder: Path) -> VirtualStudyResult | str:
    """The result, or why there is none. Any exception is a fault of the model that was run."""
    try:
        return measure(folder)
    except Exception as error:
        return f"the model cannot be run: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _failed(faults: list[str]) -> GateRefused:
    return GateRefused(
        "SMOKE_TEST_FAILED",
        found="; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else ""),
        expected="finite values near the truth of the bundled study, in the contract's form, in time",
        remedy="export the model again, or train another; nothing changed",
    )
