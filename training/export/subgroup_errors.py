"""A model's errors by condition and field of view, from an evaluation record.

Contract: every patient of the record is in one row of each table; a group that is too small to tell says so, with its
number. Brackets are 95 % percentile bootstrap intervals over patients, of a mean with as many draws as the record's
own figures; of shares of intervals that hold, over patients too, for a patient's parameters err together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS
from spine.types import Floats
from validation.evaluation.agreement import draw_patients

FACTS: Mapping[str, str] = {"condition": "condition", "field_of_view": "field of view", "appearance": "looks"}
LEAST = 5
"""Fewer patients than this make no row of figures."""

_RESAMPLES, _SEED = 4000, 20190405


def overall_table(content: Mapping[str, Any]) -> str:
    """Markdown: how often the 90 % intervals of every parameter hold, over all patients of the record."""
    studies: Sequence[Mapping[str, Any]] = content["studies"]
    lines = ["| all patients | 90 % intervals that hold | of |", "|---|---|---|"]
    for name, parameter in PARAMETERS.items():
        told = [o for s in studies for o in s["parameters"] if o["parameter"] == name and o["interval"] is not None]
        held = [o["interval"][0] <= o["truth"] <= o["interval"][1] for o in told if o["truth"] is not None]
        lines.append(f"| {parameter.label} | {f'{np.mean(held):.1%}' if held else 'none given'} | {len(held)} |")
    return "\n".join(lines) + "\n"


def subgroup_tables(content: Mapping[str, Any]) -> str:
    """Markdown: mean absolute error of each of the paper's parameters, and how often their intervals hold."""
    studies: Sequence[Mapping[str, Any]] = content["studies"]
    labels = " | ".join(PARAMETERS[name].label for name in PAPER_PARAMETERS)
    lines = []
    for fact, title in FACTS.items():
        groups = sorted({str(s["facts"].get(fact, "not told")) for s in studies})
        lines += [
            f"| {title} | patients | {labels} | intervals that hold |",
            "|---" * (len(PAPER_PARAMETERS) + 3) + "|",
        ]
        for group in groups:
            lines.append(_row(group, [s for s in studies if str(s["facts"].get(fact, "not told")) == group]))
        lines.append("")
    return "\n".join(lines)


def _row(group: str, studies: Sequence[Mapping[str, Any]]) -> str:
    name, count = group.replace("_", " "), len(studies)
    if count < LEAST:
        return f"| {name} | {count} |" + " too few |" * (len(PAPER_PARAMETERS) + 1)
    outcomes = [o for s in studies for o in s["parameters"] if o["parameter"] in PAPER_PARAMETERS]
    cells = [_error([o for o in outcomes if o["parameter"] == p]) for p in PAPER_PARAMETERS]
    held = [h for s in studies if (h := _held(s))]
    share = "none given"
    if held:
        low, high = _interval(np.array([sum(h) for h in held], float), np.array([len(h) for h in held], float))
        every = [x for h in held for x in h]
        share = f"{np.mean(every):.0%} [{low:.0%}, {high:.0%}] of {len(every)}"
    return f"| {name} | {count} | {' | '.join(cells)} | {share} |"


def _error(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Mean absolute error of the answered, and how many of those that have a truth are answered."""
    true = [o for o in outcomes if o["truth"] is not None]
    errors = [abs(o["predicted"] - o["truth"]) for o in true if o["predicted"] is not None]
    if not errors:
        return f"0 of {len(true)} answered"
    answered = "" if len(errors) == len(true) else f" ({len(errors)} of {len(true)})"
    if len(errors) < LEAST:
        return f"{np.mean(errors):.1f}{answered}"
    low, high = _interval(np.array(errors), np.ones(len(errors)))
    return f"{np.mean(errors):.1f} [{low:.1f}, {high:.1f}]{answered}"


def _held(study: Mapping[str, Any]) -> list[bool]:
    """Of one study's intervals for the paper's parameters, which hold."""
    told = [o for o in study["parameters"] if o["parameter"] in PAPER_PARAMETERS]
    told = [o for o in told if o["interval"] is not None and o["truth"] is not None]
    return [o["interval"][0] <= o["truth"] <= o["interval"][1] for o in told]


def _interval(sums: Floats, counts: Floats) -> tuple[float, float]:
    """Of the mean of (N,) patients' sums over their counts."""
    drawn = draw_patients([str(i) for i in range(len(sums))], _RESAMPLES, _SEED)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
