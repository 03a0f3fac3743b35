"""Types that all packages share, including types of arrays with their shapes.

``Float[Floats, "N 2"]`` is an array of N rows and two columns. In one call, axes with the same name have the same size.
``*any`` means any number of leading axes. A single name has a space before it, as in ``" N"``, because ruff reads
``"N"`` as a forward reference. At run time nothing checks the shapes. The tests replace ``Bool``, ``Float`` and ``Int``
by the types of jaxtyping, which check the shapes (``tests/conftest.py``). Only the tests need jaxtyping.
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
"""A function that is called with (done, total) after each piece of work."""
