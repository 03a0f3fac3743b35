"""The validation report: one HTML file that needs no network and no other file.

Contract: the only identifiers on the page are study ids, which are content addresses. Every text is escaped. The page
names at most ``SHOWN`` studies, those that break the most rules; ``result.json`` names all.
"""

from collections import defaultdict
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spine.measurement.registry import CENTRES_NOTE
from spine.storage import write_text_atomically
from validation.dataset.results import Finding, ValidationConfig, ValidationResult

TILES = (
    ("studies", "studies"),
    ("bad_studies", "studies with errors"),
    ("warned_studies", "studies with warnings only"),
    ("rules", "expectations"),
    ("rules_broken", "failed expectations"),
    ("rules_without_evidence", "expectations without evidence"),
    ("values_evaluated", "values evaluated"),
)


SHOWN = 500


def write_report(result: ValidationResult, config: ValidationConfig, out: Path) -> None:
    """Write ``report.html`` to the folder ``out``."""
    loader = FileSystemLoader(Path(__file__).parent)
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("report.html.jinja")
    tables = [(name, list(found)) for name, found in groupby(result.outcomes, key=lambda o: o.table)]
    studies = _by_study(result)
    page = template.render(
        result=result,
        config=config,
        tiles=TILES,
        tables=tables,
        studies=studies[:SHOWN],
        more_studies=max(0, len(studies) - SHOWN),
        note=CENTRES_NOTE,
    )
    write_text_atomically(out / "report.html", page)


def _by_study(result: ValidationResult) -> list[tuple[str, list[Finding]]]:
    """Studies with their findings: studies with errors first, then ordered by number of broken rules."""
    by_study: dict[str, list[Finding]] = defaultdict(list)
    for finding in result.findings:
        by_study[finding.study_id].append(finding)
    order = {s: (found[0].severity != "error", -len({f.rule for f in found}), s) for s, found in by_study.items()}
    return sorted(by_study.items(), key=lambda item: order[item[0]])
