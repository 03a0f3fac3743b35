"""The dataset record: its examples, their landmarks and reference parameters, and the split of each.

Contract: one folder,

    manifest.json         written last
    images/<sha256>.npy   (H, W) uint16, content-addressed: a new batch adds files and rewrites none

The test split is frozen. Its digest covers every image, label and reference value in it and is part of every later
record. Two results are comparable exactly when their test digests are equal.
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
from spine.storage import write_text_atomically
from spine.study import Points2D, StoredImage, image_fields, points_from_json, points_to_json
from spine.types import Floats

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, Split, Split] = ("train", "validation", "test")
SCHEMA = "plumbline.dataset/1"


@dataclass(frozen=True)
class Truth:
    """The reference value of one parameter, or the reason why there is none."""

    value: float | None
    unit: str
    absent_reason: str | None = None


@dataclass(frozen=True)
class ExampleView(StoredImage):
    """One image of a dataset, with the landmarks that it shows in its pixels."""

    points: Points2D = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """One study as an example.

    Attributes:
        study_id, patient, source, facts: those of ``spine.study.Study``.
        split: ``train``, ``validation`` or ``test``.
        views: images with the landmarks that they show.
        points_3d: landmark -> (3,) LPS mm, where known.
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
    def digest(self) -> str:
        """SHA-256 of every example."""
        return _digest(self.landmark_set, self.examples)

    @cached_property
    def test_digest(self) -> str:
        """SHA-256 of the examples of the frozen test split, which contain the SHA-256 of each image."""
        return _digest(self.landmark_set, self.in_split("test"))


def load_example_image(folder: Path, view: ExampleView) -> NDArray[np.uint16]:
    """(H, W) uint16 image of a view, memory-mapped read-only."""
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
    """Read ``manifest.json``, or raise ``MANIFEST_ALTERED`` if the content does not have the recorded digests."""
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
        "truth": {name: vars(truth) for name, truth in example.truth.items()},
        "facts": dict(example.facts),
    }


def _example_from_json(record: Mapping[str, Any]) -> Example:
    views = {
        name: ExampleView(**image_fields(view) | {"points": points_from_json(view["points"])})
        for name, view in record["views"].items()
    }
    truth = {name: Truth(**value) for name, value in record["truth"].items()}
    return Example(**{**record, "views": views, "points_3d": points_from_json(record["points_3d"]), "truth": truth})
