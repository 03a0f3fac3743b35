"""The closed list of the facts of a reconstruction file that may be stored.

Contract: a fact is stored if its key is listed here and its value is a finite number or a boolean. The value of a key
in ``TEXT_KEYS`` may also be lower-case words of ``WORDS``, joined by ``_``, ``-``, ``+`` or ``.``. Free text and other
keys are dropped, because both may contain names. An age above 90 could identify a person and is stored as 90. A
simulated study keeps the seed that generated it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spine.measurement.registry import PARAMETERS
from spine.radiograph.technique import OLDEST_YEARS
from spine.reconstruction.reconstruction import Reconstruction

NUMBER_KEYS = frozenset(
    {
        *("age_years", "height_cm", "weight_kg", "bmi", "risser", "simulated", "instrumented", "braced", "has_l6"),
        *("has_t13", "pedicles_read", "levels_not_read", "points_undefined", "markups_not_read", "bones_not_read"),
        "axes_from_arches",
        *(f"{name}_{unit}" for name in PARAMETERS for unit in ("deg", "mm")),
    }
)
"""Keys of facts whose value is a number or a boolean."""

TEXT_KEYS = frozenset(
    {
        *("condition", "anatomy", "appearance", "field_of_view", "curve_type", "curve_pattern"),
        *("sex", "population", "severity", "pathology", "pose"),
    }
)
"""Keys of facts whose value may also be words."""

WORDS = frozenset(
    {
        *("healthy", "normal", "none", "unknown", "other", "control", "asymptomatic", "patient", "volunteer"),
        *("child", "children", "juvenile", "infantile", "adolescent", "adult", "adults", "elderly", "young"),
        *("scoliosis", "scoliotic", "idiopathic", "degenerative", "congenital", "neuromuscular", "syndromic", "early"),
        *("late", "onset", "kyphosis", "kyphotic", "hyperkyphosis", "lordosis", "lordotic", "scheuermann", "deformity"),
        *("spondylolisthesis", "stenosis", "spondylitis", "ankylosing", "osteoporosis", "osteoporotic", "fracture"),
        *("fractures", "fractured", "tumour", "infection", "trauma", "sagittal", "coronal", "imbalance", "balanced"),
        *("instrumented", "instrumentation", "fused", "fusion", "operated", "implants", "rods", "screws", "cage"),
        *("preoperative", "postoperative", "follow", "up", "brace", "braced", "unbraced", "before", "after"),
        *("lenke", "king", "roussouly", "srs", "schwab", "type", "single", "double", "triple", "major", "minor"),
        "main",
        *("thoracic", "thoracolumbar", "lumbar", "cervical", "sacral", "proximal", "upper", "lower", "left", "right"),
        *("standard", "variant", "transitional", "four", "five", "six", "eleven", "twelve", "thirteen", "vertebrae"),
        *("full", "whole", "body", "spine", "with", "without", "hips", "pelvis", "head", "knees", "truncated"),
        *("scanner", "film", "screen", "plate", "cr", "dr", "flat", "hard", "mixed", "slot", "stitched"),
        *("mild", "moderate", "severe", "low", "medium", "high", "grade", "standing", "sitting", "supine", "prone"),
        *("bending", "traction", "flexion", "extension", "neutral", "erect", "and", "or", "no", "of", "a", "b", "c"),
    }
)
"""Words that describe a condition, an anatomy, an image or a posture, and nobody."""

_LEVEL_OR_NUMBER = re.compile(r"[tls]?\d{1,2}")
_SEXES = ("M", "F", "O")


def safe_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that may be stored."""
    kept = {key: value for key, value in facts.items() if _is_safe(key, value)}
    if isinstance(kept.get("age_years"), int | float):
        kept["age_years"] = min(float(kept["age_years"]), OLDEST_YEARS)
    if facts.get("simulated") is True and isinstance(facts.get("seed"), int):
        kept["seed"] = facts["seed"]
    return kept


def safe_reconstruction(reconstruction: Reconstruction) -> Reconstruction:
    """The reconstruction with the facts that may be stored."""
    return replace(reconstruction, facts=safe_facts(reconstruction.facts))


def _is_safe(key: str, value: object) -> bool:
    if key not in NUMBER_KEYS | TEXT_KEYS:
        return False
    if isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        # A long number may be a national identifier or a record number.
        return math.isfinite(value) and abs(value) < 1e6
    if not isinstance(value, str) or key not in TEXT_KEYS:
        return False
    return value in _SEXES if key == "sex" else _consists_of_words(value)


def _consists_of_words(value: str) -> bool:
    words = re.split(r"[_.+-]", value)
    return len(value) <= 64 and all(word in WORDS or _LEVEL_OR_NUMBER.fullmatch(word) for word in words)
