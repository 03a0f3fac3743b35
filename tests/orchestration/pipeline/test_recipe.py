"""The recipe of the bundled model in a workspace: its parameters, the step that fits and calibrates, the release."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from inference.bundled import RELEASE_FILE
from inference.contract import read_contract
from orchestration.cli.main import plumbline
from orchestration.pipeline.params import Params, read_params
from orchestration.pipeline.steps import STEPS, adopt_candidate, compute_step, run_step
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.model_digest import model_digest
from tests.training.drawn_cohort import write_drawn_dataset
from training.__main__ import config_of, parser
from training.export.candidate import read_summary
from training.recipe import read_recipes

BOTH = ("--recipe", "bundled", "--recipe", "miniature")


def init(workspace: Path, *options: str) -> Params:
    done = CliRunner().invoke(plumbline, ["init", "-w", str(workspace), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return read_params(workspace / "params.yaml")


def test_a_workspace_and_the_command_line_ask_the_same_of_a_fit(tmp_path):
    params = init(tmp_path / "ws", *BOTH, "--set", "training.seed=4", "--set", "training.augmentation.noise=0.1")
    options = parser().parse_args(["--dataset", "d", "--out", "o", *BOTH, "--seed=4", "--augmentation=noise=0.1"])
    assert params.training_config == config_of(options, {})
    assert (params.cohort.count, params.cohort.appearance, params.dataset.landmark_set) == (40, "mixed", "margins175")


def test_a_recipe_keeps_what_it_does_not_name_and_settings_override_it(tmp_path):
    init(tmp_path / "ws", "--set", "gate.policy=frontal_radiographs", "--set", "training.width=0.5")
    params = init(tmp_path / "ws", "--recipe", "bundled", "--set", "training.workers=3")
    assert (params.gate.policy, params.training.width, params.training.workers) == ("frontal_radiographs", 0.5, 3)
    assert params.training.virtual_pairs == read_recipes(["bundled"])["training"]["virtual_pairs"]


def test_a_recipe_with_a_name_that_params_do_not_have_is_refused(tmp_path):
    (tmp_path / "own.toml").write_text("[trainnig]\nminutes = 3")
    with pytest.raises(ParametersRejected, match=r"trainnig.*correct the option that set it \(--recipe"):
        init(tmp_path / "ws", "--recipe", str(tmp_path / "own.toml"))
    assert not (tmp_path / "ws").exists()


@pytest.mark.slow
def test_the_recipe_in_miniature_goes_from_data_to_a_release(tmp_path, monkeypatch):
    """The steps are the pipeline's own; images of virtual patients are noise, which costs no rendering."""

    def noise(pool, epoch):
        pool.pixels.uniform_(-1, 1)
        pool.points.uniform_(-0.9, 0.9)
        pool.present.fill_(True)

    monkeypatch.setattr("training.data.virtual_patients.VirtualPool.load_epoch", noise)
    workspace = Workspace(tmp_path / "ws")
    settings = ("minutes=null", "epochs=1", "next_stages=[{epochs: 1, learning_rate: 0.001}]", "workers=0")
    init(workspace.root, *BOTH, *(word for text in settings for word in ("--set", f"training.{text}")))
    manifest = write_drawn_dataset(workspace.dataset, (4, 2, 5), landmark_set="margins175")
    workspace.validation.mkdir(parents=True)
    (workspace.validation / "result.json").write_text(json.dumps({"success": True, "digest": manifest.digest}))
    report = compute_step("candidate", workspace)
    assert report.figures["steps"] == 2 * (3 * 32 // 16)
    summary = read_summary(workspace.candidate)
    assert [stage.seed for stage in summary.stages] == [1, 2]
    calibration = read_contract(workspace.candidate).calibration
    assert calibration is not None and calibration.patients == 6  # of train and validation: no fit learns from them
    STEPS["evaluation"](workspace, read_params(workspace.params_file), None)
    done = CliRunner().invoke(
        plumbline, ["release", "-w", str(workspace.root), "--out", str(tmp_path / "out")], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    released = json.loads((tmp_path / "out" / RELEASE_FILE).read_text())
    assert released["model_digest"] == summary.model_digest == model_digest(tmp_path / "out")
    assert [(fit["seed"], fit["steps"]) for fit in released["fits"]] == [(1, 6), (2, 6)]
    assert summary.model_digest in (tmp_path / "out" / "card.md").read_text()
    other = init(workspace.root, "--set", "training.epochs=7", "--set", "training.next_stages=[]")
    assert other.training_config != summary.config
    elsewhere = workspace.candidate.rename(tmp_path / "elsewhere")
    adopt_candidate(workspace, elsewhere)
    assert read_params(workspace.params_file).training_config == summary.config
    assert run_step("candidate", workspace).skipped  # DVC has the parameters of the fit, not those of before
