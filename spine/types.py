"""Types that all packages share, array shapes among them.

``Float[Floats, "N 2"]`` is an array of N rows and two columns. A name stands for one size within a call, ``*any`` for
any number of leading axes. A single name has a space before it, as in ``" N"``, because ruff reads ``"N"`` as a forward
reference. The annotations are plain at run time. Tests replace the three names by jaxtyping's, which check the shapes
(``tests/conftest.py``), so that no machine needs jaxtyping, and none uses a version of it that was not tested.
"""

from collections.abc import Callable
from typing import Annotated as Bool
from typing import Annotated as Float
from typing import Annotated as Int

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bool", "Float", "Floats", "Int", "Progress"]

Floats = NDArray[np.float64]

Progress = Callable[[int, int], None]
"""Called with (done, total) after each piece of work."""
