"""An asset starts two processes under torchrun through Dagster Pipes: they fit one model and report to the run."""

import subprocess
import sys
from dataclasses import replace

import dagster as dg
import pytest

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


def test_a_process_group_of_an_earlier_request_cannot_write_into_the_messages_of_a_new_one(drawn, tmp_path):
    first = messages_of(write_request(drawn, tmp_path / "c", CONFIG, tmp_path / "group"))
    second = messages_of(write_request(drawn, tmp_path / "c", CONFIG, tmp_path / "group"))
    assert first != second and first.read_text() == second.read_text() == ""
