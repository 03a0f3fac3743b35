"""Changes of texts that keep most of their grammar: JSON, tables, and the texts and data of meshes."""

import base64
import contextlib
import copy
import json
import re
import zlib
from random import Random
from typing import Any

from benchmarks.fuzz.byte_edits import MARKER, number_bytes, with_edits

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, 1e300, -1e300, 1e-320, 2**63, 10**400, float("nan"), float("inf"), ""),
    "T1_sup",
    *("LPS", "RAS", "mm", "m", "\ud800", "\0", MARKER, "x" * 5000, [], {}, [[]], [0, 0, 0], [1, 2], [None] * 3),
    {"x": 1},
    *(["P", "I", "R"], [0, 0, 0.5], [1e308] * 3, [True] * 3, ["1", "2", "3"], "plumbline.reconstruction/1", "Fiducial"),
)
_CELLS = (
    *("", " ", "0", "-1", "1e999", "1e300", "-0.0", "nan", "inf", "1,5", "1.234,5", "1_0", "0x1f", "9" * 400),
    "9" * 5000,
    *("T1", "T13", "L6", "S1", "C7", "HIP", "sup", "sup_ant", "body", "ped_left", "level", "x", '"', '"a', "a;b"),
    *("a,b", "#"),
    *("# axes=RAS", "# units=m", "# units=cm", "# subject_id=", "# geometry.frontal={", "sep=,", "\0", "\ufeff", "٣"),
    MARKER,
)
_WORDS = (
    *("0", "-1", "1", "2", "3", "255", "65536", "2147483648", "-2147483649", "9" * 30, "1e999", "nan", "inf", "-"),
    "1e30",
    *("v", "f", "o", "g", "vn", "element", "property", "list", "uchar", "int64", "double", "end_header", "facet"),
    "vertex",
    *("endsolid", "solid", "loop", "1/2/3", "-1//-1", "1//", "/", "ply", "format", "ascii", "binary_little_endian"),
    MARKER,
)
_ATTRIBUTES = (
    *("", "0", "-1", "1", "7", "9" * 20, "Float32", "Float64", "Int8", "UInt8", "Int64", "String", "ascii", "binary"),
    *("appended", "raw", "base64", "UInt32", "UInt64", "BigEndian", "LittleEndian", "PolyData"),
    "vtkZLibDataCompressor",
    *("vtkLZ4DataCompressor", "connectivity", "offsets", "Points", "SPACE", MARKER, "&lt;", "&a;"),
)
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")


def changed_json(random: Random, payload: bytes) -> bytes:
    """JSON with one to five changed nodes, in one of several encodings."""
    record = json.loads(payload)
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        record = _changed_node(random, record)
    text = json.dumps(record, ensure_ascii=random.random() < 0.8, indent=random.choice((None, None, 1)))
    dice = random.random()
    if dice < 0.1:
        text = _key_twice(random, text)
    elif dice < 0.15:
        text = text.replace("[", "[" * random.choice((2, 500, 3000)), 1)
    return with_encoding(random, text)


def _value(random: Random) -> Any:
    """A copy, because the next change may change it."""
    return copy.deepcopy(random.choice(_VALUES))


def plausible(random: Random) -> float:
    """A number that may be a coordinate in mm, cm or m, so that later checks are reached."""
    return round(random.uniform(-400, 400) * random.choice((1, 1, 1, 0.1, 0.001, 10)), random.choice((0, 1, 3)))


def with_encoding(random: Random, text: str) -> bytes:
    """The text in one of several encodings."""
    return text.encode(random.choice(ENCODINGS), "replace" if random.random() < 0.5 else "backslashreplace")


def _changed_node(random: Random, record: Any) -> Any:
    """The record after a change of one of its nodes, at any depth."""
    parents = list(_containers(record))
    if not parents:
        return _value(random)
    parent = random.choice(parents)
    if not parent:
        return _value(random)
    key = random.choice(list(parent)) if isinstance(parent, dict) else random.randrange(len(parent))
    dice = random.random()
    if dice < 0.5:
        parent[key] = plausible(random) if random.random() < 0.4 else _value(random)
    elif dice < 0.65:
        del parent[key]
    elif dice < 0.75:
        parent[key] = (
            random.choice(parents) if random.random() < 0.1 and random.choice(parents) is not record else [parent[key]]
        )
    elif isinstance(parent, dict):
        parent[random.choice((MARKER, "", "T13_sup", "L6_inf", "points", "T1_sup", "zoom", "label", "x"))] = parent.pop(
            key
        )
    else:
        parent[key:key] = [parent[key]] * random.choice((1, 2, 50))
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(json.dumps(record))  # nodes that are there twice become two nodes
    return _value(random)


def _containers(record: Any, depth: int = 0) -> Any:
    if isinstance(record, dict | list) and depth < 50:
        yield record
        for part in record.values() if isinstance(record, dict) else record:
            yield from _containers(part, depth + 1)


def _key_twice(random: Random, text: str) -> str:
    pairs = re.findall(r'"[^"]{1,20}": [^,{}\[\]]{1,40}', text)
    return text.replace("{", "{" + random.choice(pairs) + ", ", 1) if pairs else text


def changed_table(random: Random, payload: bytes) -> bytes:
    """A table with changed cells, rows, delimiters, quotes and encoding."""
    text = payload.decode("utf-16" if payload[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")
    delimiter = max(",;\t", key=text.count)
    rows = [line.split(delimiter) for line in text.splitlines()]
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        at = random.randrange(len(rows)) if random.random() < 0.7 else random.randrange(min(6, len(rows)))
        rows = _changed_rows(random, rows, at)
    if random.random() < 0.1:
        delimiter = random.choice((",", ";", "\t", "|", " ", ", "))
    end = random.choice(("\n", "\n", "\n", "\r\n", "\r", "\n\n"))
    return with_encoding(random, end.join(delimiter.join(row) for row in rows) + random.choice((end, "")))


def _changed_rows(random: Random, rows: list[list[str]], at: int) -> list[list[str]]:
    dice, row = random.random(), list(rows[at])
    if dice < 0.55:
        row[random.randrange(len(row))] = str(plausible(random)) if random.random() < 0.5 else random.choice(_CELLS)
    elif dice < 0.65:
        row.insert(random.randint(0, len(row)), random.choice(_CELLS))
    elif dice < 0.72:
        del row[random.randrange(len(row))]
    elif dice < 0.8:
        random.shuffle(row)
    elif dice < 0.88:
        return [*rows[:at], *[row] * random.choice((2, 3, 400)), *rows[at + 1 :]]
    else:
        return [*rows[:at], *rows[at + random.choice((1, 1, 5)) :]] or [[""]]
    return [*rows[:at], row or [""], *rows[at + 1 :]]


def changed_words(random: Random, payload: bytes) -> bytes:
    """A text of lines and words with changed words and lines; the payload may have binary data after its header."""
    end = payload.find(b"end_header")
    head, rest = (
        (payload[: end + 11], payload[end + 11 :]) if end >= 0 and b"binary" in payload[:60] else (payload, b"")
    )
    parts = re.split(rb"(\s+)", head)
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(parts)) if random.random() < 0.5 else random.randrange(min(80, len(parts)))
        dice = random.random()
        if dice < 0.5:
            numbers = (f"{random.uniform(-300, 300):.2f}", f"{random.randint(0, 150)}")
            parts[at] = random.choice(numbers).encode()
        elif dice < 0.75:
            parts[at] = random.choice(_WORDS).encode()
        elif dice < 0.85:
            parts[at] = b""
        else:
            stop = at + random.choice((1, 8, 60))
            parts[stop:stop] = parts[at:stop] * random.choice((1, 3, 40))
    if rest and random.random() < 0.5:
        rest = with_edits(random, rest, 2)
    return b"".join(parts) + rest


def changed_xml(random: Random, payload: bytes) -> bytes:
    """A VTP file with changed attributes, or with changed data under its base64."""
    dice = random.random()
    if dice < 0.45:
        found = list(re.finditer(rb'"([^"<>]{0,80})"', payload[:4000]))
        places = random.sample(found, min(len(found), random.randint(1, 2)))
        for match in sorted(places, key=lambda m: -m.start()):
            value = random.choice(_ATTRIBUTES).encode()
            payload = payload[: match.start(1)] + value + payload[match.end(1) :]
        return payload
    if dice < 0.85:
        data = list(re.finditer(rb"[>_]([A-Za-z0-9+/=]{24,})<", payload))
        if data:
            match = random.choice(data)
            return payload[: match.start(1)] + _changed_data(random, match[1]) + payload[match.end(1) :]
        at = payload.find(b"_") + 1
        return payload[:at] + number_bytes(random) + payload[at + 8 :] if at else with_edits(random, payload, 2)
    return changed_words(random, payload)


def _changed_data(random: Random, text: bytes) -> bytes:
    """The base64 text of other data: numbers of its header, or bytes of its blocks that are compressed again."""
    with contextlib.suppress(ValueError):
        data = bytearray(base64.b64decode(text[: len(text) // 4 * 4]))
        at = random.choice((0, 8, 16, 24, random.randrange(len(data))))
        if random.random() < 0.15:
            data = bytearray(zlib.compress(bytes(random.choice((10, 10**6, 10**7)))))
        data[at : at + 8] = number_bytes(random)
        return base64.b64encode(bytes(data))
    return with_edits(random, text, 2)
