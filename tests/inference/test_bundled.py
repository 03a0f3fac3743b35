"""The bundled model is whole, small, what its record names, and refuses to be another."""

import json
import shutil

import pytest

import inference.bundled as box
from spine.errors import EvidenceRejected
from spine.landmarks import VIEWS


def test_the_box_holds_a_model_of_both_views_from_virtual_patients_alone():
    model = box.open_released()
    assert model.contract.views == VIEWS
    assert model.contract.simulated_training_data is True
    assert "trained on virtual patients only" in (box.RELEASED / "card.md").read_text()


def test_the_box_is_small():
    assert sum(f.stat().st_size for f in box.RELEASED.iterdir()) <= 16 * 2**20


def test_a_box_with_another_model_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    shutil.copytree(box.RELEASED, folder)
    contract = json.loads((folder / "contract.json").read_text())
    contract["training_note"] = "another"
    (folder / "contract.json").write_text(json.dumps(contract))
    monkeypatch.setattr(box, "RELEASED", folder)
    with pytest.raises(EvidenceRejected, match="MODEL_ALTERED"):
        box.open_released()
