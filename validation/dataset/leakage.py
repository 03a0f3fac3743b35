"""Leakage between splits: the same person or the same radiograph on both sides.

Contract: reads images read-only and once; a near-duplicate is the same radiograph again (``likeness``), in every view
    the two studies share; not another radiograph of the same person.
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
from validation.dataset.near_duplicates import LEAST_LIKENESS, Look, likeness, look_of, similar_pairs

Looks = Mapping[ViewName, Look]

PRECEDENCE: Mapping[Split, int] = {"test": 0, "validation": 1, "train": 2}
"""Of two studies that must not be in different splits, the one further back is at fault: the test set stays."""


@dataclass(frozen=True)
class Duplicate:
    """Two studies of different patients that show the same radiograph.

    Attributes:
        study_id: the one at fault by ``PRECEDENCE`` (within one split the later id).
        other: the other one.
        across: whether they are in different splits.
        exact: whether the pixels are equal.
    """

    study_id: str
    other: str
    across: bool
    exact: bool


@dataclass(frozen=True)
class ImageSurvey:
    """What reading every image once tells.

    Attributes:
        damaged: study id -> number of images that are missing or not what their digest says.
        duplicates: pairs of studies of different patients with the same radiograph.
    """

    damaged: Mapping[str, int]
    duplicates: tuple[Duplicate, ...]


def survey_images(dataset: Path, examples: Sequence[Example], progress: Progress | None = None) -> ImageSurvey:
    """Check every image against its digest and find radiographs that occur twice.

    Args:
        progress: called with (studies read, studies in all).
    """
    damaged: dict[str, int] = defaultdict(int)
    looks: dict[str, dict[ViewName, Look]] = defaultdict(dict)
    for done, example in enumerate(examples, start=1):
        for name, view in example.views.items():
            image = _read(dataset, view)
            if image is None or sha256_of_image(image) != view.sha256:
                damaged[example.study_id] += 1
            else:
                looks[example.study_id][name] = look_of(image)
        if progress is not None:
            progress(done, len(examples))
    exact = exact_duplicates(examples)
    known = {(d.study_id, d.other) for d in exact}
    near = [d for d in near_duplicates(examples, looks) if (d.study_id, d.other) not in known]
    return ImageSurvey(dict(damaged), tuple(sorted([*exact, *near], key=lambda d: (d.study_id, d.other))))


def patients_in_several_splits(examples: Sequence[Example]) -> dict[str, set[Split]]:
    """Patient key -> splits, of patients that are in more than one."""
    splits: dict[str, set[Split]] = defaultdict(set)
    for example in examples:
        splits[example.patient].add(example.split)
    return {patient: found for patient, found in splits.items() if len(found) > 1}


def exact_duplicates(examples: Sequence[Example]) -> list[Duplicate]:
    """Pairs of studies of different patients that share an image's digest."""
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


def near_duplicates(examples: Sequence[Example], looks: Mapping[str, Looks]) -> list[Duplicate]:
    """Pairs of studies of different patients that look the same in all views they share.

    Args:
        looks: study id -> view -> what is kept of its image; a study without is not compared.
    """
    alike: dict[ViewName, set[tuple[int, int]]] = {}
    for name in VIEWS:
        held = [i for i, e in enumerate(examples) if name in looks.get(e.study_id, {})]
        if held:
            thumbnails = np.stack([looks[examples[i].study_id][name].thumbnail for i in held])
            alike[name] = {(held[i], held[j]) for i, j in similar_pairs(thumbnails)}
    found = []
    for i, j in sorted(set().union(*alike.values())):
        first, second = examples[i], examples[j]
        shared = [name for name in looks[first.study_id] if name in looks[second.study_id]]
        sieved = first.patient != second.patient and all((i, j) in alike[name] for name in shared)
        if sieved and _same_radiograph(looks[first.study_id], looks[second.study_id]):
            found.append(_duplicate(first, second, exact=False))
    return found


def _same_radiograph(first: Looks, second: Looks) -> bool:
    return all(likeness(first[name], second[name]) >= LEAST_LIKENESS for name in first if name in second)


def _duplicate(first: Example, second: Example, *, exact: bool) -> Duplicate:
    kept, at_fault = sorted((first, second), key=lambda e: (PRECEDENCE[e.split], e.study_id))
    return Duplicate(at_fault.study_id, kept.study_id, first.split != second.split, exact)


def _read(dataset: Path, view: ExampleView) -> NDArray[np.uint16] | None:
    try:
        return load_example_image(dataset, view)
    except (OSError, ValueError):  # missing, truncated, or no array at all: counted as damaged by the caller
        return None
