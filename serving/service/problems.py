"""An error as an answer: JSON with ``code``, ``found``, ``expected`` and ``remedy`` (RFC 9457).

Contract: a deliberate refusal is an answer with a status of 4xx, or 503 and 504 where the service is the reason. An
unexpected error is an answer without its text, because the text may contain what a file contains.
"""

import json
from collections.abc import Mapping

from starlette.responses import Response

from spine.errors import EvidenceRejected, GateRefused, InputRejected, ParametersRejected, PlumblineError

_STATUS = {
    "KEY_MISSING": 401,
    "KEY_WRONG": 401,
    "HOST_REFUSED": 403,
    "ORIGIN_REFUSED": 403,
    "NOT_FOUND": 404,
    "CASE_UNKNOWN": 404,
    "STUDY_UNKNOWN": 404,
    "METHOD_NOT_ALLOWED": 405,
    "FORMAT_UNAVAILABLE": 406,
    "BODY_TOO_SLOW": 408,
    "BODY_TOO_LARGE": 413,
    "FILE_TOO_LARGE": 413,
    "TYPE_UNSUPPORTED": 415,
    "CORRECTION_CONFLICT": 409,
    "PACS_UNAVAILABLE": 503,
    "SERVICE_BUSY": 503,
    "NO_MODEL": 503,
    "TIME_LIMIT": 504,
}
"""Code -> HTTP status, where the class of the error does not say it."""


def status_of(error: PlumblineError) -> int:
    """The HTTP status of an error."""
    if error.code in _STATUS:
        return _STATUS[error.code]
    if isinstance(error, ParametersRejected):
        return 400
    if isinstance(error, InputRejected):
        return 422
    return 409 if isinstance(error, GateRefused | EvidenceRejected) else 422


def problem(error: PlumblineError, request_id: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """The answer for an error."""
    status = status_of(error)
    more = dict(headers or {})
    if status == 503:
        more.setdefault("Retry-After", "5")
    parts = {"code": error.code, "found": error.found, "expected": error.expected, "remedy": error.remedy}
    answer = problem_response(status, parts, request_id, more)
    if status == 401:  # a header for each, Basic first: Chromium does not find Basic behind Bearer in one header
        for scheme in ("Basic", "Bearer"):
            answer.headers.append("WWW-Authenticate", f'{scheme} realm="plumbline"')
    return answer


def unexpected(request_id: str) -> Response:
    """The answer for an error that nobody foresaw."""
    parts = {
        "code": "UNEXPECTED",
        "found": "an error that the service does not know",
        "expected": "a measurement, or a refusal with a reason",
        "remedy": f"report request {request_id} to whoever runs the service: the log has the place of the error",
    }
    return problem_response(500, parts, request_id, {})


def problem_response(status: int, parts: Mapping[str, str], request_id: str, headers: Mapping[str, str]) -> Response:
    """An answer of the type ``application/problem+json``."""
    body = {"status": status, **parts, **({"request_id": request_id} if request_id else {})}
    safe = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    content = json.dumps(body, indent=1).encode()
    return Response(content, status, {**safe, **headers}, media_type="application/problem+json")
