"""An asset starts two processes under torchrun through Dagster Pipes: they fit one model and report to the run."""

import inspect
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import dagster as dg
import psutil
import pytest

from orchestration.dagster import pipes
from orchestration.dagster.pipes import workers_under_pipes
from orchestration.pipeline import multi_gpu
from orchestration.pipeline.multi_gpu import fit_in_process_group, launching_with
from spine.errors import ContractViolation, ParametersRejected
from tests.training.drawn_cohort import write_drawn_dataset
from training.config import NextStage, TrainingConfig
from training.export.candidate import FIT_FILE
from training.fitting.ddp_worker import messages_of, write_request

CONFIG = TrainingConfig(
    epochs=2, input_shape=(128, 64), batch_size=4, width=0.25, precision="32", device="cpu", seed=5, devices=2
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_drawn_dataset(folder, (12, 3, 2))
    return folder


@pytest.mark.slow
def test_an_asset_starts_two_processes_that_fit_one_model_in_two_stages_and_log_into_the_run(
    drawn, tmp_path, instance, monkeypatch
):
    config = replace(CONFIG, epochs=1, next_stages=(NextStage(epochs=1),))
    reported, fits = [], []
    (tmp_path / "lightning.py").write_text("raise RuntimeError('a file of the user hid a library')")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "candidate"

    @dg.asset
    def fitted(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with workers_under_pipes(context):
            fit = fit_in_process_group(drawn, out, config, tmp_path / "group", lambda *done: reported.append(done))
        fits.append(fit)
        return dg.MaterializeResult(metadata={"steps": fits[0].steps})

    result = dg.materialize([fitted], instance=instance)
    assert result.success
    (summary,) = fits
    assert summary.config == config
    assert [(stage.devices, stage.epochs) for stage in summary.stages] == [(2, 1), (2, 1)]
    assert summary.epochs == 2 and summary.steps == 2 * (24 // 2 // 4)  # each process sees half of the images
    assert summary.model_digest is not None and (out / "model.onnx").is_file()
    assert reported[-1] == (2000, 2000) and reported == sorted(reported)
    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert any("fitted 100 %" in text for text in messages)
    assert any(text.startswith("validation_error") for text in messages)
    again = fit_in_process_group(drawn, out, config, tmp_path / "group", None)
    assert again == summary  # finished: nothing is fitted again


@pytest.mark.slow
def test_what_the_leader_refuses_is_refused_here_with_its_reason(drawn, tmp_path):
    """A single process, started as torchrun would start two."""

    def one_alone(request, processes):
        command = multi_gpu.torchrun(request, processes, multi_gpu.WORKER_MODULE)
        assert command[1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return subprocess.run([sys.executable, *command[-3:]], check=False).returncode

    with launching_with(one_alone), pytest.raises(ParametersRejected, match="PROCESS_GROUP_DIFFERS") as refused:
        fit_in_process_group(drawn, tmp_path / "candidate", CONFIG, tmp_path / "group", None)
    assert refused.value.remedy.startswith("start torchrun")
    assert not (tmp_path / "candidate" / FIT_FILE).exists()


def test_a_process_group_that_ends_early_fails_with_its_exit_code_and_half_a_line_is_not_a_message(drawn, tmp_path):
    heard = []

    def launch(request, processes):
        messages_of(request).write_text('{"done": 1, "total": 4}\n{"done": 2, "to')
        return 9

    with launching_with(launch), pytest.raises(ContractViolation, match=r"PROCESS_GROUP_FAILED.*exit code 9"):
        fit_in_process_group(drawn, tmp_path / "c", CONFIG, tmp_path / "group", lambda *done: heard.append(done))
    assert heard == [(1, 4)]


def test_a_writer_that_has_lost_its_lock_interrupts_its_process_group(drawn, tmp_path):
    ended = []

    def launch(request, processes):
        messages_of(request).write_text('{"done": 1, "total": 4}\n')
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                ended.append(process.poll())
                process.kill()
                process.wait()
                raise

    def lost(done, total):
        raise ContractViolation("LOCK_LOST", "a lock that is gone", "the lock", "start the database")

    with launching_with(launch), pytest.raises(ContractViolation, match="LOCK_LOST"):
        fit_in_process_group(drawn, tmp_path / "c", CONFIG, tmp_path / "group", lost)
    assert ended == [None], "the process was still running, so the wait for it was interrupted"


def sleep_until_interrupted(request, processes):
    time.sleep(60)
    raise AssertionError("nothing has interrupted the process group")


def refuse_lock() -> None:
    raise ContractViolation("LOCK_LOST", "a lock that is gone", "the lock", "start the database")


def test_a_lock_that_is_lost_interrupts_a_process_group_that_reports_nothing(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(multi_gpu, "_CHECK_EVERY_S", 0.0)
    with launching_with(sleep_until_interrupted), pytest.raises(ContractViolation, match="LOCK_LOST"):
        fit_in_process_group(drawn, tmp_path / "c", CONFIG, tmp_path / "group", None, refuse_lock)


def test_no_process_group_goes_on_after_an_error_of_the_thread_that_watches_over_it(drawn, tmp_path):
    """Such as the one of Dagster's database, into which the progress is written."""

    def launch(request, processes):
        messages_of(request).write_text('{"done": 1, "total": 4}\n')
        sleep_until_interrupted(request, processes)

    def fail(done, total):
        raise RuntimeError("no database")

    with launching_with(launch), pytest.raises(RuntimeError, match="no database"):
        fit_in_process_group(drawn, tmp_path / "c", CONFIG, tmp_path / "group", fail)


def test_messages_that_a_shared_file_system_shows_late_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(multi_gpu, "_POLL_S", 0.01)
    heard = []
    reader = multi_gpu.MessageReader(tmp_path / "messages", heard.append)
    with reader:
        time.sleep(0.1)
        assert reader.stopped_by is None
        (tmp_path / "messages").write_text('{"done": 1, "total": 4}\n')
    assert heard == [{"done": 1, "total": 4}]


def test_in_a_run_of_dagster_a_lost_lock_ends_the_processes_and_names_itself(drawn, tmp_path, instance, monkeypatch):
    monkeypatch.setattr(multi_gpu, "_CHECK_EVERY_S", 0.0)
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(pipes, "torchrun", lambda *_: [sys.executable, "-c", code, str(tmp_path / "pid")])

    def refuse_when_started() -> None:
        if (tmp_path / "pid").exists():
            refuse_lock()

    @dg.asset
    def fitted(context: dg.AssetExecutionContext) -> None:
        with workers_under_pipes(context):
            fit_in_process_group(drawn, tmp_path / "c", CONFIG, tmp_path / "group", None, refuse_when_started)

    with pytest.raises(ContractViolation, match="LOCK_LOST"):
        dg.materialize([fitted], instance=instance)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_an_interrupted_process_group_has_longer_than_torchrun_gives_its_processes(monkeypatch, tmp_path):
    """Otherwise Dagster would leave behind a group whose checkpoint takes long."""
    from torch.distributed.elastic.multiprocessing.api import PContext

    clients = []

    def client(**options):
        clients.append(options)
        return SimpleNamespace(run=lambda **_: None)

    monkeypatch.setattr(dg, "PipesSubprocessClient", client)
    with workers_under_pipes(None):
        assert multi_gpu._launching.get().launch(tmp_path / "request.json", 2) == 0
    torchruns = inspect.signature(PContext.close).parameters["timeout"].default
    assert clients[0]["termination_timeout_seconds"] > torchruns > 0


def test_a_process_group_of_an_earlier_request_keeps_its_request_and_its_messages(drawn, tmp_path):
    """A group that starts again after a lost node reads its request again."""
    requests = [write_request(drawn, tmp_path / "c", CONFIG, tmp_path / "group") for _ in range(2)]
    first, second = map(messages_of, requests)
    assert first != second and first.read_text() == second.read_text() == ""
