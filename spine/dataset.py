"""The record of a dataset: its examples, each with landmarks, reference parameters and split.

Contract: a dataset is one folder with these files:

    manifest.json         written last
    images/<sha256>.npy   (H, W) uint16, named by the digest of its content: a new batch only adds files

The test split is frozen. Its digest covers every image, label and reference value in this split, and every later record
contains the digest. Two results are comparable exactly when their test digests are equal.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spine.errors import ContractViolation
from spine.landmarks import ViewName
from spine.measurement.registry import Definition
from spine.storage import write_text_atomically
from spine.study import Points2D, StoredImage, image_fields, points_from_json, points_to_json
from spine.types import Floats

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, Split, Split] = ("train", "validation", "test")
SCHEMA = "plumbline.dataset/1"


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
    def is_from_centres(self) -> bool:
        """Whether a reference value is measured from plate centres alone."""
        return any(truth.definition == "centres" for truth in self.truth.values())


@dataclass(frozen=True)
class Manifest:
    """All examples of a dataset, ordered by study id."""

    landmark_set: str
    split_seed: int
    examples: tuple[Example, ...]

    def in_split(self, split: Split) -> tuple[Example, ...]:
        """The examples of one split."""
        return tuple(e for e in self.examples if e.split == split)

    @cached_property
    def from_centres(self) -> tuple[str, ...]:
        """The ids of the studies with a reference value that is measured from plate centres alone."""
        return tuple(e.study_id for e in self.examples if e.is_from_centres)

    @cached_property
    def digest(self) -> str:
        """One SHA-256 of all examples and the name of the landmark set."""
        return _digest(self.landmark_set, self.examples)

    @cached_property
    def test_digest(self) -> str:
        """One SHA-256 of all examples of the frozen test split. Each example contains the digests of its images."""
        return _digest(self.landmark_set, self.in_split("test"))


def load_example_image(folder: Path, view: ExampleView) -> NDArray[np.uint16]:
    """The image of a view as an (H, W) uint16 array, memory-mapped read-only."""
    image: NDArray[np.uint16] = np.load(folder / view.image, mmap_mode="r", allow_pickle=False)
    return image


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write ``manifest.json`` atomically."""
    record = {
        "schema": SCHEMA,
        "landmark_set": manifest.landmark_set,
        "split_seed": manifest.split_seed,
        "digest": manifest.digest,
        "test_digest": manifest.test_digest,
        "examples": [_example_to_json(e) for e in manifest.examples],
    }
    write_text_atomically(folder / "manifest.json", json.dumps(record, indent=1, sort_keys=True, allow_nan=False))


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json``, or raise ``MANIFEST_ALTERED`` if its digests differ from the recorded digests."""
    record = json.loads((folder / "manifest.json").read_text())
    examples = tuple(_example_from_json(e) for e in record["examples"])
    manifest = Manifest(record["landmark_set"], record["split_seed"], examples)
    for name, found in (("digest", manifest.digest), ("test_digest", manifest.test_digest)):
        if found != record[name]:
            found = f"content with {name} {found[:12]}"
            remedy = "the manifest was edited or damaged after it was written: build the dataset again"
            raise ContractViolation("MANIFEST_ALTERED", found, f"the recorded {name} {record[name][:12]}", remedy)
    return manifest


def _digest(landmark_set: str, examples: tuple[Example, ...]) -> str:
    content = [_example_to_json(e) for e in sorted(examples, key=lambda e: e.study_id)]
    payload = json.dumps([SCHEMA, landmark_set, content], sort_keys=True, allow_nan=False)
    return hashlib.sha256(payload.encode()).hexdigest()


def _example_to_json(example: Example) -> dict[str, Any]:
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
