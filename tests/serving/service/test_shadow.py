"""Shadow runs: they follow the answer, are bounded in cost, and record nothing about the patient."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from inference.bundled import open_bundled
from inference.measured_study import MeasuredStudy, measure_radiographs
from inference.model import Model
from inference.radiograph_files import RadiographFile, open_radiographs
from serving.service.champion import ServedModel
from serving.service.shadow import ShadowCase, ShadowRuns, append_to, read_cases, shadow_case
from spine.errors import InputRejected
from spine.measurement.registry import Measured
from tests.serving.service.running import DIGEST, PICTURES, SETTINGS, dicom_pair, running, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def challenger() -> Model:
    """The bundled model under another digest."""
    return replace(open_bundled(), digest="c" * 64)


@pytest.fixture(scope="module")
def study() -> MeasuredStudy:
    files = [RadiographFile(PICTURES["frontal"], "frontal", "frontal")]
    return measure_radiographs(open_bundled(), open_radiographs(files))


def test_the_challenger_measures_the_same_study_after_the_answer(challenger, tmp_path):
    path = tmp_path / "shadow" / "cases.jsonl"
    with running(SETTINGS, shadow=ShadowRuns(challenger, 1.0, append_to(path))) as service:
        pair = dicom_pair(tmp_path, name="Kowalska")
        answer = service.client.post(
            "/measure", files={view: (f"Kowalska {view}", each) for view, each in pair.items()}
        )
        assert until(path.exists)
        assert until(lambda: len(read_cases(path)) == 1)
        (case,) = read_cases(path)
        assert (case.champion, case.challenger) == (DIGEST, challenger.digest)
        values = {
            name: each["value"] for name, each in answer.json()["parameters"].items() if each["value"] is not None
        }
        assert set(case.difference) == set(values)
        assert set(case.difference.values()) == {0.0}
        assert 'plumbline_shadow_runs_total{outcome="begun"} 1.0' in service.client.get("/metrics").text
    text = path.read_text()
    assert set(json.loads(text.strip())) == {"day", "champion", "challenger", "difference", "absent", "refused"}
    assert "Kowalska" not in text
    assert "2.25." not in text


def test_differences_and_absences_are_compared(study, challenger, monkeypatch):
    ours = study.prediction.parameters
    name, gone = [each for each, found in ours.items() if found.value is not None][:2]
    missing = next(each for each, found in ours.items() if found.value is None)
    theirs = dict(ours)
    theirs[name] = replace(ours[name], value=ours[name].value + 1.5)
    theirs[gone] = Measured(None, "deg", "not seen", absent_code="LANDMARKS_NOT_SEEN")
    theirs[missing] = Measured(1.0, "deg")
    other = replace(study, prediction=replace(study.prediction, parameters=theirs))
    monkeypatch.setattr("serving.service.shadow.measure_radiographs", lambda *_: other)
    case = shadow_case(study, challenger)
    assert case.difference[name] == 1.5
    assert case.absent == {gone: "challenger", missing: "champion"}


def test_a_study_that_the_challenger_refuses_is_a_case(study, challenger, monkeypatch):
    def refusing(*_):
        raise InputRejected("NOTHING_MEASURED", "Kowalska", "b", "c")

    monkeypatch.setattr("serving.service.shadow.measure_radiographs", refusing)
    case = shadow_case(study, challenger)
    assert (case.refused, case.difference) == ("NOTHING_MEASURED", {})
    assert "Kowalska" not in str(case)


def test_at_most_one_run_at_a_time_and_none_while_requests_wait(study, challenger, monkeypatch):
    opened, cases = threading.Event(), []

    def waiting(model, _):
        assert opened.wait(30)
        return replace(study, model=model)

    monkeypatch.setattr("serving.service.shadow.measure_radiographs", waiting)
    runs, by = ShadowRuns(challenger, 1.0, cases.append), ServedModel(study.model, "champion version 1")
    assert runs.offer(study, by, busy=True) == "dropped"
    assert runs.offer(study, by, busy=False) == "begun"
    assert runs.offer(study, by, busy=False) == "dropped"
    opened.set()
    assert until(lambda: len(cases) == 1)
    assert until(lambda: runs.offer(study, by, busy=False) == "begun")
    assert ShadowRuns(challenger, 0.0, cases.append).offer(study, by, busy=False) == "not drawn"
    assert runs.offer(study, ServedModel(challenger, "x"), busy=False) == "same model"
    runs.close()


def test_a_case_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path):
    path, case = tmp_path / "cases.jsonl", ShadowCase("2026-01-01", "a", "b", {"cobb": 1.0}, {})
    append_to(path)(case)
    with path.open("a") as stream:
        stream.write('\n{"day": "2026-')
    append_to(path)(case)
    assert read_cases(path) == [case, case]
    assert read_cases(tmp_path / "none") == []
