"""The record of a dataset: its examples, each with landmarks, reference parameters and split.

Contract: a dataset is one folder with these files:

    manifest.json           the header: landmark set, digests, and the shards; written last
    shards/<sha256>.jsonl   the examples, one a line: at most ``SHARD_SIZE`` of one split, in the order of study ids;
                            also the index, with a few facts of each example
    images/<sha256>.npy     (H, W) uint16

Shards and images are named by the digest of their content: a new batch adds images and rewrites none.

Reading and writing need the memory of one example, not of all. The digest of a dataset is a digest of the digests of
its shards. A shard is checked against its digest whenever it is read.

The test split is frozen. Its digest covers every image, label and reference value in this split, and every later record
contains the digest. Two results are comparable exactly when their test digests are equal.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spine.errors import ContractViolation
from spine.landmarks import ViewName
from spine.measurement.registry import Definition
from spine.storage import sha256_of_bytes
from spine.study import Points2D, StoredImage, image_fields, points_from_json, points_to_json
from spine.types import Floats

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, Split, Split] = ("train", "validation", "test")
SCHEMA = "plumbline.dataset/2"
HEADER = "manifest.json"
SHARD_SIZE = 64
"""The most examples in one shard. Small, so that the memory of a step that holds a whole shard is the same for a
hundred studies as for many."""


def label_weight_of(facts: Mapping[str, Any]) -> float:
    """The weight, 0 to 1, with which training counts the labels of a study with these facts; 1 unless they say less."""
    return float(facts.get("label_weight", 1.0))


@dataclass(frozen=True)
class Truth:
    """The reference value of one parameter, or the reason why it has no reference value.

    ``definition`` says whether the end plates of an angle are known by their margins or only by their centres
    (``registry.CENTRES_NOTE``). It is None if the parameter needs no plate or the source does not say it.
    """

    value: float | None
    unit: str
    absent_reason: str | None = None
    definition: Definition | None = None


@dataclass(frozen=True)
class ExampleView(StoredImage):
    """One image of a dataset, with the landmarks that it shows, in pixels of the image."""

    points: Points2D = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """One study as an example of a dataset.

    Attributes:
        study_id, patient, source, facts: as in ``spine.study.Study``.
        split: ``train``, ``validation`` or ``test``.
        views: view -> image with the landmarks that it shows.
        points_3d: landmark -> (3,) LPS mm; a landmark without a known 3D position has no key.
        truth: parameter -> reference value.
    """

    study_id: str
    patient: str
    split: Split
    source: str
    views: Mapping[ViewName, ExampleView]
    points_3d: Mapping[str, Floats] = field(default_factory=dict)
    truth: Mapping[str, Truth] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label_weight(self) -> float:
        """The weight, 0 to 1, with which training counts the labels."""
        return label_weight_of(self.facts)

    @property
    def is_from_centres(self) -> bool:
        """Whether a reference value is measured from plate centres alone."""
        return any(truth.definition == "centres" for truth in self.truth.values())


@dataclass(frozen=True)
class Shard:
    """A file with examples of one split.

    Attributes:
        file: path, relative to the folder of the dataset.
        examples: number of examples in the file.
        sha256: digest of the file.
    """

    file: str
    split: Split
    examples: int
    sha256: str


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What the index says of one example: facts that need neither landmarks nor reference values.

    Attributes:
        study_id, patient, split, source, label_weight: as in ``Example``.
        condition: the fact ``condition``, or "".
        views: the views with an image.
        from_centres: whether a reference value is measured from plate centres alone.
        shard: position of the example's shard in ``Manifest.shards``.
    """

    study_id: str
    patient: str
    split: Split
    source: str
    condition: str
    views: tuple[ViewName, ...]
    label_weight: float
    from_centres: bool
    shard: int


@dataclass(frozen=True)
class Manifest:
    """The header of a dataset, through which its examples are read.

    Attributes:
        folder: folder of the dataset.
        shards: split by split (``SPLITS``), each in the order of study ids.
        index_sha256: digest of the index.

    All methods that read a shard or the index raise ``MANIFEST_ALTERED`` if the file is missing or was changed, and
    ``DATASET_REPLACED`` if the dataset was built again meanwhile.
    """

    folder: Path
    landmark_set: str
    split_seed: int
    shards: tuple[Shard, ...]
    index_sha256: str

    @property
    def digest(self) -> str:
        """One SHA-256 of all examples and the name of the landmark set."""
        return digest_of_shards(self.landmark_set, self.shards)

    @property
    def test_digest(self) -> str:
        """One SHA-256 of all examples of the frozen test split. Each example contains the digests of its images."""
        return digest_of_shards(self.landmark_set, [shard for shard in self.shards if shard.split == "test"])

    def count(self, split: Split | None = None) -> int:
        """The number of examples, in all splits or in one."""
        return sum(shard.examples for shard in self.shards if split in (None, shard.split))

    def examples(self, split: Split | None = None) -> Iterator[Example]:
        """The examples of all splits or of one, split by split in the order of study ids, read one after the other."""
        for shard in self.shards:
            if split in (None, shard.split):
                yield from self._examples_of(shard)

    def in_split(self, split: Split) -> tuple[Example, ...]:
        """All examples of one split at once."""
        return tuple(self.examples(split))

    def shard_examples(self, shard: Shard) -> tuple[Example, ...]:
        """All examples of one shard at once."""
        return tuple(self._examples_of(shard))

    def select(self, study_ids: Collection[str]) -> Iterator[Example]:
        """The examples with these ids. Only their shards are read."""
        for number in sorted({entry.shard for entry in self.index() if entry.study_id in study_ids}):
            yield from (e for e in self._examples_of(self.shards[number]) if e.study_id in study_ids)

    def index(self) -> Iterator[IndexEntry]:
        """The index's entry of every example, in the order of ``examples``."""
        for line in self._lines(content_file(self.index_sha256), self.index_sha256):
            record = json.loads(line)
            yield IndexEntry(**record | {"views": tuple(record["views"])})

    def _examples_of(self, shard: Shard) -> Iterator[Example]:
        return (_example_from_json(json.loads(line)) for line in self._lines(shard.file, shard.sha256))

    def _lines(self, file: str, sha256: str) -> list[bytes]:
        path = self.folder / file
        content = path.read_bytes() if path.exists() else None
        if content is None or sha256_of_bytes(content) != sha256:
            self._require_present()
            raise _altered(
                f"{file}, which is {'missing' if content is None else 'changed'}", "the file that was written"
            )
        return content.splitlines()

    def _require_present(self) -> None:
        """Refuse a header that another build has replaced since it was read, and with it the files that it names."""
        if read_manifest(self.folder).digest != self.digest:
            raise ContractViolation(
                "DATASET_REPLACED",
                found="a dataset that was built again while it was read",
                expected="the dataset that was there at the beginning",
                remedy="run the same command again",
            )


def load_example_image(folder: Path, view: ExampleView) -> NDArray[np.uint16]:
    """The image of a view as an (H, W) uint16 array, memory-mapped read-only."""
    image: NDArray[np.uint16] = np.load(folder / view.image, mmap_mode="r", allow_pickle=False)
    return image


def read_manifest(folder: Path) -> Manifest:
    """Read the header of a dataset.

    Raises:
        ContractViolation: ``MANIFEST_ALTERED`` if the recorded digests are not those of the recorded shards.
    """
    record = json.loads((folder / HEADER).read_text())
    if record.get("schema") != SCHEMA:
        raise _altered(f"{HEADER} with the schema {record.get('schema')}", f"the schema {SCHEMA}")
    shards = tuple(Shard(**shard) for shard in record["shards"])
    manifest = Manifest(folder, record["landmark_set"], record["split_seed"], shards, record["index_sha256"])
    for name, found in (("digest", manifest.digest), ("test_digest", manifest.test_digest)):
        if found != record[name]:
            raise _altered(f"shards with the {name} {found[:12]}", f"the recorded {name} {record[name][:12]}")
    return manifest


def digest_of_shards(landmark_set: str, shards: Sequence[Shard]) -> str:
    """One SHA-256 of the name of a landmark set and the digests of shards, in their order."""
    payload = json.dumps([SCHEMA, landmark_set, [shard.sha256 for shard in shards]])
    return sha256_of_bytes(payload.encode())


def image_file(sha256: str) -> str:
    """The file of the image with this digest, relative to the folder of the dataset."""
    return f"images/{sha256}.npy"


def content_file(sha256: str) -> str:
    """The file with this digest, relative to the folder of the dataset."""
    return f"shards/{sha256}.jsonl"


def _altered(found: str, expected: str) -> ContractViolation:
    remedy = "the dataset was edited or damaged after it was written: restore it (`dvc checkout data/dataset`), or "
    remedy += "remove manifest.json and build it again: its test set stays, training and validation are drawn again"
    return ContractViolation("MANIFEST_ALTERED", found, expected, remedy)


def example_to_json(example: Example) -> dict[str, Any]:
    """The JSON of an example, which is one line of a shard."""
    views = {}
    for name, view in example.views.items():
        geometry = asdict(view.geometry) if view.geometry else None
        views[name] = vars(view) | {"geometry": geometry, "points": points_to_json(view.points)}
    return vars(example) | {
        "views": views,
        "points_3d": points_to_json(example.points_3d),
        "truth": {name: _truth_to_json(truth) for name, truth in example.truth.items()},
        "facts": dict(example.facts),
    }


def _truth_to_json(truth: Truth) -> dict[str, Any]:
    return {key: value for key, value in vars(truth).items() if key != "definition" or value is not None}


def _example_from_json(record: Mapping[str, Any]) -> Example:
    views = {
        name: ExampleView(**image_fields(view) | {"points": points_from_json(view["points"])})
        for name, view in record["views"].items()
    }
    truth = {name: Truth(**value) for name, value in record["truth"].items()}
    return Example(**{**record, "views": views, "points_3d": points_from_json(record["points_3d"]), "truth": truth})
