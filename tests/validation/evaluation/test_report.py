"""Plots and the page: drawn from real records, self-contained, honest about what is missing."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spine.measurement.registry import PAPER_PARAMETERS, Measured
from validation.evaluation.plots import LANDMARK_PLOT, draw_agreement, write_plots
from validation.evaluation.report import write_report
from validation.gates.evidence import Evidence
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.gates.verdict import judge

Make = Callable[..., Any]


class Links(HTMLParser):
    """Every address the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_plots_are_drawn_and_labelled_by_what_there_is(make_trial: Make, tmp_path: Path) -> None:
    trial = make_trial(5)
    for i in range(4):  # four of five do not answer: no plot of one point
        measured = {
            **trial.predictions[i].parameters,
            "cobb": Measured(None, "deg", "not seen", absent_code="LANDMARKS_NOT_SEEN"),
        }
        trial.predictions[i] = replace(trial.predictions[i], parameters=measured)
    record = trial.score()
    calls: list[tuple[int, int]] = []
    plots = write_plots(record, tmp_path, lambda done, total: calls.append((done, total)))
    assert draw_agreement(record, "cobb") is None
    assert "Cobb angle (end plates)" not in plots
    assert {"Pelvic tilt", "Lumbar lordosis L1-L5", LANDMARK_PLOT} <= plots.keys()
    for path in plots.values():
        pixels = np.asarray(Image.open(path).convert("L"))
        assert pixels.std() > 10, f"{path.name} is empty"
    assert calls[-1][0] == len(calls)


def test_page_is_self_contained_and_complete(make_trial: Make, tmp_path: Path) -> None:
    record = make_trial(5, off_deg=2.5).score()
    verdict = judge(read_policy(DEFAULT_POLICY), Evidence(record), judged_at=datetime(2026, 1, 1, tzinfo=UTC))
    Image.new("RGB", (30, 40), "white").save(tmp_path / "worst.png")
    page = write_report(record, tmp_path / "out", overlays={"worst": tmp_path / "worst.png"}, verdict=verdict)
    text = page.read_text()
    links = Links()
    links.feed(text)
    assert links.images >= len(PAPER_PARAMETERS) + 2
    assert all(address.startswith("data:image/png;base64,") for address in links.addresses)
    assert not re.search(r"url\(|@import|<script|<iframe", text)
    for said in ("virtual patients", "INSUFFICIENT", "TOO_FEW_PATIENTS", record.digest, verdict.digest, "Pelvic tilt"):
        assert said in text, said
    assert len(text) < 15e6


def test_page_without_verdict_says_so_and_escapes(make_trial: Make, tmp_path: Path) -> None:
    trial = make_trial(3, condition="<script>alert(1)</script>")
    record = trial.score(dvc_version="<b>v</b>")
    text = write_report(record, tmp_path).read_text()
    assert "Not judged yet" in text and "real patients" in text
    assert "<b>v</b>" not in text and "<script" not in text
    assert "say nothing about real radiographs" not in text


@pytest.mark.parametrize("n", [1, 2])
def test_page_of_almost_nothing(make_trial: Make, tmp_path: Path, n: int) -> None:
    """One or two patients, nothing answered by the first: dashes with reasons, no crash, no NaN."""
    trial = make_trial(n)
    trial.predictions[0] = replace(trial.predictions[0], parameters={}, points={}, points_3d={})
    text = write_report(trial.score(), tmp_path).read_text()
    assert "at least 3 needed" in text
    assert "nan" not in re.sub(r"data:image/png;base64,[^\"]+", "", text).lower()
