"""How long a training may go on, and how fast it learns at each moment of that.

Contract: progress grows from 0 to 1, whichever of epochs and minutes ends first, and the schedule follows progress, so
a run of any length warms up and cools down.
"""

import math
from dataclasses import dataclass

WARM_UP = 0.05
"""Fraction of the budget in which the learning rate rises."""

FINAL_RATE = 0.005
"""The learning rate at the end, as a fraction of its peak: never zero, so that the last steps still count."""


@dataclass(frozen=True)
class Budget:
    """What one fit may use: ``epochs`` and/or ``seconds``; at least one is not None."""

    epochs: int | None
    seconds: float | None

    def progress(self, epochs_done: float, seconds_done: float) -> float:
        """Fraction of the budget used up, 0..1; ``epochs_done`` counts the part of the running epoch."""
        parts = [0.0]
        if self.epochs is not None:
            parts.append(epochs_done / self.epochs)
        if self.seconds is not None:
            parts.append(seconds_done / self.seconds)
        return min(1.0, max(parts))


def rate_factor(progress: float) -> float:
    """The learning rate at ``progress``, as a fraction of its peak: linear warm-up, then cosine."""
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    cooled = (progress - WARM_UP) / (1.0 - WARM_UP)
    return FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(cooled, 1.0)))
