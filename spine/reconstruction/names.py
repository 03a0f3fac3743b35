"""Names of 3D points, and other spellings of these names in files.

Contract: ``canonical_name`` maps a known spelling to the name in ``spine.landmarks`` and any other text to None. The
names in every registered landmark set are known.

Other spellings (docs/sources.md, reconstruction formats): ``L3_sup_center`` / ``L3_sup_centre`` for ``L3_sup``,
``L3_ped_L`` for ``L3_ped_left``, ``FH_L`` and ``FH_L_fh_center`` for ``HIP_L``, ``S1_sup_ant`` and ``S1_s1_ant`` for
``S1_ant``. Case is ignored.
"""

from collections.abc import Mapping
from functools import cache

from spine.landmarks import HIPS, LANDMARK_SETS, S1_MARGINS, S1_PLATE, VERTEBRAE

EXTRA_LEVELS: Mapping[str, str] = {"T12": "T13", "L5": "L6"}
"""Level -> the extra vertebra that some people have below it. No landmark set contains such a vertebra."""
_PLATE_PARTS = ("", "_ant", "_post", "_left", "_right")
_BODY_PARTS = ("body", "ped_left", "ped_right")


@cache
def known_names() -> frozenset[str]:
    """The names of all points that a reconstruction may have."""
    vertebrae = (*VERTEBRAE, *EXTRA_LEVELS.values())
    plates = {f"{v}_{side}{part}" for v in vertebrae for side in ("sup", "inf") for part in _PLATE_PARTS}
    bodies = {f"{v}_{part}" for v in vertebrae for part in _BODY_PARTS}
    sacrum = {S1_PLATE, *S1_MARGINS, "S1_left", "S1_right"}
    return frozenset(plates | bodies | sacrum | set(HIPS) | {n for s in LANDMARK_SETS.values() for n in s})


@cache
def _spellings() -> Mapping[str, str]:
    table = {name.lower(): name for name in known_names()}
    for name in known_names():
        lower = name.lower()
        if lower.endswith(("_sup", "_inf")):
            table[lower + "_center"] = table[lower + "_centre"] = name
        if lower.endswith(("_ped_left", "_ped_right")):
            table[lower.replace("_left", "_l").replace("_right", "_r")] = name
    for side in ("ant", "post", "left", "right"):
        table[f"s1_sup_{side}"] = table[f"s1_s1_{side}"] = f"S1_{side}"
    for side in ("l", "r"):
        for spelling in (f"fh_{side}", f"fh_{side}_fh_center", f"fh_{side}_center", f"hip_{side}_center"):
            table[spelling] = f"HIP_{side.upper()}"
    return table


def canonical_name(text: str) -> str | None:
    """The name of a point in ``spine.landmarks``, or None if the spelling ``text`` is unknown."""
    return _spellings().get(text.strip().lower())


def quoted_name(text: str) -> str:
    """The words for a point in a message, without an unknown name, which may be the name of a patient."""
    return f"point {text}" if text in known_names() else "a point with an unknown name"
