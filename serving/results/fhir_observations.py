"""The observations of a FHIR bundle: one a parameter, with its value and interval or the reason of its absence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.value_table import remark
from serving.results.codes import (
    ABSENCE_CODES,
    CLASS_CODES,
    INTERVAL,
    LEVEL_CODES,
    PERCENT,
    PROBABILITY,
    SYSTEMS,
    UNIT_CODES,
    Code,
    code_of,
)
from serving.results.derived_classes import ClassText
from serving.results.fhir_codes import (
    ABSENT_REASONS,
    ABSENT_SYSTEM,
    CATEGORY_SYSTEM,
    IMAGING_CATEGORY,
    UID_SYSTEM,
    AbsentReason,
    ObservationStatus,
)
from serving.results.identity import tracking_uid
from serving.results.sites import finding_levels
from spine.measurement.registry import PARAMETERS, Measured, Unit

_SYMBOLS = {"deg": "°", "mm": "mm"}


@dataclass(frozen=True)
class Links:
    """What every observation of a bundle refers to; ``moment`` is the date of the radiographs, or None."""

    subject: Mapping[str, Any]
    study: Mapping[str, str]
    device: Mapping[str, str]
    moment: str | None


def parameter_observation(
    name: str, measured: Measured, links: Links, sop_uids: Sequence[str], digest: str
) -> dict[str, Any]:
    """The observation of one parameter as JSON values."""
    uid = f"urn:oid:{tracking_uid(name, sop_uids, digest)}"
    base = _base(concept(code_of(name), PARAMETERS[name].label), links)
    base |= {"identifier": [{"system": UID_SYSTEM, "value": uid}], "method": {"text": PARAMETERS[name].definition}}
    if measured.value is None:
        return base | {"dataAbsentReason": _absence(measured)}
    found: dict[str, Any] = {"valueQuantity": _quantity(round(measured.value, 1), measured.unit)}
    levels = finding_levels(name, measured)
    if levels:
        found["bodySite"] = {
            "coding": [_coding(LEVEL_CODES[level]) for level in levels[:1]],
            "text": " to ".join(levels),
        }
    if text := remark(measured):
        found["note"] = [{"text": text}]
    if measured.interval is not None:
        low, high = (_quantity(round(end, 1), measured.unit) for end in measured.interval)
        found["component"] = [{"code": concept(INTERVAL), "valueRange": {"low": low, "high": high}}]
    return base | found


def class_observation(each: ClassText, links: Links) -> dict[str, Any]:
    """The observation of one class as JSON values."""
    base = _base(concept(CLASS_CODES[each.name]), links)
    if each.value is None:
        unknown = {"system": ABSENT_SYSTEM, "code": AbsentReason.UNKNOWN.value}
        return base | {"dataAbsentReason": {"coding": [unknown], "text": each.text}}
    found: dict[str, Any] = {"valueCodeableConcept": {"text": each.value}}
    if each.probability is not None:
        share = round(100 * each.probability, 1)
        percent = {"value": share, "unit": "%", "system": SYSTEMS[PERCENT.scheme], "code": PERCENT.value}
        found["component"] = [{"code": concept(PROBABILITY), "valueQuantity": percent}]
    return base | found


def concept(code: Code, text: str | None = None) -> dict[str, Any]:
    """A code with those of other schemes that mean the same."""
    return {"coding": [_coding(each) for each in (code, *code.same)], "text": text or code.meaning}


def _coding(code: Code) -> dict[str, str]:
    return {"system": SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}


def _base(code: dict[str, Any], links: Links) -> dict[str, Any]:
    category = {"system": CATEGORY_SYSTEM, "code": IMAGING_CATEGORY[0], "display": IMAGING_CATEGORY[1]}
    effective = {"effectiveDateTime": links.moment} if links.moment else {}
    return {
        "resourceType": "Observation",
        "status": ObservationStatus.PRELIMINARY.value,
        "category": [{"coding": [category]}],
        "code": code,
        "subject": dict(links.subject),
        **effective,
        "device": dict(links.device),
        "derivedFrom": [dict(links.study)],
    }


def _absence(measured: Measured) -> dict[str, Any]:
    assert measured.absent_code is not None
    general = {"system": ABSENT_SYSTEM, "code": ABSENT_REASONS[measured.absent_code].value}
    return {"coding": [general, _coding(ABSENCE_CODES[measured.absent_code])], "text": measured.absent_reason}


def _quantity(value: float, unit: Unit) -> dict[str, Any]:
    code = UNIT_CODES[unit]
    return {"value": value, "unit": _SYMBOLS[unit], "system": SYSTEMS[code.scheme], "code": code.value}
