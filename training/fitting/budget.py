"""The budget of a fit, and the learning-rate schedule over the budget.

Contract: progress grows from 0 to 1. It is 1 as soon as the epochs or the seconds are used up. The schedule depends on
progress only, so a fit of any length warms up and cools down.
"""

import math
from dataclasses import dataclass

WARM_UP = 0.05
"""Fraction of the budget in which the learning rate rises."""

FINAL_RATE = 0.005
"""The learning rate at the end, as a fraction of its peak. It is above 0, so that the last steps have an effect."""


@dataclass(frozen=True)
class Budget:
    """The budget of one fit: ``epochs``, ``seconds`` or both."""

    epochs: int | None
    seconds: float | None

    def progress(self, epochs_done: float, seconds_done: float) -> float:
        """The used fraction of the budget, 0..1; ``epochs_done`` includes the finished part of the current epoch."""
        parts = [0.0]
        if self.epochs is not None:
            parts.append(epochs_done / self.epochs)
        if self.seconds is not None:
            parts.append(seconds_done / self.seconds)
        return min(1.0, max(parts))


def rate_factor(progress: float) -> float:
    """The learning rate at ``progress``, as a fraction of its peak: a linear warm-up, then a cosine."""
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    cooled = (progress - WARM_UP) / (1.0 - WARM_UP)
    return FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(cooled, 1.0)))
