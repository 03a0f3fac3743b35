"""The log of the service: one JSON object on a line, without anything that identifies a patient.

Contract: a line has a time, a level, an event and fields that the code names: request id, route, status, code, seconds,
digests, the client's name. No line has a file name, a tag value, a query, a body or the text of an exception, because
each of these may name a patient.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

LOGGER = "plumbline.service"
_FOREIGN = ("uvicorn", "uvicorn.error", "uvicorn.access", "fastapi", "asyncio", "multipart", "python_multipart")


class JsonLines(logging.Formatter):
    """One JSON object for a record. Of a record of another library only level and logger are written."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        own = record.name == LOGGER
        event = record.getMessage() if own else "message of a library"
        fields = getattr(record, "fields", {}) if own else {"logger": record.name, "place": _place(record)}
        return json.dumps({"at": at, "level": record.levelname.lower(), "event": event, **fields}, default=str)


def _place(record: logging.LogRecord) -> str:
    kind = record.exc_info[0] if record.exc_info else None
    return f"{record.module}:{record.lineno}" + (f" {kind.__name__}" if kind else "")


def log_as_json_lines(stream: TextIO | None = None) -> logging.Handler:
    """Write the service's log, and warnings of its libraries, to ``stream`` (by default stderr)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in ((LOGGER, logging.INFO), *((name, logging.WARNING) for name in _FOREIGN)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    return handler
