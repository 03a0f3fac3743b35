"""Checks at run time the array shapes that annotations state."""

from collections.abc import Callable
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check the annotations of ``function`` that state a shape. Tests pass stand-ins for everything else."""
    annotations = function.__annotations__
    function.__annotations__ = {name: hint if has_shape(hint) else Any for name, hint in annotations.items()}
    return beartype(function) if any(map(has_shape, annotations.values())) else function


def has_shape(hint: Any) -> bool:
    """Whether an annotation, or a part of it, states the shape of an array."""
    return (isinstance(hint, type) and issubclass(hint, AbstractArray)) or any(map(has_shape, get_args(hint)))
