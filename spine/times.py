"""The one form in which people see a time: ISO date, hours and minutes, UTC."""

from datetime import UTC, datetime


def to_the_minute(at: str) -> str:
    """An ISO 8601 time in the form ``2026-11-23 12:00 UTC``; without a zone if the given time has none.

    Raises:
        ValueError: ``at`` is no ISO 8601 time.
    """
    moment = datetime.fromisoformat(at)
    if moment.utcoffset() is None:
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
