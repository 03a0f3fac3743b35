"""The images of docs/reviewing.md, written only if PLUMBLINE_SCREENSHOTS names their folder."""

import os
from pathlib import Path

from tests.browser.chromium import Page

FOLDER = os.environ.get("PLUMBLINE_SCREENSHOTS")
LARGEST_IMAGE_BYTES = 250_000


def keep(tab: Page, name: str) -> None:
    """Write an image if images are asked for, with fewer colours until it is small enough."""
    if not FOLDER:
        return
    path, colours = Path(FOLDER) / f"{name}.png", 128
    tab.image(path, colours=colours)
    while path.stat().st_size >= LARGEST_IMAGE_BYTES:
        colours //= 2
        assert colours >= 8, f"{path.name} cannot be drawn in {LARGEST_IMAGE_BYTES} bytes"
        tab.image(path, colours=colours)
