"""A candidate becomes the bundled model only with a record of its own bytes, and its card repeats the records."""

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from inference.bundled import BUNDLED
from spine.dataset_writing import write_manifest
from spine.errors import EvidenceRejected
from tests.judged_workspace import write_dataset, write_scored_record
from training.export.candidate import CANDIDATE_FILE, write_summary
from training.export.release import main, release
from validation.evaluation.record import read_record


def record_of(folder: Path, digest: str, *, simulated: bool = True, condition: str = "") -> Path:
    """A record of a model with this digest on 18 drawn patients."""
    manifest = write_dataset(folder / "data", 18)
    facts = {"simulated": simulated, **({"condition": condition} if condition else {})}
    examples = tuple(replace(e, facts={**e.facts, **facts}) for e in manifest.examples())
    changed = write_manifest(folder / "data", manifest.landmark_set, manifest.split_seed, examples)
    write_scored_record(changed, "challenger", digest, folder, seed=1)
    return folder / "record.json"


def test_records_of_another_model_of_real_patients_or_edited_ones_release_nothing(candidate, tmp_path):
    digest = str(candidate[1].model_digest)
    other, real = record_of(tmp_path / "other", "0" * 64), record_of(tmp_path / "real", digest, simulated=False)
    edited = tmp_path / "edited.json"
    edited.write_text(other.read_text().replace("0" * 64, digest))
    for record, reason in (
        (other, r"RECORD_OF_ANOTHER.*000000000000"),
        (real, "on real patients"),
        (edited, "EVIDENCE_ALTERED"),
    ):
        with pytest.raises(EvidenceRejected, match=reason):
            release(candidate[0], record, out=tmp_path / "bundled")
    assert not (tmp_path / "bundled").exists()


def test_the_card_repeats_the_records(candidate, tmp_path):
    digest = str(candidate[1].model_digest)
    path = record_of(tmp_path / "test", digest)
    wider = record_of(tmp_path / "wider", digest, condition="osteoporotic")
    tried = tmp_path / "tried.txt"
    tried.write_text("ten chests: nine refused (`command`)\n")
    release(candidate[0], path, tmp_path / "bundled", wider, tried)
    text, record = (tmp_path / "bundled" / "card.md").read_text(), read_record(path)
    tilt = record.statistics["pelvic_tilt"]
    error = tilt.figures["standard_error_of_estimate"]
    assert f"| Pelvic tilt | {tilt.n} of 18 | {error.value:.2f}° [{error.low:.2f}, {error.high:.2f}] |" in text
    assert "| tested on | 18 **virtual patients**, frozen test set" in text
    assert "\n- trained on virtual patients only" in text
    assert "## Tried on real radiographs\n\n- ten chests: nine refused (`command`)\n" in text
    assert re.search(r"\| cost \| \d+ GPU minutes \(\d+ s on one GPU; .+\) \|", text)
    assert "| osteoporotic | 18 |" in text, "the errors by subgroup are those of the wider record"
    facts = json.loads((tmp_path / "bundled" / "release.json").read_text())
    assert (facts["record_digest"], facts["wider_record_digest"]) == (record.digest, read_record(wider).digest)


def test_the_cost_includes_the_fits_of_the_bundled_model_that_a_fit_started_from(candidate, tmp_path, monkeypatch):
    summary = candidate[1]
    from_bundled = replace(summary, config=replace(summary.config, init_from="bundled"))
    folder = tmp_path / "candidate"
    shutil.copytree(candidate[0], folder)
    write_summary(from_bundled, folder / CANDIDATE_FILE)
    record = record_of(tmp_path, str(summary.model_digest))
    release(folder, record, out=tmp_path / "bundled")
    earlier = json.loads((BUNDLED / "release.json").read_text())["fits"]
    again = tmp_path / "again"
    with monkeypatch.context() as changed:
        changed.setattr("training.export.release.BUNDLED", tmp_path / "bundled")
        release(folder, record, out=again)
    assert (again / "release.json").read_text() == (tmp_path / "bundled" / "release.json").read_text()
    fits = json.loads((tmp_path / "bundled" / "release.json").read_text())["fits"]
    assert fits[:-1] == earlier
    assert f"{earlier[0]['seconds']} s on 2 GPUs" in (tmp_path / "bundled" / "card.md").read_text()


def test_the_errors_by_subgroup_are_renewed_from_a_record_of_the_same_bytes(tmp_path):
    bundled = shutil.copytree(BUNDLED, tmp_path / "bundled")
    digest = json.loads((bundled / "release.json").read_text())["model_digest"]
    record = record_of(tmp_path / "more", digest, condition="unheard_of")
    before = (bundled / "card.md").read_text()
    assert main(["--wider", str(record), "--out", str(bundled)]) == 0
    after = (bundled / "card.md").read_text()
    assert "| unheard of | 18 |" in after and "unheard of" not in before
    title = "## Errors by subgroup"
    assert after.split(title)[0] == before.split(title)[0]
    assert after.split(title)[1].partition("\n## ")[2] == before.split(title)[1].partition("\n## ")[2] != ""
    assert json.loads((bundled / "release.json").read_text())["wider_record_digest"] == read_record(record).digest
    assert main(["--wider", str(record_of(tmp_path / "other", "0" * 64)), "--out", str(bundled)]) == 3
    assert (bundled / "card.md").read_text() == after


def test_the_card_of_the_bundled_model_is_of_these_bytes_and_as_the_writer_writes_it(candidate, tmp_path):
    text = (BUNDLED / "card.md").read_text()
    assert json.loads((BUNDLED / "release.json").read_text())["model_digest"] in text
    tried = tmp_path / "tried.txt"
    tried.write_text("nothing yet\n")
    record = record_of(tmp_path, str(candidate[1].model_digest))
    release(candidate[0], record, out=tmp_path / "bundled", tried=tried)
    written = (tmp_path / "bundled" / "card.md").read_text()
    assert layout(text) == layout(written)


def layout(card: str) -> list[str]:
    """Section titles and heads of tables."""
    return [line for line, below in pairwise(card.splitlines()) if line.startswith("## ") or "|---" in below]
