"""Writes the messages of a fit's leader to the run's log, through Dagster Pipes.

Contract: a process without Dagster can import this module.
"""

from typing import Any

from dagster_pipes import PipesContext

_TENTHS = 10


class RunLogReporter:
    """Writes the leader's messages to the run's log, with at most ten lines of progress."""

    def __init__(self, pipes: PipesContext) -> None:
        self._pipes = pipes
        self._reported = -1

    def __call__(self, message: dict[str, Any]) -> None:
        """Report a message."""
        if "done" not in message:
            self._pipes.log.info(", ".join(f"{name} {value}" for name, value in message.items()))
            return
        tenth = _TENTHS * message["done"] // max(message["total"], 1)
        if tenth > self._reported:
            self._reported = tenth
            self._pipes.log.info(f"fitted {tenth * 100 // _TENTHS} %")
