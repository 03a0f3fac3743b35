"""The bundled virtual study, measured with real models: the bundled one passes; NaN or truncated ones do not."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from inference.bundled import BUNDLED
from orchestration.lifecycle.virtual_study import measure_virtual_study, virtual_study_views
from spine.errors import GateRefused
from spine.landmarks import VIEWS
from spine.model_digest import model_digest
from tests.orchestration.draw_virtual_study import draw
from validation.gates.policy import VirtualStudyLimits
from validation.promotion.smoke_test import STUDY, VirtualStudyResult, require_smoke_test, virtual_study_truths


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the bundled model."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "model"))


def smoke_test(model: Path, limits: VirtualStudyLimits) -> VirtualStudyResult:
    return require_smoke_test(measure_virtual_study, model, model_digest(model), limits)


def test_bundled_model_passes_its_smoke_test(model: Path) -> None:
    result = smoke_test(model, VirtualStudyLimits(tolerance_deg=5.0))
    assert all(result.values[name] is not None for name in virtual_study_truths())
    assert result.views == VIEWS


def test_model_that_answers_nan_is_stopped(model: Path) -> None:
    """The model loads and has the right signature, but its weights are NaN."""
    network = onnx.load(str(model / "model.onnx"))
    for weights in network.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype in (np.float32, np.float16) and values.ndim == 4:
            weights.CopyFrom(onnx.numpy_helper.from_array(np.full_like(values, np.nan), weights.name))
    onnx.save(network, str(model / "model.onnx"))
    with pytest.raises(GateRefused, match="SMOKE_TEST_FAILED"):
        smoke_test(model, VirtualStudyLimits())


def test_model_of_another_schema_is_stopped(model: Path) -> None:
    contract = json.loads((model / "contract.json").read_text())
    contract["names"] = contract["names"][:-1]
    (model / "contract.json").write_text(json.dumps(contract))
    with pytest.raises(GateRefused, match=r"SMOKE_TEST_FAILED.*MODEL_SIGNATURE"):
        smoke_test(model, VirtualStudyLimits())
    (model / "model.onnx").write_bytes((model / "model.onnx").read_bytes()[:1000])
    with pytest.raises(GateRefused, match=r"SMOKE_TEST_FAILED.*MODEL_UNREADABLE"):
        smoke_test(model, VirtualStudyLimits())


def test_bundled_study_is_the_one_that_the_script_draws(tmp_path: Path) -> None:
    draw(tmp_path)
    drawn, kept = (json.loads((folder / "study.json").read_text()) for folder in (tmp_path, STUDY))
    assert drawn["geometry"] == kept["geometry"]
    for name, (value, unit) in kept["truths"].items():
        assert drawn["truths"][name] == [pytest.approx(value, abs=0.01), unit]
    for view in VIEWS:
        ours, theirs = (np.asarray(Image.open(f / f"{view}.png")).astype(int) for f in (tmp_path, STUDY))
        assert np.abs(ours - theirs).max() <= 2
        assert virtual_study_views()[view].image.dtype == np.uint16
