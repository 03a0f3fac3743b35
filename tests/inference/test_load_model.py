"""An incomplete model or one of another version is refused with a reason, and no pickle is executed."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.contract import ModelContract, read_contract, write_contract
from inference.model import INPUTS, load_model
from inference.model_folder import open_model_folder, recorded_digests
from spine.errors import ContractViolation, EvidenceRejected
from spine.landmarks import VIEWS, ViewName
from spine.model_digest import model_digest

NAMES = ("T1_sup", "HIP_L", "HIP_R")
CONTRACT = ModelContract("galbusera39", NAMES, VIEWS, (20, 28), 4, training_note="none: made by hand")
REPOSITORY = Path(__file__).parents[2]


def _write_model(
    folder: Path, contract: ModelContract = CONTRACT, maps: int = len(NAMES), output: str = "heatmaps"
) -> None:
    """A hand-made graph of the right signature: even heat maps, visibility zero."""
    import onnx

    h, w = CONTRACT.heatmap_shape
    model = onnx.parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        handmade (float[n, 1, 20, 28] {INPUTS[0]}, int64[n] view)
            => (float[n, {maps}, {h}, {w}] {output}, float[n, {maps}] visibility)
        {{
            count = Shape (view)
            of_maps = Constant <value_ints = [{maps}, {h}, {w}]> ()
            of_flags = Constant <value_ints = [{maps}]> ()
            even = Constant <value_float = {1 / (h * w)}> ()
            zero = Constant <value_float = 0.0> ()
            maps_shape = Concat <axis = 0> (count, of_maps)
            flags_shape = Concat <axis = 0> (count, of_flags)
            {output} = Expand (even, maps_shape)
            visibility = Expand (zero, flags_shape)
        }}""")
    onnx.save_model(model, folder / "model.onnx")
    write_contract(contract, folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a complete model."""
    _write_model(tmp_path)
    return tmp_path


def test_a_complete_model_loads_and_runs(folder: Path) -> None:
    model = load_model(folder)
    assert model.contract == CONTRACT == read_contract(folder)
    assert model.digest == model_digest(folder)
    found = model.run(np.zeros((2, 1, 20, 28), np.float32), ["frontal", "lateral"])
    assert found.heatmaps.shape == (2, 3, 5, 7)
    assert found.visibility.shape == (2, 3)


def test_the_digest_covers_both_files(folder: Path) -> None:
    first = model_digest(folder)
    write_contract(replace(CONTRACT, training_note="something else"), folder)
    second = model_digest(folder)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\0")
    assert len({first, second, model_digest(folder)}) == 3


def test_a_swapped_model_is_refused(folder: Path) -> None:
    approved = model_digest(folder)
    assert load_model(folder, expected_digest=approved).digest == approved
    write_contract(replace(CONTRACT, training_note="swapped"), folder)
    with pytest.raises(EvidenceRejected, match="MODEL_ALTERED"):
        load_model(folder, expected_digest=approved)


@pytest.mark.parametrize("record", ["candidate.json", "release.json"])
@pytest.mark.parametrize("edited", ["model.onnx", "contract.json"])
def test_a_model_folder_must_match_its_record(folder: Path, record: str, edited: str) -> None:
    assert recorded_digests(folder) == {}
    assert open_model_folder(folder).contract == CONTRACT
    (folder / record).write_text(json.dumps({"model_digest": model_digest(folder)}))
    assert open_model_folder(folder).digest == recorded_digests(folder)[record]
    with (folder / edited).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(EvidenceRejected, match=rf"MODEL_ALTERED.*{record}"):
        open_model_folder(folder)


def test_a_record_from_before_the_export_has_no_digest_and_a_damaged_one_is_refused(folder: Path) -> None:
    (folder / "candidate.json").write_text('{"model_digest": null}')
    assert recorded_digests(folder) == {}
    (folder / "candidate.json").write_text("{")
    with pytest.raises(EvidenceRejected, match="MODEL_RECORD_UNREADABLE"):
        open_model_folder(folder)


@pytest.mark.parametrize("missing", ["model.onnx", "contract.json"])
def test_an_incomplete_model_is_refused(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(EvidenceRejected, match="MODEL_INCOMPLETE"):
        load_model(folder)


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
        ({"names": ["T1_sup", "HIP_L"], "mirrored_average": True}, "without the mirror partners of .*HIP_L"),
        *(
            (damaged, "CONTRACT_UNREADABLE")
            for damaged in ("", "[]", "{}", '{"schema": "plumbline.model/1", "unknown": 1}')
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(folder: Path, change: Any, reason: str) -> None:
    """So is a damaged one."""
    path = folder / "contract.json"
    path.write_text(change if isinstance(change, str) else json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ContractViolation, match=reason):
        load_model(folder)


def test_a_graph_of_another_signature_is_refused(tmp_path: Path) -> None:
    _write_model(tmp_path, maps=2)
    with pytest.raises(ContractViolation, match=r"MODEL_SIGNATURE.*heatmaps"):
        load_model(tmp_path)
    _write_model(tmp_path, output="maps")
    with pytest.raises(ContractViolation, match="no output 'heatmaps'"):
        load_model(tmp_path)


def test_images_of_another_shape_or_view_are_refused(tmp_path: Path) -> None:
    _write_model(tmp_path, replace(CONTRACT, views=("frontal",)))
    cases: list[tuple[tuple[int, ...], ViewName]] = [((1, 1, 28, 20), "frontal"), ((1, 1, 20, 28), "lateral")]
    for shape, view in cases:
        with pytest.raises(ContractViolation, match="MODEL_INPUT_INVALID"):
            load_model(tmp_path).run(np.zeros(shape, np.float32), [view])


def test_inference_is_light() -> None:
    """No torch, and onnxruntime, scipy and Pillow only when they are needed."""
    script = (
        "import sys, inference.model, inference.measure, inference.overlay;"
        "heavy = {'torch', 'lightning', 'mlflow', 'onnxruntime', 'PIL', 'matplotlib', 'pandas'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, timeout=60)
    assert done.returncode == 0, done.stderr
