"""Every generated page, by its place in the site."""

from collections.abc import Callable, Mapping
from functools import partial

from docs.generate.command_line import command_line_page
from docs.generate.errors import errors_page
from docs.generate.parameters import parameters_page
from docs.generate.settings import settings_page
from docs.generate.source import ROOT


def copied_page(path: str) -> str:
    """A page that lies outside docs/, with its links to docs/ made relative to that folder."""
    return (ROOT / path).read_text().replace("](docs/", "](")


PAGES: Mapping[str, Callable[[], str]] = {
    "changes": partial(copied_page, "CHANGELOG.md"),
    "contributing": partial(copied_page, "CONTRIBUTING.md"),
    "model-card": partial(copied_page, "inference/weights/card.md"),
    "reference/command-line": command_line_page,
    "reference/params": settings_page,
    "reference/errors": errors_page,
    "reference/parameters": parameters_page,
}
