"""The code values of FHIR that bundles contain.

Contract: every value of an element with a required value set stands here. fhir.resources checks the structure of
a resource, but accepts any text as a code, so these enumerations are what holds bundles to the value sets.
"""

from collections.abc import Mapping
from enum import StrEnum


class Release(StrEnum):
    """A release of FHIR."""

    R4B = "R4B"
    R5 = "R5"


class BundleType(StrEnum):
    """http://hl7.org/fhir/ValueSet/bundle-type."""

    TRANSACTION = "transaction"


class HttpVerb(StrEnum):
    """http://hl7.org/fhir/ValueSet/http-verb."""

    PUT = "PUT"


class ObservationStatus(StrEnum):
    """http://hl7.org/fhir/ValueSet/observation-status: no person has verified the value."""

    PRELIMINARY = "preliminary"


class ReportStatus(StrEnum):
    """http://hl7.org/fhir/ValueSet/diagnostic-report-status."""

    PRELIMINARY = "preliminary"


class StudyStatus(StrEnum):
    """http://hl7.org/fhir/ValueSet/imagingstudy-status."""

    AVAILABLE = "available"


class DeviceStatus(StrEnum):
    """http://hl7.org/fhir/ValueSet/device-status."""

    ACTIVE = "active"


class DeviceNameType(StrEnum):
    """http://hl7.org/fhir/ValueSet/device-nametype."""

    USER_FRIENDLY = "user-friendly-name"


class Modality(StrEnum):
    """Modalities of radiographs (DICOM CID 29)."""

    CR = "CR"
    DX = "DX"
    RADIOGRAPH = "RG"
    FLUOROSCOPY = "RF"
    ANGIOGRAPHY = "XA"
    OTHER = "OT"

    @classmethod
    def of(cls, text: str) -> "Modality":
        """The modality of a tag. A wrong tag may hold any text, and none of it reaches a bundle."""
        return cls(text) if text in set(cls) else cls.OTHER


class AbsentReason(StrEnum):
    """http://terminology.hl7.org/CodeSystem/data-absent-reason."""

    UNKNOWN = "unknown"
    NOT_PERFORMED = "not-performed"
    ERROR = "error"


ABSENT_SYSTEM = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CATEGORY_SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
SECTION_SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-0074"
SECURITY_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
UID_SYSTEM = "urn:dicom:uid"
SOP_CLASS_SYSTEM = "urn:ietf:rfc:3986"

IMAGING_CATEGORY = ("imaging", "Imaging")
RADIOLOGY_SECTION = ("RAD", "Radiology")
AI_ASSERTED = ("AIAST", "Artificial Intelligence asserted")
"""Security label of the guide AI Transparency on FHIR."""

ABSENT_REASONS: Mapping[str, AbsentReason] = {
    "VIEW_MISSING": AbsentReason.NOT_PERFORMED,
    "VIEW_REFUSED": AbsentReason.ERROR,
    "LANDMARKS_NOT_SEEN": AbsentReason.UNKNOWN,
    "LANDMARK_HEIGHTS_DIFFER": AbsentReason.ERROR,
    "LANDMARKS_IN_BLANK_REGION": AbsentReason.UNKNOWN,
    "LANDMARKS_OUT_OF_CHAIN": AbsentReason.ERROR,
    "CURVE_NOT_SEEN": AbsentReason.UNKNOWN,
    "BEYOND_ANATOMY": AbsentReason.ERROR,
    "MARGINS_REVERSED": AbsentReason.ERROR,
    "TOO_FEW_VERTEBRAE": AbsentReason.UNKNOWN,
    "LENGTHS_UNCALIBRATED": AbsentReason.UNKNOWN,
    "NOT_PREDICTED": AbsentReason.UNKNOWN,
}
"""Reason of ``spine.measurement.registry.ABSENT_CODES`` -> the nearest reason of FHIR; our code stands beside it."""
