"""Types that all packages share, array shapes among them.

``Float[Floats, "N 2"]`` is an array of N rows and two columns. A name stands for one size within a call, ``*any`` for
any number of leading axes. A single name has a space before it, as in ``" N"``, because ruff reads ``"N"`` as a forward
reference. Tests check the shapes at run time (``tests/shape_check.py``); elsewhere they are plain annotations, and
jaxtyping may be missing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ImportError:
        from typing import Annotated as Bool
        from typing import Annotated as Float
        from typing import Annotated as Int

__all__ = ["Bool", "Float", "Floats", "Int", "Progress"]

Floats = NDArray[np.float64]

Progress = Callable[[int, int], None]
"""Called with (done, total) after each piece of work."""
