"""The command line: help with examples, exit codes, and checked settings."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from unittest.mock import patch

import numpy as np
import pydicom
import pytest

from inference.bundled import BUNDLED, open_bundled
from inference.calibration import FEW_PATIENTS
from inference.contract import read_contract
from inference.measured_study import require_measurements
from inference.overlay import draw_overlay, warnings_of
from inference.site_calibration import SiteCalibration, write_site_calibration
from orchestration.cli.main import _COMMANDS, main
from orchestration.cli.pipeline import run_pipeline
from orchestration.cli.verdicts import _figures
from orchestration.dagster.run import RunOutcome
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.params import Params, read_params, write_params
from orchestration.pipeline.step_report import StepReport
from orchestration.pipeline.steps import _share_of_an_epoch
from orchestration.pipeline.workspace import Workspace
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.dataset import read_manifest
from spine.dataset_writing import write_manifest
from spine.errors import GateRefused, InputRejected
from spine.landmarks import VIEWS
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import Prediction
from spine.scanner import NATIVE_SPACING_MM
from training.__main__ import config_of, parser
from training.config import TrainingConfig
from training.export.candidate import FitSummary
from training.export.interval_widths import LEAST_PATIENTS


def command(*arguments, cwd="."):
    """Run the console script's function in this process; a process for each call would import everything again."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        # Its thread would end this process, and all later tests with it, after a test that sends SIGTERM.
        stack.enter_context(patch("orchestration.cli.main.end_soon_after_sigterm"))
        stack.enter_context(patch.object(sys, "argv", ["plumbline", *map(str, arguments)]))
        stack.enter_context(patch.dict(os.environ))
        stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return subprocess.CompletedProcess(arguments, code or 0, out.getvalue(), err.getvalue())


def params_after(*arguments, workspace):
    """The parameters of the workspace after a command that must succeed."""
    done = command(*arguments, "-w", workspace)
    assert done.returncode == 0, done.stderr
    return read_params(workspace / "params.yaml")


def test_the_exit_code_reaches_the_caller_of_the_process():
    call = [sys.executable, "-m", "orchestration.cli.main", "measure"]
    assert subprocess.run(call, capture_output=True).returncode == 2


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_the_help_of_every_command_has_an_example(name):
    shown = command(name, "--help")
    assert shown.returncode == 0
    assert "Example:" in shown.stdout


def test_init_writes_settings_and_refuses_unknown_parameters(tmp_path):
    assert params_after("init", "--set", "training.minutes=3", workspace=tmp_path).training.minutes == 3
    assert (tmp_path / "dvc.yaml").exists()
    assert (tmp_path / ".dvc").is_dir()
    wrong = command("init", "-w", tmp_path, "--set", "training.minuts=3")
    assert wrong.returncode == 2
    assert "no such parameter (did you mean training.minutes?)" in wrong.stderr


def test_training_from_a_model_uses_its_resolution_and_landmarks(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.cli.training.run_pipeline", lambda workspace: 0)
    call = ("train", "--from", "bundled", "--minutes", "7", "--source", "virtual")
    params = params_after(*call, "--set", "training.learning_rate=0.002", workspace=tmp_path / "a")
    contract = read_contract(BUNDLED)
    assert params.training.init_from == "bundled"
    assert params.training.heatmap_stride == contract.heatmap_stride
    assert params.dataset.landmark_set == contract.landmark_set
    assert params.training.minutes == 7 and params.training.learning_rate == 0.002
    assert params.training.label_shift == 0
    # Public radiographs get their own landmarks, expectations and policy.
    call = ("train", "--from", BUNDLED, "--source", "aasce", "--location", tmp_path)
    params = params_after(*call, workspace=tmp_path / "b")
    assert params.dataset.landmark_set == "corners68" and params.training.label_shift == 1
    assert (params.validation.profile, params.gate.policy) == ("frontal_radiographs", "frontal_radiographs")
    assert params.training.init_from == str(BUNDLED)


def test_own_studies_start_from_the_bundled_model_unless_told_otherwise(tmp_path):
    own = ("--source", "folder", "--location", tmp_path)
    done = command("init", "-w", tmp_path / "a", *own)
    assert "will start from the bundled model" in done.stderr
    started = read_params(tmp_path / "a" / "params.yaml").training
    assert (started.init_from, started.heatmap_stride) == ("bundled", read_contract(BUNDLED).heatmap_stride)
    for number, setting in enumerate(("init_from=null", "preset=galbusera2019", "width=0.5")):
        other = params_after("init", *own, "--set", f"training.{setting}", workspace=tmp_path / str(number))
        assert other.training.init_from is None
    assert params_after("init", workspace=tmp_path / "virtual").training.init_from is None


def test_a_run_without_a_workspace_says_what_is_missing(tmp_path):
    refused = command("run", "-w", tmp_path / "none")
    assert refused.returncode == 2 and "--source" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_params_lists_every_parameter_with_default_range_and_meaning():
    listed = command("params").stdout
    for key, value in Params().plain().items():
        for name in value if isinstance(value, dict) else ():
            assert f"{key}.{name}" in listed
    chosen = command("params", "learning_rate")
    assert "training.learning_rate" in chosen.stdout and "0.001" in chosen.stdout and "> 0, < 1" in chosen.stdout
    assert "cohort" not in chosen.stdout
    unknown = command("params", "learning_speed")
    assert unknown.returncode == 2 and "PARAMETER_UNKNOWN" in unknown.stderr


def test_params_of_a_workspace_are_listed_beside_the_defaults_and_marked(tmp_path):
    write_params(Params(cohort={"count": 33}), tmp_path / "params.yaml")
    count, seed = (command("params", key, "-w", tmp_path).stdout for key in ("cohort.count", "cohort.seed"))
    assert re.search(r"cohort.count\W+33 \*\W+274", count) and "* 1 of these" in count
    assert re.search(r"cohort.seed\W+2026\W+2026", seed) and "* 0 of these" in seed
    missing = command("params", "-w", tmp_path / "none")
    assert missing.returncode == 2 and "PARAMS_MISSING" in missing.stderr


def test_training_outside_a_workspace_is_python_m_training(tmp_path):
    folder = ("--dataset", tmp_path / "none", "--out", tmp_path / "out")
    for options in (("--from", "bundled", *folder, "--minutes", "1"), folder):
        done = command("train", *options)
        assert done.returncode == 2 and "DATASET_MISSING" in done.stderr
    assert command("train").returncode == 2
    both = command("train", "--source", "virtual", *folder, "-w", tmp_path / "w")
    assert both.returncode == 2 and "--set" in both.stderr


@pytest.mark.parametrize("option", [("--set", "training.learning_rate=1"), ("--location", "x"), ("-w", "x")])
def test_workspace_options_are_refused_without_a_source(tmp_path, option):
    refused = command("train", "--dataset", tmp_path, "--out", tmp_path / "out", *option)
    assert refused.returncode == 2 and "only with --source" in refused.stderr


@pytest.fixture
def fitted_with(tmp_path, monkeypatch):
    """``fitted_with(*options)`` calls `plumbline train` on a dataset with 68 corners; returns the fit's config."""
    write_manifest(tmp_path, "corners68", 1, ())
    asked = []
    monkeypatch.setattr("orchestration.cli.training.main", lambda *given: asked.append(given) or 0)

    def call(*options):
        done = command("train", "--dataset", tmp_path, "--out", "x", *options)
        assert done.returncode == 0, done.stderr
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


@pytest.mark.parametrize("source", ["folder", "aasce", "ct-keypoints"])
@pytest.mark.parametrize("name", ["init", "run", "train"])
def test_a_location_that_is_no_folder_leaves_no_workspace_behind(tmp_path, name, source):
    refused = command(name, "--source", source, "--location", tmp_path / "none", "-w", tmp_path / "ws")
    assert refused.returncode == 2 and "SOURCE_MISSING" in refused.stderr
    assert not (tmp_path / "ws").exists()


def test_an_invalid_value_names_the_option_or_the_file_that_set_it(tmp_path):
    option = command("init", "-w", tmp_path / "ws", "--set", "training.minutes=-2")
    assert "training.minutes" in option.stderr and "correct the option that set it" in option.stderr
    assert "params.yaml" not in option.stderr
    (tmp_path / "params.yaml").write_text("format: 5\ntraining: {minutes: -2}")
    assert "correct params.yaml" in command("init", "-w", tmp_path).stderr


def test_exit_codes_distinguish_usage_refusal_and_failure(tmp_path):
    (tmp_path / "x.dcm").write_text("not a radiograph")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "params.yaml").write_text("format: 5\ncohort: {count: -1}")
    assert command("measure").returncode == 2
    not_dicom = command("measure", tmp_path / "x.dcm", "-w", tmp_path)
    assert not_dicom.returncode == 1
    assert "NOT_DICOM" in not_dicom.stderr
    assert command("promote", "--by", "me", "-w", tmp_path / "bad").returncode == 2
    command("init", "-w", tmp_path / "ws")
    refused = command("promote", "--by", "me", "-w", tmp_path / "ws")
    assert refused.returncode == 3
    assert "VERDICT_ABSENT" in refused.stderr
    assert "Traceback" not in refused.stderr + not_dicom.stderr


def test_parameters_and_decoders_are_listed():
    assert "pelvic_incidence" in command("parameters").stdout.replace("\n", "")
    assert command("decoders").returncode == 0


def test_another_location_keeps_the_other_settings_of_the_source(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    source = ("init", "--source", "folder", "--location")
    params_after(*source, tmp_path / "one", "--set", "source.text_reader=rapidocr", workspace=tmp_path / "ws")
    changed = params_after(*source, tmp_path / "two", workspace=tmp_path / "ws").source
    assert (changed.text_reader, changed.location) == ("rapidocr", str(tmp_path / "two"))


def test_another_init_keeps_source_and_parameters(tmp_path):
    call = ("init", "--source", "folder", "--location", tmp_path)
    params_after(*call, "--set", "dataset.test_patients=7", workspace=tmp_path)
    for again in (call, ("init",)):
        params = params_after(*again, "--set", "training.minutes=2", workspace=tmp_path)
        assert (params.dataset.test_patients, params.training.minutes, params.source.kind) == (7, 2, "folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "virtual", "--location", "."], "--location needs"),
        (["--source", "aasce"], "needs --location FOLDER"),
        (["--set", "training.minutes.x=3"], "no such parameter"),
        (["--set", "training.minutes=["], "not YAML"),
        (["--set", "training.minutes"], "KEY=VALUE"),
        (["--set", "dataset.landmark_set=foo"], "galbusera39"),
        (["--set", "gate.policy=nope"], "frontal_radiographs"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(tmp_path, arguments, message):
    refused = command("init", "-w", tmp_path, *arguments)
    assert refused.returncode == 2 and message in refused.stderr
    assert not (tmp_path / "params.yaml").exists()


@pytest.fixture(scope="module")
def two_patients(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    write_cohort(folder, CohortConfig(count=2, seed=3, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))
    return folder


def test_radiographs_of_two_patients_are_not_measured_as_one(two_patients, tmp_path):
    radiographs = (two_patients / "case-00000" / "frontal.dcm", two_patients / "case-00001" / "lateral.dcm")
    refused = command("measure", *radiographs, "-w", tmp_path, "--overlay", tmp_path / "o.png")
    assert refused.returncode == 1
    assert "PATIENT_MISMATCH" in refused.stderr


def test_without_a_champion_the_bundled_model_measures_and_a_message_is_printed(two_patients, tmp_path):
    case, found = two_patients / "case-00000", tmp_path / "new" / "values" / "m.json"
    overlay = tmp_path / "new" / "images" / "o.png"
    outputs = ("--overlay", overlay, "--out", found)
    done = command("measure", case / "frontal.dcm", case / "lateral.dcm", "-w", tmp_path, *outputs)
    assert done.returncode == 0, done.stderr
    assert overlay.is_file()
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


def test_the_calibration_of_a_site_is_used_for_its_model_only(two_patients, tmp_path, monkeypatch):
    model, case = open_bundled(), two_patients / "case-00000"
    site = SiteCalibration(
        "Elsewhere", model.digest, "2026-11-30", 41, {"cobb": 9.0}, {"cobb": 4.25}, {"cobb": 0.9}, {"frontal": 9.0}, 1.0
    )
    monkeypatch.setattr("orchestration.cli.calibrating.calibrate_site", lambda *given: site)
    data, validated = tmp_path / "data", tmp_path / "validation" / "result.json"
    write_manifest(data, "galbusera39", 0, ())
    validated.parent.mkdir()
    call = ("calibrate", "--dataset", data, "--name", "Elsewhere", "-w", tmp_path / "ws")
    assert command(*call).returncode == 2  # neither a workspace nor --out
    assert command("init", "-w", tmp_path / "ws").returncode == 0
    for result, state in ((None, "no"), ({"success": False}, "a failed"), ({"success": True}, "an outdated")):
        if result is not None:
            validated.write_text(json.dumps(result))
        assert f"{state} validation of dataset" in command(*call).stderr
    validated.write_text(json.dumps({"success": True, "digest": read_manifest(data).digest}))
    assert "one line of text" in command(*call, "--name", " ").stderr
    done = command(*call)
    assert done.returncode == 0 and "90 %" in done.stdout and "41 patients" in done.stdout
    assert "4.2 deg" in done.stdout
    measured = ("measure", case / "frontal.dcm", "-w", tmp_path / "ws", "--overlay", tmp_path / "o.png")
    own = command(*measured)
    basis = json.loads(own.stdout)["views"]["frontal"]["intervals"]
    assert basis["rest_on"] == "the own calibration of Elsewhere, 2026-11-30, images like these"
    assert "the own calibration of Elsewhere" in " ".join(own.stderr.split())
    other = tmp_path / "other.json"
    write_site_calibration(replace(site, model_digest="f" * 64), other)
    refused = command(*measured, "--calibration", other)
    assert refused.returncode == 3 and "SITE_CALIBRATION_OF_OTHER_MODEL" in refused.stderr
    shutil.copy(other, tmp_path / "ws" / "state" / "site_calibration.json")
    unused = command(*measured)
    assert unused.returncode == 0 and "is not used" in " ".join(unused.stderr.split())
    assert "Elsewhere" not in json.loads(unused.stdout)["intervals"]["calibrated_on"]


def test_an_edited_model_is_refused_and_an_unverified_one_gets_a_warning(two_patients, tmp_path):
    radiograph, folder = two_patients / "case-00000" / "frontal.dcm", tmp_path / "model"
    shutil.copytree(BUNDLED, folder)
    call = ("measure", radiograph, "--model", folder, "--overlay", tmp_path / "o.png", "-w", tmp_path)
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
    assert "~ interval from 9 patients: rough" in unknown.stderr
    assert unknown.returncode == 0 and "this model is not verified" in " ".join(unknown.stderr.split())
    (folder / "contract.json").unlink()
    assert command(*call).returncode == 3


def test_a_terminal_gets_a_table_and_a_pipe_gets_json(two_patients, tmp_path, monkeypatch):
    lateral = two_patients / "case-00000" / "lateral.dcm"
    call = ("measure", lateral, "-w", tmp_path, "--overlay", tmp_path / "o.png")
    piped = command(*call)
    report = json.loads(piped.stdout)
    assert list(report)[:4] == ["schema", "not_for_diagnosis", "study_id", "parameters"]
    value = report["parameters"]["sacral_slope"]["value"]
    assert value == round(value, 1) and not re.search(r"\[\s+[-\d]", piped.stdout)
    assert command(*call, "--out", tmp_path / "m.json").stdout == "", "the file has them"
    monkeypatch.setattr("orchestration.cli.measuring._on_terminal", lambda: True)
    shown = command(*call, "--out", tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text())["parameters"] == report["parameters"]
    (row,) = [line for line in shown.stdout.splitlines() if "Sacral slope" in line]
    assert f"{value:.1f}°" in row and "[" in row
    assert "need a frontal view: Cobb angle (end plates)" in shown.stdout
    assert f"model: bundled model ({open_bundled().digest[:12]})" in shown.stdout
    assert shown.stdout.count("frontal view") == 1
    assert json.loads(command(*call, "--json").stdout)["parameters"] == report["parameters"]


def _without_tags(radiograph, to, *names):
    given = pydicom.dcmread(radiograph)
    for name in ("PatientOrientation", *names):
        delattr(given, name)
    given.save_as(to)
    return to


def test_options_name_the_views_of_images_without_tags(two_patients, tmp_path):
    case = two_patients / "case-00000"
    bare = {
        v: _without_tags(case / f"{v}.dcm", tmp_path / f"{v}.dcm", "ViewPosition", "ViewCodeSequence") for v in VIEWS
    }
    call = ("measure", "-w", tmp_path, "--overlay", tmp_path / "o.png")
    unclear = command(*call, bare["frontal"])
    assert unclear.returncode == 2 and "--frontal frontal.dcm or --lateral frontal.dcm" in unclear.stderr
    done = command(*call, "--frontal", bare["frontal"], "--lateral", bare["lateral"])
    assert done.returncode == 0, done.stderr
    report, tagged = json.loads(done.stdout), json.loads(command(*call, *case.glob("*.dcm")).stdout)
    notes = " ".join(report["notes"])
    assert (
        "the left of the image is taken for the right" in notes
        and "the model reads that the patient faces left" in notes
    )
    assert (report["measured_in"], tagged["measured_in"]) == ("each view", "3D")
    kyphosis = [given["parameters"]["thoracic_kyphosis_t4_t12"]["value"] for given in (report, tagged)]
    assert kyphosis[0] == pytest.approx(kyphosis[1], abs=4.0)
    exchanged = command(*call, "--lateral", case / "frontal.dcm")
    assert exchanged.returncode == 1 and "VIEW_MISMATCH" in exchanged.stderr


def test_the_facing_of_a_lateral_is_stated_or_read(two_patients, tmp_path):
    lateral = two_patients / "case-00001" / "lateral.dcm"
    mirrored = pydicom.dcmread(_without_tags(lateral, tmp_path / "m.dcm"))
    mirrored.PixelData = np.ascontiguousarray(mirrored.pixel_array[:, ::-1]).tobytes()
    mirrored.save_as(tmp_path / "m.dcm")
    call = ("measure", "-w", tmp_path, "--overlay", tmp_path / "o.png")
    tagged = json.loads(command(*call, lateral).stdout)["parameters"]
    for options, note in (((), "the model reads that the patient faces right"), (("--facing", "right"), "as stated")):
        done = command(*call, tmp_path / "m.dcm", *options)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["parameters"] == tagged
        assert note in " ".join(report["notes"]) and note in " ".join(done.stderr.split())
    wrong = command(*call, tmp_path / "m.dcm", "--facing", "left")
    assert wrong.returncode == 1 and "looks mirrored" in " ".join(wrong.stderr.split())
    assert command(*call, two_patients / "case-00001" / "frontal.dcm", "--facing", "left").returncode == 2


def test_a_contradictory_header_withholds_lengths_and_not_angles(two_patients, tmp_path):
    frontal = pydicom.dcmread(two_patients / "case-00001" / "frontal.dcm")
    frontal.ImagerPixelSpacing = [round(0.88 * float(s), 6) for s in frontal.ImagerPixelSpacing]
    frontal.save_as(tmp_path / "f.dcm")
    done = command("measure", tmp_path / "f.dcm", "-w", tmp_path, "--overlay", tmp_path / "o.png")
    report = json.loads(done.stdout)
    assert report["parameters"]["coronal_balance_t1"]["absent_code"] == "LENGTHS_UNCALIBRATED"
    assert report["parameters"]["cobb"]["value"] is not None
    assert report["views"]["frontal"]["lengths_allowed"] is False
    assert "its header contradicts itself: PixelSpacing" in " ".join(done.stderr.split())


def test_the_overlay_identifies_the_study_if_asked(two_patients, tmp_path):
    frontal = pydicom.dcmread(two_patients / "case-00001" / "frontal.dcm")
    frontal.StudyDate = "20240503"
    frontal.save_as(tmp_path / "f.dcm")
    call = ("measure", tmp_path / "f.dcm", "-w", tmp_path / "ws", "--identify", "--overlay")
    assert "PARAMS_MISSING" in command(*call, tmp_path / "o.png").stderr, "the pseudonym needs the key of a workspace"
    assert command("init", "-w", tmp_path / "ws").returncode == 0
    titles = []
    with patch(
        "inference.measured_study.draw_overlay",
        side_effect=lambda *a, **k: titles.append(k) or draw_overlay(*a, **k),
    ):
        assert command(*call, tmp_path / "o.png").returncode == 0
        assert command(*call[:4], "--overlay", tmp_path / "p.png").returncode == 0
    shown = titles[0]["identification"]
    assert re.fullmatch(r"study 2024-05-03   patient p[0-9a-f]{16}", shown)
    assert str(frontal.PatientID) not in shown and titles[1]["identification"] is None
    digest, today = open_bundled().digest[:12], datetime.now(UTC).date()
    footer = f"bundled model ({digest}), Plumbline {version('plumbline')}, measured {today}"
    assert [title["footer"] for title in titles] == [footer, footer], "no file name: it can be the patient's name"


def _with_image_of(radiograph, other, to):
    """The radiograph with its own tags and the other radiograph's image."""
    given = pydicom.dcmread(radiograph)
    given.PixelData = pydicom.dcmread(other).PixelData
    given.save_as(to)
    return to


@pytest.mark.parametrize("name", ["champion", "history", "verdict", "explain", "promote", "rollback"])
def test_a_folder_that_is_no_workspace_is_refused(tmp_path, name):
    given = {"rollback": ["--reason", "why"], "promote": ["--by", "R. Viewer"]}.get(name, [])
    missing = command(name, *given, "-w", tmp_path / "nowhere")
    assert missing.returncode == 2 and "PARAMS_MISSING: found no params.yaml" in missing.stderr
    assert str(tmp_path / "nowhere") in missing.stderr.replace("\n", "")
    (tmp_path / "params.yaml").write_text("format: 1\n")
    old = command(name, *given, "-w", tmp_path)
    assert old.returncode == 2 and "WORKSPACE_FORMAT: found format 1" in old.stderr


def test_exchanged_images_are_not_measured(two_patients, tmp_path):
    exchanged = []
    for case in ("case-00000", "case-00001"):
        frontal, lateral = (two_patients / case / f"{view}.dcm" for view in ("frontal", "lateral"))
        exchanged.append(
            [
                _with_image_of(frontal, lateral, tmp_path / f"{case}-f.dcm"),
                _with_image_of(lateral, frontal, tmp_path / f"{case}-l.dcm"),
            ]
        )
    for given, why in (
        (exchanged[0], "the images look exchanged"),
        (exchanged[1], "the images look exchanged"),
        # The first patient's lateral, a short one, is too much like a frontal to be refused alone.
        (exchanged[1][:1], "looks like a lateral, given as frontal"),
    ):
        for earlier in ("o.png", "m.json"):
            (tmp_path / earlier).write_text("the result of an earlier call")
        outputs = ("--overlay", tmp_path / "o.png", "--out", tmp_path / "m.json")
        refused = command("measure", *given, "-w", tmp_path, *outputs)
        assert refused.returncode == 1
        assert "NO_SPINE_FOUND" in refused.stderr and why in " ".join(refused.stderr.split())
        assert not (tmp_path / "o.png").exists() and not (tmp_path / "m.json").exists()


def test_a_radiograph_without_any_parameter_is_refused_and_a_turned_one_gets_a_warning():
    points = {"frontal": {"L4_sup": np.zeros(2), "L4_inf": np.ones(2)}}
    none = {
        name: Measured(None, p.unit, "not seen", absent_code="LANDMARKS_NOT_SEEN") for name, p in PARAMETERS.items()
    }
    with pytest.raises(InputRejected, match=r"NOTHING_MEASURED: found turned\.dcm: frontal: 2 landmarks") as error:
        require_measurements(Prediction("", points, parameters=none), ["turned.dcm"])
    assert error.value.exit_code == 1
    some = {**none, "cobb": Measured(12.0, "deg")}
    turned = Prediction("", points, parameters=some, notes=("the radiograph may be turned",))
    require_measurements(turned, ["turned.dcm"])
    assert warnings_of(turned) == ["the radiograph may be turned"]


def test_a_radiograph_is_never_overwritten_and_an_unreadable_one_is_named(two_patients, tmp_path):
    radiograph = two_patients / "case-00000" / "frontal.dcm"
    before = radiograph.read_bytes()
    for output in (("--out", radiograph), ("--overlay", tmp_path / "o.xyz")):
        assert command("measure", radiograph, *output, "-w", tmp_path).returncode == 2
    assert radiograph.read_bytes() == before
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(before[: len(before) // 2])
    refused = command("measure", radiograph, cut, "-w", tmp_path, "--overlay", tmp_path / "o.png")
    assert "cut.dcm" in refused.stderr
    assert "TRUNCATED" in refused.stderr


def test_stage_does_not_wait_for_the_lock_and_makes_nothing_outside_a_workspace(tmp_path):
    command("init", "-w", tmp_path / "ws")
    with workspace_lock(Workspace(tmp_path / "ws")):
        busy = command("stage", "landmarks", "-w", tmp_path / "ws")
    assert busy.returncode == 4
    assert "RUN_IN_PROGRESS" in busy.stderr
    (tmp_path / "empty").mkdir()
    assert command("stage", "landmarks", cwd=tmp_path / "empty").returncode == 2
    assert not list((tmp_path / "empty").iterdir())


def test_read3d_without_files_is_a_usage_error(tmp_path):
    (tmp_path / "README.md").write_text("no points")
    assert command("read3d", tmp_path).returncode == 2


def test_read3d_ends_with_1_if_nothing_could_be_read(tmp_path):
    (tmp_path / "points.xlsx").write_bytes(b"PK\x03\x04")
    done = command("read3d", tmp_path / "points.xlsx")
    assert done.returncode == 1 and "FORMAT_UNSUPPORTED" in done.stdout


def test_intervals_are_called_rough_if_calibration_shares_one_width():
    assert FEW_PATIENTS == LEAST_PATIENTS


def test_a_fit_that_ends_in_its_first_epoch_reports_the_share():
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
    """A promotion can be refused after the verdict, for a reason that the verdict does not have: it is printed."""
    refusal = GateRefused(code, found="a model that was rolled back from", expected="another", remedy="train anew")
    reports = {"verdict": StepReport("verdict", {})}
    outcome = RunOutcome("1", reports, step, code, str(refusal), refused=True, exit_code=3)
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
    assert _figures(error, threshold, "margins") == expected
