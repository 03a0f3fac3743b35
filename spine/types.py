"""Types that all packages share."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Progress = Callable[[int, int], None]
"""Called with (done, total) after each piece of work."""
