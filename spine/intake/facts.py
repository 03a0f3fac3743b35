"""The allow-list of the facts of a reconstruction file that may be stored.

Contract: a fact is stored if its key is a short lower-case word and its value is a finite number or a boolean. The
value of a key in ``TEXT_KEYS`` may also be a short lower-case word. Free text is dropped, because it may contain names.
An age above 90 could identify a person and is stored as 90. A simulated study keeps the seed that generated it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spine.radiograph.technique import OLDEST_YEARS
from spine.reconstruction.reconstruction import Reconstruction

TEXT_KEYS = frozenset(
    {
        *("condition", "anatomy", "appearance", "field_of_view", "curve_type", "curve_pattern"),
        *("sex", "population", "severity", "pathology", "pose"),
    }
)
_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
_WORD = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,31}")
_SEXES = ("M", "F", "O")


def safe_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that may be stored."""
    kept = {key: value for key, value in facts.items() if _KEY.fullmatch(key) and _is_safe(key, value)}
    if isinstance(kept.get("age_years"), int | float):
        kept["age_years"] = min(float(kept["age_years"]), OLDEST_YEARS)
    if facts.get("simulated") is True and isinstance(facts.get("seed"), int):
        kept["seed"] = facts["seed"]
    return kept


def safe_reconstruction(reconstruction: Reconstruction) -> Reconstruction:
    """The reconstruction with the facts that may be stored."""
    return replace(reconstruction, facts=safe_facts(reconstruction.facts))


def _is_safe(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        # A long number may be a national identifier or a record number.
        return math.isfinite(value) and abs(value) < 1e6
    if not isinstance(value, str) or key not in TEXT_KEYS:
        return False
    return value in _SEXES if key == "sex" else bool(_WORD.fullmatch(value))
