"""What the benches of a model on a workspace's own patients are asked: which workspace, model and splits.

Contract: the frozen test split is refused, not read.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from inference.bundled import BUNDLED
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Example, read_manifest

_SPLITS = ("train", "validation")


def asked(name: str, about: str, arguments: Sequence[str] | None) -> tuple[Path, Path, list[Example]]:
    """(model folder, data set folder, examples) of ``python -m benchmarks.<name>``."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--splits", default=",".join(_SPLITS), help="train, validation; never test")
    given = parser.parse_args(arguments)
    splits = given.splits.split(",")
    if not set(splits) <= set(_SPLITS):
        parser.error(f"--splits {given.splits}: choose among {', '.join(_SPLITS)}; the test split is frozen")
    folder = Workspace(given.workspace).dataset
    if not (folder / "manifest.json").is_file():
        parser.error(f"no data set in {folder}")
    manifest = read_manifest(folder)
    return given.model, folder, [e for split in splits for e in manifest.in_split(split)]
