"""The bundled model is complete, small, and matches its record."""

import json
import shutil

import pytest

from inference import bundled
from spine.errors import EvidenceRejected
from spine.landmarks import VIEWS


def test_the_bundled_model_has_both_views_and_virtual_training_patients():
    model = bundled.open_bundled()
    assert model.contract.views == VIEWS
    assert model.contract.simulated_training_data is True
    assert "trained on virtual patients only" in (bundled.BUNDLED / "card.md").read_text()


def test_the_bundled_model_is_small():
    assert sum(f.stat().st_size for f in bundled.BUNDLED.iterdir()) <= 16 * 2**20


def test_an_altered_bundled_model_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    shutil.copytree(bundled.BUNDLED, folder)
    contract = json.loads((folder / "contract.json").read_text())
    contract["training_note"] = "another"
    (folder / "contract.json").write_text(json.dumps(contract))
    monkeypatch.setattr(bundled, "BUNDLED", folder)
    with pytest.raises(EvidenceRejected, match="MODEL_ALTERED"):
        bundled.open_bundled()
