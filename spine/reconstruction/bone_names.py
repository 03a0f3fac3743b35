"""Names of the meshes of single bones: which bone the name of a file or of an object means.

    L3, l3, L03, vertebra_L3, vertebrae_L3, L3_1, L3_smooth      the vertebra; also D3 for T3
    T13, L6                                                      the extra vertebrae
    sacrum, sacrum_2, S1, vertebrae_S1                           the sacrum, and its upper part
    femur_left, femoral_head_left, femoral_head_L, FH_L          a femur or its head, for the centre of the hip
    C1..C7, rib_7_left, hip_left, pelvis, skull, disc_L3_L4 ...  other structures, which are not read

Contract: case does not matter, and any sign but a letter or a digit separates words. ``hip_left`` is the hip bone, not
the femoral head. Any other name gives None, because it may hide a vertebra.
"""

import re

from spine.landmarks import HIPS, VERTEBRAE
from spine.reconstruction.names import EXTRA_LEVELS

SACRUM = "sacrum"
OTHER = "other"
_VERTEBRAE = frozenset((*VERTEBRAE, *EXTRA_LEVELS.values()))
_LEVEL = re.compile(r"(?:vertebrae|vertebra|vert|v)?([ctdl])0?(\d{1,2})")
_SIDES = {"left": HIPS[0], "l": HIPS[0], "right": HIPS[1], "r": HIPS[1]}
_FEMUR = frozenset({"femur", "femoral", "fh"})
_OTHERS = frozenset(
    {
        *("rib", "ribs", "sternum", "clavicle", "clavicula", "scapula", "humerus", "radius", "ulna", "hand", "tibia"),
        *("fibula", "patella", "foot", "skull", "jaw", "mandible", "head", "hip", "hips", "pelvis", "ilium", "coxa"),
        *("innominate", "coccyx", "disc", "discs", "disk", "ivd", "skin", "cord", "canal", "acetabulum"),
        *("screw", "screws", "rod", "rods", "cage", "implant"),
    }
)


def bone_of(name: str) -> str | None:
    """T1..L6 for a vertebra, S1, ``sacrum``, ``HIP_L`` or ``HIP_R`` for a femur, ``other``, or None if unknown."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    # T04 may be written as "T 04" or "thoracic_4"; the letter then belongs to the number behind it.
    text = re.sub(
        r"\b(thoracic|lumbar|dorsal|cervical|[tdlc]) 0?(\d{1,2})\b", lambda m: m[1][0] + m[2], " ".join(words)
    )
    words = text.split()
    levels = [match for match in map(_LEVEL.fullmatch, words) if match]
    if not _OTHERS.isdisjoint(words) and _FEMUR.isdisjoint(words):
        return OTHER
    if len(levels) == 1:
        letter, number = levels[0].groups()
        level = f"{letter.upper().replace('D', 'T')}{number}"
        return OTHER if letter == "c" and 1 <= int(number) <= 7 else level if level in _VERTEBRAE else None
    if levels:
        return None
    if "s1" in words:
        return "S1"
    if "sacrum" in words:
        return SACRUM
    sides = {_SIDES[word] for word in words if word in _SIDES}
    return sides.pop() if len(sides) == 1 and not _FEMUR.isdisjoint(words) else None
