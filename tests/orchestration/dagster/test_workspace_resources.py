"""Dagster's resources, the instance of a workspace, metadata and previews."""

import base64
import io
import threading
import time
from datetime import UTC, datetime, timedelta
from logging import getLogger
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pytest
import yaml
from dagster._daemon.monitoring import concurrency as slots
from PIL import Image

from orchestration.dagster.assets.metadata import PREVIEW_LIMIT_BYTES, metadata_of, preview
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import ABANDONED_AFTER_S, RUN_MONITORING, fail_abandoned_runs, open_instance
from orchestration.dagster.jobs import RETRAIN
from orchestration.dagster.resources import (
    DataVersions,
    ModelTracking,
    TrainingDevice,
    WorkspacePaths,
    WritableWorkspace,
    default_resources,
    resources_for,
)
from orchestration.environment import WORKSPACE_VARIABLE
from orchestration.pipeline import steps
from orchestration.pipeline.lock import WorkspaceBusy, workspace_lock
from orchestration.pipeline.params import read_params
from orchestration.pipeline.step_report import StepReport
from spine.errors import ParametersRejected
from spine.storage import locked


def test_workspace_comes_from_the_environment_when_a_run_asks(workspace, monkeypatch):
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(workspace.root))
    with dg.build_resources({"paths": default_resources()["paths"]}) as built:
        assert built.paths.folders == workspace
        assert built.paths.params == read_params(workspace.params_file)


def test_every_resource_can_be_replaced(workspace):
    replaced = resources_for(str(workspace.root), versions=DataVersions(enabled=False))
    assert replaced["versions"].enabled is False
    assert set(replaced) == set(default_resources())


def test_writable_workspace_is_held_by_one(workspace):
    with dg.build_resources({"workspace": WritableWorkspace(root=str(workspace.root))}):
        with pytest.raises(WorkspaceBusy), workspace_lock(workspace):
            pass
        with dg.build_resources({"paths": WorkspacePaths(root=str(workspace.root))}) as reading:
            assert reading.paths.folders == workspace
    with workspace_lock(workspace):
        pass


def test_data_versions_without_dvc_compute_every_time(workspace, stubs, monkeypatch):
    monkeypatch.setattr(steps, "run_step", lambda *_: pytest.fail("DVC was asked"))
    versions = DataVersions(enabled=False)
    assert versions.run("landmarks", workspace, lambda *_: None).step == "landmarks"
    assert versions.version("landmarks", workspace) is None


def test_data_version_is_dvcs_address_of_the_output(workspace):
    lock = {"stages": {"dataset": {"outs": [{"path": "data/dataset", "md5": "abc.dir"}]}}}
    (workspace.root / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert DataVersions().version("dataset", workspace) == "md5:abc.dir"
    assert DataVersions().version("landmarks", workspace) is None


def test_tracking_elsewhere(workspace):
    assert ModelTracking().applied_to(workspace) == workspace
    tracked = ModelTracking(uri="http://tracking").applied_to(workspace)
    assert (tracked.tracking_uri, tracked.root) == ("http://tracking", workspace.root)


def test_training_device_is_written_where_everybody_reads_it(workspace):
    before = workspace.params_file.read_text()
    untouched = read_params(workspace.params_file).training.precision
    TrainingDevice().write_into_params(workspace)
    assert workspace.params_file.read_text() == before
    TrainingDevice(device="cpu", workers=2).write_into_params(workspace)
    training = read_params(workspace.params_file).training
    assert (training.device, training.workers, training.precision) == ("cpu", 2, untouched)
    with pytest.raises(ParametersRejected, match="PARAMS_INVALID"):
        TrainingDevice(device="abacus").write_into_params(workspace)


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_abandoned_runs_are_failed_and_living_ones_are_not(workspace, status):
    with open_instance(workspace) as instance:
        job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(RETRAIN)
        run, dead = (instance.create_run_for_job(job, status=dg.DagsterRunStatus[status]) for _ in range(2))
        assert fail_abandoned_runs(instance, workspace) == [], "they may be about to lock the workspace"
        with workspace_lock(workspace, run.run_id):
            assert fail_abandoned_runs(instance, workspace, older_than_s=0.0) == [dead.run_id]
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus[status]
        with workspace_lock(workspace):
            assert fail_abandoned_runs(instance, workspace, older_than_s=0.0) == [run.run_id], "a command has the lock"
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
        assert dg.DagsterRunStatus.QUEUED not in ABANDONED_AFTER_S, "the daemon starts queued runs"


@pytest.mark.parametrize(("status", "minutes"), [("NOT_STARTED", 1), ("STARTING", 3), ("STARTED", 1), ("CANCELING", 1)])
def test_abandoned_runs_end_within_minutes(workspace, monkeypatch, status, minutes):
    with open_instance(workspace) as instance:
        job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(RETRAIN)
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus[status])
        now = time.time() + minutes * 60 + 2
        monkeypatch.setattr("orchestration.dagster.instance.time.time", lambda: now)
        assert fail_abandoned_runs(instance, workspace) == [run.run_id]


def test_a_slot_of_a_cancelled_run_is_free_within_a_minute(workspace, monkeypatch):
    """Without ``free_slots_after_run_end_seconds``, Dagster keeps the slot for ever (T8)."""
    with open_instance(workspace) as instance:
        storage = instance.event_log_storage
        job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(RETRAIN)
        run, waiting = (instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED) for _ in range(2))
        storage.set_concurrency_slots("gpu", 1)
        assert storage.claim_concurrency_slot("gpu", run.run_id, "candidate").is_claimed
        assert not storage.claim_concurrency_slot("gpu", waiting.run_id, "candidate").is_claimed
        instance.report_run_canceled(run)
        now = datetime.now(UTC)
        for seconds, is_free in ((10, False), (60 - RUN_MONITORING["poll_interval_seconds"], True)):
            monkeypatch.setattr(slots, "get_current_datetime", lambda s=seconds: now + timedelta(seconds=s))
            list(slots.execute_concurrency_slots_iteration(SimpleNamespace(instance=instance), getLogger("dagster")))
            assert storage.claim_concurrency_slot("gpu", waiting.run_id, "candidate").is_claimed == is_free


def test_a_look_at_the_lock_refuses_no_writer(workspace):
    """`status` and the sensor take the lock for a moment to see whether it is free."""
    taken, release = threading.Event(), threading.Event()

    def look():
        with locked(workspace.state / "workspace.lock", wait=False):
            taken.set()
            release.wait(0.2)

    looking = threading.Thread(target=look)
    looking.start()
    taken.wait(5)
    with workspace_lock(workspace):
        looking.join()


def test_instance_is_quiet_and_limited(workspace):
    with open_instance(workspace) as instance:
        assert instance.telemetry_enabled is False
        config = instance.get_settings("concurrency")
        assert config["runs"]["tag_concurrency_limits"] == [{"key": "plumbline/writes", "limit": 1}]
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure


def test_figures_are_typed():
    figures = {"n": 3, "mean": 0.5, "ok": True, "digest": "abc", "absent": None, "page": "http://x/"}
    rows = [{"reason": "LOST", "studies": 2}, {"reason": "TURNED", "studies": 1}]
    report = StepReport("s", figures, {"by reason": rows}, pages={"report": "/r.html"}, seconds=1.234)
    shown = dg.AssetMaterialization("s", metadata=metadata_of(report)).metadata
    kinds = ("Int", "Float", "Bool", "Text", "Null", "Url")
    assert [type(shown[name]).__name__ for name in figures] == [f"{kind}MetadataValue" for kind in kinds]
    assert [dict(record.data) for record in shown["by reason"].records] == rows
    assert shown["page: report"] == dg.MetadataValue.path("/r.html")
    assert shown["wall time (s)"] == dg.MetadataValue.float(1.23)


def test_preview_is_small_and_shows_the_image(tmp_path):
    noise = np.random.default_rng(5).integers(0, 255, (1400, 900, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    text = preview(tmp_path / "noise.png", "worst").value
    assert text.startswith("![worst](data:image/png;base64,")
    payload = base64.b64decode(text.split("base64,")[1].rstrip(")"))
    assert len(payload) <= PREVIEW_LIMIT_BYTES
    with Image.open(io.BytesIO(payload)) as small:
        assert small.width / small.height == pytest.approx(900 / 1400, rel=0.02)


@pytest.mark.parametrize("content", [None, b"", b"not an image"])
def test_missing_or_broken_image_is_a_path(tmp_path, content):
    path = tmp_path / "p.png"
    if content is not None:
        path.write_bytes(content)
    assert preview(path, "p") == dg.MetadataValue.path(str(path))
