"""The smoke test: before a model goes into service, its files must measure one bundled virtual study correctly.

Contract: without a function that runs the model nothing is promoted. The test refuses a result that is not finite, far
from the true values, incomplete, or much slower than the champion's result. The error lists the faults. The test shows
that a model works in the environment of the promoter. It does not show how accurate the model is.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spine.errors import GateRefused
from validation.gates.policy import VirtualStudyLimits, is_number

STUDY = Path(__file__).parent / "virtual_study"
"""The folder of the bundled study: ``frontal.png``, ``lateral.png`` and ``study.json`` (geometry and true values)."""


@dataclass(frozen=True)
class VirtualStudyResult:
    """The result of a model on the bundled study.

    Attributes:
        model_digest: digest of the loaded files.
        values: parameter -> value; None if the model reports no value.
        units: parameter -> unit.
        views: the views in the model's contract.
        seconds: the shortest wall time of several runs of the loaded model.
    """

    model_digest: str
    values: Mapping[str, float | None]
    units: Mapping[str, str]
    views: tuple[str, ...]
    seconds: float


MeasureVirtualStudy = Callable[[Path], VirtualStudyResult]
"""A function that loads the model in a folder and measures the bundled study with it."""


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
    """Measure the bundled study with the model in ``folder``, and refuse the model if its result has faults.

    Args:
        measure: the function that runs a model. None is refused.
        digest: the digest that the files in ``folder`` must have.
        limits: the limits from the policy.
        champion_folder: the champion's files, for comparison; None without a champion.

    Raises:
        GateRefused: SMOKE_TEST_ABSENT, SMOKE_TEST_FAILED.
    """
    if measure is None:
        raise smoke_test_absent()
    result = _measured(measure, folder)
    if isinstance(result, str):
        raise _failed([result])
    rival = _measured(measure, champion_folder) if champion_folder is not None else None
    faults = check_result(result, limits, rival if isinstance(rival, VirtualStudyResult) else None)
    if result.model_digest != digest:
        faults.insert(0, f"model {result.model_digest[:12]} was run instead of model {digest[:12]}")
    if faults:
        raise _failed(faults)
    return result


def smoke_test_absent() -> GateRefused:
    """The error for a request without a function that runs the model."""
    return GateRefused(
        "SMOKE_TEST_ABSENT",
        found="no function that runs the model on the bundled study",
        expected="a smoke test before the model goes into service",
        remedy="use `plumbline promote`, `plumbline rollback` or the Dagster job, which run the smoke test",
    )


def check_result(
    result: VirtualStudyResult, limits: VirtualStudyLimits, champion: VirtualStudyResult | None
) -> list[str]:
    """The faults of a result; empty for a result without faults."""
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
            faults.append(f"{name} has unit {result.units.get(name) or 'none'} instead of {unit}")
        elif unit == "deg" and not abs(value - truth) <= limits.tolerance_deg:
            faults.append(f"{name} is {value:.1f} {unit}; the true value is {truth:.1f}")
    if answered < limits.least_answers:
        faults.append(f"{answered} parameters have a value; the policy requires {limits.least_answers} or more")
    return faults


def _missing_outputs(result: VirtualStudyResult, champion: VirtualStudyResult | None) -> list[str]:
    unknown = sorted(set(result.values) - set(virtual_study_truths()))
    faults = [f"the candidate reports unknown parameters: {', '.join(unknown)}"] if unknown else []
    if champion is not None:
        missing = sorted(set(champion.values) - set(result.values))
        faults += [f"the candidate reports no {name.replace('_', ' ')}, but the champion does" for name in missing]
        views = sorted(set(champion.views) - set(result.views))
        faults += [f"the candidate reads no {view} view, but the champion does" for view in views]
    return faults


def _slow(result: VirtualStudyResult, limits: VirtualStudyLimits, champion: VirtualStudyResult | None) -> list[str]:
    longest = limits.times_the_champion * champion.seconds if champion is not None else limits.seconds
    longest = min(longest, limits.seconds)
    if is_number(result.seconds) and 0 < result.seconds <= longest:
        return []
    return [f"the study took {result.seconds:.3g} s; at most {longest:.3g} s are allowed"]


def _measured(measure: MeasureVirtualStudy, folder: Path) -> VirtualStudyResult | str:
    """The result, or the reason why there is no result. Any exception counts as a fault of the model."""
    try:
        return measure(folder)
    except Exception as error:
        return f"the model cannot be run: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _failed(faults: list[str]) -> GateRefused:
    return GateRefused(
        "SMOKE_TEST_FAILED",
        found="; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else ""),
        expected="a complete set of finite values near the true values of the bundled study, within the time limit",
        remedy="export the model again, or train another model; nothing was changed",
    )
