"""Every parameter Plumbline measures: name, definition, unit, sign and source, in one table.

Contract: a parameter that is not in ``PARAMETERS`` does not exist; a value is either a finite number with its unit or
absent with a reason, never NaN.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Plane = Literal["sagittal", "coronal"]
Unit = Literal["deg", "mm"]

ABSENT_CODES: Mapping[str, str] = {
    "VIEW_MISSING": "the view that shows the parameter's plane was not given",
    "VIEW_REFUSED": "that view was given, but was not taken for a radiograph of a whole spine",
    "LANDMARKS_NOT_SEEN": "landmarks that the definition needs were not seen",
    "LANDMARK_HEIGHTS_DIFFER": "both views saw such landmarks, but at heights too far apart to be the same",
    "LANDMARKS_IN_BLANK_REGION": "such landmarks would lie where nothing is drawn in the image (covered, cut out)",
    "MARGINS_REVERSED": "the margins of a plate were found in reversed order",
    "TOO_FEW_VERTEBRAE": "fewer vertebrae were seen than a curve is measured over",
    "LENGTHS_UNCALIBRATED": "the image has no spacing, or none in the patient, and the parameter is a length",
    "NOT_PREDICTED": "in an evaluation: no prediction speaks of the parameter",
}
"""Why a parameter has no value: stable codes, and what each means."""


@dataclass(frozen=True)
class Measured:
    """One measured parameter: a finite value, or None with the reason.

    Attributes:
        value: in ``unit``, or None.
        unit: ``deg`` or ``mm``.
        absent_reason: why there is no value; None exactly when there is one.
        detail: named findings beside the number (end vertebrae, apex, side ...).
        sigma: standard deviation as it follows from the landmarks' own, where those are known.
        interval: (low, high) that holds the true value nine times in ten, where a model was calibrated for it.
        absent_code: the reason as one of ``ABSENT_CODES``; None exactly when there is a value.
    """

    value: float | None
    unit: Unit
    absent_reason: str | None = None
    detail: Mapping[str, str] | None = None
    sigma: float | None = None
    interval: tuple[float, float] | None = None
    absent_code: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.absent_reason is None):
            raise ValueError("a parameter has either a value or a reason for its absence")
        if (self.absent_reason is None) != (self.absent_code is None) or self.absent_code not in (None, *ABSENT_CODES):
            raise ValueError(f"a reason goes with one of the known codes, not with {self.absent_code!r}")
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
        name: key everywhere (records, metrics, policies).
        label: for people.
        plane: the plane, hence the view, that yields it.
        unit: ``deg`` or ``mm``.
        definition: what is measured between what.
        sign: what positive means.
        source: where the definition comes from.
        in_paper: whether Galbusera 2019 reports it.
    """

    name: str
    label: str
    plane: Plane
    unit: Unit
    definition: str
    sign: str
    source: str
    in_paper: bool = False


_TABLE: tuple[Parameter, ...] = (
    Parameter(
        "thoracic_kyphosis_t4_t12",
        "Thoracic kyphosis T4-T12",
        "sagittal",
        "deg",
        "tilt of the upper end plate of T4 minus tilt of the lower end plate of T12",
        "kyphosis positive",
        "Galbusera 2019; tilt convention of docs/sources.md, definitions and signs",
        True,
    ),
    Parameter(
        "lumbar_lordosis_l1_l5",
        "Lumbar lordosis L1-L5",
        "sagittal",
        "deg",
        "tilt of the lower end plate of L5 minus tilt of the upper end plate of L1",
        "lordosis positive",
        "Galbusera 2019",
        True,
    ),
    Parameter(
        "lumbar_lordosis_l1_s1",
        "Lumbar lordosis L1-S1",
        "sagittal",
        "deg",
        "tilt of the S1 end plate minus tilt of the upper end plate of L1",
        "lordosis positive",
        "Polly 1996; Protopsaltis 2014",
    ),
    Parameter(
        "pelvic_incidence",
        "Pelvic incidence",
        "sagittal",
        "deg",
        "angle between the normal of the S1 end plate at its centre and the line from there to the middle of "
        "both hip centres; equals pelvic tilt plus sacral slope",
        "positive",
        "Legaye 1998; Galbusera 2019",
        True,
    ),
    Parameter(
        "sacral_slope",
        "Sacral slope",
        "sagittal",
        "deg",
        "tilt of the S1 end plate against the horizontal",
        "positive when it slopes down to the front",
        "Legaye 1998; Galbusera 2019",
        True,
    ),
    Parameter(
        "pelvic_tilt",
        "Pelvic tilt",
        "sagittal",
        "deg",
        "angle between the vertical and the line from the middle of the S1 end plate to the middle of both hip centres",
        "positive when the hips lie in front of S1",
        "Legaye 1998; Galbusera 2019",
        True,
    ),
    Parameter(
        "t1_pelvic_angle",
        "T1 pelvic angle",
        "sagittal",
        "deg",
        "angle at the middle of both hip centres between the lines to the middle of T1 and to the middle of the S1 end "
        "plate; equals pelvic tilt plus the inclination of the line from the hips to T1",
        "positive when T1 lies in front of the line from the hips to S1",
        "Protopsaltis 2014",
    ),
    Parameter(
        "pi_minus_ll",
        "PI - LL",
        "sagittal",
        "deg",
        "pelvic incidence minus lumbar lordosis L1-S1",
        "positive when lordosis is too small",
        "Schwab 2012",
    ),
    Parameter(
        "cobb",
        "Cobb angle (end plates)",
        "coronal",
        "deg",
        "largest angle between the upper end plate of a cranial and the lower end plate of a more caudal vertebra, "
        "over the visible ones of T1-L5 (at least six)",
        "not signed; the side of the convexity is named beside it",
        "Cobb 1948; AO Surgery Reference",
        True,
    ),
    Parameter(
        "cobb_midline",
        "Cobb angle (mid-lines)",
        "coronal",
        "deg",
        "largest angle between the mid-lines (mean of upper and lower plate direction) of two vertebrae T1-L5",
        "not signed",
        "AASCE 2019 reference angles (Wu 2017)",
    ),
    Parameter(
        "cobb_secondary_cranial",
        "Cobb angle above the major curve",
        "coronal",
        "deg",
        "largest end plate angle of a curve that ends at the major curve's upper end vertebra, of opposite side",
        "not signed",
        "AO Surgery Reference",
    ),
    Parameter(
        "cobb_secondary_caudal",
        "Cobb angle below the major curve",
        "coronal",
        "deg",
        "largest end plate angle of a curve that begins at the major curve's lower end vertebra, of opposite side",
        "not signed",
        "AO Surgery Reference",
    ),
    Parameter(
        "coronal_balance_t1",
        "Coronal balance (T1)",
        "coronal",
        "mm",
        "horizontal distance of the middle of T1 from the vertical through the middle of the S1 end plate "
        "(C7, of the usual definition, is not among the landmarks)",
        "positive to the patient's left",
        "docs/sources.md, definitions and signs; T1 in place of C7",
    ),
)

PARAMETERS: Mapping[str, Parameter] = {p.name: p for p in _TABLE}
PAPER_PARAMETERS: tuple[str, ...] = tuple(p.name for p in _TABLE if p.in_paper)
