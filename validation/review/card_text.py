"""A model card as Markdown for people and as JSON for programs, with the same content."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from spine.measurement.registry import PARAMETERS
from validation.evaluation.landmark_errors import LandmarkSummary
from validation.review.group_errors import GroupErrors
from validation.review.model_card import NOT_PROVIDED, CardEvaluation, CardParameter, ModelCard, Triple

SCHEMA = "plumbline.model_card/2"
GROUPS_TITLE = "Errors by subgroup"
_PARAMETER_HEADS = (
    "parameter", "predicted", "standard error of the estimate", "bias", "90 % interval coverage", "interval width"
)  # fmt: skip
_LANDMARK_HEADS = ("landmarks", "found", "median, mm", "mean, mm", "95th percentile, mm")


def card_json(card: ModelCard) -> str:
    """The card as JSON."""
    return json.dumps({"schema": SCHEMA, **asdict(card)}, indent=1, sort_keys=True, allow_nan=False)


def card_markdown(card: ModelCard, *, brief: bool = False) -> str:
    """The card as Markdown.

    Args:
        brief: whether to leave out the landmarks, the numbers of patients by group, and all parameters except the
            paper's six. The headings of a brief card are two levels deeper.
    """
    deeper = "##" if brief else ""
    sections = {
        "Model": [_facts({"digest": f"`{card.model}`", **card.facts})],
        "Training": [_facts(card.training)],
        "Evaluation": _evaluation(card.evaluation, brief=brief) if card.evaluation else ["Not evaluated yet."],
        GROUPS_TITLE: _groups(card.group_errors) if card.group_errors else [],
        "Tried on real radiographs": [_list(card.tried)] if card.tried else [],
        "Decision": [_facts(card.decision)] if card.decision else [],
        "Limits": [_list(card.limits)],
    }
    lines = [f"{deeper}# Model {card.model[:12]}", f"**Not for diagnosis.** Intended use: {card.intended_use}."]
    for title, paragraphs in sections.items():
        lines += [f"{deeper}## {title}", *paragraphs] if paragraphs else []
    return "\n\n".join(lines) + "\n"


def with_group_errors(text: str, errors: GroupErrors) -> str:
    """The Markdown ``text`` of a card, in which the section on subgroups is replaced by ``errors``."""
    before, _, rest = text.partition(f"\n## {GROUPS_TITLE}\n")
    _, heading, after = rest.partition("\n## ")
    section = "\n\n".join([f"\n## {GROUPS_TITLE}", *_groups(errors)])
    return f"{before}{section}\n{heading}{after}"


def _list(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _facts(facts: Mapping[str, str]) -> str:
    return markdown_table(("", ""), list(facts.items()))


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of these column headings and rows."""
    return "\n".join([_row(heads), "|---" * len(heads) + "|", *(_row(row) for row in rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _evaluation(evaluation: CardEvaluation, *, brief: bool) -> list[str]:
    facts = {
        "tested on": f"{evaluation.count} **{evaluation.patients}**, frozen test set `{evaluation.test_set[:12]}`",
        "dataset": f"`{evaluation.dataset}`",
        "evidence": f"`{evaluation.evidence}`",
    }
    if not brief:
        for title, groups in evaluation.groups.items():
            facts[f"patients by {title}"] = ", ".join(f"{group}: {n}" for group, n in groups.items())
    rows = [_parameter_row(p) for p in evaluation.parameters if not brief or PARAMETERS[p.name].in_paper]
    paragraphs = [_facts(facts), markdown_table(_PARAMETER_HEADS, rows)]
    if evaluation.landmarks and not brief:
        paragraphs.append(markdown_table(_LANDMARK_HEADS, [_landmark_row(summary) for summary in evaluation.landmarks]))
    rate = evaluation.level_shift_rate
    shift = NOT_PROVIDED if rate is None else f"{_share(rate, 1)} of the views"
    notes = "Predicted: predictions of true values. Square brackets: 95 % intervals, by bootstrap over patients."
    return [*paragraphs, f"Shifted level names: {shift}. {notes}"]


def _parameter_row(row: CardParameter) -> Sequence[str]:
    unit = "°" if row.unit == "deg" else f" {row.unit}"
    coverage = NOT_PROVIDED if row.interval_coverage is None else _share(row.interval_coverage)
    width = NOT_PROVIDED if row.interval_width is None else f"{row.interval_width[0]:.1f}{unit}"
    figures = (_with_interval(row.standard_error, unit), _with_interval(row.bias, unit, "+"))
    return (row.label, f"{row.answered} of {row.truths}", *figures, coverage, width)


def _landmark_row(summary: LandmarkSummary) -> Sequence[str]:
    numbers = (summary.median_mm, summary.mean_mm, summary.p95_mm)
    space = "in space" if summary.space == "3d" else summary.space
    found = f"{summary.n_found} of {summary.n_visible}"
    return (space, found, *(NOT_PROVIDED if number is None else f"{number:.2f}" for number in numbers))


def _groups(errors: GroupErrors) -> list[str]:
    opening = (
        f"{errors.count} {errors.patients} of frozen test set `{errors.test_set[:12]}`. Mean absolute errors in "
        "degrees. If predictions are missing, their number is shown. Square brackets: 95 % intervals over patients."
    )
    return [opening, *(markdown_table(found.heads, found.rows) for found in errors.tables)]


def _share(triple: Triple, decimals: int = 0) -> str:
    value, low, high = triple
    interval = "" if low is None or high is None else f" [{low:.{decimals}%}, {high:.{decimals}%}]"
    return f"{value:.{decimals}%}{interval}"


def _with_interval(triple: Triple | None, unit: str, sign: str = "") -> str:
    if triple is None:
        return NOT_PROVIDED
    value, low, high = triple
    interval = "" if low is None or high is None else f" [{low:{sign}.2f}, {high:{sign}.2f}]"
    return f"{value:{sign}.2f}{unit}{interval}"
