"""The smoke test before promotion (fault V4): a model that loads but gives wrong results never serves."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spine.errors import ContractViolation
from spine.measurement.registry import PARAMETERS
from tests.validation.promotion.registry import SERVED, Registry, correct_result
from validation.gates.policy import VirtualStudyLimits
from validation.promotion.smoke_test import STUDY, VirtualStudyResult, check_result, virtual_study_truths
from validation.registry.client import open_registry, versions_of

NAN = float("nan")


def other_result(folder: Path, **changes: Any) -> VirtualStudyResult:
    return replace(correct_result(folder), **changes)


def crashing(folder: Path) -> VirtualStudyResult:
    raise ContractViolation("MODEL_SIGNATURE", found="no output 'heatmaps'", expected="one", remedy="export again")


@pytest.mark.parametrize(
    ("measure", "found"),
    [
        (partial(correct_result, cobb=NAN), "cobb is nan"),
        (partial(correct_result, cobb=float("inf")), "cobb is inf"),
        (partial(correct_result, pelvic_tilt=95.0), "pelvic_tilt is 95.0 deg"),
        (partial(correct_result, seconds=61.0), "the study took 61 s; at most 60 s"),
        (partial(correct_result, seconds=NAN), "the study took nan s"),
        (partial(correct_result, mood=3.0), "unknown parameters: mood"),
        (partial(other_result, values={}), "0 parameters have a value"),
        (partial(other_result, values=dict.fromkeys(PARAMETERS)), "0 parameters have a value"),
        (partial(other_result, values={"cobb": "31"}), "cobb is 31"),
        (partial(other_result, units={"cobb": "rad"}), "cobb has unit rad instead of deg"),
        (partial(other_result, model_digest="f" * 64), "was run instead of"),
        (crashing, "the model cannot be run: ContractViolation: MODEL_SIGNATURE"),
    ],
)
def test_model_that_loads_but_answers_wrongly_is_stopped(registry: Registry, measure: object, found: str) -> None:
    address = registry.candidate("model")
    refusal = registry.refuses(address, "SMOKE_TEST_FAILED", measure_virtual_study=measure)
    assert found in refusal.found
    client = open_registry(registry.tracking_uri)
    assert not versions_of(client, SERVED), "a model that fails is not registered under the served name"
    experiment = client.get_experiment_by_name(f"{SERVED}-promotions")
    assert [r.info.status for r in client.search_runs([experiment.experiment_id])] == ["FAILED"]


def test_without_a_way_to_run_the_model_nothing_is_promoted(registry: Registry) -> None:
    address = registry.candidate("model")
    registry.refuses(address, "SMOKE_TEST_ABSENT", measure_virtual_study=None)


def test_ten_times_slower_than_the_champion_is_stopped(serving: Registry) -> None:
    loaded: list[bytes] = []

    def measure(folder: Path) -> VirtualStudyResult:
        loaded.append((folder / "model.onnx").read_bytes())
        return correct_result(folder, seconds=2.1 if loaded[-1] == b"graph of second" else 0.2)

    refusal = serving.refuses("models:/candidates/2", "SMOKE_TEST_FAILED", measure_virtual_study=measure)
    assert "the study took 2.1 s; at most 2 s" in refusal.found
    assert set(loaded) == {b"graph of first", b"graph of second"}, "the bytes of both models were loaded"
    serving.promote("models:/candidates/2", measure_virtual_study=partial(correct_result, seconds=1.9))


def test_another_schema_than_the_champions_is_stopped() -> None:
    values = {"cobb": 31.0, "pelvic_tilt": None}
    champion = VirtualStudyResult("a" * 64, values, {"cobb": "deg"}, ("frontal", "lateral"), 0.2)
    less = VirtualStudyResult("b" * 64, {"cobb": 31.0}, {"cobb": "deg"}, ("frontal",), 0.2)
    assert check_result(less, VirtualStudyLimits(), None) == []
    faults = check_result(less, VirtualStudyLimits(), champion)
    assert faults == [
        "the candidate reports no pelvic tilt, but the champion does",
        "the candidate reads no lateral view, but the champion does",
    ]


def test_bundled_study_is_small_and_holds_known_parameters() -> None:
    assert sum(path.stat().st_size for path in STUDY.iterdir()) < 300_000
    truths = virtual_study_truths()
    assert set(truths) <= set(PARAMETERS)
    assert {"cobb", "pelvic_incidence", "thoracic_kyphosis_t4_t12"} <= set(truths)
    assert all(PARAMETERS[name].unit == unit for name, (_, unit) in truths.items())
