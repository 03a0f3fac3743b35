"""The facts of a radiograph that may be stored, as an allow-list, because free text may contain names.

Contract: no fact quotes a free-text tag. The manufacturer is one of ``MAKERS`` or ``other``. The age is capped at 90,
because a higher age could identify a person. The sex is one letter.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from spine.radiograph.tags import TagReader

SIMULATED_MAKER = "VIRTUAL COHORT"
MAKERS = (
    *(SIMULATED_MAKER, "EOS IMAGING", "AGFA", "CANON", "CARESTREAM", "FUJI", "GE HEALTHCARE", "GE MEDICAL", "KONICA"),
    *("PHILIPS", "SAMSUNG", "SHIMADZU", "SIEMENS", "TOSHIBA"),
)
BODY_PARTS: Mapping[str, str] = {
    **dict.fromkeys(("CHEST", "THORAX", "RIB", "LUNG"), "chest"),
    **dict.fromkeys(("ABDOMEN", "ABDOMENPELVIS"), "abdomen"),
    **dict.fromkeys(("PELVIS", "HIP"), "pelvis"),
    **dict.fromkeys(("HEAD", "SKULL", "JAW", "FACE"), "head"),
    **dict.fromkeys(("NECK", "CSPINE"), "neck"),
    **dict.fromkeys(("SHOULDER", "ARM", "ELBOW", "FOREARM", "WRIST", "HAND", "FINGER", "CLAVICLE"), "arm"),
    **dict.fromkeys(("LEG", "THIGH", "FEMUR", "KNEE", "CALF", "ANKLE", "FOOT", "TOE", "EXTREMITY"), "leg"),
}
"""Values of BodyPartExamined (DICOM Part 16, Annex L) that do not mean the thoracic or lumbar spine -> part."""
OLDEST_YEARS = 90.0
_AGE = re.compile(r"(\d{3})([DWMY])")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def technique_facts(tags: TagReader, *, is_capture: bool) -> dict[str, Any]:
    """The facts of the technique and the patient that may be stored. An absent fact has no key."""
    maker = tags.text("Manufacturer")
    facts: dict[str, Any] = {
        "manufacturer": next((known for known in MAKERS if maker.startswith(known)), "other" if maker else None),
        "body_part": BODY_PARTS.get(tags.text("BodyPartExamined").replace(" ", "")),
        "kvp": _kilovolts(tags),
        "age_years": _age_years(tags.text("PatientAge")),
        "sex": tags.text("PatientSex") if tags.text("PatientSex") in ("M", "F", "O") else None,
        "secondary_capture": True if is_capture else None,
        "simulated": True if maker == SIMULATED_MAKER or tags.text("ConversionType") == "SYN" else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _kilovolts(tags: TagReader) -> float | None:
    try:
        value = float((tags.texts("KVP") or ("nan",))[0])
    except ValueError:
        return None
    return value if math.isfinite(value) and 20 <= value <= 200 else None


def _age_years(text: str) -> float | None:
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    return min(OLDEST_YEARS, round(int(match[1]) * _YEARS[match[2]], 1))
