"""Sensors: one run for each batch, missed batches, retries with the attempt in the key (T7), new studies."""

import os
import re

import dagster as dg
import pytest

import orchestration.dagster.sensors as sensors
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.jobs import INGEST_BATCH, RETRAIN
from orchestration.dagster.resources import WorkspacePaths, resources_for
from orchestration.dagster.sensors import ATTEMPTS, BATCH_TAG, enough_new_studies, inbox
from orchestration.pipeline import intake
from orchestration.pipeline.params import Params, Retrain, write_params
from spine.dataset import Example, read_manifest
from spine.dataset_writing import write_manifest
from spine.intake.intake_report import IntakeReport, Quarantined
from spine.intake.records import FileCount
from validation.dataset.build import BuildRecord, write_build_record


def drop_batch(
    workspace, name: str, *, complete_at_ns: int | None = 1_700_000_000_000_000_000, pixels: bytes = b"x"
) -> str:
    folder = workspace.inbox / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "frontal.dcm").write_bytes(pixels + os.fsencode(name))
    os.utime(folder / "frontal.dcm", (1.7e9, 1.7e9))
    if complete_at_ns is not None:
        marker = folder / "COMPLETE"
        marker.touch()
        os.utime(marker, ns=(complete_at_ns, complete_at_ns))
    return key_of(workspace, name)


def key_of(workspace, name: str) -> str:
    return next((batch.key for batch in intake.finished_batches(workspace) if batch.folder.name == name), "")


def tick(sensor, workspace, instance):
    context = dg.build_sensor_context(instance=instance)
    return sensor(context, paths=WorkspacePaths(root=str(workspace.root)))


def requests_of(result) -> list[dg.RunRequest]:
    return list(result.run_requests) if isinstance(result, dg.SensorResult) else []


def register(result, instance) -> None:
    for request in result.dynamic_partitions_requests:
        instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)


def test_an_empty_or_absent_inbox_and_an_unfinished_batch_are_skipped(workspace, instance):
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)
    workspace.inbox.rmdir()
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)
    drop_batch(workspace, "monday", complete_at_ns=None)
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)


def test_new_batch_becomes_a_partition_and_one_request(workspace, instance):
    key = drop_batch(workspace, "monday")
    result = tick(inbox, workspace, instance)
    assert [r.partition_keys for r in result.dynamic_partitions_requests] == [[key]]
    (request,) = requests_of(result)
    assert (request.run_key, request.partition_key) == (key, key)


def test_repeated_tick_repeats_the_same_run_key_only(workspace, instance):
    """A daemon that died after registering the partition requests the same run key, which Dagster runs once."""
    key = drop_batch(workspace, "monday")
    register(tick(inbox, workspace, instance), instance)
    again = tick(inbox, workspace, instance)
    assert [r.run_key for r in requests_of(again)] == [key]
    assert not again.dynamic_partitions_requests


def test_a_day_of_downtime_is_caught_up_in_one_tick(workspace, instance):
    keys = [drop_batch(workspace, f"batch{i}", complete_at_ns=10**18 + i) for i in range(3)]
    assert [r.run_key for r in requests_of(tick(inbox, workspace, instance))] == keys


ODD_NAMES = (
    "more...later",
    os.fsdecode(b"M\xfcller"),
    "two\nlines",
    "[red]x[bold]",
    "tab\tbell\x07",
    "M\xdcLLER^ANNA",
)


def test_no_name_stops_the_inbox_and_none_reaches_dagster(workspace, instance):
    keys = {drop_batch(workspace, name, complete_at_ns=10**18 + i) for i, name in enumerate(ODD_NAMES)}
    assert len(keys) == len(ODD_NAMES)
    result = tick(inbox, workspace, instance)
    register(result, instance)
    assert {r.partition_key for r in requests_of(result)} == set(instance.get_dynamic_partitions("batches")) == keys
    assert all(re.fullmatch("batch-[0-9a-f]{16}", key) for key in keys)
    assert not any(name in repr(result) for name in ODD_NAMES)


def test_the_key_needs_the_key_of_the_workspace(workspace, instance):
    first = drop_batch(workspace, "monday")
    workspace.pseudonym_key_file.unlink()
    assert key_of(workspace, "monday") != first


@pytest.mark.parametrize("at", [0, 4_102_444_800])
def test_a_batch_from_another_clock_is_taken_once(workspace, instance, at):
    """Files of 1970 or 2100, as a scanner or a stick with a wrong clock writes them (T9)."""
    drop_batch(workspace, "monday", complete_at_ns=at * 10**9)
    os.utime(workspace.inbox / "monday" / "frontal.dcm", (at, at))
    key = key_of(workspace, "monday")
    for _ in range(2):
        (request,) = requests_of(tick(inbox, workspace, instance))
        assert (request.run_key, request.tags[BATCH_TAG]) == (key, key)
    ended(instance, key, dg.DagsterRunStatus.SUCCESS)
    assert requests_of(tick(inbox, workspace, instance)) == []


def test_corrected_batch_is_a_new_one(workspace, instance):
    first = drop_batch(workspace, "monday", complete_at_ns=10**18)
    register(tick(inbox, workspace, instance), instance)
    ended(instance, first, dg.DagsterRunStatus.SUCCESS)
    second = drop_batch(workspace, "monday", pixels=b"corrected")
    assert [r.run_key for r in requests_of(tick(inbox, workspace, instance))] == [second]
    assert second != first


def test_a_file_that_arrives_after_complete_makes_a_new_key_and_a_touched_mark_does_not(workspace):
    first = drop_batch(workspace, "monday", complete_at_ns=10**18)
    assert drop_batch(workspace, "monday", complete_at_ns=10**18 + 10**9) == first
    (workspace.inbox / "monday" / "lateral.dcm").write_bytes(b"late")
    assert key_of(workspace, "monday") != first


def test_two_batches_whose_files_have_equal_names_sizes_and_times_are_two(workspace):
    keys = {drop_batch(workspace, name) for name in ("monday", "sunday")}
    assert len(keys) == len(intake.finished_batches(workspace)) == 2


@pytest.mark.parametrize("status", ["SUCCESS", "STARTED", "STARTING", "CANCELED"])
def test_done_running_or_cancelled_is_not_repeated(workspace, instance, status):
    key = drop_batch(workspace, "monday")
    ended(instance, key, dg.DagsterRunStatus[status])
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)


def test_failed_ingest_is_retried_under_a_new_run_key_after_a_pause(workspace, instance, monkeypatch):
    key = drop_batch(workspace, "monday")
    ended(instance, key, dg.DagsterRunStatus.FAILURE)
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)
    monkeypatch.setattr(sensors, "PAUSE_BEFORE_RETRY_S", 0.0)
    (request,) = requests_of(tick(inbox, workspace, instance))
    assert request.run_key == f"{key}#attempt-2"
    assert request.partition_key == key


def test_a_batch_with_waiting_studies_is_read_again_when_a_stopped_copy_is_refused(workspace, instance, monkeypatch):
    key = drop_batch(workspace, "monday")
    ended(instance, key, dg.DagsterRunStatus.SUCCESS)
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)
    monkeypatch.setattr(sensors, "ABORTED_AFTER_S", 0.0)
    (request,) = requests_of(tick(inbox, workspace, instance))
    assert request.run_key == f"{key}#attempt-2"
    taken_in = workspace.state / "batches" / f"{key}.json"
    taken_in.parent.mkdir(parents=True)
    taken_in.write_text("{}")
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)


def test_retries_end(workspace, instance, monkeypatch):
    monkeypatch.setattr(sensors, "PAUSE_BEFORE_RETRY_S", 0.0)
    key = drop_batch(workspace, "monday")
    for _ in range(ATTEMPTS):
        ended(instance, key, dg.DagsterRunStatus.FAILURE)
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)


def test_batch_job_takes_in_once_and_only_once(workspace, instance, monkeypatch):
    """The job runs for real: the second run of the same key computes nothing."""
    taken = []

    def ingest(source, *_, progress=None, **__):
        taken.append(source)
        refused = Quarantined("a", 3, "TRUNCATED", "cut off")
        return IntakeReport("folder", 3, 2, 0, (refused,), ("a", "b"), files=FileCount(used=4, quarantined=2))

    monkeypatch.setattr(intake, "ingest", ingest)
    monkeypatch.setattr(intake, "open_source", lambda kind, folder: folder)
    key = drop_batch(workspace, "monday")
    register(tick(inbox, workspace, instance), instance)
    job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(INGEST_BATCH)
    for _ in range(2):
        assert job.execute_in_process(instance=instance, partition_key=key).success
    assert taken == [workspace.inbox / "monday"]
    shown = instance.get_latest_materialization_event(dg.AssetKey("batch")).asset_materialization
    assert shown.partition == key
    assert shown.metadata["quarantined by reason"].records[0].data == {"reason": "TRUNCATED", "studies": 1}
    assert shown.metadata["recomputed"].value is False


class TestEnoughNewStudies:
    @pytest.fixture(autouse=True)
    def lots_of_five(self, workspace):
        write_params(Params(retrain=Retrain(minimum_new_studies=5)), workspace.params_file)

    @staticmethod
    def state(monkeypatch, digest: str, new: int) -> None:
        monkeypatch.setattr(sensors, "new_studies", lambda ws: (digest, [f"s{i}" for i in range(new)]))

    def test_too_few(self, workspace, instance, monkeypatch):
        self.state(monkeypatch, "d1", 4)
        assert "4 new studies" in tick(enough_new_studies, workspace, instance).skip_message

    def test_once_per_lot_and_data_set(self, workspace, instance, monkeypatch):
        keys = []
        for digest, new in (("d1", 5), ("d1", 6), ("d1", 9), ("d1", 10), ("d2", 5)):
            self.state(monkeypatch, digest, new)
            keys.append(tick(enough_new_studies, workspace, instance).run_key)
        assert keys == ["d1+1x5", "d1+1x5", "d1+1x5", "d1+2x5", "d2+1x5"]

    @pytest.mark.parametrize("status", ["STARTING", "STARTED"])
    def test_not_while_one_is_under_way(self, workspace, instance, monkeypatch, status):
        self.state(monkeypatch, "d1", 50)
        ended(instance, "", dg.DagsterRunStatus[status], RETRAIN)
        assert "queued or running" in tick(enough_new_studies, workspace, instance).skip_message

    def test_a_workspace_without_parameters_is_skipped_with_the_reason(self, workspace, instance):
        workspace.params_file.unlink()
        assert "PARAMS_MISSING" in tick(enough_new_studies, workspace, instance).skip_message

    def test_counts_from_store_and_data_set(self, workspace):
        for study in ("a", "b", "c"):
            (workspace.studies / study).mkdir(parents=True)
            (workspace.studies / study / "study.json").write_text("{}")
        (workspace.studies / "unfinished").mkdir()
        assert sensors.new_studies(workspace) == ("none", ["a", "b", "c"])
        build_data_set(workspace, used=("a",), left_out={"b": "no reconstruction"})
        digest, new = sensors.new_studies(workspace)
        assert new == ["c"]
        assert digest != "none"

    def test_no_study_and_no_example_is_read(self, workspace):
        for study in ("a", "b"):
            (workspace.studies / study).mkdir(parents=True)
            (workspace.studies / study / "study.json").write_text("not JSON")
        build_data_set(workspace, used=("a",), left_out={})
        for shard in read_manifest(workspace.dataset).shards:
            (workspace.dataset / shard.file).unlink()
        assert sensors.new_studies(workspace)[1] == ["b"]


def build_data_set(workspace, used, left_out) -> None:
    examples = tuple(Example(study_id=s, patient=s, split="train", source="x", views={}) for s in used)
    write_manifest(workspace.dataset, "galbusera39", 0, examples)
    studies, per_split = len(used) + len(left_out), {"train": len(used)}
    record = BuildRecord(studies=studies, used=len(used), per_split=per_split, left_out=left_out, test_version=1)
    write_build_record(record, workspace.dataset)


def ended(instance, key: str, status: dg.DagsterRunStatus, job: str = INGEST_BATCH) -> None:
    """A run of ``job`` in the given state."""
    definition = definitions_with(resources_for("/nowhere")).resolve_job_def(job)
    instance.create_run_for_job(definition, tags={BATCH_TAG: key} if key else {}, status=status)


def test_batches_that_are_taken_in_cost_no_query(workspace, instance, monkeypatch):
    """Each tick asked Dagster's database once for every batch that was ever received."""
    key = drop_batch(workspace, "monday")
    record = workspace.state / "batches" / f"{key}.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    monkeypatch.setattr(instance, "get_run_records", lambda *_, **__: pytest.fail("asked"))
    assert isinstance(tick(inbox, workspace, instance), dg.SkipReason)


def test_new_studies_and_digest_are_of_one_dataset(workspace, monkeypatch):
    """A build may end between two readings; then a retraining would be asked for studies that the dataset has."""
    for study in ("a", "b", "c"):
        (workspace.studies / study).mkdir(parents=True)
        (workspace.studies / study / "study.json").write_text("{}")
    build_data_set(workspace, used=("a",), left_out={})
    digest = read_manifest(workspace.dataset).digest[:12]

    def built_meanwhile(_):
        build_data_set(workspace, used=("a", "b", "c"), left_out={})
        return []

    monkeypatch.setattr(sensors, "waiting_corrections", built_meanwhile)
    assert sensors.new_studies(workspace) == (digest, ["b", "c"])
