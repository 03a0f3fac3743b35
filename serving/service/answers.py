"""The answer to a measured request: the measurement as JSON or FHIR, with the digest of the model that answered.

Contract: ``MEDIA_TYPES`` names each form in which a measurement can be answered, and ``answered`` makes it.
"""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from inference.measured_study import MeasuredStudy
from inference.measurement_json import report_text
from serving.service.champion import ServedModel
from spine.errors import ParametersRejected

MODEL_HEADER = "Plumbline-Model"
_JSON, _FHIR = "application/json", "application/fhir+json"
MEDIA_TYPES = {"json": _JSON, "fhir": _FHIR, "fhir-r5": _FHIR}
"""Value of ``?format=`` -> the media type of the answer; ``fhir`` is a transaction of R4B."""


@dataclass(frozen=True)
class Answer:
    """The content of an answer and its type."""

    content: bytes
    media_type: str


def wanted_format(request: Request) -> str:
    """A key of ``MEDIA_TYPES``, from ``?format=`` or else from the header Accept.

    Accept names the release as FHIR says: ``application/fhir+json; fhirVersion=5.0``.

    Raises:
        ParametersRejected: ``FORMAT_UNAVAILABLE``.
    """
    accepted = [part.strip().lower() for part in request.headers.get("accept", "").split(",")]
    asked = next((part for part in accepted if part.startswith(_FHIR)), "")
    by_header = ("fhir-r5" if "fhirversion=5" in asked.replace(" ", "") else "fhir") if asked else "json"
    chosen = request.query_params.get("format") or by_header
    if chosen not in MEDIA_TYPES:
        found, expected = "a form in which this service does not answer", f"one of {', '.join(MEDIA_TYPES)}"
        raise ParametersRejected("FORMAT_UNAVAILABLE", found, expected, "leave the format out")
    return chosen


def answered(study: MeasuredStudy, by: ServedModel, request_id: str, form: str) -> Answer:
    """The answer for a measured study.

    Raises:
        InputRejected: ``RESULTS_NEED_DICOM``: FHIR for a picture.
    """
    if form == "json":
        return Answer(report_text(report_of(study, by, request_id)).encode(), _JSON)
    from serving.results.fhir_bundle import fhir_text
    from serving.results.fhir_codes import Release

    release = Release.R5 if form == "fhir-r5" else Release.R4B
    return Answer(fhir_text(study, release).encode(), MEDIA_TYPES[form])


def report_of(study: MeasuredStudy, by: ServedModel, request_id: str) -> dict[str, Any]:
    """The measurement (docs/measurement-json.md), and ``answered_by``: the model's name and digest, and the request."""
    who = {"model_digest": by.digest, "model": by.name, "request": request_id}
    return {**study.report(), "answered_by": who}
