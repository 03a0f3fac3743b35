"""Facts that may enter the store: an allow-list for what reconstruction files bring along.

Contract: a fact passes when its key is a short lower-case word and its value a finite number, a yes or no, or, under a
key of ``WORDS``, a short lower-case word. Free text does not pass: it carries names. Ages above 90 identify and are
cut to 90. A simulated study keeps the seed it was drawn from.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spine.reconstruction.reconstruction import Reconstruction

WORDS = frozenset(
    {
        *("condition", "anatomy", "appearance", "field_of_view", "curve_type", "curve_pattern"),
        *("sex", "population", "severity", "pathology", "pose"),
    }
)
OLDEST_YEARS = 90.0
_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
_WORD = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,31}")
_SEXES = ("M", "F", "O")


def safe_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that may be kept."""
    kept = {key: value for key, value in facts.items() if _KEY.fullmatch(key) and _is_safe(key, value)}
    if isinstance(kept.get("age_years"), int | float):
        kept["age_years"] = min(float(kept["age_years"]), OLDEST_YEARS)
    if facts.get("simulated") is True and isinstance(facts.get("seed"), int):
        kept["seed"] = facts["seed"]
    return kept


def safe_reconstruction(reconstruction: Reconstruction | None) -> Reconstruction | None:
    """The reconstruction with the facts that may be kept."""
    return replace(reconstruction, facts=safe_facts(reconstruction.facts)) if reconstruction is not None else None


def _is_safe(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        # A long number is as good as a name (national identifiers, record numbers).
        return math.isfinite(value) and abs(value) < 1e6
    if not isinstance(value, str) or key not in WORDS:
        return False
    return value in _SEXES if key == "sex" else bool(_WORD.fullmatch(value))
