"""Draw the charts of the same records once for all tests in a block: they take most of a page's time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from validation.evaluation.record import EvaluationRecord
from validation.gates.verdict import Verdict
from validation.review import page


@contextmanager
def charts_drawn_once() -> Iterator[None]:
    """Keep what ``page.draw_charts`` gives, by the records' digests and the verdict's differences."""
    drawn: dict[Any, page.Charts] = {}
    draw = page.draw_charts

    def once(records: Sequence[EvaluationRecord], verdict: Verdict | None) -> page.Charts:
        key = (*(r.digest for r in records), verdict.differences if verdict else None)
        if key not in drawn:
            drawn[key] = draw(records, verdict)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "draw_charts", once)
        yield
