"""The mean of several fits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.contract import read_contract
from inference.model import load_model
from spine.errors import ParametersRejected
from training.export.candidate import FITTED_FILE, read_summary
from training.fitting.average import average, main
from training.fitting.fit import fit
from training.model.checkpoints import load_weights


@pytest.fixture(scope="module")
def fits(taught, drawn, tiny_config, tmp_path_factory) -> list[Path]:
    """Two short fits from one warm start."""
    folder, start = tmp_path_factory.mktemp("fits"), str(taught[0])
    configs = [replace(tiny_config, epochs=1, init_from=start, seed=s, learning_rate=1e-3 * s) for s in (1, 2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.fitting.fit.can_export", lambda: False)  # the mean alone is exported
        for i, config in enumerate(configs):
            fit(drawn[0], folder / str(i), config)
    return [folder / "0", folder / "1"]


@pytest.mark.slow
def test_the_mean_is_a_complete_candidate_about_as_good_as_its_fits(fits, drawn, tmp_path):
    summary, errors = average(fits, drawn[0], tmp_path / "mean", "cpu")
    assert len(errors) == 2
    assert summary.validation_error < 1.2 * max(errors)
    mean, parts = load_weights(tmp_path / "mean"), [load_weights(f) for f in fits]
    kernels = [name for name, t in mean.items() if t.dim() == 4]
    for name in kernels:
        wanted = (parts[0][name].float() + parts[1][name].float()) / 2
        np.testing.assert_allclose(mean[name].float(), wanted, atol=1e-3)
    assert any(not torch.equal(parts[0][name], parts[1][name]) for name in kernels)
    contract = load_model(tmp_path / "mean").contract
    assert "mean weights of 2 fits" in contract.training_note
    assert contract.calibration is not None
    assert summary.steps == 2 * read_summary(fits[0], FITTED_FILE).steps


@pytest.mark.slow
def test_the_start_can_be_a_part_of_the_mean(fits, taught, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr("training.fitting.average.can_export", lambda: False)
    average(fits[:1], drawn[0], tmp_path / "mean", "cpu", start_share=0.25)
    mean, tuned, start = (load_weights(folder) for folder in (tmp_path / "mean", fits[0], taught[0]))
    for name in (name for name, t in mean.items() if t.dim() == 4):
        wanted = 0.75 * tuned[name].float() + 0.25 * start[name].float()
        np.testing.assert_allclose(mean[name].float(), wanted, atol=1e-3)
    assert "with a share of 0.25, of the model" in read_contract(tmp_path / "mean").training_note
    with pytest.raises(ParametersRejected, match=r"START_SHARE.*from 0 to less than 1"):
        average(fits, drawn[0], tmp_path / "other", "cpu", start_share=1.0)


@pytest.mark.slow
def test_fits_of_different_starts_or_kinds_are_refused(fits, taught, candidate, drawn, tmp_path, capsys):
    with pytest.raises(ParametersRejected, match="FITS_DIFFER"):
        average([taught[0], candidate[0]], drawn[0], tmp_path / "a", "cpu")  # neither has a warm start
    with pytest.raises(ParametersRejected, match="FITS_TOO_FEW"):
        average([fits[0], fits[0]], drawn[0], tmp_path / "c", "cpu")
    with pytest.raises(ParametersRejected, match="DATASET_MISSING"):
        average(fits, tmp_path / "nowhere", tmp_path / "d", "cpu")
    with pytest.raises(ParametersRejected, match="FITS_DIFFER"):
        average([fits[0], taught[0]], drawn[0], tmp_path / "b", "cpu")
    assert main([str(fits[0]), str(fits[1]), "--dataset", str(drawn[0]), "--out", str(fits[0])]) != 0
    assert "FOLDER_NOT_EMPTY" in capsys.readouterr().err
