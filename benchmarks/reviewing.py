"""The report on a candidate: its size, and the time to open it in Chromium.

The images are noise (``tests.judged_workspace``). The page is open when it has loaded, all images are decoded and the
first patient is visible. Each time the page is opened in a new browser.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
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
    """Whether a browser is installed."""
    return find_chromium() is not None


def figures() -> list[Figure]:
    """Times and sizes of the report on 50 and on 500 patients."""
    apply_quiet_environment()
    found = []
    for n in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            judged = judged_workspace(Path(folder), n=n)
            write_report_page(judged.workspace, judged.params)
            page = judged.workspace.report_page
            opened = [_open(page) for _ in range(OPENINGS)]
            how = f"{n} patients, two models, two views of 512 x 256 px of noise"
            seconds = median(s for s, _ in opened)
            found += [
                Figure(f"page of {n} patients: open", seconds, "s", "< 2", f"{how}; median of {OPENINGS}"),
                Figure(f"page of {n} patients: size", page.stat().st_size / 1e6, "MB", "<= 15", how),
                Figure(f"page of {n} patients: messages in the console", sum(c for _, c in opened), "", "0", how),
            ]
    return found


def _open(page: Path) -> tuple[float, int]:
    """Seconds until the page is open, and the number of messages in the console."""
    with browser() as tab:
        started = time.perf_counter()
        tab.open(page.as_uri())
        assert tab.evaluate(_READY), "found no visible patient on the page; expected the first patient"
        return time.perf_counter() - started, len(tab.console)
