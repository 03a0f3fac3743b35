"""The code with which a call refuses its input."""

from collections.abc import Callable
from typing import Any

import pytest

from spine.errors import InputRejected


def code_of(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(InputRejected) as caught:
        call(*arguments, **options)
    return caught.value.code
