"""Leakage between splits: one patient or one radiograph in two splits.

Contract: each image is read once and never written. Two studies are near-duplicates if they show the same
radiograph (``near_duplicates.similarity``) in every view that both studies have. Another radiograph of the same person
is not a duplicate.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.dataset import Example, ExampleView, Split, load_example_image
from spine.landmarks import VIEWS, ViewName
from spine.storage import sha256_of_image
from spine.types import Progress
from validation.dataset.near_duplicates import MIN_SIMILARITY, ImageSignature, signature_of, similar_pairs, similarity

Signatures = Mapping[ViewName, ImageSignature]

PRECEDENCE: Mapping[Split, int] = {"test": 0, "validation": 1, "train": 2}
"""The order of the splits. If two studies must not be in different splits, the study in the later split is at fault,
so that the test set does not change."""


@dataclass(frozen=True)
class Duplicate:
    """Two studies of different patients that show the same radiograph.

    Attributes:
        study_id: the study at fault, by ``PRECEDENCE``; if both studies are in one split, the study with the later id.
        other: the other study.
        across: whether the two studies are in different splits.
        exact: whether the pixels are equal.
    """

    study_id: str
    other: str
    across: bool
    exact: bool


@dataclass(frozen=True)
class ImageSurvey:
    """The result of reading every image once.

    Attributes:
        damaged: study id -> number of images that are missing or do not match their digest.
        duplicates: pairs of studies of different patients with the same radiograph.
    """

    damaged: Mapping[str, int]
    duplicates: tuple[Duplicate, ...]


def survey_images(dataset: Path, examples: Sequence[Example], progress: Progress | None = None) -> ImageSurvey:
    """Check every image against its digest and find radiographs that occur twice.

    Args:
        progress: called with (studies read, all studies).
    """
    damaged: dict[str, int] = defaultdict(int)
    signatures: dict[str, dict[ViewName, ImageSignature]] = defaultdict(dict)
    for done, example in enumerate(examples, start=1):
        for name, view in example.views.items():
            image = _read(dataset, view)
            if image is None or sha256_of_image(image) != view.sha256:
                damaged[example.study_id] += 1
            else:
                signatures[example.study_id][name] = signature_of(image)
        if progress is not None:
            progress(done, len(examples))
    exact = exact_duplicates(examples)
    known = {(d.study_id, d.other) for d in exact}
    near = [d for d in near_duplicates(examples, signatures) if (d.study_id, d.other) not in known]
    return ImageSurvey(dict(damaged), tuple(sorted([*exact, *near], key=lambda d: (d.study_id, d.other))))


def patients_in_several_splits(examples: Sequence[Example]) -> dict[str, set[Split]]:
    """Patient key -> splits, for patients that are in more than one split."""
    splits: dict[str, set[Split]] = defaultdict(set)
    for example in examples:
        splits[example.patient].add(example.split)
    return {patient: found for patient, found in splits.items() if len(found) > 1}


def exact_duplicates(examples: Sequence[Example]) -> list[Duplicate]:
    """Pairs of studies of different patients that have an image with the same digest."""
    holders: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        for view in example.views.values():
            holders[view.sha256].append(example)
    found = {
        _duplicate(first, second, exact=True)
        for same in holders.values()
        for first, second in combinations(same, 2)
        if first.patient != second.patient
    }
    return sorted(found, key=lambda d: (d.study_id, d.other))


def near_duplicates(examples: Sequence[Example], signatures: Mapping[str, Signatures]) -> list[Duplicate]:
    """Pairs of studies of different patients that show the same radiograph in every view that both studies have.

    Args:
        signatures: study id -> view -> signature of its image. A study without signatures is not compared.
    """
    alike: dict[ViewName, set[tuple[int, int]]] = {}
    for name in VIEWS:
        known = [i for i, e in enumerate(examples) if name in signatures.get(e.study_id, {})]
        if known:
            thumbnails = np.stack([signatures[examples[i].study_id][name].thumbnail for i in known])
            alike[name] = {(known[i], known[j]) for i, j in similar_pairs(thumbnails)}
    found = []
    for i, j in sorted(set().union(*alike.values())):
        first, second = examples[i], examples[j]
        one, other = signatures[first.study_id], signatures[second.study_id]
        shared = [name for name in one if name in other]
        candidates = first.patient != second.patient and all((i, j) in alike[name] for name in shared)
        if candidates and all(similarity(one[name], other[name]) >= MIN_SIMILARITY for name in shared):
            found.append(_duplicate(first, second, exact=False))
    return found


def _duplicate(first: Example, second: Example, *, exact: bool) -> Duplicate:
    kept, at_fault = sorted((first, second), key=lambda e: (PRECEDENCE[e.split], e.study_id))
    return Duplicate(at_fault.study_id, kept.study_id, first.split != second.split, exact)


def _read(dataset: Path, view: ExampleView) -> NDArray[np.uint16] | None:
    try:
        return load_example_image(dataset, view)
    except (OSError, ValueError):  # no readable array in the file: the caller counts the image as damaged
        return None
