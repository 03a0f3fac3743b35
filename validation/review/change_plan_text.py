"""A change control plan as Markdown for people and as JSON for programs, with the same content."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from validation.review.change_plan import ChangePlan, PlannedLimit

SCHEMA = "plumbline.change_plan/1"


def plan_json(plan: ChangePlan) -> str:
    """The plan as JSON."""
    return json.dumps({"schema": SCHEMA, **asdict(plan)}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def plan_markdown(plan: ChangePlan) -> str:
    """The plan as Markdown. Limits with the same test and reason share one row."""
    sections = {
        "What a retraining may change by itself": [
            *_pairs("fact", "permitted", plan.modifications),
            f"Why: {plan.reason}.",
        ],
        "Data": _pairs("fact", "value", plan.data),
        "Tests of the model": _limits(plan.limits),
        "Tests against other models": _limits(plan.comparisons),
        "Outside the plan": _list(plan.outside),
        "From verdict to service": _list(plan.update),
        "Not in this plan": [
            "The impact assessment, that is, the benefits and risks of the modifications for patients."
        ],
    }
    head = [
        "# Predetermined change control plan",
        f"Made from policy `{plan.policy}` version {plan.version}, hash `{plan.policy_hash}`. The gate applies the "
        "same numbers. A changed policy has another hash, and needs another plan.",
        f"Purpose: {plan.purpose}.",
    ]
    body = [text for title, lines in sections.items() for text in (f"## {title}", "\n".join(lines))]
    return "\n\n".join([*head, *body]) + "\n"


def _pairs(first: str, second: str, rows: Mapping[str, str]) -> list[str]:
    if not rows:
        return []
    return [f"| {first} | {second} |", "| --- | --- |", *(f"| {_cell(k)} | {_cell(v)} |" for k, v in rows.items()), ""]


def _limits(limits: Sequence[PlannedLimit]) -> list[str]:
    groups: dict[tuple[str, str], list[PlannedLimit]] = {}
    for limit in limits:
        groups.setdefault((limit.test, limit.reason), []).append(limit)
    rows = []
    for (test, _), same in groups.items():
        each = "; ".join(f"{m.subject}: {m.limit}" if m.subject else m.limit for m in same)
        sources = "; ".join(dict.fromkeys(m.source for m in same))
        rows.append(f"| {_cell(test)} | {_cell(each)} | {_cell(same[0].reason)} | {_cell(sources)} |")
    return ["| test | limit | why | source |", "| --- | --- | --- | --- |", *rows]


def _list(lines: Sequence[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
