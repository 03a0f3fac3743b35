"""``python -m benchmarks.outside_films``: films from elsewhere that are not whole-spine radiographs, read by one model.

The films lie in folders of one kind each (``chest``, ``lumbar_lateral``, ``cervical_lateral``); a name that ends in
``lateral`` says the view. The table has one row for each kind: how many films were refused, how many were measured, the
median number of vertebrae found, and the largest angle. The films have no labels, so no error is computed.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.figures import print_table
from inference.bundled import BUNDLED
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model, load_model
from spine.landmarks import LEVELS, ViewName, level_of
from spine.prediction import Prediction

FILMS = Path(os.environ.get("PLUMBLINE_SHARED", Path(__file__).resolve().parents[2] / "shared"), "data/real_films_dev")
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 0, or 3 if there are no films."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outside_films", description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=Path, default=FILMS, help="folder with one folder for each kind of film")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="model folder; the bundled model by default")
    given = parser.parse_args(arguments)
    kinds = sorted(folder for folder in given.films.glob("*") if folder.is_dir()) if given.films.is_dir() else []
    if not kinds:
        sys.stderr.write(f"skipped: no folders of films in {given.films}\n")
        return 3
    model = load_model(given.model)
    found = {folder.name: [_measured(model, path) for path in _films(folder)] for folder in kinds}
    head = ("films", "count", "refused", "measured", "vertebrae found, median", "largest angle, deg")
    print_table(head, [_row(kind, predictions) for kind, predictions in found.items()])
    for kind, predictions in found.items():
        for reason, count in Counter(r for p in predictions for r in p.refused.values()).most_common(3):
            sys.stdout.write(f"{kind}: {count} refused because: {reason}\n")
    return 0


def _films(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _measured(model: Model, path: Path) -> Prediction:
    view: ViewName = "lateral" if path.parent.name.endswith("lateral") else "frontal"
    with Image.open(path) as film:
        grey = np.asarray(film.convert("L")).astype(np.uint16) * 16
    return measure_views(model, {view: ImageInput(grey)}, path.stem)


def _row(kind: str, predictions: Sequence[Prediction]) -> tuple[str, ...]:
    refused = sum(bool(p.refused) for p in predictions)
    angles = [m.value for p in predictions for m in p.parameters.values() if m.value is not None and m.unit == "deg"]
    levels = [len({level_of(n) for points in p.points.values() for n in points} & set(LEVELS)) for p in predictions]
    largest = f"{max(map(abs, angles)):.0f}" if angles else "none"
    measured = sum(any(m.value is not None for m in p.parameters.values()) for p in predictions)
    return kind, str(len(predictions)), str(refused), str(measured), f"{np.median(levels):g}", largest


if __name__ == "__main__":
    sys.exit(main())
