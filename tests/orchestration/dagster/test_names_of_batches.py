"""The name of a batch's folder is often a patient's: it stops nothing, and nothing but the inbox has it."""

import os
import warnings

import dagster as dg
import pytest

from orchestration.cli.pipeline import prepare_workspace
from orchestration.dagster.assets.data import BATCHES
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import open_instance
from orchestration.dagster.jobs import INGEST_BATCH
from orchestration.dagster.resources import WorkspacePaths, resources_for
from orchestration.dagster.sensors import inbox
from orchestration.pipeline import versioning
from orchestration.pipeline.steps import run_step
from orchestration.pipeline.workspace import Workspace
from tests.spine.intake.constructed_studies import write_study

NAME = "GEHEIM^ANNA"
NAMES = (NAME, os.fsdecode(f"{NAME}ü".encode("latin-1")), f"[red]{NAME}\n\x07[x")


@pytest.fixture
def received(tmp_path):
    """A workspace with three batches of one study each, one of them with a radiograph that cannot be read."""
    workspace = Workspace(tmp_path / "ws")
    write_study(tmp_path / "source" / "a", 1)
    prepare_workspace(workspace, "folder", tmp_path / "source", ())
    for number, name in enumerate(NAMES, 2):
        write_study(workspace.inbox / name / f"{NAME}-study", number)
        (workspace.inbox / name / "COMPLETE").touch()
    broken = next((workspace.inbox / NAMES[2]).glob("*/frontal.dcm"))
    broken.write_bytes(broken.read_bytes()[:-200])
    return workspace


def taken_in(workspace):
    """Figures of the batches that the sensor requests, taken in as Dagster does."""
    figures = []
    with open_instance(workspace) as instance, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asked = inbox(dg.build_sensor_context(instance=instance), paths=WorkspacePaths(root=str(workspace.root)))
        if isinstance(asked, dg.SkipReason):
            return []
        for request in asked.dynamic_partitions_requests:
            instance.add_dynamic_partitions(str(BATCHES.name), list(request.partition_keys))
        job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(INGEST_BATCH)
        for request in asked.run_requests:
            result = job.execute_in_process(
                instance=instance, partition_key=request.partition_key, tags=dict(request.tags)
            )
            made = result.get_asset_materialization_events()
            (event,) = (e for e in made if e.asset_key == dg.AssetKey("batch"))
            figures.append({name: value.value for name, value in event.materialization.metadata.items()})
    return figures


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_no_name_of_a_batch_stops_a_run_or_is_stored(received, tmp_path, monkeypatch):
    elsewhere = tmp_path / "site"  # where DVC would keep its database if nobody told it otherwise
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("dvc.dirs.site_cache_dir", lambda configured=None: configured or str(elsewhere))
    assert sorted(figures["used"] for figures in taken_in(received)) == [0, 1, 1]
    assert taken_in(received) == []
    report = run_step("studies", received, None)
    assert report.figures["received"] == 4 and report.figures["already present"] == 2
    assert versioning.is_up_to_date(received, "studies")
    stored = [p for p in tmp_path.rglob("*") if p.is_file() and received.inbox not in p.parents]
    # Quarantine keeps the refused files themselves, which are readable by their owner only.
    stored = [p for p in stored if received.quarantine not in p.parents or p.name == "reason.json"]
    assert any(p.name == "index.db" for p in stored) and any(p.name == "cache.db" for p in stored)
    assert not [str(p) for p in stored if NAME in str(p) or NAME.encode() in p.read_bytes()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_renamed_or_touched_batch_brings_nothing_twice(received):
    assert len(taken_in(received)) == 3
    before = sorted(path.name for path in received.studies.iterdir())
    (received.inbox / NAME).rename(received.inbox / "renamed")
    os.utime(received.inbox / NAMES[1] / "COMPLETE", (2e9, 2e9))
    again = taken_in(received)
    assert [(f["received"], f["used"], f["already present"]) for f in again] == [(1, 0, 1)]
    assert sorted(path.name for path in received.studies.iterdir()) == before
