"""What is fuzzed: how the input with a number is made, and how the readers read it.

Contract: an input is a mapping from a relative path to bytes, and depends on nothing but the target, the seed and the
number. ``read`` returns one code for each thing that was read: ``READ``, or the code of a refusal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz.byte_edits import blown_up, overwritten, spliced, with_edits
from benchmarks.fuzz.dicom_edits import changed_file
from benchmarks.fuzz.dicom_elements import encoded
from benchmarks.fuzz.points_seeds import json_files, mesh_parts, mesh_spines, tables
from benchmarks.fuzz.radiograph_seeds import compressed_radiographs, native_radiographs
from benchmarks.fuzz.study_edits import changed_source
from benchmarks.fuzz.text_edits import changed_json, changed_table, changed_words, changed_xml
from spine.errors import InputRejected
from spine.intake.folder import FolderSource
from spine.intake.ingest import ingest
from spine.radiograph.intensity import MAXIMUM
from spine.radiograph.read import read_radiograph
from spine.radiograph.recognise import dicom_kind
from spine.reconstruction.open import points_kind, read_reconstruction_files

Files = dict[str, bytes]
READ, NO_POINTS, PRESENT, ONLY_OTHER_FILES = "READ", "NO_POINTS", "ALREADY_PRESENT", "ONLY_OTHER_FILES"
LARGE_SHARE = 1 / 3000
"""Share of the inputs of tens of megabytes, in which a small mistake costs much time or memory."""
_KEY = bytes(range(32))


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        make: random numbers -> the input.
        read: (folder with the input, empty folder for outputs) -> codes. It raises ``InputRejected`` for a refusal,
            and ``AssertionError`` for a result that its reader must not return.
        first_check: codes of the refusals before any tag, point or study is looked at.
        share: share of the inputs of a run of all targets.
    """

    name: str
    make: Callable[[Random], Files]
    read: Callable[[Path, Path], list[str]]
    first_check: frozenset[str]
    share: float = 0.0

    def input(self, seed: int, number: int) -> Files:
        """The input with a number."""
        return self.make(Random(f"{self.name}/{seed}/{number}"))


def _radiograph(random: Random) -> Files:
    file = random.choice(native_radiographs())
    if random.random() < 0.02:
        return {"a.dcm": spliced(random, encoded(file), [encoded(other) for other in native_radiographs()])}
    if random.random() < LARGE_SHARE:
        return {"a.dcm": blown_up(random, encoded(file))}
    return {"a.dcm": changed_file(random, file)}


def _compressed(random: Random) -> Files:
    return {"a.dcm": changed_file(random, random.choice(compressed_radiographs()))}


def read_radiograph_file(folder: Path, out: Path) -> list[str]:
    """Read the one radiograph of an input."""
    path = folder / "a.dcm"
    kind = dicom_kind(path)
    found = read_radiograph(path)
    assert kind is not None, "read, although no kind was recognised"
    assert found.image.dtype == np.uint16
    assert int(found.image.min()) < int(found.image.max()) <= MAXIMUM
    assert (found.spacing_mm is None) == (found.calibration == "NONE")
    return [READ, *_texts(found.facts)]


def _texts(value: object) -> list[str]:
    """The facts of a result, in which the marker is looked for; they begin with a space and are not counted."""
    return [f" {value!r}"]


def _points(random: Random) -> Files:
    is_json = random.random() < 0.5
    files = dict(random.choice(json_files() if is_json else tables()))
    name = random.choice(sorted(files))
    change = changed_json if is_json else changed_table
    files[name] = change(random, files[name])
    return _finished(random, files, name, tables() + json_files())


def _meshes(random: Random) -> Files:
    files = dict(random.choice(mesh_spines() if random.random() < 0.08 else mesh_parts()))
    name = random.choice(sorted(files))
    change = changed_xml if name.endswith(".vtp") else changed_words if b"\0" not in files[name][:84] else with_edits
    if b"\0" in files[name][:2000]:
        change = overwritten
    if random.random() < 0.2:
        change = with_edits
    files[name] = change(random, files[name])
    return _finished(random, files, name, mesh_parts())


def _finished(random: Random, files: Files, name: str, others: tuple[Files, ...]) -> Files:
    """Now and then further damage, a second file, or a very large one."""
    dice = random.random()
    if dice < 0.08:
        files[name] = with_edits(random, files[name], 3)
    elif dice < 0.1:
        files[name] = spliced(random, files[name], list(random.choice(others).values()))
    elif dice < 0.13:
        files |= random.choice(others)
    elif dice < 0.15:
        stem, dot, _suffix = name.partition(".")
        files[stem + dot + random.choice(("csv", "json", "txt", "mrk.json", "obj", "ply", "dat"))] = files.pop(name)
    elif dice < 0.15 + LARGE_SHARE:
        files[name] = blown_up(random, files[name])
    return files


def read_points(folder: Path, out: Path) -> list[str]:
    """Read the reconstruction in those files of an input that look like points."""
    files = [file for file in sorted(folder.rglob("*")) if points_kind(file) is not None]
    if not files:
        return [NO_POINTS]
    found = read_reconstruction_files(files)
    assert found.points, "a reconstruction without points"
    assert all(point.shape == (3,) and np.isfinite(point).all() for point in found.points.values())
    return [READ]


def read_studies(folder: Path, out: Path) -> list[str]:
    """Take the studies of an input into a new store, twice; the second time changes nothing."""
    source = FolderSource(folder)
    report = ingest(source, out / "store", out / "quarantine", pseudonym_key=_KEY)
    again = ingest(source, out / "store", out / "quarantine", pseudonym_key=_KEY)
    assert again.used == 0, "a study was taken twice"
    assert len(again.quarantined) == len(report.quarantined), "another number of refusals the second time"
    counts = report.used + report.already_present + len(report.waiting) + len(report.quarantined)
    assert report.received == counts, "candidates were lost"
    codes = [refused.code for refused in report.quarantined] + [waiting.code for waiting in report.waiting]
    records = [f for f in out.rglob("*") if f.suffix in (".json", ".jsonl") and f.parent.parent != out / "quarantine"]
    reasons = sorted((out / "quarantine").glob("*/reason.json"))
    shown = [str(report), *(file.read_text() for file in (*records, *reasons))]
    found = [READ] * report.used + [PRESENT] * report.already_present + codes
    return (found or [ONLY_OTHER_FILES]) + [f" {text}" for text in shown]


_DICOM_CHECKS = frozenset(
    {"EMPTY_FILE", "FILE_TOO_LARGE", "NOT_DICOM", "PREAMBLE_EXECUTABLE", "TRUNCATED", "TRANSFER_SYNTAX_MISSING"}
    | {"NESTING_LIMIT", "ELEMENT_LIMIT", "DEFLATE_LIMIT", "DEFLATE_INVALID", "STRUCTURE_INVALID", "DICOM_UNREADABLE"}
)
_POINTS_CHECKS = frozenset(
    {NO_POINTS, "EMPTY_FILE", "FILE_TOO_LARGE", "FORMAT_UNKNOWN", "FORMAT_UNSUPPORTED", "JSON_INVALID"}
)
_STUDY_CHECKS = _DICOM_CHECKS | _POINTS_CHECKS | {ONLY_OTHER_FILES, "ARCHIVE_INVALID", "FILE_UNKNOWN"}

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("radiograph", _radiograph, read_radiograph_file, _DICOM_CHECKS, 0.35),
        Target("compressed", _compressed, read_radiograph_file, _DICOM_CHECKS, 0.15),
        Target("points", _points, read_points, _POINTS_CHECKS, 0.34),
        Target("meshes", _meshes, read_points, _POINTS_CHECKS | {"MESH_INVALID"}, 0.1),
        Target("studies", changed_source, read_studies, _STUDY_CHECKS, 0.06),
    )
}


def codes_of(target: Target, folder: Path, out: Path) -> tuple[list[str], str]:
    """The codes of one input, and every text that a person may see of it."""
    try:
        found = target.read(folder, out)
    except InputRejected as refusal:
        if refusal.code == "READER_FAULT":
            raise
        return [refusal.code], str(refusal)
    return [code for code in found if code[:1] != " "], "\n".join(text for text in found if text[:1] == " ")
