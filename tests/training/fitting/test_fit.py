"""A fit from end to end: it learns, resumes, is reproducible, refuses bad input and leaves no partial files."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.contract import read_contract
from inference.measure import predict_examples
from inference.model import INPUTS, load_model
from spine.dataset import Manifest
from spine.errors import ContractViolation, ParametersRejected
from training.config import config_to_json
from training.export.candidate import CANDIDATE_FILE, FITTED_FILE, read_summary
from training.export.onnx_export import example_inputs, finish_export
from training.fitting import lightning_module
from training.fitting.fit import fit
from training.fitting.fit_callback import TrainingInterrupted
from training.journal import read_journal
from training.model.checkpoints import load_state, load_weights, newest_checkpoint, save_checkpoint
from training.model.networks import ServedNetwork, build_network
from training.model.output_map import output_map_of


@pytest.mark.slow
def test_a_fit_leaves_what_it_promises(candidate, tiny_config):
    out, summary = candidate
    for name in ("weights.safetensors", "model.onnx", "contract.json", "journal.jsonl", "history.csv", CANDIDATE_FILE):
        assert (out / name).is_file(), name
    assert read_summary(out) == summary
    assert summary.config == tiny_config
    assert summary.model_digest == load_model(out).digest
    assert summary.epochs == 3
    assert summary.error_unit == "mm"
    assert not list(out.rglob("*.partial"))
    assert not [p for p in out.rglob("*") if p.suffix in (".pkl", ".pickle", ".ckpt")]


def test_no_checkpoint_needs_to_execute_anything(candidate):
    states = list((candidate[0] / "checkpoints").rglob("*.pt"))
    assert states
    for path in states:
        torch.load(path, weights_only=True)


def test_a_pickle_that_would_execute_is_refused(tmp_path):
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "executed"),))

    torch.save({"network": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(ContractViolation, match="STATE_UNREADABLE"):
        load_state(tmp_path / "evil.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.slow
def test_learning_reduces_the_error(taught):
    measured = read_journal(taught[0]).measurements
    errors = [m.values["validation/landmark_error_mm"] for m in measured]
    assert len(errors) == 8
    for name in ("train/loss", "train/euclidean"):
        assert measured[-1].values[name] < 0.7 * measured[0].values[name]
    assert min(errors) == pytest.approx(taught[1].validation_error)


@pytest.mark.usefixtures("without_export")
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(candidate, drawn, tiny_config, tmp_path):
    again = fit(drawn[0], tmp_path / "again", tiny_config)
    assert again.validation_error == candidate[1].validation_error
    first, same = load_weights(candidate[0]), load_weights(tmp_path / "again")
    assert all(torch.equal(first[n], same[n]) for n in first)
    fit(drawn[0], tmp_path / "other", replace(tiny_config, seed=6, epochs=1))
    head = "trunk.heads.0.weight"
    assert not torch.equal(first[head], load_weights(tmp_path / "other")[head])


def terminate_at(call: int, kind: signal.Signals = signal.SIGTERM) -> Callable[[int, int], None]:
    """A report of progress that sends a signal to this process at its nth call."""
    calls = count(1)

    def report(done: int, total: int) -> None:
        if next(calls) == call:
            os.kill(os.getpid(), kind)

    return report


def assert_equal_weights(first: Path, second: Path) -> None:
    torch.testing.assert_close(load_weights(second), load_weights(first), atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("without_export")
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize(
    ("kind", "raised"), [(signal.SIGTERM, TrainingInterrupted), (signal.SIGINT, KeyboardInterrupt)]
)
def test_interrupted_and_resumed_equals_uninterrupted(candidate, drawn, tiny_config, tmp_path, steps, kind, raised):
    """A signal in the middle of an epoch (three steps make one), then the same command again."""
    before = signal.getsignal(kind)
    with pytest.raises(raised) as stopped:
        fit(drawn[0], tmp_path, tiny_config, terminate_at(steps + 1, kind))  # the first call is before the first step
    reason = stopped.value if raised is TrainingInterrupted else stopped.value.__cause__
    saved = newest_checkpoint(tmp_path / "checkpoints")["position"]["step"]
    assert steps <= saved <= steps + 1 and f"the signal {kind.name} at step {saved}" in str(reason)
    assert signal.getsignal(kind) == before
    assert not (tmp_path / CANDIDATE_FILE).exists()
    assert not (tmp_path / "model.onnx").exists()
    summary = fit(drawn[0], tmp_path, tiny_config)
    assert summary.steps == candidate[1].steps
    assert_equal_weights(candidate[0], tmp_path)
    assert summary.validation_error == pytest.approx(candidate[1].validation_error, rel=1e-5)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_process_group_keeps_the_fit(drawn, tiny_config, tmp_path, kind):
    """A terminal sends Ctrl-C to the whole process group of a command. The loader processes must outlive it."""
    script = textwrap.dedent("""
        import json, os, sys
        from itertools import count
        from pathlib import Path
        from training.config import config_from_json
        from training.fitting.fit import fit
        data, out, config, kind = sys.argv[1:]
        calls = count(1)
        def stop_the_group(done, total):
            if next(calls) == 3:  # the first batches are loaded, so the loader processes have begun
                os.killpg(0, int(kind))
        fit(Path(data), Path(out), config_from_json(json.loads(config)), stop_the_group)
    """)
    config = json.dumps(config_to_json(replace(tiny_config, workers=2)))
    command = [sys.executable, "-c", script, str(drawn[0]), str(tmp_path), config, str(int(kind))]
    ended = subprocess.run(command, start_new_session=True, capture_output=True, text=True, timeout=120, check=False)
    expected = "TrainingInterrupted" if kind == signal.SIGTERM else "KeyboardInterrupt"
    assert ended.returncode != 0 and expected in ended.stderr.splitlines()[-1]
    assert newest_checkpoint(tmp_path / "checkpoints")["position"]["step"] >= 2


@pytest.mark.usefixtures("without_export")
def test_the_signal_handlers_never_print_the_data_set(drawn, tiny_config, tmp_path, monkeypatch):
    """With 272 studies this text takes six seconds, at a stop as at the end of a fit."""
    printed: list[Manifest] = []
    monkeypatch.setattr(Manifest, "__repr__", lambda manifest: printed.append(manifest) or "manifest")
    fit(drawn[0], tmp_path, replace(tiny_config, epochs=1))
    assert not printed


@pytest.mark.usefixtures("without_export")
def test_a_second_ctrl_c_stops_at_once(drawn, tiny_config, tmp_path):
    def twice(done: int, total: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(drawn[0], tmp_path, tiny_config, twice)
    assert newest_checkpoint(tmp_path / "checkpoints") is None
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path):
    save_checkpoint({"step": 1}, tmp_path, 1)
    save_checkpoint({"step": 2}, tmp_path, 2)
    newest = tmp_path / "step-000000002.pt"
    newest.write_bytes(newest.read_bytes()[:-20])
    assert newest_checkpoint(tmp_path) == {"step": 1}
    assert newest_checkpoint(tmp_path / "nothing") is None


def test_a_finished_fit_is_not_repeated_and_its_folder_is_refused_to_another(candidate, drawn, tiny_config):
    stamp = (candidate[0] / "weights.safetensors").stat().st_mtime_ns
    assert fit(drawn[0], candidate[0], tiny_config) == candidate[1]
    assert (candidate[0] / "weights.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(ParametersRejected, match=r"FIT_MIXED.*learning_rate"):
        fit(drawn[0], candidate[0], replace(tiny_config, learning_rate=1e-4))


@pytest.mark.usefixtures("without_export")
def test_a_minute_budget_ends_in_time(drawn, tiny_config, tmp_path):
    calls: list[tuple[int, int]] = []
    summary = fit(
        drawn[0], tmp_path, replace(tiny_config, epochs=None, minutes=0.02), lambda d, t: calls.append((d, t))
    )
    assert 1.2 <= summary.seconds < 4.0
    assert calls[-1] == (1000, 1000)
    assert all(a[0] <= b[0] for a, b in pairwise(calls))


def test_nan_stops_the_fit_and_leaves_no_candidate(drawn, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(lightning_module, "masked_mean", lambda values, mask, weight: values.sum() * float("nan"))
    with pytest.raises(ContractViolation, match="LOSS_NOT_FINITE"):
        fit(drawn[0], tmp_path, tiny_config)
    assert not (tmp_path / FITTED_FILE).exists()
    assert not (tmp_path / CANDIDATE_FILE).exists()


def test_onnx_and_torch_give_the_same_outputs(candidate):
    out, summary = candidate
    model = load_model(out)
    network = build_network(summary.config, model.contract.views)
    network.load_state_dict(load_weights(out))
    output_map = output_map_of(summary.config.landmark_set, summary.config.names, model.contract.views)
    for size in (1, 2):  # the batch is dynamic
        image, view = (values[:size] for values in example_inputs(model.contract))
        found = model.session.run(["heatmaps", "visibility"], dict(zip(INPUTS, (image, view), strict=True)))
        with torch.no_grad():
            wanted = ServedNetwork(network, output_map).eval()(torch.from_numpy(image), torch.from_numpy(view))
        np.testing.assert_allclose(found[0], wanted[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(found[1], wanted[1].numpy(), atol=1e-3)


def test_the_exported_graph_names_no_folder_of_this_machine(candidate):
    content = (candidate[0] / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[3]).encode() not in content
    assert b"site-packages" not in content


def test_the_validation_error_is_that_of_the_served_model(candidate, drawn, monkeypatch):
    """The validation error of the fit, computed again through the exported model and its preprocessing."""
    # After nine steps no landmark counts as visible.
    monkeypatch.setattr("inference.decoding.VISIBILITY_THRESHOLD", -1.0)
    monkeypatch.setattr("inference.decoding.UNDECIDED_FRACTION", 10.0)
    monkeypatch.setattr("inference.measure.out_of_chain", lambda points, hidden: ())  # most vertebrae are strays
    folder, manifest = drawn
    model = load_model(candidate[0])
    model = replace(model, contract=replace(model.contract, calibration=None))  # without limits no image is refused
    examples = manifest.in_split("validation")
    errors = []
    for prediction, example in zip(predict_examples(model, folder, examples), examples, strict=True):
        for name, view in example.views.items():
            assert view.spacing_mm is not None
            for landmark, point in prediction.points[name].items():
                if landmark in view.points:
                    errors.append(np.linalg.norm(point - view.points[landmark]) * view.spacing_mm[0])
    assert len(errors) == sum(len(v.points) for e in examples for v in e.views.values())
    assert np.mean(errors) == pytest.approx(candidate[1].validation_error, rel=1e-3)


@pytest.mark.slow
def test_galbusera_preset_runs_through_one_loop(drawn, tiny_config, tmp_path):
    config = replace(tiny_config, preset="galbusera2019", landmark_subset=("HIP_L", "S1_ant"), epochs=1)
    done: list[int] = []
    summary = fit(drawn[0], tmp_path, config, lambda d, t: done.append(d))
    assert summary.epochs == 1
    assert done[-1] == 1000
    model = load_model(tmp_path)
    assert model.contract.names == ("S1_ant", "HIP_L")  # the set's order
    figures = {n for m in read_journal(tmp_path).measurements for n in m.values}
    assert "validation/landmark_error_mm" in figures


@pytest.mark.usefixtures("without_export")
def test_a_warm_start(taught, drawn, tiny_config, tmp_path):
    warm = fit(drawn[0], tmp_path / "warm", replace(tiny_config, epochs=1, init_from=str(taught[0])))
    first = read_journal(taught[0]).measurements[0].values["train/loss"]
    assert read_journal(tmp_path / "warm").measurements[0].values["train/loss"] < 0.8 * first
    assert warm.epochs == 1
    with pytest.raises(ParametersRejected, match=r"WARM_START_DIFFERS.*--heatmap-stride 8 --input-shape 128x64"):
        fit(drawn[0], tmp_path / "other", replace(tiny_config, width=0.5, init_from=str(taught[0])))
    assert not (tmp_path / "other").exists()  # the corrected command may use it


@pytest.mark.usefixtures("without_export")
def test_a_folder_with_files_of_another_kind_is_not_written_into(drawn, tiny_config, tmp_path):
    (tmp_path / "model.onnx").write_text("somebody's")
    with pytest.raises(ParametersRejected, match=r"FOLDER_NOT_EMPTY.*model\.onnx"):
        fit(drawn[0], tmp_path, tiny_config)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_data_set_of_another_landmark_set_is_refused(drawn, tiny_config, tmp_path):
    with pytest.raises(ParametersRejected, match="FIT_LANDMARK_SET_DIFFERS"):
        fit(drawn[0], tmp_path, replace(tiny_config, landmark_set="corners68"))


_BARE = """
import sys
BLOCKED = {"pydantic", "mlflow", "onnx", "onnxscript", "onnxruntime", "safetensors", "PIL", "pillow", "pandas", "rich",
           "scipy", "matplotlib", "dagster", "great_expectations", "dvc", "pydicom", "click", "jaxtyping", "beartype"}

import importlib.metadata as metadata
from importlib.machinery import PathFinder
find, distribution = PathFinder.find_spec, metadata.distribution

def installed(name):
    if name.lower() in BLOCKED:
        raise metadata.PackageNotFoundError(name)
    return distribution(name)

PathFinder.find_spec = lambda name, *rest: None if name.split(".")[0] in BLOCKED else find(name, *rest)
metadata.distribution = installed
from training.__main__ import main
code = main(sys.argv[1:])
assert not BLOCKED & {m.split(".")[0] for m in sys.modules}, BLOCKED & {m.split(".")[0] for m in sys.modules}
sys.exit(code)
"""


@pytest.mark.slow
def test_a_bare_machine_fits_and_another_exports(drawn, tmp_path):
    """The fit needs torch, lightning and numpy alone; the export runs later, where onnx is installed."""
    command = [sys.executable, "-c", _BARE, "--dataset", str(drawn[0]), "--out", str(tmp_path / "bare")]
    options = ["--epochs", "1", "--input-shape", "128x64", "--width", "0.25", "--precision", "32", "--quiet"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=300
    )
    assert done.returncode == 0, done.stderr
    bare = tmp_path / "bare"
    assert (bare / "weights.pt").is_file()
    assert (bare / FITTED_FILE).is_file()
    assert not (bare / CANDIDATE_FILE).exists()
    moved = shutil.copytree(bare, tmp_path / "elsewhere")
    summary = finish_export(moved)
    assert load_model(moved).digest == summary.model_digest
    assert finish_export(moved) == summary
    assert (moved / "weights.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("without_export")
def test_a_killed_fit_continues(drawn, tiny_config, tmp_path):
    """kill -9 after the first checkpoint; the same command finishes."""
    script = textwrap.dedent("""
        import json, os, signal, sys
        from pathlib import Path
        import training.fitting.fit_callback as fit_callback
        from training.config import config_from_json
        from training.fitting.fit import fit
        save = fit_callback.save_checkpoint
        def once(*arguments):
            save(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        fit_callback.save_checkpoint = once
        fit(Path(sys.argv[1]), Path(sys.argv[2]), config_from_json(json.loads(sys.argv[3])))
    """)
    config = json.dumps(config_to_json(tiny_config))
    command = [sys.executable, "-c", script, str(drawn[0]), str(tmp_path), config]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / FITTED_FILE).exists()
    assert fit(drawn[0], tmp_path, tiny_config).epochs == 3


@pytest.mark.usefixtures("without_export")
def test_a_full_disk_stops_a_fit_that_later_continues(drawn, tiny_config, tmp_path, monkeypatch):
    """The disk is full in the middle of the second checkpoint: no partial file has a final name."""
    calls = iter(range(100))
    real = os.fsync

    def full(handle: int) -> None:
        if os.fstat(handle).st_size > 50_000 and next(calls) >= 1:  # a checkpoint, not a journal line
            os.ftruncate(handle, 1000)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patched:
        patched.setattr("spine.storage.os.fsync", full)
        with pytest.raises(OSError, match="No space left") as raised:
            fit(drawn[0], tmp_path, tiny_config)
    assert raised.value.errno == errno.ENOSPC
    assert not (tmp_path / FITTED_FILE).exists()
    assert not list(tmp_path.rglob("*.partial"))
    assert fit(drawn[0], tmp_path, tiny_config).epochs == 3


@pytest.mark.slow
@pytest.mark.usefixtures("without_export")
def test_a_fit_on_virtual_patients_continues_after_an_interruption(drawn, tiny_config, tmp_path, monkeypatch):
    """Two epochs of five batches; SIGTERM in the second, whose pool holds other patients than the first's."""
    for module in ("training.config", "training.data.virtual_patients"):
        monkeypatch.setattr(f"{module}.DRAWN_TOGETHER", 8)
    config = replace(tiny_config, epochs=2, batch_size=6, virtual_pairs=16, reuse=2)
    whole = fit(drawn[0], tmp_path / "whole", config)
    assert whole.steps == 2 * (32 // 6)
    assert whole.images == 2 * (16 + 8), "two epochs, half of the pool new in the second"
    with pytest.raises(TrainingInterrupted):
        fit(drawn[0], tmp_path / "torn", config, terminate_at(9))
    summary = fit(drawn[0], tmp_path / "torn", config)
    assert (summary.steps, summary.images) == (whole.steps, whole.images)
    assert_equal_weights(tmp_path / "whole", tmp_path / "torn")
    shares = [m.values["train/rendering_share"] for m in read_journal(tmp_path / "whole").measurements]
    assert all(0 < share < 1 for share in shares)
    contract = read_contract(tmp_path / "whole")
    assert contract.simulated_training_data is True
    assert contract.training_note.startswith("virtual patients rendered during training, seed 7000000005")
