"""The report on a candidate: how long it takes to write and to open, and what it weighs; in the machine's own Chromium.

Patients are drawn, not rendered (``tests.judged_workspace``). The opening ends when the page has loaded, all images
are decoded and the first patient is shown, in a fresh browser each time.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, median_seconds
from orchestration.environment import apply_quiet_environment
from orchestration.tracking.review_page import write_report_page
from tests.browser.chromium import browser, find_chromium
from tests.judged_workspace import judged_workspace

SIZES = (50, 500)
OPENINGS = 5
_READY = (
    "Promise.all([...document.images].map(i => i.decode()))"
    ".then(() => document.querySelector('article:not([hidden])') !== null)"
)


def installed() -> bool:
    """Whether there is a browser to measure in."""
    return find_chromium() is not None


def figures() -> list[Figure]:
    """Seconds and megabytes for fifty patients, and for ten times as many."""
    apply_quiet_environment()
    found = []
    for n in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            judged = judged_workspace(Path(folder), n=n)
            writing = median_seconds(lambda made=judged: write_report_page(made.workspace, made.params), repeats=3)
            page = judged.workspace.report_page
            opened = [_open(page) for _ in range(OPENINGS)]
            how = f"{n} patients, two models, two views of 512 x 256 px of noise"
            seconds = median(s for s, _ in opened)
            found += [
                Figure(f"page of {n} patients: open", seconds, "s", "< 2", f"{how}; median of {OPENINGS}"),
                Figure(f"page of {n} patients: weight", page.stat().st_size / 1e6, "MB", "<= 15", how),
                Figure(f"page of {n} patients: complaints in the console", sum(c for _, c in opened), "", "0", how),
                Figure(f"page of {n} patients: write", writing, "s", "", "records read and verified, images encoded"),
            ]
    return found


def _open(page: Path) -> tuple[float, int]:
    """Seconds until everything is there, and complaints in the console."""
    with browser() as tab:
        started = time.perf_counter()
        tab.open(page.as_uri())
        assert tab.evaluate(_READY), "the page shows no patient"
        return time.perf_counter() - started, len(tab.console)
