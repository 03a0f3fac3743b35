"""The command line: help with examples, exit codes, and checked settings."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from inference.bundled import BUNDLED
from inference.contract import read_contract
from orchestration.cli.main import _COMMANDS, main, plumbline
from orchestration.pipeline.params import read_params
from orchestration.pipeline.step_report import StepReport
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused


def command(*arguments, cwd="."):
    """Run the console script's function in this process; a process for each call would import everything again."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(sys, "argv", ["plumbline", *arguments]))
        stack.enter_context(patch.dict(os.environ))
        stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def test_the_exit_code_reaches_the_caller_of_the_process():
    call = [sys.executable, "-m", "orchestration.cli.main", "measure"]
    assert subprocess.run(call, capture_output=True).returncode == 2


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_the_help_of_every_command_has_an_example(name):
    result = CliRunner().invoke(plumbline, [name, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output


def test_init_writes_settings_and_refuses_unknown_parameters(tmp_path):
    runner = CliRunner()
    done = runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "training.minutes=3"])
    assert done.exit_code == 0, done.output
    assert read_params(tmp_path / "params.yaml").training.minutes == 3
    assert (tmp_path / "dvc.yaml").exists()
    assert (tmp_path / ".dvc").is_dir()
    wrong = runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "training.minuts=3"])
    assert wrong.exit_code == 2
    assert "no such parameter" in wrong.output


def test_training_from_a_model_uses_its_resolution_and_landmarks(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.cli.training.run_pipeline", lambda workspace: 0)
    runner = CliRunner()
    given = ["train", "--from", "bundled", "-w", str(tmp_path / "a"), "--minutes", "7"]
    done = runner.invoke(plumbline, [*given, "--source", "virtual", "--set", "training.learning_rate=0.002"])
    assert done.exit_code == 0, done.output
    params, contract = read_params(tmp_path / "a" / "params.yaml"), read_contract(BUNDLED)
    assert params.training.init_from == "bundled"
    assert params.training.heatmap_stride == contract.heatmap_stride
    assert params.dataset.landmark_set == contract.landmark_set
    assert params.training.minutes == 7 and params.training.learning_rate == 0.002
    assert params.training.label_shift == 0
    radiographs = ["train", "--from", str(BUNDLED), "-w", str(tmp_path / "b"), "--source", "aasce"]
    done = runner.invoke(plumbline, [*radiographs, "--location", str(tmp_path)])
    assert done.exit_code == 0, done.output
    params = read_params(tmp_path / "b" / "params.yaml")
    assert params.dataset.landmark_set == "corners68" and params.training.label_shift == 1
    assert params.training.init_from == str(BUNDLED)


def test_training_outside_a_workspace_is_python_m_training(tmp_path):
    runner = CliRunner()
    folder = ["--dataset", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    done = command("train", "--from", "bundled", *folder, "--minutes", "1")
    assert done.returncode == 2 and "DATASET_MISSING" in done.stderr
    assert runner.invoke(plumbline, ["train"]).exit_code == 2
    both = runner.invoke(plumbline, ["train", "--source", "virtual", *folder, "-w", str(tmp_path / "w")])
    assert both.exit_code == 2 and "--set" in both.output
    no_budget = command("train", *folder)
    assert no_budget.returncode == 2 and "DATASET_MISSING" in no_budget.stderr


@pytest.mark.parametrize("option", [["--set", "training.learning_rate=1"], ["--location", "x"], ["-w", "x"]])
def test_workspace_options_are_refused_without_a_source(tmp_path, option):
    call = ["train", "--dataset", str(tmp_path), "--out", str(tmp_path / "out"), *option]
    refused = CliRunner().invoke(plumbline, call)
    assert refused.exit_code == 2 and "only with --source" in refused.output


@pytest.fixture
def fitted_with(tmp_path, monkeypatch):
    """Calls `plumbline train` on a dataset with 68 corners; returns the options of the fit that it asks for."""
    from spine.dataset import Manifest, write_manifest
    from training.__main__ import config_of, parser

    write_manifest(Manifest("corners68", 1, ()), tmp_path)
    asked = []
    monkeypatch.setattr("orchestration.cli.training.main", lambda *given: asked.append(given) or 0)

    def call(*options):
        done = CliRunner().invoke(plumbline, ["train", "--dataset", str(tmp_path), "--out", "x", *options])
        assert done.exit_code == 0, done.output
        arguments, implied = asked[-1]
        return config_of(parser().parse_args(arguments), implied)

    return call


def test_a_fit_uses_the_landmarks_of_its_dataset_and_the_resolution_of_its_start(fitted_with):
    alone = fitted_with("--minutes", "1")
    assert (alone.landmark_set, alone.heatmap_stride, alone.minutes) == ("corners68", 8, 1)
    started, contract = fitted_with("--minutes", "1", "--from", "bundled"), read_contract(BUNDLED)
    assert started.landmark_set == "corners68" and started.init_from == "bundled"
    assert (started.heatmap_stride, started.input_shape) == (contract.heatmap_stride, contract.input_shape)
    assert started.learning_rate == 1e-4
    assert fitted_with("--epochs", "1", "--from", "bundled", "--learning-rate=0.5").learning_rate == 0.5


@pytest.mark.parametrize("name", ["init", "run", "train"])
def test_a_location_that_is_no_folder_leaves_no_workspace_behind(tmp_path, name):
    for source in ("folder", "aasce", "ct-keypoints"):
        call = [name, "--source", source, "--location", str(tmp_path / "none"), "-w", str(tmp_path / "ws")]
        refused = command(*call)
        assert refused.returncode == 2 and "SOURCE_MISSING" in refused.stderr
        assert not (tmp_path / "ws").exists()


def test_an_invalid_value_names_the_option_or_the_file_that_set_it(tmp_path):
    option = command("init", "-w", str(tmp_path / "ws"), "--set", "training.minutes=-2")
    assert "training.minutes" in option.stderr and "correct the option that set it" in option.stderr
    assert "params.yaml" not in option.stderr
    (tmp_path / "params.yaml").write_text("format: 2\ntraining: {minutes: -2}")
    assert "correct params.yaml" in command("init", "-w", str(tmp_path)).stderr


def test_init_keeps_parameters_of_an_existing_workspace(tmp_path):
    runner = CliRunner()
    runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "cohort.count=7"])
    runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "training.minutes=2"])
    assert read_params(tmp_path / "params.yaml").cohort.count == 7


def test_a_real_source_needs_a_location(tmp_path):
    result = CliRunner().invoke(plumbline, ["init", "-w", str(tmp_path), "--source", "aasce"])
    assert result.exit_code == 2
    assert "--location" in result.output


def test_public_radiographs_get_their_own_landmarks_expectations_and_policy(tmp_path):
    call = ["init", "-w", str(tmp_path), "--source", "aasce", "--location", str(tmp_path)]
    assert CliRunner().invoke(plumbline, call).exit_code == 0
    params = read_params(tmp_path / "params.yaml")
    assert params.dataset.landmark_set == "corners68"
    assert (params.validation.profile, params.gate.policy) == ("frontal_radiographs", "frontal_radiographs")


def test_exit_codes_distinguish_usage_refusal_and_failure(tmp_path):
    (tmp_path / "x.dcm").write_text("not a radiograph")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "params.yaml").write_text("format: 2\ncohort: {count: -1}")
    assert command("measure").returncode == 2
    not_dicom = command("measure", str(tmp_path / "x.dcm"), "-w", str(tmp_path))
    assert not_dicom.returncode == 1
    assert "NOT_DICOM" in not_dicom.stderr
    assert command("promote", "--by", "me", "-w", str(tmp_path / "bad")).returncode == 2
    command("init", "-w", str(tmp_path / "ws"))
    refused = command("promote", "--by", "me", "-w", str(tmp_path / "ws"))
    assert refused.returncode == 3
    assert "VERDICT_ABSENT" in refused.stderr
    assert "Traceback" not in refused.stderr + not_dicom.stderr


def test_parameters_and_decoders_are_listed():
    runner = CliRunner()
    assert "pelvic_incidence" in runner.invoke(plumbline, ["parameters"]).output.replace("\n", "")
    assert runner.invoke(plumbline, ["decoders"]).exit_code == 0


def test_naming_the_source_again_keeps_the_parameters(tmp_path):
    runner = CliRunner()
    call = ["init", "-w", str(tmp_path), "--source", "folder", "--location", str(tmp_path)]
    runner.invoke(plumbline, [*call, "--set", "dataset.test_patients=7"])
    again = runner.invoke(plumbline, [*call, "--set", "training.minutes=2"])
    assert again.exit_code == 0, again.output
    params = read_params(tmp_path / "params.yaml")
    assert (params.dataset.test_patients, params.training.minutes, params.source.kind) == (7, 2, "folder")
    runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "training.minutes=3"])
    assert read_params(tmp_path / "params.yaml").source.kind == "folder"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--source", "virtual", "--location", "."],
        ["--set", "training.minutes.x=3"],
        ["--set", "training.minutes=["],
        ["--set", "training.minutes"],
    ],
)
def test_impossible_settings_are_usage_errors(tmp_path, arguments):
    assert CliRunner().invoke(plumbline, ["init", "-w", str(tmp_path), *arguments]).exit_code == 2


@pytest.mark.parametrize("setting", ["dataset.landmark_set=foo", "gate.policy=nope"])
def test_unknown_names_are_refused_before_anything_runs(tmp_path, setting):
    refused = command("init", "-w", str(tmp_path), "--set", setting)
    assert refused.returncode == 2
    assert any(known in refused.stderr for known in ("galbusera39", "frontal_radiographs"))
    assert not (tmp_path / "params.yaml").exists()


@pytest.fixture(scope="module")
def two_patients(tmp_path_factory):
    from simulation.cohort.cohort import write_cohort
    from simulation.cohort.config import CohortConfig
    from spine.scanner import NATIVE_SPACING_MM

    folder = tmp_path_factory.mktemp("two")
    write_cohort(folder, CohortConfig(count=2, seed=3, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))
    return folder


def test_radiographs_of_two_patients_are_not_measured_as_one(two_patients, tmp_path):
    radiographs = [str(two_patients / "case-00000" / "frontal.dcm"), str(two_patients / "case-00001" / "lateral.dcm")]
    refused = command("measure", *radiographs, "-w", str(tmp_path), "--overlay", str(tmp_path / "o.png"))
    assert refused.returncode == 1
    assert "PATIENT_MISMATCH" in refused.stderr


def test_without_a_champion_the_bundled_model_measures_and_a_message_is_printed(two_patients, tmp_path):
    case, found = two_patients / "case-00000", tmp_path / "new" / "values" / "m.json"
    radiographs = [str(case / "frontal.dcm"), str(case / "lateral.dcm")]
    outputs = ["--overlay", str(tmp_path / "new" / "images" / "o.png"), "--json", str(found)]
    done = command("measure", *radiographs, "-w", str(tmp_path), *outputs)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "images" / "o.png").is_file()
    assert "using the bundled model, trained on virtual patients only" in " ".join(done.stderr.split())
    truth = json.loads((case / "reconstruction.json").read_text())
    report = json.loads(found.read_text())
    slope = report["parameters"]["sacral_slope"]["value"]
    for view, reported in report["views"].items():
        uid = str(pydicom.dcmread(case / f"{view}.dcm", stop_before_pixels=True).SOPInstanceUID)
        assert (reported["file"], reported["sop_instance_uid"]) == (f"{view}.dcm", uid)
    assert str(tmp_path) not in found.read_text() and str(two_patients) not in found.read_text()
    assert report["intervals"]["patients"] == read_contract(BUNDLED).calibration.patients
    assert "rough" not in done.stderr
    front, back = (np.array(truth["points"][n]) for n in ("S1_ant", "S1_post"))
    assert slope == pytest.approx(np.degrees(np.arctan2(back[2] - front[2], back[1] - front[1])), abs=6.0)


def test_an_edited_model_is_refused_and_an_unverified_one_gets_a_warning(two_patients, tmp_path):
    radiograph, folder = two_patients / "case-00000" / "frontal.dcm", tmp_path / "model"
    shutil.copytree(BUNDLED, folder)
    call = [
        "measure",
        str(radiograph),
        "--model",
        str(folder),
        "--overlay",
        str(tmp_path / "o.png"),
        "-w",
        str(tmp_path),
    ]
    whole = command(*call)
    assert whole.returncode == 0 and "not verified" not in whole.stderr
    contract = json.loads((folder / "contract.json").read_text())
    contract["calibration"]["widths"]["cobb"] *= 0.1
    (folder / "contract.json").write_text(json.dumps(contract))
    edited = command(*call)
    assert edited.returncode == 3 and "MODEL_ALTERED" in edited.stderr and "release.json" in edited.stderr
    assert not edited.stdout
    contract["calibration"]["patients"] = 9
    (folder / "contract.json").write_text(json.dumps(contract))
    (folder / "release.json").unlink()
    unknown = command(*call)
    assert "interval from 9 patients: rough" in unknown.stderr
    assert unknown.returncode == 0 and "this model is not verified" in " ".join(unknown.stderr.split())
    (folder / "contract.json").unlink()
    assert command(*call).returncode == 3


def _with_image_of(radiograph, other, to):
    """The radiograph with its own tags and the other radiograph's image."""
    given = pydicom.dcmread(radiograph)
    given.PixelData = pydicom.dcmread(other).PixelData
    given.save_as(to)
    return str(to)


def test_exchanged_images_are_not_measured(two_patients, tmp_path):
    frontal, lateral = (two_patients / "case-00000" / f"{view}.dcm" for view in ("frontal", "lateral"))
    radiographs = [
        _with_image_of(frontal, lateral, tmp_path / "f.dcm"),
        _with_image_of(lateral, frontal, tmp_path / "l.dcm"),
    ]
    outputs = ["-w", str(tmp_path), "--overlay", str(tmp_path / "o.png")]
    for given, why in (
        (radiographs, "the images look exchanged"),
        (radiographs[:1], "looks like a lateral, given as frontal"),
    ):
        refused = command("measure", *given, *outputs)
        assert refused.returncode == 1
        assert "NOT_A_WHOLE_SPINE" in refused.stderr and why in " ".join(refused.stderr.split())
    assert not (tmp_path / "o.png").exists()


def test_a_radiograph_without_any_parameter_is_refused_and_a_turned_one_gets_a_warning(tmp_path, capsys):
    from orchestration.cli.measuring import _require_measurements
    from spine.errors import InputRejected
    from spine.measurement.registry import PARAMETERS, Measured
    from spine.prediction import Prediction

    points = {"frontal": {"L4_sup": np.zeros(2), "L4_inf": np.ones(2)}}
    none = {
        name: Measured(None, p.unit, "not seen", absent_code="LANDMARKS_NOT_SEEN") for name, p in PARAMETERS.items()
    }
    with pytest.raises(InputRejected, match=r"NOTHING_MEASURED: found turned\.dcm: frontal: 2 landmarks") as error:
        _require_measurements(Prediction("", points, parameters=none), (tmp_path / "turned.dcm",))
    assert error.value.exit_code == 1
    some = {**none, "cobb": Measured(12.0, "deg")}
    turned = Prediction("", points, parameters=some, notes=("the radiograph may be turned",))
    _require_measurements(turned, (tmp_path / "turned.dcm",))
    assert "the radiograph may be turned" in capsys.readouterr().err


def test_a_radiograph_is_never_overwritten_and_an_unreadable_one_is_named(two_patients, tmp_path):
    radiograph = two_patients / "case-00000" / "frontal.dcm"
    before = radiograph.read_bytes()
    assert command("measure", str(radiograph), "--json", str(radiograph), "-w", str(tmp_path)).returncode == 2
    assert (
        command("measure", str(radiograph), "--overlay", str(tmp_path / "o.xyz"), "-w", str(tmp_path)).returncode == 2
    )
    assert radiograph.read_bytes() == before
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(before[: len(before) // 2])
    refused = command("measure", str(radiograph), str(cut), "-w", str(tmp_path), "--overlay", str(tmp_path / "o.png"))
    assert "cut.dcm" in refused.stderr
    assert "TRUNCATED" in refused.stderr


def test_stage_does_not_wait_for_the_lock_and_makes_nothing_outside_a_workspace(tmp_path):
    from orchestration.pipeline.lock import workspace_lock
    from orchestration.pipeline.workspace import Workspace

    command("init", "-w", str(tmp_path / "ws"))
    with workspace_lock(Workspace(tmp_path / "ws")):
        busy = command("stage", "landmarks", "-w", str(tmp_path / "ws"))
    assert busy.returncode == 4
    assert "RUN_IN_PROGRESS" in busy.stderr
    (tmp_path / "empty").mkdir()
    assert command("stage", "landmarks", cwd=tmp_path / "empty").returncode == 2
    assert not list((tmp_path / "empty").iterdir())


def test_read3d_without_files_is_a_usage_error(tmp_path):
    (tmp_path / "README.md").write_text("no points")
    assert CliRunner().invoke(plumbline, ["read3d", str(tmp_path)]).exit_code == 2


def test_intervals_are_called_rough_if_calibration_shares_one_width():
    from inference.calibration import FEW_PATIENTS
    from training.export.calibrate import LEAST_PATIENTS

    assert FEW_PATIENTS == LEAST_PATIENTS


def test_a_fit_that_ends_in_its_first_epoch_reports_the_share():
    from orchestration.pipeline.steps import _share_of_an_epoch
    from training.config import TrainingConfig
    from training.export.candidate import FitSummary

    config = TrainingConfig(minutes=2, batch_size=8, devices=2)
    ended = FitSummary(config, "galbusera39", "d", "t", 400, 1.0, "mm", 0, 15, 120.0, 2.0, "cpu", "32", {})
    assert _share_of_an_epoch(ended) == 0.6


@pytest.mark.parametrize(
    ("step", "code", "reason"),
    [
        ("verdict", "HOLD", "plumbline explain"),
        ("champion", "MODEL_DENIED", "found a model that was rolled back from; expected another; train anew"),
    ],
)
def test_a_run_without_promotion_prints_the_reason(tmp_path, monkeypatch, capsys, step, code, reason):
    """The verdict does not contain a refusal that comes after it, so its reason is printed itself."""
    from orchestration.cli.pipeline import run_pipeline
    from orchestration.dagster.run import RunOutcome

    refusal = GateRefused(code, found="a model that was rolled back from", expected="another", remedy="train anew")
    reports = {"verdict": StepReport("verdict", {})}
    outcome = RunOutcome("1", reports, False, True, step, code, str(refusal), 1.0, 3)
    monkeypatch.setattr("orchestration.dagster.run.run_retrain", lambda *_, **__: outcome)
    monkeypatch.setattr("orchestration.cli.pipeline.print_verdict", lambda _: None)
    monkeypatch.setattr("orchestration.cli.pipeline.write_run_record", lambda *_: None)
    assert run_pipeline(Workspace(tmp_path)) == 3
    shown = " ".join(capsys.readouterr().out.split())
    assert f"not promoted ({code})" in shown and reason in shown
    assert ("plumbline explain" in shown) == (step == "verdict")


@pytest.mark.parametrize(
    ("error", "threshold", "expected"),
    [
        (0.00333, 0.0, ("0.003 margins", "0.000 margins")),
        (1.234, 2.7, ("1.23 margins", "2.70 margins")),
        (2.699, 2.7, ("2.699 margins", "2.700 margins")),
        (0.0, 0.0, ("0.00 margins", "0.00 margins")),
        (None, 2.7, ("absent", "2.70 margins")),
    ],
)
def test_a_figure_and_the_limit_that_it_misses_are_printed_differently(error, threshold, expected):
    from orchestration.cli.verdicts import _figures

    assert _figures(error, threshold, "margins") == expected
