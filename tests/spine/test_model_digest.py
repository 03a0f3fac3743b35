"""The digest of a model's files."""

from pathlib import Path

import pytest

from spine.errors import EvidenceRejected
from spine.model_digest import find_model_folder, model_digest


def test_model_digest_covers_every_part(tmp_path: Path) -> None:
    model = tmp_path / "tree" / "deep"
    model.mkdir(parents=True)
    for name in ("model.onnx", "contract.json", "card.md"):
        (model / name).write_text(f"{name} of the model")
    digest = model_digest(model)
    (model / "card.md").write_text("another card")
    assert model_digest(model) == digest
    (model / "model.onnx.data").write_bytes(b"weights")
    assert model_digest(model) != digest
    assert find_model_folder(tmp_path / "tree") == model
    (model / "contract.json").write_bytes(b"")
    with pytest.raises(EvidenceRejected, match="MODEL_INCOMPLETE"):
        model_digest(model)
