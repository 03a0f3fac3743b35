"""Command-line arguments of the benchmarks that test a model on the patients of a workspace.

Contract: the frozen test split is refused.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from inference.bundled import BUNDLED
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Example, read_manifest

_SPLITS = ("train", "validation")


def read_arguments(name: str, about: str, arguments: Sequence[str] | None) -> tuple[Path, Path, list[Example]]:
    """The model folder, the data set folder and the examples for ``python -m benchmarks.<name>``."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--splits", default=",".join(_SPLITS), help="train, validation or both; never test")
    given = parser.parse_args(arguments)
    splits = given.splits.split(",")
    if not set(splits) <= set(_SPLITS):
        parser.error(f"found --splits {given.splits}; expected some of {', '.join(_SPLITS)}, because test is frozen")
    folder = Workspace(given.workspace).dataset
    if not (folder / "manifest.json").is_file():
        parser.error(f"found no data set in {folder}; expected one: run the pipeline of this workspace first")
    manifest = read_manifest(folder)
    return given.model, folder, [e for split in splits for e in manifest.in_split(split)]
