"""``python -m benchmarks.outside_radiographs``: what a model makes of radiographs that do not show a whole spine.

There is one folder for each kind (``chest``, ``lumbar_lateral``, ``cervical_lateral``). A folder whose name ends in
``lateral`` has lateral views, every other folder has frontal views. Laterals in which the patient faces right are
mirrored first, if the file ``films.csv`` of the folder says so. The table has one row for each kind: the number of
refused and of measured radiographs, the median number of vertebrae found, and the largest angle. The radiographs have
no labels, so no error is computed. ``--overlays`` writes an overlay of each measured radiograph. A second table says
how many lumbar laterals are refused if they are given mirrored, head down or as a frontal. A line says how often the
side to which the patient faces is read rightly.
"""

import argparse
import csv
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import print_table
from benchmarks.wrong_images import TURNS, Turn
from inference.bundled import BUNDLED
from inference.facing import MIN_MARGIN, read_facing
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model, load_model
from inference.overlay import draw_overlay, warnings_of
from spine.landmarks import LEVELS, ViewName, level_of
from spine.prediction import Prediction

RADIOGRAPHS = Path(
    os.environ.get("PLUMBLINE_SHARED", Path(__file__).resolve().parents[2] / "shared"), "data/real_films_dev"
)
WRONGLY_GIVEN = "lumbar_lateral"
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 0, or 3 if there are no radiographs."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.outside_radiographs", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--radiographs", type=Path, default=RADIOGRAPHS, help="folder with one folder for each kind")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="model folder; the bundled model by default")
    parser.add_argument("--overlays", type=Path, help="folder for an overlay of each measured radiograph")
    given = parser.parse_args(arguments)
    kinds = (
        sorted(folder for folder in given.radiographs.glob("*") if folder.is_dir())
        if given.radiographs.is_dir()
        else []
    )
    if not kinds:
        sys.stderr.write(f"skipped: found no folders of radiographs in {given.radiographs}\n")
        return 3
    model = load_model(given.model)
    found = {folder.name: [_measured(model, path, given.overlays) for path in _files(folder)] for folder in kinds}
    head = ("radiographs", "count", "refused", "measured", "vertebrae found, median", "largest angle, deg")
    print_table(head, [_row(kind, predictions) for kind, predictions in found.items()])
    if (given.radiographs / WRONGLY_GIVEN).is_dir():
        rows = _wrongly_given(model, _files(given.radiographs / WRONGLY_GIVEN))
        print_table((f"{WRONGLY_GIVEN}, wrongly given", "count", "refused"), rows)
        sys.stdout.write(_facing_line(model, _files(given.radiographs / WRONGLY_GIVEN)))
    for kind, predictions in found.items():
        for reason, count in Counter(r for p in predictions for r in p.refused.values()).most_common(3):
            sys.stdout.write(f"{kind}: {count} refused because: {reason}\n")
    return 0


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _wrongly_given(model: Model, paths: Sequence[Path]) -> list[tuple[str, str, str]]:
    """(how the laterals are given, their number, number refused)."""
    images = [_grey(path) for path in paths]
    ways: list[tuple[str, ViewName, Turn]] = [(how, "lateral", turn) for how, turn in TURNS.items()]
    ways.append(("given as frontal", "frontal", lambda image: image))
    rows = []
    for how, view, turn in ways:
        given = [{view: ImageInput(np.ascontiguousarray(turn(image)))} for image in images]
        refused = sum(bool(measure_views(model, views).refused) for views in given)
        rows.append((how, str(len(images)), str(refused)))
    return rows


def _facing_line(model: Model, paths: Sequence[Path]) -> str:
    reads = [read_facing(model, ImageInput(_grey(path))) for path in paths]
    sure = [read.facing for read in reads if read.margin >= MIN_MARGIN]
    right = sure.count("left")  # the images are canonical: the patient faces left
    return (
        f"{WRONGLY_GIVEN}: facing read rightly {right}, wrongly {len(sure) - right}, unclear {len(reads) - len(sure)}\n"
    )


def _grey(path: Path) -> NDArray[np.uint16]:
    with Image.open(path) as opened:
        grey = np.asarray(opened.convert("L")).astype(np.uint16) * 16
    return np.ascontiguousarray(grey[:, ::-1]) if path.name in _facing_right(path.parent) else grey


def _measured(model: Model, path: Path, overlays: Path | None) -> Prediction:
    view: ViewName = "lateral" if path.parent.name.endswith("lateral") else "frontal"
    given = {view: ImageInput(_grey(path))}
    found = measure_views(model, given, path.stem)
    if overlays and not found.refused:
        overlays.mkdir(parents=True, exist_ok=True)
        overlay = draw_overlay(given, found.points, found.parameters, warnings=warnings_of(found))
        overlay.save(overlays / f"{path.stem}.png")
    return found


def _facing_right(folder: Path) -> set[str]:
    """The files of laterals in which the patient faces right; the reader of DICOM files turns them by a tag."""
    table = folder / "films.csv"
    if not table.is_file():
        return set()
    with table.open(newline="") as opened:
        return {row["file"] for row in csv.DictReader(opened) if row.get("anterior") == "right"}


def _row(kind: str, predictions: Sequence[Prediction]) -> tuple[str, ...]:
    refused = sum(bool(p.refused) for p in predictions)
    angles = [m.value for p in predictions for m in p.parameters.values() if m.value is not None and m.unit == "deg"]
    levels = [len({level_of(n) for points in p.points.values() for n in points} & set(LEVELS)) for p in predictions]
    largest = f"{max(map(abs, angles)):.0f}" if angles else "none"
    measured = sum(any(m.value is not None for m in p.parameters.values()) for p in predictions)
    return kind, str(len(predictions)), str(refused), str(measured), f"{np.median(levels):g}", largest


if __name__ == "__main__":
    sys.exit(main())
