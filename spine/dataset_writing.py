"""Writes the manifest of a dataset (``spine.dataset``): shards and index, then the header.

Contract: the examples are taken one at a time, and the memory does not grow with their number. Until the new header is
written, the former one and its shards stay valid. A killed writer leaves partial files and shards that no header names.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from spine.dataset import (
    HEADER,
    SCHEMA,
    SHARD_SIZE,
    SPLITS,
    Example,
    IndexEntry,
    Manifest,
    Shard,
    Split,
    content_file,
    digest_of_shards,
    example_to_json,
)
from spine.storage import PARTIAL_SUFFIX, sha256_of_bytes, write_bytes_atomically, write_text_atomically


def write_manifest(folder: Path, landmark_set: str, split_seed: int, examples: Iterable[Example]) -> Manifest:
    """Write the examples and the header of a dataset: ``write_shards``, then ``write_header``."""
    manifest = write_shards(folder, landmark_set, split_seed, examples)
    write_header(manifest)
    return manifest


def write_shards(folder: Path, landmark_set: str, split_seed: int, examples: Iterable[Example]) -> Manifest:
    """Write the shards and the index of a dataset. Its present header, if there is one, stays valid.

    Args:
        examples: in the order of study ids within each split; the splits may be mixed. They are taken one at a time.

    Raises:
        ValueError: an example is not in the order of study ids.
    """
    writers = {split: _SplitWriter(folder, split) for split in SPLITS}
    try:
        for example in examples:
            writers[example.split].add(example)
    except BaseException:
        for writer in writers.values():
            writer.discard()
        raise
    shards: list[Shard] = []
    entries: list[IndexEntry] = []
    for writer in writers.values():
        writer.close()
        entries += [replace(entry, shard=entry.shard + len(shards)) for entry in writer.entries]
        shards += writer.shards
    index = b"".join(_line(asdict(entry)) for entry in entries)
    index_sha256 = sha256_of_bytes(index)
    write_bytes_atomically(folder / content_file(index_sha256), index)
    return Manifest(folder, landmark_set, split_seed, tuple(shards), index_sha256)


def write_header(manifest: Manifest) -> None:
    """Write ``manifest.json`` atomically, and then delete the shards that it does not name."""
    record = {
        "schema": SCHEMA,
        "landmark_set": manifest.landmark_set,
        "split_seed": manifest.split_seed,
        "digest": manifest.digest,
        "test_digest": manifest.test_digest,
        "index_sha256": manifest.index_sha256,
        "shards": [asdict(shard) for shard in manifest.shards],
    }
    write_text_atomically(manifest.folder / HEADER, json.dumps(record, indent=1, sort_keys=True))
    named = {content_file(manifest.index_sha256), *(shard.file for shard in manifest.shards)}
    for path in (manifest.folder / "shards").iterdir():
        if path.relative_to(manifest.folder).as_posix() not in named:
            path.unlink()


def digest_of_test_split(landmark_set: str, examples: Iterable[Example]) -> str:
    """The ``Manifest.test_digest`` of a dataset whose test split has these examples."""
    ordered = sorted(examples, key=lambda e: e.study_id)
    parts = [ordered[i : i + SHARD_SIZE] for i in range(0, len(ordered), SHARD_SIZE)]
    digests = [sha256_of_bytes(b"".join(_line(example_to_json(e)) for e in part)) for part in parts]
    shards = [Shard(content_file(d), "test", len(part), d) for d, part in zip(digests, parts, strict=True)]
    return digest_of_shards(landmark_set, shards)


class _SplitWriter:
    """Writes the shards of one split line by line, and remembers their entries for the index."""

    def __init__(self, folder: Path, split: Split) -> None:
        self.split = split
        self.shards: list[Shard] = []
        self.entries: list[IndexEntry] = []
        self._folder = folder
        self._open: _ShardWriter | None = None

    def add(self, example: Example) -> None:
        if self.entries and example.study_id < self.entries[-1].study_id:
            raise ValueError(f"found study {example.study_id} after {self.entries[-1].study_id}; expected their order")
        if self._open is None:
            self._open = _ShardWriter(self._folder)
        self._open.add(_line(example_to_json(example)))
        self.entries.append(_entry_of(example, len(self.shards)))
        if self._open.lines == SHARD_SIZE:
            self.close()

    def close(self) -> None:
        """Finish the shard that is being written, if there is one."""
        if self._open is not None:
            lines, sha256 = self._open.lines, self._open.finish()
            self.shards.append(Shard(content_file(sha256), self.split, lines, sha256))
            self._open = None

    def discard(self) -> None:
        """Delete the shard that is being written, if there is one."""
        if self._open is not None:
            self._open.discard()


class _ShardWriter:
    """One file that is named by the digest of its content once it is complete."""

    def __init__(self, folder: Path) -> None:
        self.lines = 0
        self._folder = folder
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder / "shards", prefix=".", suffix=PARTIAL_SUFFIX)
        self._stream, self._partial = os.fdopen(handle, "wb"), Path(name)
        self._digest = hashlib.sha256()

    def add(self, line: bytes) -> None:
        self._stream.write(line)
        self._digest.update(line)
        self.lines += 1

    def discard(self) -> None:
        self._stream.close()
        self._partial.unlink()

    def finish(self) -> str:
        """Sync the file to disk and give it its name; returns its digest."""
        with self._stream:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        self._partial.chmod(0o644)
        self._partial.replace(self._folder / content_file(self._digest.hexdigest()))
        return self._digest.hexdigest()


def _entry_of(example: Example, shard: int) -> IndexEntry:
    return IndexEntry(
        study_id=example.study_id,
        patient=example.patient,
        split=example.split,
        source=example.source,
        condition=str(example.facts.get("condition", "")),
        views=tuple(example.views),
        label_weight=example.label_weight,
        from_centres=example.is_from_centres,
        shard=shard,
    )


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"
