"""Cuts the small pictures of the README from pictures of the documentation (``python -m docs.generate.thumbnails``)."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from docs.generate.source import ROOT

PICTURES = ROOT / "docs"
FOLDER = PICTURES / "thumbnails"
SIZE = (240, 160)

Box = tuple[int, int, int, int]

CUTS: Mapping[str, tuple[str, Box]] = {
    "pipeline": ("reviewing/mlflow-run.png", (205, 20, 925, 500)),
    "dataset": ("reviewing/dataset.png", (10, 15, 805, 545)),
    "training": ("virtual-pairs.png", (0, 336, 1008, 1008)),
    "gate": ("reviewing/verdict.png", (55, 45, 715, 485)),
    "review": ("reviewing/patients.png", (285, 118, 990, 588)),
}
"""Name of a thumbnail -> a picture below docs/, and the part of that picture to show. All parts have the same shape."""


def draw_thumbnails(folder: Path = FOLDER) -> list[Path]:
    """Write every thumbnail; return the paths of the thumbnails."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (picture, box) in CUTS.items():
        with Image.open(PICTURES / picture) as whole:
            small = whole.convert("RGB").crop(box).resize(SIZE, Image.Resampling.LANCZOS)
        written.append(folder / f"{name}.png")
        small.quantize(64).save(written[-1], "PNG", optimize=True)
    return written


if __name__ == "__main__":
    for path in draw_thumbnails():
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")
