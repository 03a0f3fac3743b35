"""Recipes, which are files of values for params.yaml. `python -m training` uses the values that concern a fit.

Contract: a recipe is a TOML file with sections and names of params.yaml. The standard library reads TOML, so a GPU
machine with few packages can read a recipe. Several recipes are merged. A later recipe overrides an earlier recipe.
"""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from spine.errors import ParametersRejected
from training.fields import merged

Sections = dict[str, dict[str, Any]]


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with the package."""
    folder = Path(str(files("training"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_recipes(names: Sequence[str]) -> Sections:
    """Section -> name -> value of the merged recipes. ``names`` contains names of shipped recipes and paths of files.

    Raises:
        ParametersRejected: a recipe does not exist, or its file is not TOML with sections.
    """
    together: Sections = {}
    for name in names:
        together = merged(together, _read(name))
    return together


def _read(name: str) -> Sections:
    shipped = shipped_recipes()
    path = shipped.get(name, Path(name))
    if not path.is_file():
        raise ParametersRejected(
            "RECIPE_UNKNOWN",
            found=f"recipe {name!r}",
            expected=f"one of {', '.join(shipped)}, or the path of a TOML file",
            remedy="correct the name or the path after --recipe",
        )
    try:
        content = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _rejected(name, str(error)) from error
    outside = [key for key, value in content.items() if not isinstance(value, dict)]
    if outside:
        raise _rejected(name, f"{', '.join(outside)} outside any section")
    return content


def _rejected(name: str, found: str) -> ParametersRejected:
    return ParametersRejected(
        "RECIPE_INVALID",
        found=f"recipe {name!r}: {found}",
        expected="TOML with the sections and names of params.yaml",
        remedy="correct the file",
    )
