"""The state of one study in the loop.

Contract: a row has the Study Instance UID, digests, a code and a sentence of this software, counts and times. It has no
other value of a tag.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """What the loop did with a study (docs/pacs-loop.md)."""

    SEEN = "SEEN"
    WAITING_FOR_PAIR = "WAITING_FOR_PAIR"
    MEASURED = "MEASURED"
    STORED = "STORED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class StudyRow:
    """One study.

    Attributes:
        instances: the number of instances that the PACS stated when the study was last looked for; None if the next
            number is taken over.
        radiographs: digest of the SOP Instance UIDs of the radiographs; "" before they are known.
        content: digest of the pixels that were measured, or, of a study that was refused, of its files; "" if unknown.
        model: digest of the model of the latest attempt.
        code, sentence: why the study is refused or failed.
        attempts: the attempts to measure this set of radiographs, counted before each one begins.
        due: the time at which the study is looked at; None: not before it changes.
        deadline: the time until which one view waits for the other one, or a failed study for its next attempt.
        set_at: the time at which this set of radiographs was seen first.
        verify: whether its pixels are compared at the next look.
        seen_at, changed_at, stored_at: when the study was found, had its last new state, and was stored.

    Times are seconds since 1970.
    """

    study_uid: str
    state: State
    seen_at: float
    changed_at: float
    due: float | None
    instances: int | None = None
    radiographs: str = ""
    content: str = ""
    model: str = ""
    code: str = ""
    sentence: str = ""
    attempts: int = 0
    deadline: float | None = None
    set_at: float = 0.0
    verify: bool = False
    stored_at: float | None = None

    def at(
        self,
        state: State,
        now: float,
        *,
        due: float | None = None,
        code: str = "",
        sentence: str = "",
        deadline: float | None = None,
    ) -> "StudyRow":
        """The row in another state. A look without a change does not renew ``changed_at``."""
        changed = self.changed_at if (state, code) == (self.state, self.code) else now
        return replace(
            self,
            state=state,
            changed_at=changed,
            due=due,
            code=code,
            sentence=sentence,
            deadline=deadline,
            verify=False,
        )
