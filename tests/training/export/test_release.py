"""A candidate goes into the box only with a record of its own bytes."""

import json
import shutil
from pathlib import Path

import pytest

from inference.bundled import BUNDLED
from spine.errors import EvidenceRejected
from training.export.candidate import FitSummary
from training.export.release import card, main, release
from training.export.subgroup_errors import subgroup_tables


def test_a_record_of_another_model_releases_nothing(candidate: tuple[Path, FitSummary], tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"digest": "d", "content": {"model_digest": "0" * 64, "simulated": True}}))
    with pytest.raises(EvidenceRejected, match=r"RECORD_OF_ANOTHER.*000000000000"):
        release(candidate[0], record, out=tmp_path / "box")
    assert not (tmp_path / "box").exists()


def test_real_patients_are_no_evidence_for_the_box(candidate: tuple[Path, FitSummary], tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    content = {"model_digest": candidate[1].model_digest, "simulated": False}
    record.write_text(json.dumps({"digest": "d", "content": content}))
    with pytest.raises(EvidenceRejected, match="simulated patients: False"):
        release(candidate[0], record, out=tmp_path / "box")


def test_the_card_tells_the_records_figures(candidate: tuple[Path, FitSummary]) -> None:
    def figure(value: float | None) -> dict[str, object]:
        return {"value": value, "low": 1.5, "high": 2.75, "absent_reason": "nobody"}

    figures = {"standard_error_of_estimate": figure(2.125), "bias": figure(None), "coverage": figure(0.98)}
    figures |= {"interval_coverage": figure(0.9), "interval_width": figure(3.25)}
    told = {"parameter": "pelvic_tilt", "truth": 10.0, "predicted": 12.0, "interval": [9.0, 13.0]}
    content = {
        "studies": [{"facts": {"field_of_view": "without_t1", "condition": "osteoporotic"}, "parameters": [told]}] * 5
        + [{"facts": {"field_of_view": "full", "condition": "healthy"}, "parameters": []}],
        "landmarks": [{"group": "all", "space": "3d", "n_found": 7, "n_visible": 8, "median_mm": 0.5, "mean_mm": 0.6,
                       "p95_mm": 1.25}],
        "level_shift_rate": {"value": 0.01, "low": 0.0, "high": 0.04},
        "test_digest": "f" * 64,
        "statistics": {"pelvic_tilt": {"n": 45, "figures": figures}, "unknown": {}},
    }  # fmt: skip
    text = card(content, candidate[1], [{"seconds": 90, "gpus": 2}])
    assert "| Pelvic tilt | 45 | 2.12 [1.50, 2.75] | absent: nobody | 98% | 90% [150%, 275%] | 3.2 |" in text
    assert "6 virtual patients of frozen test set `ffffffffffff`" in text
    row = next(line for line in text.splitlines() if line.startswith("| osteoporotic | 5 |"))
    assert row.endswith("| 100% [100%, 100%] of 5 |") and "| 2.0 [2.0, 2.0] |" in row
    assert "| healthy | 1 | too few |" in text
    assert "| 3d | 7 of 8 | 0.50 | 0.60 | 1.25 |" in text
    assert "3 GPU minutes" in text
    assert "osteoporotic" in text
    assert "without_t1" in text


def test_intervals_of_a_subgroup_are_over_its_patients() -> None:
    def study(error: float, held: bool) -> dict[str, object]:
        interval = [10.0 - error - 1, 10.0 + error + 1] if held else [90.0, 91.0]
        told = {"parameter": "cobb", "truth": 10.0, "predicted": 10.0 + error, "interval": interval}
        return {"facts": {"condition": "healthy"}, "parameters": [told]}

    rows = subgroup_tables({"studies": [study(float(i % 5), i % 10 != 0) for i in range(200)]}).splitlines()
    row = next(line for line in rows if line.startswith("| healthy | 200 |"))
    assert "| 2.0 [1.8, 2.2] |" in row  # mean 2, SD 1.414, over the root of 200: 0.1
    assert row.endswith("| 90% [86%, 94%] of 200 |")


def test_the_cards_subgroups_are_renewed_from_a_record_of_the_same_bytes(tmp_path: Path) -> None:
    box = shutil.copytree(BUNDLED, tmp_path / "box")
    digest = json.loads((box / "release.json").read_text())["model_digest"]
    told = {"parameter": "cobb", "truth": 10.0, "predicted": 12.0, "interval": [9.0, 13.0]}
    studies = [{"facts": {"condition": "unheard_of"}, "parameters": [told]}] * 7
    content = {"model_digest": digest, "simulated": True, "studies": studies, "test_digest": "e" * 64}
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"digest": "d" * 64, "content": content}))
    before = (box / "card.md").read_text()
    assert main(["--wider", str(record), "--out", str(box)]) == 0
    after = (box / "card.md").read_text()
    assert "| unheard of | 7 |" in after and "unheard of" not in before
    assert after.split("By subgroup, ")[0] == before.split("By subgroup, ")[0]
    assert after.split("Level shifts: ")[1] == before.split("Level shifts: ")[1]
    assert json.loads((box / "release.json").read_text())["wider_record_digest"] == "d" * 64
    content["model_digest"] = "0" * 64
    record.write_text(json.dumps({"digest": "d" * 64, "content": content}))
    assert main(["--wider", str(record), "--out", str(box)]) == 3
    assert (box / "card.md").read_text() == after


def test_the_card_in_the_box_speaks_of_the_model_in_the_box() -> None:
    digest = json.loads((BUNDLED / "release.json").read_text())["model_digest"]
    assert digest in (BUNDLED / "card.md").read_text()
