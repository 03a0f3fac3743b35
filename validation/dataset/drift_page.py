"""The page on drift: one HTML file that needs no network and no other file. Every text is escaped."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spine.storage import write_text_atomically
from validation.dataset.drift import DriftLimits, DriftReport


def write_drift_page(report: DriftReport, limits: DriftLimits, path: Path) -> None:
    """Write the page."""
    loader = FileSystemLoader(Path(__file__).parent)
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("drift.html.jinja")
    write_text_atomically(path, template.render(report=report, limits=limits))
