"""Every generated page, by its place in the site."""

from collections.abc import Callable, Mapping

from docs.generate.command_line import command_line_page
from docs.generate.errors import errors_page
from docs.generate.parameters import parameters_page
from docs.generate.settings import settings_page
from docs.generate.source import ROOT


def model_card_page() -> str:
    """The card that lies beside the weights of the bundled model."""
    return (ROOT / "inference" / "weights" / "card.md").read_text()


def contributing_page() -> str:
    """CONTRIBUTING.md, whose links are relative to the top of the repository."""
    return (ROOT / "CONTRIBUTING.md").read_text().replace("](docs/", "](")


def changes_page() -> str:
    """CHANGELOG.md."""
    return (ROOT / "CHANGELOG.md").read_text()


PAGES: Mapping[str, Callable[[], str]] = {
    "changes": changes_page,
    "contributing": contributing_page,
    "model-card": model_card_page,
    "reference/command-line": command_line_page,
    "reference/params": settings_page,
    "reference/errors": errors_page,
    "reference/parameters": parameters_page,
}
