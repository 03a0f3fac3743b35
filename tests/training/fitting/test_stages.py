"""Fits of several stages: each starts from the best weights of the one before, and the record counts them all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.contract import read_contract
from spine.model_digest import model_digest
from tests.training.drawn_cohort import write_drawn_dataset
from training.__main__ import main
from training.config import NextStage, TrainingConfig, config_to_json
from training.export.candidate import FITTED_FILE, joined, read_summary
from training.fitting.fit import fit
from training.fitting.fit_callback import BEST_FILE, TrainingInterrupted
from training.journal import flattened, read_journal
from training.model.checkpoints import load_state, load_weights, save_checkpoint


@pytest.fixture
def staged(tiny_config) -> TrainingConfig:
    return replace(tiny_config, epochs=1, next_stages=(NextStage(epochs=2, learning_rate=2e-4),))


@pytest.mark.usefixtures("without_export")
def test_an_interrupted_second_stage_continues_and_the_record_counts_both(drawn, staged, tmp_path, monkeypatch):
    starts: list[Path] = []
    monkeypatch.setattr(
        "training.fitting.fit.load_warm_start", lambda network, slots, names, folder: starts.append(folder)
    )

    def stop_in_the_second(state: dict[str, Any], folder: Path, step: int) -> None:
        save_checkpoint(state, folder, step)
        if folder.parent == tmp_path / "out":
            raise TrainingInterrupted("STOPPED", found="a test", expected="none", remedy="go on")

    with monkeypatch.context() as patched:
        patched.setattr("training.fitting.fit_callback.save_checkpoint", stop_in_the_second)
        with pytest.raises(TrainingInterrupted):
            fit(drawn[0], tmp_path / "out", staged)
    first = read_summary(tmp_path / "out" / "stage-1", FITTED_FILE)
    assert (first.config.seed, first.epochs, first.config.learning_rate) == (5, 1, 1e-3)
    done: list[tuple[int, int]] = []
    summary = fit(drawn[0], tmp_path / "out", staged, lambda *progress: done.append(progress))
    assert starts == [tmp_path / "out" / "stage-1"] * 2
    assert [(s.seed, s.epochs, s.steps) for s in summary.stages] == [(5, 1, 3), (6, 2, 6)]
    assert (summary.epochs, summary.steps) == (3, 9)
    assert done[0][0] >= 1000 and done[-1] == (2000, 2000)  # the first stage was not fitted again
    assert summary.config == staged
    assert summary.seconds == pytest.approx(sum(stage.seconds for stage in summary.stages))
    assert summary.validation_error == summary.stages[-1].validation_error
    journal = read_journal(tmp_path / "out")
    assert journal.parameters == flattened(config_to_json(staged))
    figures = {name for m in journal.measurements for name in m.values}
    assert {"train/loss", "stage-1/train/loss", "stage-1/validation/landmark_error_mm"} <= figures
    assert journal.facts["steps"] == summary.steps == 9


@pytest.mark.usefixtures("without_export")
def test_a_stage_that_its_time_budget_ends_hands_on_its_best_weights(drawn, tiny_config, tmp_path):
    """Ended within its first epoch; the second stage learns next to nothing, so its weights are still the first's."""
    config = replace(tiny_config, epochs=None, minutes=1e-4, next_stages=(NextStage(minutes=1e-4, learning_rate=1e-9),))
    summary = fit(drawn[0], tmp_path / "out", config)
    assert [(stage.epochs, stage.steps) for stage in summary.stages] == [(0, 1), (0, 1)]
    first, last = load_weights(tmp_path / "out" / "stage-1"), load_weights(tmp_path / "out")
    best = load_state(tmp_path / "out" / "stage-1" / "checkpoints" / BEST_FILE)["network"]
    kernels = [name for name, tensor in first.items() if tensor.dim() == 4]
    assert kernels
    for name in kernels:
        assert (first[name].float() - best[name]).abs().max() < 1e-2
        assert (first[name].float() - last[name].float()).abs().max() < 1e-2


def test_energy_of_a_fit_is_unknown_where_a_stage_was_not_measured(candidate):
    measured, unknown = replace(candidate[1], cpu_joules=3.0, gpu_joules=1.0), replace(candidate[1], gpu_joules=2.0)
    both = joined(measured.config, [measured, replace(unknown, cpu_joules=None)])
    assert (both.gpu_joules, both.cpu_joules) == (3.0, None)


@pytest.mark.slow
def test_the_bundled_recipe_in_miniature_is_one_command(tmp_path):
    """Virtual patients are rendered for both stages, then the model is exported and calibrated."""
    manifest = write_drawn_dataset(tmp_path / "data", (4, 2, 1), landmark_set="margins175")
    command = ["--dataset", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--quiet"]
    recipe = ["--recipe", "bundled", "--recipe", "miniature", "--workers", "0"]
    budget = ["--minutes", "none", "--epochs", "1", "--next-stages", "epochs=1,learning_rate=1e-3"]
    assert main([*command, *recipe, *budget]) == 0
    summary, contract = read_summary(tmp_path / "out"), read_contract(tmp_path / "out")
    assert [(stage.seed, stage.epochs) for stage in summary.stages] == [(1, 1), (2, 1)]
    assert summary.images == 2 * (2 * 32 + 32)  # both views of the pairs, and the frontals; others in each stage
    assert summary.model_digest == model_digest(tmp_path / "out")
    assert contract.simulated_training_data is True
    assert "seed 7000000001 and 7000000002" in contract.training_note
    assert contract.calibration is not None
    assert contract.calibration.patients == len(manifest.in_split("train")) + len(manifest.in_split("validation"))
