"""Rules of a policy file with limits that every model keeps, for tests of what comes before and after a verdict."""

from collections.abc import Sequence
from typing import Any

_LOOSE = {"at_most": 1e6, "at_least": -1e6}


def loosened_rules(rules: Sequence[dict[str, Any]], only: str | None = None) -> list[dict[str, Any]]:
    """The written rules with loose limits; with ``only``, about that parameter alone.

    ``curve_side`` is left out: a test set of eight patients contains too few curves for a share of sides.
    """
    return [_loosened(rule, only) for rule in rules if rule["kind"] != "curve_side"]


def _loosened(written: dict[str, Any], only: str | None) -> dict[str, Any]:
    rule = {**written}
    if "figures" in rule:
        rule["figures"] = {figure: _loosened(own, only) for figure, own in rule["figures"].items()}
    for field, value in written.items():
        if isinstance(value, dict) and field != "figures":
            kept = {name: each for name, each in value.items() if only in (None, name)}
            rule[field] = dict.fromkeys(kept, _LOOSE[field]) if field in _LOOSE else kept
        elif field in _LOOSE:
            rule[field] = _LOOSE[field]
    if only is not None and "parameters" in rule and rule["kind"] != "failures":
        rule["parameters"] = [only]
    if rule.get("kind") in ("interval_score", "penalised_landmarks"):
        # A penalty below the ceiling is refused; at the ceiling a model without answers keeps it.
        rule |= {field: _LOOSE["at_most"] for field in ("penalty", "penalty_mm") if field in rule}
    return rule
