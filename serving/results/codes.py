"""The codes of results: one table for DICOM and FHIR.

Contract: every code that a result contains stands here, in the tables of levels and parameters, or in the standard. A
code of another scheme stands beside a private one only where both mean the same. RadElement's "pelvic tilt" (RDE265) is
the tilt of the iliac crest in the frontal plane, and its kyphosis and lordosis (RDE270, RDE271) name no levels;
therefore, no parameter has them. A curve above or below the major one has no SCT code, so that a reader who collects
Cobb angles gets one a study.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spine.measurement.registry import PARAMETERS

Scheme = Literal["SCT", "DCM", "UCUM", "UMLS", "RADELEMENT", "99PLUMBLINE"]

PRIVATE: Scheme = "99PLUMBLINE"
PRIVATE_UID = "2.25.231517430093457137120377962174512346017"
PRIVATE_NAME = "Plumbline parameters of spinal alignment"
PRIVATE_VERSION = "1"
RESPONSIBLE = "Plumbline"

SYSTEMS: Mapping[Scheme, str] = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nlm.nih.gov/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "UMLS": "http://terminology.hl7.org/CodeSystem/umls",
    "RADELEMENT": "urn:oid:1.2.840.10008.2.16.15",
    PRIVATE: f"urn:oid:{PRIVATE_UID}",
}
"""Scheme -> its URI in FHIR."""


@dataclass(frozen=True)
class Code:
    """A code of one scheme. ``same`` are codes of other schemes that mean the same."""

    value: str
    scheme: Scheme
    meaning: str
    same: "tuple[Code, ...]" = field(default=())


def _own(value: str, meaning: str, *same: Code) -> Code:
    return Code(value, PRIVATE, meaning, same)


PARAMETER_CODES: Mapping[str, Code] = {
    "thoracic_kyphosis_t4_t12": _own("TK_T4_T12", "Thoracic kyphosis T4-T12"),
    "lumbar_lordosis_l1_l5": _own("LL_L1_L5", "Lumbar lordosis L1-L5"),
    "lumbar_lordosis_l1_s1": _own("LL_L1_S1", "Lumbar lordosis L1-S1"),
    "lumbar_lordosis_l4_s1": _own("LL_L4_S1", "Lumbar lordosis L4-S1"),
    "pelvic_incidence": _own("PI", "Pelvic incidence", Code("RDE268", "RADELEMENT", "Pelvic incidence")),
    "sacral_slope": _own("SS", "Sacral slope"),
    "pelvic_tilt": _own("PT", "Pelvic tilt of the spinopelvic axis"),
    "t1_pelvic_angle": _own("T1PA", "T1 pelvic angle"),
    "pi_minus_ll": _own("PI_LL", "Pelvic incidence minus lumbar lordosis L1-S1"),
    "cobb": Code(
        "285285000",
        "SCT",
        "Cobb angle",
        (Code("RDE264", "RADELEMENT", "Cobb angle"), _own("COBB", "Cobb angle of the major curve by end plates")),
    ),
    "cobb_midline": _own("COBB_MIDLINE", "Cobb angle of the major curve by mid-lines"),
    "cobb_secondary_cranial": _own("COBB_CRANIAL", "Cobb angle of the curve above the major curve"),
    "cobb_secondary_caudal": _own("COBB_CAUDAL", "Cobb angle of the curve below the major curve"),
    "coronal_balance_t1": _own("BALANCE_T1", "Coronal balance of T1 over S1, positive to the left"),
}
"""Parameter -> its code. ``tests/serving/results`` checks that every parameter of the registry has one."""

LEVEL_CODES: Mapping[str, Code] = {
    "T1": Code("64864005", "SCT", "T1 vertebra"),
    "T2": Code("53733008", "SCT", "T2 vertebra"),
    "T3": Code("1626008", "SCT", "T3 vertebra"),
    "T4": Code("73071006", "SCT", "T4 vertebra"),
    "T5": Code("56401006", "SCT", "T5 vertebra"),
    "T6": Code("45296009", "SCT", "T6 vertebra"),
    "T7": Code("62487009", "SCT", "T7 vertebra"),
    "T8": Code("11068009", "SCT", "T8 vertebra"),
    "T9": Code("82687006", "SCT", "T9 vertebra"),
    "T10": Code("7610001", "SCT", "T10 vertebra"),
    "T11": Code("12989004", "SCT", "T11 vertebra"),
    "T12": Code("23215003", "SCT", "T12 vertebra"),
    "L1": Code("66794005", "SCT", "L1 vertebra"),
    "L2": Code("14293000", "SCT", "L2 vertebra"),
    "L3": Code("36470004", "SCT", "L3 vertebra"),
    "L4": Code("11994002", "SCT", "L4 vertebra"),
    "L5": Code("49668003", "SCT", "L5 vertebra"),
    "S1": Code("54735007", "SCT", "Sacrum"),
    "HIP": Code("24136001", "SCT", "Hip joint"),
}
"""Level of a landmark (``spine.landmarks.level_of``) -> anatomic site (CID 7603, CID 1005)."""

UNIT_CODES: Mapping[str, Code] = {
    "deg": Code("deg", "UCUM", "degree"),
    "mm": Code("mm", "UCUM", "millimeter"),
}

PERCENT = Code("%", "UCUM", "percent")

SPINE = Code("421060004", "SCT", "Spine")
UPPER_UNCERTAINTY = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
LOWER_UNCERTAINTY = Code("371885007", "SCT", "-, range of lower measurement uncertainty")
"""CID 225: the distance from the value to the end of its interval."""
INTERVAL_LOW = _own("INTERVAL_90_LOW", "Lower end of the 90 % interval")
INTERVAL_HIGH = _own("INTERVAL_90_HIGH", "Upper end of the 90 % interval")
INTERVAL = _own("INTERVAL_90", "90 % interval")

IMAGING_PROCEDURE = Code("363680008", "SCT", "Radiographic imaging procedure")
MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")
ABSENCE = _own("ABSENCE", "Reason why a parameter has no value")
PROBABILITY = _own("PROBABILITY", "Probability of a class")
DIGEST = _own("MODEL_DIGEST", "SHA-256 of the model")

ABSENCE_CODES: Mapping[str, Code] = {
    "VIEW_MISSING": _own("VIEW_MISSING", "Not measured: its view is missing"),
    "VIEW_REFUSED": _own("VIEW_REFUSED", "Not measured: the image of its view was refused"),
    "LANDMARKS_NOT_SEEN": _own("NOT_SEEN", "Not measured: landmarks are not visible"),
    "LANDMARK_HEIGHTS_DIFFER": _own("HEIGHTS_DIFFER", "Not measured: heights of landmarks differ between views"),
    "LANDMARKS_IN_BLANK_REGION": _own("BLANK_REGION", "Not measured: landmarks lie in a blank region"),
    "LANDMARKS_OUT_OF_CHAIN": _own("OUT_OF_CHAIN", "Not measured: landmarks lie outside the spinal column"),
    "CURVE_NOT_SEEN": _own("CURVE_NOT_SEEN", "Not measured: vertebrae of the curve were not found"),
    "BEYOND_ANATOMY": _own("BEYOND_ANATOMY", "Not measured: value outside the limits of anatomy"),
    "MARGINS_REVERSED": _own("REVERSED", "Not measured: margins of an end plate are reversed"),
    "TOO_FEW_VERTEBRAE": _own("TOO_FEW", "Not measured: too few vertebrae are visible"),
    "LENGTHS_UNCALIBRATED": _own("UNCALIBRATED", "Not measured: the image has no calibrated spacing"),
    "NOT_PREDICTED": _own("NOT_PREDICTED", "Not measured: not part of the prediction"),
}
"""Reason of ``spine.measurement.registry.ABSENT_CODES`` -> its code, of at most 16 characters (VR SH)."""


CLASS_CODES: Mapping[str, Code] = {
    "curve_pattern": _own("CURVE_PATTERN", "Curve pattern by region"),
    "srs_schwab_curve": _own("SCHWAB_CURVE", "SRS-Schwab curve type"),
    "srs_schwab_pi_ll": _own("SCHWAB_PI_LL", "SRS-Schwab modifier PI - LL"),
    "srs_schwab_pt": _own("SCHWAB_PT", "SRS-Schwab modifier pelvic tilt"),
    "srs_schwab_sva": _own("SCHWAB_SVA", "SRS-Schwab modifier global alignment"),
    "roussouly": _own("ROUSSOULY", "Roussouly type"),
    "gap_pelvic_version": _own("GAP_PELVIC", "GAP relative pelvic version"),
    "gap_lumbar_lordosis": _own("GAP_LORDOSIS", "GAP relative lumbar lordosis"),
    "gap_lordosis_share": _own("GAP_SHARE", "GAP lordosis distribution index"),
    "gap_score": _own("GAP_SCORE", "GAP score"),
    "apical_rotation": _own("APEX_ROTATION", "Axial rotation of the apical vertebra"),
}
"""Class of ``spine.measurement.classes`` -> its code."""


def code_of(parameter: str) -> Code:
    """The code of a parameter of the registry."""
    return PARAMETER_CODES[PARAMETERS[parameter].name]
