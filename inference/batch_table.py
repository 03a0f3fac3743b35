"""The CSV table of a batch: one row a study with parameters, intervals, classes and refusals.

Contract: a row is on disk when its study is finished. After an interruption, the next call keeps the rows whose study,
content and model are the same, and drops a row that was cut off. A text that a spreadsheet would run as a formula is
written with an apostrophe before it.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spine.errors import ParametersRejected
from spine.measurement.classes import CLASSES
from spine.measurement.registry import PARAMETERS
from spine.storage import write_text_atomically

if TYPE_CHECKING:
    from inference.batch import BatchRow

_KEYS = ("study", "content", "model", "intervals")
_PLAIN = ("status", "code", "reason", "views", "notes", "seconds")
COLUMNS: tuple[str, ...] = (
    *_KEYS,
    *_PLAIN,
    *(f"{name}{suffix}" for name in PARAMETERS for suffix in ("", "_low", "_high", "_absent")),
    *(f"class_{name}{suffix}" for name in CLASSES for suffix in ("", "_probability")),
)
"""The columns; angles in degrees, lengths in mm, ``low`` and ``high`` are the ends of the 90 % interval."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Row = Mapping[str, str]


class BatchTable:
    """The table of a batch in a file, to which rows are added.

    Args:
        path: the CSV file; rows of an earlier call in it are kept where they still hold.
        model: digest of the model that measures.
        intervals: what the intervals rest on, as text: rows with other intervals do not hold.

    Raises:
        ParametersRejected: ``CSV_OTHER``: the file is there and is no table of a batch.
    """

    def __init__(self, path: Path, model: str, intervals: str) -> None:
        self._path, self._model, self._intervals = path, model, intervals
        self._rows: dict[str, Row] = {row["study"]: row for row in _rows_of(path)}

    def holds(self, study: str, content: str) -> bool:
        """Whether the table has a row of this study with this content, measured with the same model and intervals."""
        row = self._rows.get(_text(study))
        wanted = (_text(study), content, self._model, _text(self._intervals))
        return row is not None and tuple(row[key] for key in _KEYS) == wanted

    def begin(self, kept: Iterable[str]) -> None:
        """Write the file anew with the rows of the studies ``kept``."""
        names = {_text(study) for study in kept}
        self._rows = {name: row for name, row in self._rows.items() if name in names}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self._path, _lines((dict(zip(COLUMNS, COLUMNS, strict=True)), *self._rows.values())))

    def add(self, row: "BatchRow") -> None:
        """Append one row, and make sure that it is on disk."""
        cells = _cells(row, self._intervals)
        self._rows[cells["study"]] = cells
        with self._path.open("a", encoding="utf-8", newline="") as stream:
            stream.write(_lines([cells]))
            stream.flush()
            os.fsync(stream.fileno())

    def finish(self, order: Iterable[str]) -> None:
        """Write the file anew with its rows in this order of studies."""
        names = [_text(study) for study in order]
        rows = [self._rows[name] for name in names if name in self._rows]
        write_text_atomically(self._path, _lines((dict(zip(COLUMNS, COLUMNS, strict=True)), *rows)))

    def counts(self) -> Counter[str]:
        """Number of rows by the code of their refusal; measured rows have the code "" (an empty text)."""
        return Counter(row["code"] for row in self._rows.values())


def _cells(row: "BatchRow", intervals: str) -> dict[str, str]:
    cells = dict.fromkeys(COLUMNS, "")
    cells |= {"study": _text(row.study), "content": row.content, "model": row.model, "intervals": _text(intervals)}
    cells["seconds"] = f"{row.seconds:.2f}"
    if row.refusal is not None:
        reason = f"found {row.refusal.found}; expected {row.refusal.expected}; {row.refusal.remedy}"
        return cells | {"status": "refused", "code": row.refusal.code, "reason": _text(reason)}
    if row.measured is None:
        raise ValueError("a row has a measurement or a refusal")
    found = row.measured.prediction
    cells |= {"status": "measured", "views": " ".join(row.measured.inputs), "notes": _text("; ".join(row.notes))}
    for name, measured in found.parameters.items():
        if measured.value is None:
            cells[f"{name}_absent"] = str(measured.absent_code)
            continue
        cells[name] = f"{measured.value:.1f}"
        if measured.interval is not None:
            cells[f"{name}_low"], cells[f"{name}_high"] = (f"{end:.1f}" for end in measured.interval)
    for name, classified in found.classes.items():
        cells[f"class_{name}"] = classified.value or ""
        if classified.probability is not None:
            cells[f"class_{name}_probability"] = f"{classified.probability:.2f}"
    return cells


def _text(text: str) -> str:
    """The text on one line, and so that no spreadsheet takes it for a formula."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return f"'{line}" if line.startswith(_FORMULA) else line


def _lines(rows: Iterable[Row]) -> str:
    stream = io.StringIO()
    csv.DictWriter(stream, COLUMNS, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _rows_of(path: Path) -> list[Row]:
    """The complete rows of the file; none if it is not there."""
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        read = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
    except (UnicodeDecodeError, csv.Error):
        read = [[]]
    if read and tuple(read[0]) != COLUMNS:
        found = f"{path.name}, which is no table of this version of plumbline measure --studies"
        raise ParametersRejected(
            "CSV_OTHER", found, "a new file, or the table of a batch to go on with", "name another"
        )
    return [dict(zip(COLUMNS, row, strict=True)) for row in read[1:] if len(row) == len(COLUMNS)]
