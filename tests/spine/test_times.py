"""A time is shown in one form: ISO date, hours and minutes, UTC."""

import pytest

from spine.times import to_the_minute


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-11-23T12:00:59.381526+00:00", "2026-11-23 12:00 UTC"),
        ("2026-11-23T01:30:00+02:00", "2026-11-22 23:30 UTC"),
        ("2026-11-23T12:00:00", "2026-11-23 12:00"),
    ],
)
def test_a_time_is_shown_to_the_minute_in_utc(at: str, shown: str) -> None:
    assert to_the_minute(at) == shown


def test_what_is_no_time_is_not_shown_as_one() -> None:
    with pytest.raises(ValueError, match="no time"):
        to_the_minute("no time")
