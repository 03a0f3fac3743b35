"""What a reviewer sees in MLflow of a judged candidate, and the report in the workspace."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.environment import quiet_environment
from orchestration.pipeline.report import HEIGHTS, encode_images
from orchestration.tracking.describe import describe_served, describe_status, review_candidate
from orchestration.tracking.review_page import gather_material
from orchestration.tracking.run_facts import read_run_facts
from orchestration.tracking.seed_groups import group_seeds
from spine.dataset import read_manifest
from spine.errors import EvidenceRejected
from spine.measurement.registry import PAPER_PARAMETERS
from tests.charts_drawn_once import charts_drawn_once
from tests.judged_workspace import (
    CHALLENGER,
    CHAMPION,
    MOST_CHANGED,
    UNANSWERED,
    Judged,
    judged_workspace,
    write_scored_record,
)
from training.tracking import log_table
from validation.evaluation.record import read_record
from validation.gates.verdict import read_verdict
from validation.promotion.events import Event
from validation.promotion.history import open_history
from validation.registry.client import open_registry
from validation.registry.database import sqlite_file

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning:mlflow")]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, empty_mlflow_database: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch, charts_drawn_once():
        for name, value in quiet_environment().items():
            patch.setenv(name, value)
        patch.delenv("PLUMBLINE_TRACKING_URI", raising=False)
        made = judged_workspace(tmp_path_factory.mktemp("judged"), mlflow_database=empty_mlflow_database)
        review_candidate(made.workspace, made.params)
        yield made


def _client(judged: Judged) -> Any:
    return open_registry(judged.workspace.tracking_uri)


def test_the_run_has_the_decision_and_all_links(judged: Judged) -> None:
    verdict = read_verdict(judged.workspace.verdict_file)
    run = _client(judged).get_run(judged.challenger_run)
    tags, note = run.data.tags, run.data.tags["mlflow.note.content"]
    assert tags["plumbline.verdict"] == verdict.digest
    assert tags["plumbline.decision"] == verdict.decision
    assert tags["plumbline.compared_with"] == CHAMPION
    assert verdict.digest in note
    assert f"/runs/{judged.challenger_run}/artifacts/report/report.html" in note
    assert "#/models/plumbline-candidates/versions/2" in note
    assert "/runs/00000002-dagster" in note
    assert "virtual patients" in note


def test_the_version_carries_card_verdict_and_links(judged: Judged) -> None:
    version = _client(judged).get_model_version("plumbline-candidates", "2")
    verdict = read_verdict(judged.workspace.verdict_file)
    assert version.description.startswith(f"## {verdict.decision}")
    assert "Intended use" in version.description
    assert "not for diagnosis" in version.description
    assert "/runs/00000002-dagster" in version.description
    assert version.tags["plumbline.verdict"] == verdict.digest
    untouched = _client(judged).get_model_version("plumbline-candidates", "1")
    assert not untouched.description


def test_the_run_holds_page_card_and_checklist(judged: Judged, tmp_path: Path) -> None:
    client = _client(judged)
    report = Path(client.download_artifacts(judged.challenger_run, "report", tmp_path))
    texts = {path.name: path.read_text() for path in report.iterdir()}
    cards = {"model_card.md", "model_card.json", "claim.md", "claim.json"}
    assert set(texts) == {"report.html", "verdict.txt"} | cards
    card = json.loads(texts["model_card.json"])
    assert card["model"] == CHALLENGER
    assert card["training"]["trained on"].startswith("12 patients")
    answers = {item["subject"]: item for item in json.loads(texts["claim.json"])["items"]}
    assert answers["sizes and assignment"]["answer"].startswith("train 12, validation 0, test 50 patients")
    assert not answers["ethics approval and consent"]["provided"]


def test_the_first_table_has_the_errors(judged: Judged) -> None:
    """MLflow's Evaluation view opens the first table of the tag."""
    client = _client(judged)
    log_table(client, judged.champion_run, "training", ["step"], [[1]])
    log_table(client, judged.champion_run, "errors", ["parameter"], [["cobb"]])
    for run, last in ((judged.challenger_run, "rules"), (judged.champion_run, "training")):
        listed = json.loads(client.get_run(run).data.tags["mlflow.loggedArtifacts"])
        assert [listed[0]["path"], listed[-1]["path"]] == ["tables/errors.json", f"tables/{last}.json"]


def test_the_table_of_errors_compares_the_mean_absolute_errors_first(judged: Judged, tmp_path: Path) -> None:
    file = _client(judged).download_artifacts(judged.challenger_run, "tables/errors.json", str(tmp_path))
    table = json.loads(Path(file).read_text())
    assert table["columns"][:2] == ["parameter", "mae"]
    record = read_record(judged.workspace.evaluation / "record.json")
    shown = {row[0]: row[1] for row in table["data"][:6]}
    verdict = read_verdict(judged.workspace.verdict_file)
    assert list(shown) == list(dict.fromkeys(r.subject for r in verdict.results if r.subject in PAPER_PARAMETERS))
    mae = {name: record.statistics[name].figures["mae"].value for name in PAPER_PARAMETERS}
    assert shown == {name: float(f"{value:.6g}") for name, value in mae.items() if value is not None}


def test_figures_are_grouped_and_describing_again_adds_none(judged: Judged) -> None:
    client = _client(judged)
    before = client.get_run(judged.challenger_run).data
    assert {"difference", "landmarks", "test"} <= {name.split("/")[0] for name in before.metrics}
    assert len(before.metrics) <= 40
    assert before.metrics["difference/cobb/low"] <= before.metrics["difference/cobb/mean"]
    verdict = read_verdict(judged.workspace.verdict_file)
    assert client.get_run(judged.challenger_run).info.run_name.endswith(f": {verdict.decision}")
    review_candidate(judged.workspace, judged.params)
    after = client.get_run(judged.challenger_run).data
    assert after.metrics == before.metrics
    assert len(client.get_metric_history(judged.challenger_run, "difference/cobb/mean")) == 1
    assert client.get_run(judged.challenger_run).info.run_name.count(verdict.decision) == 1


def test_every_other_figure_is_in_a_table_that_describing_again_does_not_double(judged: Judged, tmp_path: Path) -> None:
    client = _client(judged)
    review_candidate(judged.workspace, judged.params)
    folder = Path(client.download_artifacts(judged.challenger_run, "tables", tmp_path))
    tables = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    assert {"errors", "errors_of_champion", "landmarks", "differences", "rules"} <= tables.keys()
    verdict = read_verdict(judged.workspace.verdict_file)
    assert len(tables["rules"]["data"]) == len(verdict.results)
    assert {"parameter", "n", "bias", "icc_a1"} <= set(tables["errors"]["columns"])
    assert "coronal_balance_t1" in {row[0] for row in tables["errors"]["data"]}
    listed = json.loads(client.get_run(judged.challenger_run).data.tags["mlflow.loggedArtifacts"])
    assert sorted(entry["path"] for entry in listed) == sorted(f"tables/{name}.json" for name in tables)


def test_what_serves_leads_back_to_its_candidate(judged: Judged) -> None:
    client = _client(judged)
    assert not describe_served(judged.workspace, "1"), "nothing serves: nothing to describe, and no error"
    client.create_registered_model("plumbline")
    for digest in (CHALLENGER, "e" * 64):
        tags = {"plumbline.model_digest": digest}
        source = f"{judged.workspace.artifact_root.as_uri()}/x"
        client.create_model_version("plumbline", source, tags=tags, description="PROMOTE.")
    for _ in range(2):
        assert describe_served(judged.workspace, "1")
    text = client.get_model_version("plumbline", "1").description
    assert text.startswith("PROMOTE.")
    assert text.count("[report](") == text.count("[Dagster run](") == 1
    assert "Intended use" in text
    assert not describe_served(judged.workspace, "2"), "a stranger's bytes have no candidate"
    assert client.get_model_version("plumbline", "2").description == "PROMOTE."


def test_the_status_is_on_page_run_and_version_and_follows_what_is_done(judged: Judged) -> None:
    client, workspace = _client(judged), judged.workspace
    verdict = read_verdict(workspace.verdict_file)

    def status() -> list[str]:
        note = client.get_run(judged.challenger_run).data.tags["mlflow.note.content"]
        version = client.get_model_version("plumbline-candidates", "2").description
        return [*(line for text in (note, version) for line in text.splitlines() if "Status:" in line)]

    assert status() == ["**Status:** no action yet."] * 2
    when, history = (
        "2026-11-24T12:00:00+00:00",
        open_history(workspace.tracking_uri, "plumbline", workspace.history_copy),
    )
    first = Event("promoted", when, "R. Viewer", version="6", digest=CHAMPION, verdict="f" * 64)
    ours = replace(first, version="7", digest=CHALLENGER, previous=CHAMPION, verdict=verdict.digest)
    back = replace(first, kind="rolled_back", previous=CHALLENGER, reason="why")
    history.append(lambda _: first)
    for event in (ours, back):
        history.append(lambda _, event=event: event)  # type: ignore[misc]
        describe_status(workspace, judged.params)
        assert len(set(status())) == 1 and len(status()) == 2
        assert "promoted on 2026-11-24 12:00 UTC as version 7 by R. Viewer" in status()[0]
        assert "promoted on 2026-11-24 12:00 UTC as version 7" in workspace.report_page.read_text()
    assert "rolled back on 2026-11-24 12:00 UTC by R. Viewer: why; version 6 is in service instead" in status()[0]
    workspace.history_copy.write_text("no history\n")
    describe_status(workspace, judged.params)
    assert "not known: HISTORY_DIFFERS" in status()[0], "what cannot be read is not called undone"
    workspace.history_copy.unlink()
    with closing(sqlite3.connect(sqlite_file(workspace.tracking_uri))) as database, database:
        database.execute("DELETE FROM plumbline_events")
    describe_status(workspace, judged.params)
    assert status() == ["**Status:** no action yet."] * 2


def test_seeds_of_one_recipe_stand_under_one_parent(judged: Judged) -> None:
    client = _client(judged)
    assert group_seeds(client, client.get_run(judged.champion_run)) is not None
    parents = {client.get_run(r).data.tags["mlflow.parentRunId"] for r in (judged.champion_run, judged.challenger_run)}
    (parent,) = parents
    data = client.get_run(parent).data
    assert client.get_run(parent).info.status == "FINISHED"
    assert [i.dataset.name for i in client.get_run(parent).inputs.dataset_inputs] == ["drawn"]
    judged_as = read_verdict(judged.workspace.verdict_file).decision
    assert f"seed 2 {CHALLENGER[:8]}: {judged_as} | {judged_as} |" in data.tags["mlflow.note.content"]
    assert data.metrics["seeds/count"] == 2
    assert data.metrics["seeds/test/cobb/mae/mean"] == pytest.approx(2.5)
    assert data.metrics["seeds/test/cobb/mae/sd"] == pytest.approx(0.5**0.5)
    assert "plumbline.model_digest" not in data.tags, "a parent must never be taken for a candidate"
    assert group_seeds(client, client.get_run(judged.champion_run)) == parent, "no second parent"


def test_unrecorded_facts_are_unknown(judged: Judged) -> None:
    facts = read_run_facts(_client(judged), CHALLENGER)
    assert (facts.commit, facts.seed, facts.version, facts.dirty) == ("2" * 40, "2", "2", False)
    assert facts.dagster_run == "00000002-dagster"
    assert len(facts.patients) == 62
    stranger = read_run_facts(_client(judged), "e" * 64)
    assert (stranger.run_id, stranger.commit, stranger.patients) == (None, None, ())


def test_the_page_is_written_from_the_workspace(judged: Judged) -> None:
    material = gather_material(judged.workspace, judged.params)
    assert set(material.points) == {"challenger", "champion", "truth"}
    shown = {study for study, _ in material.images}
    assert {UNANSWERED, MOST_CHANGED} <= shown
    assert 20 <= len(shown) <= 40
    text = judged.workspace.report_page.read_text()
    assert read_verdict(judged.workspace.verdict_file).digest in text


def test_images_shrink_until_they_fit(judged: Judged) -> None:
    examples = read_manifest(judged.workspace.dataset).in_split("test")[:3]
    whole = encode_images(judged.workspace.dataset, examples)
    limit = sum(len(p.jpeg) for p in whole.values()) // 2
    small = encode_images(judged.workspace.dataset, examples, limit)
    assert 0 < sum(len(p.jpeg) for p in small.values()) <= limit
    assert {p.size for p in small.values()} == {p.size for p in whole.values()}, "landmarks keep their pixels"
    assert len(encode_images(judged.workspace.dataset, examples, 1)) == 6, f"never none, not even at {HEIGHTS[-1]} px"


def test_a_first_model_needs_no_champion(tmp_path: Path, empty_mlflow_database: Path) -> None:
    made = judged_workspace(tmp_path, n=42, with_champion=False, mlflow_database=empty_mlflow_database)
    page, figures = review_candidate(made.workspace, made.params)
    assert figures["mlflow run id"] == made.challenger_run
    assert "This model would be the first champion" in page.read_text()
    tags = open_registry(made.workspace.tracking_uri).get_run(made.challenger_run).data.tags
    assert tags["plumbline.compared_with"] == "none"


def test_a_page_is_written_though_mlflow_does_not_answer(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_TRACKING_URI", f"sqlite:///{judged.workspace.root}/gone/mlflow.db")
    (judged.workspace.root / "gone").write_text("no folder")
    page, figures = review_candidate(judged.workspace, judged.params)
    assert "not described in MLflow" in figures
    assert "not registered yet" in page.read_text()


@pytest.fixture
def kept_verdict(judged: Judged) -> Iterator[Path]:
    """The verdict's file, put back afterwards."""
    file = judged.workspace.verdict_file
    kept = file.read_text()
    yield file
    file.write_text(kept)


def test_before_a_verdict_the_candidate_is_shown_alone(judged: Judged, kept_verdict: Path) -> None:
    kept_verdict.unlink()
    material = gather_material(judged.workspace, judged.params)
    assert (material.verdict, material.champion, material.champion_run, material.status) == (None, None, None, None)
    assert "champion" not in material.points and len(material.images) >= 2 * 20
    page, figures = review_candidate(judged.workspace, judged.params)
    assert "NOT JUDGED YET" in page.read_text() and figures == {}


def test_an_earlier_candidates_verdict_is_not_shown(
    judged: Judged, kept_verdict: Path, tmp_path: Path, empty_mlflow_database: Path
) -> None:
    other = judged_workspace(tmp_path, n=41, mlflow_database=empty_mlflow_database)
    kept_verdict.write_text(other.workspace.verdict_file.read_text())
    assert gather_material(judged.workspace, judged.params).verdict is None


def test_a_champion_that_the_verdict_does_not_name_makes_no_page(judged: Judged, tmp_path: Path) -> None:
    record = judged.workspace.champion_evaluation / "record.json"
    kept = record.read_text()
    write_scored_record(read_manifest(judged.workspace.dataset), "champion", "e" * 64, tmp_path, seed=3)
    try:
        record.write_text((tmp_path / "record.json").read_text())
        with pytest.raises(EvidenceRejected, match=r"RECORDS_MISMATCH|POINTS_MISMATCH"):
            review_candidate(judged.workspace, judged.params)
    finally:
        record.write_text(kept)
