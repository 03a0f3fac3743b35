"""The registered model as MLflow's users load it."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx
import pandas as pd
import pytest

from inference.bundled import BUNDLED
from orchestration.environment import quiet_environment
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from serving.mlflow_model import MeasuringModel, _load_pyfunc
from spine.errors import EvidenceRejected, ParametersRejected
from spine.mlmodel import MLMODEL_FILE, mlflow_files, mlmodel_text, require_own_mlmodel
from spine.model_digest import model_digest
from tests.served_workspace import register_candidate, served_workspace
from tests.serving.service.running import DIGEST, PICTURES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*:UserWarning:mlflow"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundled model as a registered version."""
    made = tmp_path / "model"
    made.mkdir()
    for name in ("model.onnx", "contract.json"):
        shutil.copy(BUNDLED / name, made)
    for name, text in mlflow_files(DIGEST, PICTURES).items():
        (made / name).write_text(text)
    return made


def test_mlflow_loads_it_without_pickle_and_it_measures_bytes(folder, monkeypatch):
    import mlflow.pyfunc

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pyfunc.load_model(str(folder))
    assert model.metadata.signature.inputs.input_names() == ["frontal", "lateral"]
    answer = model.predict(pd.DataFrame({view: [png] for view, png in PICTURES.items()}))
    assert list(answer.columns) == ["measurement"]
    report = json.loads(answer["measurement"][0])
    assert report["model"]["digest"] == DIGEST
    assert report["parameters"]["cobb"]["value"] is not None
    assert set(report["views"]) == {"frontal", "lateral"}
    example = model.metadata.load_input_example(str(folder))
    assert json.loads(model.predict(example)["measurement"][0])["parameters"] == report["parameters"]


def test_a_refused_row_is_answered_by_its_code_and_the_others_are_measured():
    from inference.bundled import open_bundled

    secret = b"Kowalska^Janina, no radiograph"
    rows = [
        {"frontal": PICTURES["frontal"], "lateral": None},
        {"frontal": secret, "lateral": None},
        {"frontal": None, "lateral": float("nan")},
        {"frontal": base64.b64encode(PICTURES["frontal"]).decode(), "lateral": ""},
        {"frontal": "!", "lateral": None},
    ]
    answers = [json.loads(text) for text in MeasuringModel(open_bundled()).predict(rows)["measurement"]]
    codes = [answer.get("error", {}).get("code") for answer in answers]
    assert codes == [None, "NOT_DICOM", "FILES_UNCLEAR", None, "BASE64_INVALID"]
    assert "Kowalska" not in json.dumps(answers)
    assert "Traceback" not in json.dumps(answers)


def test_an_altered_model_and_an_altered_mlmodel_are_not_loaded(folder):
    _load_pyfunc(str(folder), {"digest": DIGEST})
    with pytest.raises(EvidenceRejected, match="MODEL_ALTERED"):
        _load_pyfunc(str(folder), {"digest": "0" * 64})
    with pytest.raises(ParametersRejected, match="DIGEST_MISSING"):
        _load_pyfunc(str(folder))
    (folder / MLMODEL_FILE).write_text(mlmodel_text(DIGEST).replace("required", "optional"))
    with pytest.raises(EvidenceRejected, match="MLMODEL_ALTERED"):
        _load_pyfunc(str(folder), {"digest": DIGEST})
    contract = folder / "contract.json"
    contract.write_text(contract.read_text() + " ")
    with pytest.raises(EvidenceRejected, match="MODEL_ALTERED"):
        _load_pyfunc(str(folder), {"digest": DIGEST})


def test_a_version_of_mlflows_own_flavour_is_accepted_and_another_loader_is_not(folder):
    earlier = "flavors:\n  onnx:\n    data: model.onnx\n  python_function:\n    loader_module: mlflow.onnx\n"
    (folder / MLMODEL_FILE).write_text(earlier)
    require_own_mlmodel(folder, DIGEST)
    for text in (earlier.replace("mlflow.onnx", "evil"), earlier.replace("  onnx", "  sklearn"), "x", "flavors: 1", ""):
        (folder / MLMODEL_FILE).write_text(text)
        with pytest.raises(EvidenceRejected, match="MLMODEL_ALTERED"):
            require_own_mlmodel(folder, DIGEST)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_mlflow_database: Path) -> Workspace:
    return served_workspace(tmp_path / "ws", monkeypatch, empty_mlflow_database)


def test_a_candidate_whose_mlmodel_names_other_code_is_not_promoted(workspace, monkeypatch):
    from orchestration.lifecycle.judging import judge_candidate
    from orchestration.pipeline.params import read_params
    from orchestration.tracking.registry import history_state
    from tests.served_workspace import refused

    def evil(digest, example):
        files = mlflow_files(digest, example)
        return files | {MLMODEL_FILE: files[MLMODEL_FILE].replace("serving.mlflow_model", "os")}

    monkeypatch.setattr("tests.served_workspace.mlflow_files", evil)
    register_candidate(workspace, "ccc", champion=history_state(workspace).champion.digest, noise=0.4)
    judge_candidate(workspace, read_params(workspace.params_file))
    refused(workspace, "MLMODEL_ALTERED", "promote", "--by", "R. Viewer")


def test_mlflow_models_serve_answers_with_the_champion(workspace):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, **quiet_environment(), "MLFLOW_TRACKING_URI": workspace.tracking_uri}
    environment |= {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment |= {"OMP_NUM_THREADS": "1"}
    command = [f"{scripts}/mlflow", "models", "serve", "-m", f"models:/{PRODUCTION_MODEL}@champion"]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    with (workspace.root / "serve.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(server, f"http://127.0.0.1:{port}/ping", workspace.root / "serve.log")
        row = {view: base64.b64encode(png).decode() for view, png in PICTURES.items()}
        records = [row, {"frontal": base64.b64encode(b"none").decode(), "lateral": ""}]
        answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json={"dataframe_records": records}, timeout=60)
        assert answer.status_code == 200, answer.text[:2000]
        first, second = (json.loads(each["measurement"]) for each in answer.json()["predictions"])
        assert first["model"]["digest"] == model_digest(workspace.champion)
        assert first["parameters"]["cobb"]["value"] is not None
        assert second["error"]["code"] == "NOT_DICOM"
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def _wait(server: subprocess.Popen, address: str, log: Path, within_s: float = 120.0) -> None:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(address, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    raise AssertionError(log.read_text()[-3000:])
