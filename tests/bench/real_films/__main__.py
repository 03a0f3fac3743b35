"""``python -m tests.bench.real_films`` with a command below; needs .carry/aasce.npz (``sim_to_real pack``).

    split    data set folders of the five folds, for ``python -m training``: --out

What belongs here: arguments. What does not: everything else.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.sim_to_real.pack import read_pack

PACKED = Path(".carry/aasce.npz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 3 where the films are not at hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.real_films", description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=PACKED)
    commands = parser.add_subparsers(required=True)
    split = commands.add_parser("split", help="data set folders of the folds")
    split.add_argument("--out", type=Path, default=Path("bench/real-films"))
    split.set_defaults(call=_split)
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


if __name__ == "__main__":
    sys.exit(main())
