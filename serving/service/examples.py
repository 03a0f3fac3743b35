"""What the OpenAPI description says about ``POST /measure``: its two kinds of body, and examples of the answers."""

from typing import Any

from inference.measurement_json import REPORT_SCHEMA

_FILE = {"type": "string", "format": "binary"}
_SPACING = {"type": "number", "description": "Size of a pixel in the patient, mm. For a picture (PNG, JPEG) only."}
_MULTIPART = {
    "type": "object",
    "properties": {
        "frontal": {**_FILE, "description": "The frontal radiograph: DICOM, or a picture (PNG, JPEG)."},
        "lateral": {**_FILE, "description": "The lateral radiograph: DICOM, or a picture (PNG, JPEG)."},
        "files": {"type": "array", "items": _FILE, "maxItems": 2, "description": "DICOM files that name their view."},
        "facing": {"type": "string", "enum": ["left", "right"], "description": "Side to which the patient faces."},
        "frontal_spacing_mm": _SPACING,
        "lateral_spacing_mm": _SPACING,
    },
}
_UID = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": 64}
_REFERENCE = {
    "type": "object",
    "required": ["pacs", "study_uid"],
    "additionalProperties": False,
    "properties": {
        "pacs": {"type": "string", "description": "A PACS that the settings of the service name."},
        "study_uid": {**_UID, "description": "Study Instance UID."},
        "frontal": {**_UID, "description": "SOP Instance UID, if the study has several radiographs."},
        "lateral": {**_UID, "description": "SOP Instance UID, if the study has several radiographs."},
        "facing": {"type": "string", "enum": ["left", "right"]},
    },
}
_REFERENCE_EXAMPLE = {"pacs": "hospital", "study_uid": "1.2.840.113619.2.1.7"}
_DIGEST = "5f0c1b8e2f4b7a9d3c6e1f2a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c"
_MEASUREMENT_EXAMPLE = {
    "schema": REPORT_SCHEMA,
    "not_for_diagnosis": True,
    "parameters": {
        "cobb": {"label": "Cobb angle", "unit": "deg", "value": 23.4, "interval_90": [19.8, 27.0]},
        "pelvic_incidence": {
            "label": "pelvic incidence",
            "unit": "deg",
            "value": None,
            "absent_code": "LANDMARKS_NOT_SEEN",
            "absent_reason": "the femoral heads are not visible",
        },
    },
    "model": {"digest": _DIGEST, "landmark_set": "galbusera39", "trained_on_simulated_data": True},
    "answered_by": {"model_digest": _DIGEST, "model": "champion version 3", "request": "9f2c4b7a1d3e5f60"},
}


def _problem(code: str, found: str, expected: str, remedy: str, status: int) -> dict[str, Any]:
    example = {"status": status, "code": code, "found": found, "expected": expected, "remedy": remedy}
    return {"description": found, "content": {"application/problem+json": {"example": example}}}


MEASURE_DOCUMENTATION: dict[str, Any] = {
    "request": {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _MULTIPART},
                "application/json": {"schema": _REFERENCE, "example": _REFERENCE_EXAMPLE},
            },
        },
        "parameters": [
            {
                "name": "format",
                "in": "query",
                "schema": {"type": "string", "enum": ["json", "fhir", "fhir-r5"], "default": "json"},
                "description": "json: docs/measurement-json.md. fhir: a transaction of R4B, also by Accept.",
            }
        ],
    },
    "answers": {
        200: {
            "description": "The measurement. The header Plumbline-Model has the digest of the model that answered.",
            "content": {"application/json": {"example": _MEASUREMENT_EXAMPLE}},
        },
        401: _problem(
            "KEY_MISSING",
            "a request without a key",
            "the key of a client of this service",
            "send the header Authorization: Bearer KEY",
            401,
        ),
        413: _problem("BODY_TOO_LARGE", "a larger body", "at most 134217728 bytes", "send one study only", 413),
        422: _problem("NOT_DICOM", "frontal: no DICOM file", "a DICOM file", "send the radiograph", 422),
        503: _problem(
            "SERVICE_BUSY", "33 requests that are measured or wait", "at most 33", "send it again in 9 s", 503
        ),
        504: _problem("TIME_LIMIT", "no result after 120 s", "a result within this time", "send it again later", 504),
    },
}
"""The parts for FastAPI: ``request`` (openapi_extra) and ``answers`` (responses)."""
