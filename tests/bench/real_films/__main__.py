"""``python -m tests.bench.real_films`` with a command below; needs .carry/aasce.npz (``sim_to_real pack``).

    split      data set folders of the five folds, for ``python -m training``: --out
    zero-shot  the model in the box (or --model) on all films: figures, overlays of the ten worst
    folds      five fine-tuned models, --models DIR with fold0 .. fold4, each on the films of its fold

What belongs here: arguments. What does not: everything else.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.sim_to_real.pack import Pack, read_pack

if TYPE_CHECKING:
    from inference.model import Model

PACKED = Path(".carry/aasce.npz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 3 where the films are not at hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.real_films", description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=PACKED)
    commands = parser.add_subparsers(required=True)
    split = commands.add_parser("split", help="data set folders of the folds")
    split.add_argument("--out", type=Path, default=Path("bench/real-films"))
    split.set_defaults(call=_split)
    zero = commands.add_parser("zero-shot", help="one model on all films")
    zero.add_argument("--model", type=Path, help="instead of the model in the box")
    zero.add_argument("--out", type=Path, default=Path("bench/real-films/zero-shot"))
    zero.set_defaults(call=_zero_shot)
    folds = commands.add_parser("folds", help="fine-tuned models, each on its fold")
    folds.add_argument("--models", type=Path, required=True)
    folds.add_argument("--out", type=Path, default=Path("bench/real-films/folds"))
    folds.set_defaults(call=_folds)
    given = parser.parse_args(arguments)
    if not given.real.is_file():
        sys.stderr.write(f"skipped: no {given.real}; run `python -m tests.bench.sim_to_real pack` first\n")
        return 3
    return int(given.call(given))


def _split(given: argparse.Namespace) -> int:
    from spine.dataset import SPLITS
    from tests.bench.real_films.folds import FOLDS, write_fold

    films = read_pack(given.real)
    for fold in range(FOLDS):
        manifest = write_fold(films, fold, given.out / f"fold{fold}")
        counts = ", ".join(f"{len(manifest.in_split(s))} {s}" for s in SPLITS)
        sys.stdout.write(f"fold {fold}: {counts}\n")
    return 0


def _zero_shot(given: argparse.Namespace) -> int:
    from inference.model import load_model
    from inference.released import RELEASED

    films = read_pack(given.real)
    model = load_model(given.model or RELEASED)
    return _tell(films, [(model, list(range(len(films.pictures))))], given.out)


def _folds(given: argparse.Namespace) -> int:
    import numpy as np

    from inference.model import load_model
    from tests.bench.real_films.folds import FOLDS, fold_of

    films = read_pack(given.real)
    fold = fold_of(films.facts["patient"].astype(np.str_))
    models = [load_model(given.models / f"fold{k}") for k in range(FOLDS)]
    return _tell(films, [(model, np.flatnonzero(fold == k).tolist()) for k, model in enumerate(models)], given.out)


def _tell(films: Pack, asked: "Sequence[tuple[Model, list[int]]]", out: Path) -> int:
    """Print the figures over all films and over those that the data set validation lets pass; draw the worst."""
    from tests.bench.real_films.figures import summary
    from tests.bench.real_films.found import draw_worst, find

    figures, predictions = {}, {}
    for model, rows in asked:
        some, said = find(model, films, rows)
        figures |= some
        predictions |= said
    passed = [f for i, f in sorted(figures.items()) if not films.facts["screened_out"][i]]
    columns = summary([f for _, f in sorted(figures.items())]), summary(passed)
    sys.stdout.write(f"{'':<36}{'all':>14}{'screened':>14}\n")
    for name in columns[0]:
        cells = [f"{c[name]:.3f}" if isinstance(c[name], float) else str(c[name]) for c in (columns[0], columns[1])]
        sys.stdout.write(f"{name:<36}{cells[0]:>14}{cells[1]:>14}\n" if name != "shifts" else f"{name}: {cells[0]}\n")
    worst = draw_worst(films, figures, predictions, out)
    sys.stdout.write(f"overlays of rows {worst} in {out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
