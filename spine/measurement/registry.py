"""The table of the parameters that Plumbline measures: name, definition, unit, sign and source.

Contract: only parameters in ``PARAMETERS`` exist. A value is a finite number with a unit, never NaN. An absent value
has a reason.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spine.measurement.construction import Construction

Plane = Literal["sagittal", "coronal"]
Unit = Literal["deg", "mm"]
Definition = Literal["margins", "centres"]
"""How the tilts of end plates follow: from their margins, or perpendicular to the line of plate centres."""

CENTRES_NOTE = (
    "measured from plate centres alone: such Cobb angles differ from those of plate margins by 5 degrees (SD) below 25 "
    "degrees and by 9 beyond 60, and a curve of 65 degrees was read as 47"
)
"""The known error of angles from plate centres alone. The SDs are those of 425 labelled AASCE radiographs (`python -m
benchmarks plate-centres`, which also has the sagittal angles of virtual patients). The 65 degrees are one real patient
whose radiographs were labelled in both ways."""

ABSENT_CODES: Mapping[str, str] = {
    "VIEW_MISSING": "the view that shows the plane of the parameter is missing",
    "VIEW_REFUSED": "the image of the view that shows the plane was refused, because it does not show a whole spine",
    "LANDMARKS_NOT_SEEN": "landmarks that the definition needs are not visible",
    "LANDMARK_HEIGHTS_DIFFER": "landmarks that the definition needs lie at different heights in the two views",
    "LANDMARKS_IN_BLANK_REGION": "landmarks that the definition needs lie in a blank (covered or cut out) region",
    "LANDMARKS_OUT_OF_CHAIN": "landmarks that the definition needs were found outside the chain of vertebrae",
    "CURVE_NOT_SEEN": "vertebrae among which the curve may lie were not found, although the image shows their region",
    "BEYOND_ANATOMY": "the value is outside the range that anatomy allows, so landmarks were found at a wrong place",
    "MARGINS_REVERSED": "the margins of an end plate are in reversed order",
    "TOO_FEW_VERTEBRAE": "too few vertebrae are visible to measure a curve",
    "LENGTHS_UNCALIBRATED": "the parameter is a length, and the image has no spacing that is calibrated to the patient "
    "or a spacing that contradicts other tags or the length of the spine",
    "NOT_PREDICTED": "in an evaluation: the prediction does not contain the parameter",
}
"""Code -> meaning of a reason why a parameter has no value. The codes are stable."""


@dataclass(frozen=True)
class Measured:
    """One measured parameter: a finite value, or None with the reason.

    Attributes:
        value: finite number in ``unit``, or None.
        absent_reason: why there is no value; None exactly when there is a value.
        detail: findings that belong to the value (end vertebrae, apex, side ...).
        sigma: standard deviation of the value, from the standard deviations of the landmarks if these are known.
        interval: 90 % interval (low, high); None if the model has no calibration.
        definition: how the tilts of the end plates of an angle follow; ``centres`` if one of them does not follow from
            its margins. None without a value, and for parameters that need no plate of T1..L5.
        absent_code: the reason as one of ``ABSENT_CODES``; None exactly when there is a value.
        construction: the lines whose angle or distance the value is; empty without a value, and for a parameter that
            is computed from others.

    Raises:
        ValueError: value and reason are both given or both missing, the code is unknown, or the value is not finite.
    """

    value: float | None
    unit: Unit
    absent_reason: str | None = None
    detail: Mapping[str, str] | None = None
    sigma: float | None = None
    interval: tuple[float, float] | None = None
    absent_code: str | None = None
    definition: Definition | None = None
    construction: Construction = ()

    def __post_init__(self) -> None:
        if (self.value is None) == (self.absent_reason is None):
            raise ValueError("a parameter has either a value or a reason for its absence")
        if (self.absent_reason is None) != (self.absent_code is None) or self.absent_code not in (None, *ABSENT_CODES):
            raise ValueError(f"a reason needs one of the known codes, not {self.absent_code!r}")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a measured value must be finite, not {self.value}")

    @property
    def is_absent(self) -> bool:
        """Whether there is no value."""
        return self.value is None


@dataclass(frozen=True)
class Parameter:
    """Definition of one parameter.

    Attributes:
        name: key in records, metrics and policies.
        plane: the plane in which the parameter is measured, which determines the view.
        sign: meaning of a positive value.
        source: publication of the definition.
        in_paper: whether Galbusera et al. 2019 report the parameter.
        limits: smallest and largest value that anatomy allows. They are the means of docs/sources.md (population and
            anatomy), widened by four or more standard deviations. The dataset validation uses the same limits.
        of_curve: whether the parameter is the largest angle of a curve. It then has no sign, and is absent if vertebrae
            of the curve are hidden.
    """

    name: str
    label: str
    plane: Plane
    definition: str
    sign: str
    source: str
    limits: tuple[float, float]
    unit: Unit = "deg"
    in_paper: bool = False
    of_curve: bool = False


_CURVE_LIMITS = (0.0, 130.0)
"""A choice. Curves beyond 100 degrees are rare: the largest plausible label of the 481 AASCE radiographs is 94 degrees.
Models report angles of 140 degrees and more on images without a spine."""

_TABLE: tuple[Parameter, ...] = (
    Parameter(
        name="thoracic_kyphosis_t4_t12",
        label="Thoracic kyphosis T4-T12",
        plane="sagittal",
        definition="tilt of the upper end plate of T4 minus tilt of the lower end plate of T12",
        sign="kyphosis positive",
        source="Galbusera 2019; tilt convention of docs/sources.md, definitions and signs",
        limits=(-45, 120),
        in_paper=True,
    ),
    Parameter(
        name="lumbar_lordosis_l1_l5",
        label="Lumbar lordosis L1-L5",
        plane="sagittal",
        definition="tilt of the lower end plate of L5 minus tilt of the upper end plate of L1",
        sign="lordosis positive",
        source="Galbusera 2019",
        limits=(-50, 105),
        in_paper=True,
    ),
    Parameter(
        name="lumbar_lordosis_l1_s1",
        label="Lumbar lordosis L1-S1",
        plane="sagittal",
        definition="tilt of the S1 end plate minus tilt of the upper end plate of L1",
        sign="lordosis positive",
        source="Polly 1996; Protopsaltis 2014",
        limits=(-50, 115),
    ),
    Parameter(
        name="lumbar_lordosis_l4_s1",
        label="Lumbar lordosis L4-S1",
        plane="sagittal",
        definition="tilt of the S1 end plate minus tilt of the upper end plate of L4",
        sign="lordosis positive",
        source="Roussouly 2005; Yilgor 2017",
        limits=(-40, 90),
    ),
    Parameter(
        name="pelvic_incidence",
        label="Pelvic incidence",
        plane="sagittal",
        definition="angle between the normal of the S1 end plate at its centre and the line from there to the middle "
        "of both hip centres; equals pelvic tilt plus sacral slope",
        sign="positive",
        source="Legaye 1998; Galbusera 2019",
        limits=(10, 110),
        in_paper=True,
    ),
    Parameter(
        name="sacral_slope",
        label="Sacral slope",
        plane="sagittal",
        definition="tilt of the S1 end plate against the horizontal",
        sign="positive when the plate slopes down to the front",
        source="Legaye 1998; Galbusera 2019",
        limits=(-20, 85),
        in_paper=True,
    ),
    Parameter(
        name="pelvic_tilt",
        label="Pelvic tilt",
        plane="sagittal",
        definition="angle between the vertical and the line from the middle of the S1 end plate to the middle of both "
        "hip centres",
        sign="positive when the hips lie in front of S1",
        source="Legaye 1998; Galbusera 2019",
        limits=(-35, 65),
        in_paper=True,
    ),
    Parameter(
        name="t1_pelvic_angle",
        label="T1 pelvic angle",
        plane="sagittal",
        definition="angle at the middle of both hip centres between the lines to the middle of T1 and to the middle of "
        "the S1 end plate; equals pelvic tilt plus the inclination of the line from the hips to T1",
        sign="positive when T1 lies in front of the line from the hips to S1",
        source="Protopsaltis 2014",
        limits=(-40, 80),
    ),
    Parameter(
        name="pi_minus_ll",
        label="PI - LL",
        plane="sagittal",
        definition="pelvic incidence minus lumbar lordosis L1-S1",
        sign="positive when lordosis is too small",
        source="Schwab 2012",
        limits=(-80, 120),
    ),
    Parameter(
        name="cobb",
        label="Cobb angle (end plates)",
        plane="coronal",
        definition="largest angle between the upper end plate of a cranial and the lower end plate of a more caudal "
        "vertebra, among the visible vertebrae of T1-L5 (at least five)",
        sign="not signed; the side of the convexity is reported with it",
        source="Cobb 1948; AO Surgery Reference",
        limits=_CURVE_LIMITS,
        in_paper=True,
        of_curve=True,
    ),
    Parameter(
        name="cobb_midline",
        label="Cobb angle (mid-lines)",
        plane="coronal",
        definition="largest angle between the mid-lines (mean of upper and lower plate direction) of two vertebrae "
        "T1-L5",
        sign="not signed",
        source="AASCE 2019 reference angles (Wu 2017)",
        limits=_CURVE_LIMITS,
        of_curve=True,
    ),
    Parameter(
        name="cobb_secondary_cranial",
        label="Cobb angle above the major curve",
        plane="coronal",
        definition="largest end plate angle of a curve that ends at the major curve's upper end vertebra, on the other "
        "side",
        sign="not signed",
        source="AO Surgery Reference",
        limits=_CURVE_LIMITS,
        of_curve=True,
    ),
    Parameter(
        name="cobb_secondary_caudal",
        label="Cobb angle below the major curve",
        plane="coronal",
        definition="largest end plate angle of a curve that begins at the major curve's lower end vertebra, on the "
        "other side",
        sign="not signed",
        source="AO Surgery Reference",
        limits=_CURVE_LIMITS,
        of_curve=True,
    ),
    Parameter(
        name="coronal_balance_t1",
        label="Coronal balance (T1)",
        plane="coronal",
        unit="mm",
        definition="horizontal distance of the middle of T1 from the vertical through the middle of the S1 end plate "
        "(C7, of the usual definition, is not among the landmarks)",
        sign="positive to the patient's left",
        source="docs/sources.md, definitions and signs; T1 in place of C7",
        limits=(-200, 200),
    ),
)

PARAMETERS: Mapping[str, Parameter] = {p.name: p for p in _TABLE}
PAPER_PARAMETERS: tuple[str, ...] = tuple(p.name for p in _TABLE if p.in_paper)
COMPARED_PARAMETERS: tuple[str, ...] = tuple(sorted(PAPER_PARAMETERS, key=lambda name: name != "cobb"))
"""The paper's parameters in the order of the policies, for tables beside those of a verdict."""


def rounded(value: float) -> int:
    """The whole number nearest to a value with one decimal, as tables show it; halves are rounded up."""
    return math.floor(round(value, 1) + 0.5)


def within_anatomy(parameters: Mapping[str, Measured]) -> dict[str, Measured]:
    """The parameters; a value outside the limits of its parameter is absent, with the code ``BEYOND_ANATOMY``."""
    checked = dict(parameters)
    for name, measured in parameters.items():
        low, high = PARAMETERS[name].limits
        if measured.value is not None and not low <= measured.value <= high:
            reason = (
                f"{measured.value:.0f} {measured.unit}, outside {low:g} to {high:g}: landmarks are at a wrong place"
            )
            checked[name] = Measured(None, measured.unit, reason, absent_code="BEYOND_ANATOMY")
    return checked
