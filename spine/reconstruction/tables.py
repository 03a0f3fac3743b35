"""Text tables as spreadsheets write them: their delimiter, their decimal sign, their comment lines and their rows.

The delimiter is a comma, a semicolon, a tab or a vertical bar. Excel in a German, French or Dutch Windows writes
semicolons and decimal commas, and may write the line ``sep=;`` first. Comment lines start with ``#``. Excel quotes such
a line, or adds a delimiter for each empty cell.

Contract: a table is read completely or refused. A quote that is never closed is refused, because the rows behind it
would be lost. In a table with decimal commas, a number with a point is refused, because the point may separate
thousands.
"""

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from spine.reconstruction.reconstruction import rejected

MOST_LINES = 2**20
"""The rows of an Excel sheet, which may be saved although they are empty. Millions of lines would take over 10 s."""
DELIMITERS = (",", ";", "\t", "|")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A table: the ``key=value`` texts of its comment lines, its header cells in lower case, and its rows of cells."""

    comments: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def has_decimal_commas(self) -> bool:
        """Whether a cell is a number with a decimal comma."""
        return any(_DECIMAL_COMMA.fullmatch(cell) for row in self.rows for cell in row)


def header_of(text: str) -> tuple[str, ...]:
    """The cells of the first line that is neither empty nor a comment, in lower case."""
    line = _header_line(text)
    return tuple(cell.strip().strip('"').strip().lower() for cell in line.split(_delimiter(text, line)))


def read_table(text: str) -> Table:
    """Read a table.

    Raises:
        ReconstructionRejected: ``CSV_INVALID`` for unclosed quotes, cells above 131,072 characters, rows longer
            than the header, and more than ``MOST_LINES`` lines.
    """
    delimiter = _delimiter(text, _header_line(text))
    lines = io.StringIO("\n".join(line for line in _data_lines(text) if line.strip(delimiter + " \t")))
    try:
        comments = tuple(_comment(line, delimiter) for line in text.splitlines() if _is_comment(line))
        rows = [tuple(cell.strip() for cell in row) for row in csv.reader(lines, delimiter=delimiter, strict=True)]
    except csv.Error as error:
        # The message of csv.Error has no cell in it.
        raise rejected("CSV_INVALID", f"a table that cannot be parsed ({error})", "cells with closed quotes") from error
    header = tuple(cell.lower() for cell in rows[0]) if rows else ()
    longer = next((number for number, row in enumerate(rows, 1) if any(row[len(header) :])), None)
    if longer is not None:
        # Decimal commas between commas would shift the columns: 1,5,-20,0 would be read as 1, 5 and -20.
        raise rejected("CSV_INVALID", f"row {longer} with more columns than the header", "a header for each column")
    return Table(comments, header, tuple(rows[1:]))


def number(cell: str, row: int, decimal_commas: bool = False) -> float:
    """The finite number in a cell, or ``NOT_FINITE`` with the number of its row.

    With ``decimal_commas``, a number with a decimal point raises ``CSV_INVALID``.
    """
    if decimal_commas and "." in cell:
        found = f"row {row} with a decimal point in a table with decimal commas"
        raise rejected("CSV_INVALID", found, "one decimal sign, and no sign between thousands")
    try:
        # float() also takes 1_000 and digits of other scripts.
        value = (
            float(cell.replace(",", ".") if decimal_commas else cell)
            if cell.isascii() and "_" not in cell
            else math.nan
        )
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        found = f"row {row} with a value that is not a finite number"
        raise rejected("NOT_FINITE", found, "finite numbers; leave absent points out")
    return value


def _header_line(text: str) -> str:
    """The first line that is neither empty nor a comment; ``CSV_INVALID`` for more than ``MOST_LINES`` lines."""
    if len(text) > MOST_LINES and len(text.splitlines()) > MOST_LINES:
        raise rejected("CSV_INVALID", f"a table of more than {MOST_LINES} lines", "a line for each point")
    return next((line for line in _data_lines(text) if line.strip()), "")


def _is_comment(line: str) -> bool:
    return line.lstrip(' "').startswith("#")


def _data_lines(text: str) -> Iterator[str]:
    lines = (line for line in text.splitlines() if not _is_comment(line))
    return (line for i, line in enumerate(lines) if i > 0 or not _SEPARATOR_LINE.match(line))


def _delimiter(text: str, header: str) -> str:
    """The delimiter that ``sep=`` names, or the commonest one of the header line."""
    first = text.lstrip().splitlines()[:1]
    named = _SEPARATOR_LINE.match(first[0]) if first else None
    if named and named[1] in DELIMITERS:
        return named[1]
    return max(DELIMITERS, key=header.count)


def _comment(line: str, delimiter: str) -> str:
    line = line.strip()
    if line.startswith('"'):
        line = next(csv.reader([line], delimiter=delimiter), [""])[0]
    return line.rstrip(delimiter + " ").lstrip("# ")
