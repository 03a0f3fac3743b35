"""An incomplete model or one of another version is refused with a reason, and no pickle is executed."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.contract import ModelContract, read_contract, write_contract
from inference.model import INPUTS, load_model
from inference.model_folder import open_model_folder, recorded_digests
from spine.errors import ContractViolation, EvidenceRejected
from spine.landmarks import VIEWS
from spine.model_digest import model_digest

NAMES = ("T1_sup", "HIP_L", "HIP_R")
CONTRACT = ModelContract("galbusera39", NAMES, VIEWS, (20, 28), 4, training_note="none: made by hand")
REPOSITORY = Path(__file__).parents[2]


def _write_model(
    folder: Path, contract: ModelContract = CONTRACT, maps: int = len(NAMES), output: str = "heatmaps"
) -> None:
    """A hand-made graph of the right signature: even heat maps, visibility zero."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    h, w = CONTRACT.heatmap_shape
    even = np.full((1, maps, h, w), 1 / (h * w), np.float32)
    nodes = [
        helper.make_node("Shape", ["view"], ["count"]),
        helper.make_node("Concat", ["count", "rest4"], ["shape4"], axis=0),
        helper.make_node("Concat", ["count", "rest2"], ["shape2"], axis=0),
        helper.make_node("Expand", ["even", "shape4"], [output]),
        helper.make_node("Expand", ["zero", "shape2"], ["visibility"]),
    ]
    constants = {
        "even": even,
        "zero": np.zeros((1, maps), np.float32),
        "rest4": np.array([maps, h, w]),
        "rest2": np.array([maps]),
    }
    graph = helper.make_graph(
        nodes,
        "hand-made",
        [
            helper.make_tensor_value_info(INPUTS[0], TensorProto.FLOAT, ["n", 1, *CONTRACT.input_shape]),
            helper.make_tensor_value_info("view", TensorProto.INT64, ["n"]),
        ],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", maps, h, w]),
            helper.make_tensor_value_info("visibility", TensorProto.FLOAT, ["n", maps]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save_model(model, folder / "model.onnx")
    write_contract(contract, folder)


def test_a_complete_model_loads_and_runs(tmp_path: Path) -> None:
    _write_model(tmp_path)
    model = load_model(tmp_path)
    assert model.contract == CONTRACT == read_contract(tmp_path)
    assert model.digest == model_digest(tmp_path)
    found = model.run(np.zeros((2, 1, 20, 28), np.float32), ["frontal", "lateral"])
    assert found.heatmaps.shape == (2, 3, 5, 7)
    assert found.visibility.shape == (2, 3)


def test_the_digest_covers_both_files(tmp_path: Path) -> None:
    _write_model(tmp_path)
    first = model_digest(tmp_path)
    write_contract(replace(CONTRACT, training_note="something else"), tmp_path)
    second = model_digest(tmp_path)
    (tmp_path / "model.onnx").write_bytes((tmp_path / "model.onnx").read_bytes() + b"\0")
    assert len({first, second, model_digest(tmp_path)}) == 3


def test_a_swapped_model_is_refused(tmp_path: Path) -> None:
    _write_model(tmp_path)
    approved = model_digest(tmp_path)
    assert load_model(tmp_path, expected_digest=approved).digest == approved
    write_contract(replace(CONTRACT, training_note="swapped"), tmp_path)
    with pytest.raises(EvidenceRejected, match="MODEL_ALTERED"):
        load_model(tmp_path, expected_digest=approved)


@pytest.mark.parametrize("record", ["candidate.json", "release.json"])
@pytest.mark.parametrize("edited", ["model.onnx", "contract.json"])
def test_a_model_folder_must_match_its_record(tmp_path: Path, record: str, edited: str) -> None:
    _write_model(tmp_path)
    assert recorded_digests(tmp_path) == {}
    assert open_model_folder(tmp_path).contract == CONTRACT
    (tmp_path / record).write_text(json.dumps({"model_digest": model_digest(tmp_path)}))
    assert open_model_folder(tmp_path).digest == recorded_digests(tmp_path)[record]
    with (tmp_path / edited).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(EvidenceRejected, match=rf"MODEL_ALTERED.*{record}"):
        open_model_folder(tmp_path)


def test_a_record_from_before_the_export_has_no_digest_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    _write_model(tmp_path)
    (tmp_path / "candidate.json").write_text('{"model_digest": null}')
    assert recorded_digests(tmp_path) == {}
    (tmp_path / "candidate.json").write_text("{")
    with pytest.raises(EvidenceRejected, match="MODEL_RECORD_UNREADABLE"):
        open_model_folder(tmp_path)


@pytest.mark.parametrize("missing", ["model.onnx", "contract.json"])
def test_an_incomplete_model_is_refused(tmp_path: Path, missing: str) -> None:
    _write_model(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(EvidenceRejected, match="MODEL_INCOMPLETE"):
        load_model(tmp_path)


def test_a_pickle_instead_of_the_graph_is_refused_and_not_executed(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "executed"),))

    _write_model(tmp_path)
    (tmp_path / "model.onnx").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ContractViolation, match="MODEL_UNREADABLE"):
        load_model(tmp_path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"preprocessing_version": 99}, "preprocessing 99"),
        ({"schema": "plumbline.model/9"}, "schema"),
        ({"names": ["T1_sup", "T1_sup", "HIP_L"]}, "named twice"),
        ({"names": ["T1_sup", "HIP_L", "NOSE"]}, "NOSE"),
        ({"landmark_set": "unheard"}, "unheard"),
        ({"views": ["oblique"]}, "oblique"),
        ({"heatmap_stride": 3}, "stride 3"),
        ({"letterbox": "stretch"}, "stretch"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    _write_model(tmp_path)
    record = json.loads((tmp_path / "contract.json").read_text()) | change
    (tmp_path / "contract.json").write_text(json.dumps(record))
    with pytest.raises(ContractViolation, match=reason):
        load_model(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "plumbline.model/1", "unknown": 1}'])
def test_a_damaged_contract_is_refused(tmp_path: Path, content: str) -> None:
    _write_model(tmp_path)
    (tmp_path / "contract.json").write_text(content)
    with pytest.raises(ContractViolation, match="CONTRACT_UNREADABLE"):
        load_model(tmp_path)


def test_a_graph_of_another_signature_is_refused(tmp_path: Path) -> None:
    _write_model(tmp_path, maps=2)
    with pytest.raises(ContractViolation, match=r"MODEL_SIGNATURE.*heatmaps"):
        load_model(tmp_path)
    _write_model(tmp_path, output="maps")
    with pytest.raises(ContractViolation, match="no output 'heatmaps'"):
        load_model(tmp_path)


def test_images_of_another_shape_or_view_are_refused(tmp_path: Path) -> None:
    _write_model(tmp_path, replace(CONTRACT, views=("frontal",)))
    model = load_model(tmp_path)
    with pytest.raises(ContractViolation, match="MODEL_INPUT_INVALID"):
        model.run(np.zeros((1, 1, 28, 20), np.float32), ["frontal"])
    with pytest.raises(ContractViolation, match="MODEL_INPUT_INVALID"):
        model.run(np.zeros((1, 1, 20, 28), np.float32), ["lateral"])


def test_inference_is_light() -> None:
    """No torch, and onnxruntime, scipy and Pillow only when they are needed."""
    script = (
        "import sys, inference.model, inference.measure, inference.overlay;"
        "heavy = {'torch', 'lightning', 'mlflow', 'onnxruntime', 'PIL', 'matplotlib', 'pandas'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, timeout=60)
    assert done.returncode == 0, done.stderr
