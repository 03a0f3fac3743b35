"""Markdown tables."""

from collections.abc import Iterable, Sequence

_ESCAPED = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "\n": " "})


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown already (see ``plain`` and ``code``)."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def plain(text: str) -> str:
    """Plain text as the content of a cell."""
    return text.translate(_ESCAPED)


def code(text: str) -> str:
    """Text as the content of a cell, formatted as code. A pipe must not end the cell."""
    return f"`{text}`" if text else ""
