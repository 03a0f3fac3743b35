"""Changes of study folders: their files, names, places, archives and lists in ``COMPLETE``."""

import hashlib
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

from benchmarks.fuzz.archive_edits import archive_of
from benchmarks.fuzz.byte_edits import MARKER, TOKENS, with_edits
from benchmarks.fuzz.dicom_edits import changed_file
from benchmarks.fuzz.dicom_elements import encoded, parsed
from benchmarks.fuzz.points_seeds import json_files, tables
from benchmarks.fuzz.radiograph_seeds import native_radiographs
from benchmarks.fuzz.text_edits import changed_json
from spine.scanner import ViewGeometry
from tests.spine.intake.constructed_studies import write_study

Files = dict[str, bytes]
_JUNK: dict[str, bytes] = {
    "report.pdf": b"%PDF-1.4\n",
    "view.jpg": b"\xff\xd8\xff\xe0" + bytes(40),
    "DICOMDIR": b"",
    "IM0001": b"",
    "a": b"\0\1\2",
    "notes.txt": b"T1 to L5 seen\n",
    "points.txt": b"T1,1,2,3\nT2,1,2,3\nT3,1,2,3\n",
    "b.7z": b"7z\xbc\xaf\x27\x1c",
    "x.zip": b"",
    "copy.dcm.part": b"x",
    ".hidden": b"x",
    "Thumbs.db": b"x",
    "sheet.xlsx": b"PK\x03\x04",
    "e.json": b"[1, 2, 3]",
    "f.csv": b"",
    "g.mat": b"MATLAB",
    "h.stl": b"solid\n",
    "i.ply": b"ply\n",
    "DICOMDIR2/DICOMDIR": b"",
    "COMPLETE": b"",
    "sub/COMPLETE": b"x",
}
_NAMES = (
    *("{}.dcm", "IM{}", "{}.ima", "{}.txt", "{}.json", "{}.csv", "{}.part", ".{}", "{} copy", "ä{}", "{}\udcff"),
    "{}" * 20,
    *("DICOM/{}", "a/b/{}", "extras/{}", "__MACOSX/{}", f"{MARKER}/{{}}", "~${}", "{}\n", "[b]{}", "%2e{}"),
    *("{}.mrk.json", "-{}"),
)


@cache
def studies() -> tuple[Files, ...]:
    """A study of two views and points, one that is not simulated, and one with another format of points."""
    place = {
        "frontal": ViewGeometry("frontal", (200, 74), (3.6, 3.4), 987.0, 0.5, 0.0),
        "lateral": ViewGeometry("lateral", (200, 80), (3.6, 3.4), 918.0, -0.5, 0.0),
    }
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name, tags in (("a", {}), ("b", {"simulated": False, "patient_id": MARKER})):
            study = write_study(Path(folder) / name, 1, geometry=place, **tags)
            found.append({file.name: file.read_bytes() for file in sorted(study.iterdir())})
    return (*found, {**found[1], "reconstruction.json": b"", **tables()[0]})


def changed_source(random: Random) -> Files:
    """The files of a source: one study folder, archive or export after one to four changes, rarely two of them."""
    files = dict(random.choice(studies()))
    files.pop("reconstruction.json") if not files.get("reconstruction.json", b"x") else None
    if random.random() < 0.35:
        files = _small(random)
    for _ in range(random.randint(1, 4)):
        files = random.choice(_EDITS)(random, files)
    place = f"{random.choice(('case-1', MARKER, 'ä', 'a b', '[x]'))}/"
    dice = random.random()
    if dice < 0.3:
        return {place.strip("/") + random.choice((".zip", ".zip", ".ZIP", "")): archive_of(random, files)}
    if dice < 0.4:
        return {f"{place}all.zip": archive_of(random, files), **{place + n: p for n, p in list(files.items())[:1]}}
    if dice < 0.5:
        return files  # directly in the source
    source = {place + name: payload for name, payload in files.items()}
    if dice < 0.6:
        source |= {f"second/{name}": payload for name, payload in files.items()}
    if dice < 0.7:
        source["COMPLETE"] = _list_of(random, source)
    return source


def _small(random: Random) -> Files:
    """Small radiographs and points that need not fit together."""
    chosen = random.sample(native_radiographs(), 2)
    points = random.choice((*tables(), *json_files()))
    return {f"{i}.dcm": encoded(file) for i, file in enumerate(chosen)} | points


def _some(random: Random, files: Files) -> str:
    return random.choice(sorted(files))


def _content(random: Random, files: Files) -> Files:
    name = _some(random, files)
    payload = files[name]
    try:
        if payload[128:132] == b"DICM":
            return files | {name: changed_file(random, parsed(payload))}
        if payload[:1] == b"{":
            return files | {name: changed_json(random, payload)}
    except (ValueError, IndexError, KeyError, StopIteration, RecursionError, struct.error):
        pass  # it was changed before
    return files | {name: with_edits(random, payload, 2)}


def _remove(random: Random, files: Files) -> Files:
    name = _some(random, files)
    return {n: p for n, p in files.items() if n != name or len(files) == 1}


def _rename(random: Random, files: Files) -> Files:
    old = _some(random, files)
    stem = old.rpartition("/")[2].partition(".")[0] or "a"
    new = random.choice(_NAMES).format(*[stem] * 20)[:200]
    return {(new if n == old else n): p for n, p in files.items()}


def _copy(random: Random, files: Files) -> Files:
    return files | {random.choice(_NAMES).format(*["c"] * 20)[:200]: files[_some(random, files)]}


def _junk(random: Random, files: Files) -> Files:
    name = random.choice(sorted(_JUNK))
    return files | {name: _JUNK[name] if random.random() < 0.7 else random.choice(TOKENS)}


def _empty(random: Random, files: Files) -> Files:
    return files | {_some(random, files): random.choice((b"", b"\0" * 512, b" \n"))}


def _complete(random: Random, files: Files) -> Files:
    return files | {"COMPLETE": _list_of(random, files)}


def _list_of(random: Random, files: Files) -> bytes:
    """A list as ``sha256sum`` prints it, right or wrong."""
    lines = []
    for name, payload in files.items():
        digest = hashlib.sha256(payload).hexdigest()
        if random.random() < 0.1:
            digest = random.choice(("0" * 64, digest.upper(), digest[:-1]))
        listed = random.choice(
            (name, name, name, f"./{name}", f"../{name}", f"/{name}", name.upper(), f"{MARKER}/x", "\0", "a" * 5000)
        )
        shown = listed if random.random() < 0.3 else name
        lines.append(f"{random.choice(('', '', chr(92)))}{digest} {random.choice(' *')}{shown}")
    text = random.choice(("\n", "\n", "\r\n", "\0")).join(lines) + "\n"
    return text.encode("utf-8", "surrogateescape") if random.random() < 0.95 else random.choice(TOKENS)


_EDITS: tuple[Callable[[Random, Files], Files], ...] = (
    *(_content, _content, _content, _remove, _rename, _rename, _copy, _junk, _junk, _empty, _complete),
)
