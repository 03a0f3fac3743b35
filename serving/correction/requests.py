"""The points and decisions that the page sends, checked before anything is measured or stored.

Contract: a refusal quotes nothing of what was sent.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

from spine.errors import InputRejected
from spine.landmarks import VIEWS, ViewName
from spine.study import Points2D

Decision = Literal["accepted", "corrected", "rejected"]
LONGEST_NAME, LONGEST_REASON = 80, 500
_MOST_POINTS = 400


@dataclass(frozen=True)
class GivenDecision:
    """A decision about a case.

    Attributes:
        points: view -> landmarks, pixels of the canonical image.
        who: the person's name, typed on the page or given by the service's access control.
        after: number of the record that the person saw, 0 for none.
    """

    decision: Decision
    points: Mapping[ViewName, Points2D]
    reason: str
    who: str
    after: int


def points_of(body: Any) -> dict[ViewName, Points2D]:
    """View -> points of a JSON body with the key ``points``.

    Raises:
        InputRejected: ``POINTS_INVALID``.
    """
    given = body.get("points") if isinstance(body, dict) else None
    if not isinstance(given, dict) or not set(given) <= set(VIEWS):
        raise _points_invalid("no points by view")
    found: dict[ViewName, Points2D] = {}
    for view, points in given.items():
        if not isinstance(points, dict) or len(points) > _MOST_POINTS:
            raise _points_invalid("a view without landmarks by name")
        found[cast(ViewName, view)] = {str(name)[:40]: _point(point) for name, point in points.items()}
    return found


def moved_of(body: Any) -> tuple[ViewName, str] | None:
    """(view, landmark) that a person moved last, from the key ``moved`` of a JSON body; None without it.

    Raises:
        InputRejected: ``POINTS_INVALID``.
    """
    given = body.get("moved") if isinstance(body, dict) else None
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != 2 or given[0] not in VIEWS or not isinstance(given[1], str):
        raise _points_invalid("a moved landmark without its view")
    return cast(ViewName, given[0]), given[1][:40]


def decision_of(body: Any, identity: str) -> GivenDecision:
    """The decision of a JSON body. ``identity`` is the person by access control; if empty, the body names the person.

    Raises:
        InputRejected: ``DECISION_INVALID``, ``POINTS_INVALID``.
    """
    if not isinstance(body, dict) or body.get("decision") not in get_args(Decision):
        raise _decision_invalid("no decision of this page", f"one of {', '.join(get_args(Decision))}")
    after = body.get("after", 0)
    if isinstance(after, bool) or not isinstance(after, int) or after < 0:
        raise _decision_invalid("no number of a record", "the number of the record that the page shows")
    reason = _text(body.get("reason", ""), LONGEST_REASON, "reason")
    who = identity or _text(body.get("who", ""), LONGEST_NAME, "name")
    if not who:
        raise _decision_invalid("no name of a person", "the name of the person who decides")
    if body["decision"] == "rejected" and not reason:
        raise _decision_invalid("a rejection without a reason", "a reason in words")
    return GivenDecision(body["decision"], points_of(body), reason, who, after)


def patient_of(value: Any) -> str:
    """What a person stated about the patient of pictures; an empty text for nothing.

    Raises:
        InputRejected: ``DECISION_INVALID``.
    """
    return _text(value or "", LONGEST_NAME, "patient")


def _point(point: Any) -> Any:
    if not isinstance(point, list) or len(point) != 2 or not all(_is_number(c) for c in point):
        raise _points_invalid("a landmark without two finite numbers")
    return np.array([float(c) for c in point])


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _text(value: Any, longest: int, name: str) -> str:
    if not isinstance(value, str) or len(value) > longest or not value.replace("\n", " ").isprintable():
        raise _decision_invalid(f"a {name} that is no short text", f"at most {longest} printable characters")
    return " ".join(value.split())


def _points_invalid(found: str) -> InputRejected:
    expected = "for each view, landmark name -> [column, row] in pixels"
    return InputRejected("POINTS_INVALID", found, expected, "load the page again")


def _decision_invalid(found: str, expected: str) -> InputRejected:
    return InputRejected("DECISION_INVALID", found, expected, "complete the page and save again")
