"""The table of the classes that follow from measured parameters: name, definition, source, values.

Contract: only classes in ``CLASSES`` exist. A class is given only where its inputs are known; otherwise it is absent,
with a reason. A class describes a radiograph. It is no diagnosis and no indication for treatment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class DerivedClass:
    """Definition of one class.

    Attributes:
        name: key in records.
        definition: the rule, with its limits.
        source: publication of the rule.
        values: every value that the class can have; empty where the value is composed of several curves.
        unit: unit of the number on which the class rests; empty without one.
    """

    name: str
    label: str
    definition: str
    source: str
    values: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Classified:
    """One class of one study.

    Attributes:
        value: one of the class's values, or None.
        absent_reason: why there is no value; None exactly when there is a value.
        number: the number on which the class rests, in the class's unit; None without one.
        probability: share of the plausible parameter values, by their intervals, that give this value; None without
            intervals. Errors of the levels' names and of the reading itself are not in it.
        detail: findings that belong to the class.

    Raises:
        ValueError: value and reason are both given or both missing.
    """

    value: str | None
    absent_reason: str | None = None
    number: float | None = None
    probability: float | None = None
    detail: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.value is None) == (self.absent_reason is None):
            raise ValueError("a class has either a value or a reason for its absence")


_SCHWAB = "Schwab 2012, Spine 37:1077-1082"
_GAP = "Yilgor 2017, J Bone Joint Surg Am 99:1661-1672"

_TABLE: tuple[DerivedClass, ...] = (
    DerivedClass(
        "curve_pattern",
        "Curve pattern",
        "every curve of at least 10 degrees (end plates), named by the region of its apex: proximal thoracic (to T5), "
        "main thoracic (T6 to disc T11/T12), thoracolumbar (T12 to L1), lumbar (disc L1/L2 and below); only the major "
        "curve and its two neighbours are sought",
        "Scoliosis Research Society (apex regions, limit of 10 degrees); AO Surgery Reference",
    ),
    DerivedClass(
        "srs_schwab_curve",
        "SRS-Schwab curve type",
        "T: a thoracic curve (apex at T9 or above) of at least 30 degrees alone; L: a thoracolumbar or lumbar curve of "
        "at least 30 degrees alone; D: both; N: neither",
        _SCHWAB,
        ("T", "L", "D", "N"),
    ),
    DerivedClass(
        "srs_schwab_pi_ll",
        "SRS-Schwab PI - LL",
        "0: PI - LL below 10 degrees; +: 10 to 20; ++: above 20",
        _SCHWAB,
        ("0", "+", "++"),
        "deg",
    ),
    DerivedClass(
        "srs_schwab_pt",
        "SRS-Schwab pelvic tilt",
        "0: pelvic tilt below 20 degrees; +: 20 to 30; ++: above 30",
        _SCHWAB,
        ("0", "+", "++"),
        "deg",
    ),
    DerivedClass(
        "srs_schwab_sva",
        "SRS-Schwab global alignment",
        "0: sagittal vertical axis below 4 cm; +: 4 to 9.5 cm; ++: above 9.5 cm; needs C7",
        _SCHWAB,
        ("0", "+", "++"),
        "mm",
    ),
    DerivedClass(
        "roussouly",
        "Roussouly type",
        "sacral slope below 35 degrees: type 1 with at most three lordotic vertebrae, else type 2; from 35 degrees: "
        "type 3 anteverted with PI below 50 and PT below 5 degrees; 35 to 45 degrees: type 3; from 45 degrees: type 4",
        "Roussouly 2005, Spine 30:346-353; Laouissat 2018, Eur Spine J 27:2002-2011",
        ("type 1", "type 2", "type 3", "type 3 anteverted", "type 4"),
        "deg",
    ),
    DerivedClass(
        "gap_pelvic_version",
        "GAP relative pelvic version",
        "sacral slope minus its ideal, 0.59 PI + 9: severe retroversion below -15 degrees (3 points), moderate "
        "retroversion to -7.1 (2), aligned to 5 (0), anteversion above (1)",
        _GAP,
        ("severe retroversion", "moderate retroversion", "aligned", "anteversion"),
        "deg",
    ),
    DerivedClass(
        "gap_lumbar_lordosis",
        "GAP relative lumbar lordosis",
        "lordosis L1-S1 minus its ideal, 0.62 PI + 29: severe hypolordosis below -25 degrees (3 points), moderate "
        "hypolordosis to -14.1 (2), aligned to 11 (0), hyperlordosis above (3)",
        _GAP,
        ("severe hypolordosis", "moderate hypolordosis", "aligned", "hyperlordosis"),
        "deg",
    ),
    DerivedClass(
        "gap_lordosis_share",
        "GAP lordosis distribution",
        "share of lordosis L4-S1 in L1-S1: severe hypolordotic maldistribution below 40 % (2 points), "
        "moderate hypolordotic maldistribution below 50 (1), aligned to 80 (0), hyperlordotic maldistribution above "
        "(3)",
        _GAP,
        (
            "severe hypolordotic maldistribution",
            "moderate hypolordotic maldistribution",
            "aligned",
            "hyperlordotic maldistribution",
        ),
        "%",
    ),
    DerivedClass(
        "gap_score",
        "GAP score",
        "sum of the points of its parts and of the age: proportioned 0 to 2, moderately disproportioned 3 to 6, "
        "severely disproportioned from 7; relative spinopelvic alignment needs C7, so the category is given only where "
        "the other parts decide it",
        _GAP,
        ("severely disproportioned",),
        "points",
    ),
    DerivedClass(
        "apical_rotation",
        "Axial rotation of the apex",
        "angle in the transverse plane between the line through both pedicles of the major curve's apical vertebra and "
        "the line through both hip centres; to the left when "
        "the front of the vertebra points to the patient's left; the landmark sets of today have no pedicles",
        "Stokes 1994, Spine 19:236-248 (terms of the SRS Working Group); the hips as frame are a choice",
        ("to the left", "to the right", "none"),
        "deg",
    ),
)

CLASSES: Mapping[str, DerivedClass] = {each.name: each for each in _TABLE}
