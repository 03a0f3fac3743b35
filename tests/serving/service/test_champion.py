"""The served model: only verified files that passed the smoke test answer, and requests keep their model."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from inference import measured_study
from inference.bundled import BUNDLED
from serving.service import champion as served
from serving.service import measuring
from serving.service.champion import ModelFiles, ServedChampion
from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.serving.service.running import SETTINGS, bundled_champion, running, until

pytestmark = pytest.mark.slow


def model_folder(folder: Path, note: str) -> ModelFiles:
    """The bundled model with another note in its contract, so with another digest."""
    folder.mkdir()
    shutil.copy(BUNDLED / "model.onnx", folder)
    (folder / "contract.json").write_text((BUNDLED / "contract.json").read_text() + "\n" * len(note))
    return ModelFiles(model_digest(folder), folder, f"champion version {note}")


class Seat:
    """What the registry says, set by the test."""

    def __init__(self, files: ModelFiles | None) -> None:
        self.files, self.error = files, None

    def __call__(self) -> ModelFiles | None:
        if self.error is not None:
            raise self.error
        return self.files


def refusing(*digests: str) -> Callable[[Path, str], None]:
    def smoke_test(folder: Path, digest: str) -> None:
        assert model_digest(folder) == digest
        if digest in digests:
            raise GateRefused("SMOKE_TEST_FAILED", "cobb is nan", "finite values", "train another model")

    return smoke_test


def test_a_promotion_and_a_rollback_are_followed(tmp_path):
    first, second = (model_folder(tmp_path / note, note) for note in ("1", "22"))
    seat = Seat(first)
    champion = ServedChampion(seat, refusing())
    champion.look()
    assert champion.required().digest == first.digest
    seat.files = second
    champion.look()
    assert champion.required().name == "champion version 22"
    shutil.rmtree(second.folder)  # the served model does not need its folder any more
    seat.files = first
    champion.look()
    assert champion.required().digest == first.digest
    assert champion.changes == 3


def test_a_model_that_fails_its_smoke_test_never_answers(tmp_path, monkeypatch):
    first, second = (model_folder(tmp_path / note, note) for note in ("1", "22"))
    seat = Seat(first)
    champion = ServedChampion(seat, refusing(second.digest))
    champion.look()
    seat.files = second
    with running(SETTINGS, champion) as service:
        champion.look()
        champion.look()  # not tried again at once
        assert champion.failures == 1
        ready = service.client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["model"]["digest"] == first.digest
        assert ready.json()["fault"]["code"] == "SMOKE_TEST_FAILED"
        assert 'plumbline_model_fault{code="SMOKE_TEST_FAILED"} 1.0' in service.client.get("/metrics").text
        assert service.measure().headers["plumbline-model"] == first.digest
        seat.files = first
        champion.look()
        assert service.client.get("/readyz").json()["fault"] is None
    monkeypatch.setattr(served, "RETRY_S", 0.0)
    seat.files = second
    champion.look()
    assert champion.fault.code == "SMOKE_TEST_FAILED"


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_files_that_are_not_the_promoted_files_never_answer(tmp_path, damage):
    first, second = (model_folder(tmp_path / note, note) for note in ("1", "22"))
    seat = Seat(first)
    champion = ServedChampion(seat, refusing())
    champion.look()
    if damage == "altered":
        (second.folder / "contract.json").write_text((first.folder / "contract.json").read_text() + " ")
    else:
        shutil.rmtree(second.folder)
    seat.files = second
    champion.look()
    assert champion.required().digest == first.digest
    assert champion.fault.code in ("MODEL_ALTERED", "MODEL_INCOMPLETE", "CONTRACT_MISSING", "CHAMPION_UNREADABLE")


def test_a_registry_that_is_down_leaves_the_model_in_place(tmp_path):
    seat = Seat(model_folder(tmp_path / "1", "1"))
    champion = ServedChampion(seat, refusing())
    champion.look()
    for error in (GateRefused("REGISTRY_UNAVAILABLE", "a", "b", "c"), ValueError("a path")):
        seat.error = error
        champion.look()
        assert champion.required()
        assert champion.fault is not None
        assert "a path" not in str(champion.fault)


def test_without_a_champion_the_service_is_not_ready():
    with running(SETTINGS, ServedChampion(Seat(None), refusing())) as service:
        assert service.client.get("/readyz").status_code == 503
        answer = service.measure()
        assert (answer.status_code, answer.json()["code"]) == (503, "NO_MODEL")
        assert service.client.get("/healthz").status_code == 200


def test_the_running_service_follows_by_itself_and_a_request_keeps_its_model(tmp_path, monkeypatch):
    seat = Seat(model_folder(tmp_path / "1", "1"))
    second = model_folder(tmp_path / "22", "22")
    champion = ServedChampion(seat, refusing())
    champion.look()
    measure, opened, entered = measured_study.measure_radiographs, threading.Event(), threading.Event()

    def waiting(*arguments):
        entered.set()
        assert opened.wait(30)
        return measure(*arguments)

    monkeypatch.setattr(measuring, "measure_radiographs", waiting)
    with running(SETTINGS, champion) as service:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(service.measure()))
        thread.start()
        assert entered.wait(20)
        before, seat.files = seat.files, second
        assert until(lambda: champion.serving.digest == second.digest, within_s=10)
        opened.set()
        thread.join(60)
        (answer,) = answers
        assert answer.json()["answered_by"]["model_digest"] == answer.json()["model"]["digest"] == before.digest
        assert service.measure().headers["plumbline-model"] == second.digest


def test_a_model_is_adjusted_after_it_was_verified():
    champion = bundled_champion()
    champion = ServedChampion(champion._current, refusing(), lambda model: model)
    champion.look()
    assert champion.required().digest == model_digest(BUNDLED)
