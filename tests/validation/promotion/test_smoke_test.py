"""The smoke test before promotion (fault V4): a model that loads but answers wrongly never serves."""

from functools import partial
from pathlib import Path

import pytest

from spine.errors import ContractViolation
from spine.measurement.registry import PARAMETERS
from tests.validation.promotion.registry import SERVED, Desk, knowing_answer
from validation.gates.policy import PhantomStudy
from validation.promotion.champion import open_registry, versions_of
from validation.promotion.smoke_test import STUDY, PhantomAnswer, evaluate_answer, phantom_truths

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
NAN = float("nan")


def other_answer(folder: Path, **changes: object) -> PhantomAnswer:
    answer = knowing_answer(folder)
    return PhantomAnswer(**({name: getattr(answer, name) for name in answer.__dataclass_fields__} | changes))


def crashing(folder: Path) -> PhantomAnswer:
    raise ContractViolation("MODEL_SIGNATURE", found="no output 'heatmaps'", expected="one", remedy="export again")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (partial(knowing_answer, cobb=NAN), "cobb is nan"),
        (partial(knowing_answer, cobb=float("inf")), "cobb is inf"),
        (partial(knowing_answer, pelvic_tilt=95.0), "pelvic_tilt is 95.0 deg"),
        (partial(knowing_answer, seconds=61.0), "61 s for the study, at most 60 s"),
        (partial(knowing_answer, seconds=NAN), "nan s for the study"),
        (partial(knowing_answer, mood=3.0), "unknown parameters mood"),
        (partial(other_answer, values={}), "0 parameters answered"),
        (partial(other_answer, values=dict.fromkeys(PARAMETERS)), "0 parameters answered"),
        (partial(other_answer, values={"cobb": "31"}), "cobb is 31"),
        (partial(other_answer, units={"cobb": "rad"}), "cobb has unit rad, expected deg"),
        (partial(other_answer, model_digest="f" * 64), "was asked instead of"),
        (crashing, "it cannot be asked: ContractViolation: MODEL_SIGNATURE"),
    ],
)  # fmt: skip
def test_model_that_loads_but_answers_wrongly_is_stopped(desk: Desk, ask: object, told: str) -> None:
    address, _ = desk.register("model")
    desk.judge("model")
    refusal = desk.refuses(address, "SMOKE_TEST_FAILED", ask_phantom=ask)
    assert told in refusal.found
    client = open_registry(desk.tracking_uri)
    assert not versions_of(client, SERVED), "what fails is not even registered under the served name"
    experiment = client.get_experiment_by_name(f"{SERVED}-promotions")
    assert [r.info.status for r in client.search_runs([experiment.experiment_id])] == ["FAILED"]


def test_without_a_way_to_ask_nothing_is_promoted(desk: Desk) -> None:
    address, _ = desk.register("model")
    desk.judge("model")
    desk.refuses(address, "SMOKE_TEST_ABSENT", ask_phantom=None)


def test_ten_times_slower_than_the_champion_is_stopped(desk: Desk) -> None:
    first, _ = desk.register("first")
    desk.judge("first", noise=2.0, seed=2)
    desk.promote(first)
    second, _ = desk.register("second")
    desk.judge("second", champion="first", noise=0.5, seed=3)
    asked: list[bytes] = []

    def ask(folder: Path) -> PhantomAnswer:
        graph = (folder / "model.onnx").read_bytes()
        asked.append(graph)
        return knowing_answer(folder, seconds=2.1 if graph == b"graph of second" else 0.2)

    assert "2.1 s for the study, at most 2 s" in desk.refuses(second, "SMOKE_TEST_FAILED", ask_phantom=ask).found
    assert set(asked) == {b"graph of first", b"graph of second"}, "the very bytes of both were asked"
    desk.promote(second, ask_phantom=partial(knowing_answer, seconds=1.9))


def test_another_schema_than_the_champions_is_stopped() -> None:
    told = {"cobb": 31.0, "pelvic_tilt": None}
    answer = PhantomAnswer("a" * 64, told, {"cobb": "deg"}, ("frontal", "lateral"), 0.2)
    less = PhantomAnswer("b" * 64, {"cobb": 31.0}, {"cobb": "deg"}, ("frontal",), 0.2)
    assert evaluate_answer(less, PhantomStudy(), None) == []
    faults = evaluate_answer(less, PhantomStudy(), answer)
    assert faults == [
        "the candidate reports no pelvic tilt; the champion does", "no lateral view, which the champion reads",
    ]  # fmt: skip


def test_bundled_study_is_small_and_holds_known_parameters() -> None:
    assert sum(path.stat().st_size for path in STUDY.iterdir()) < 300_000
    truths = phantom_truths()
    assert set(truths) <= set(PARAMETERS)
    assert {"cobb", "pelvic_incidence", "thoracic_kyphosis_t4_t12"} <= set(truths)
    assert all(PARAMETERS[name].unit == unit for name, (_, unit) in truths.items())
