"""Leakage between splits: one patient or one radiograph in two splits.

Contract: two studies are near-duplicates if they show the same radiograph (``near_duplicates``) in every view that both
studies have. Another radiograph of the same person is not a duplicate. An image is read once for its digest and its
descriptor, and read again only when its study is a candidate of ``duplicate_search``. Images are never written.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.dataset import Example, Split, image_file
from spine.landmarks import ViewName
from spine.storage import sha256_of_image
from validation.dataset.duplicate_search import candidate_pairs
from validation.dataset.near_duplicates import (
    MIN_SIMILARITY,
    Descriptor,
    ImageSignature,
    descriptor_of,
    may_match,
    signature_of,
    similarity,
)

PRECEDENCE: Mapping[Split, int] = {"test": 0, "validation": 1, "train": 2}
"""The order of the splits. If two studies must not be in different splits, the study in the later split is at fault,
so that the test set does not change."""

_SIGNATURES_KEPT = 64
"""Signatures in memory while candidates are compared, 100 kB each."""


@dataclass(frozen=True, slots=True)
class StudyImages:
    """What the search for duplicates needs of one study.

    Attributes:
        study_id, patient, split: as in ``Example``.
        digests: view -> SHA-256 of the image, as recorded.
        descriptors: view -> descriptor of the image; images that are missing or do not match their digest have none.
    """

    study_id: str
    patient: str
    split: Split
    digests: Mapping[ViewName, str]
    descriptors: Mapping[ViewName, Descriptor]

    @property
    def damaged(self) -> int:
        """Number of images that are missing or do not match their digest."""
        return len(self.digests) - len(self.descriptors)


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


def images_of(dataset: Path, example: Example) -> StudyImages:
    """Read every image of a study, check it against its digest, and describe it."""
    descriptors = {}
    for name, view in example.views.items():
        image = _read(dataset, view.sha256)
        if image is not None and sha256_of_image(image) == view.sha256:
            descriptors[name] = descriptor_of(image)
    digests = {name: view.sha256 for name, view in example.views.items()}
    return StudyImages(example.study_id, example.patient, example.split, digests, descriptors)


def duplicates_of(dataset: Path, studies: Iterable[StudyImages]) -> tuple[Duplicate, ...]:
    """The duplicates: for each study at fault at most one in another split and one in its own split."""
    ordered = sorted(studies, key=lambda s: (PRECEDENCE[s.split], s.study_id))
    found = {(d.study_id, d.across): d for d in exact_duplicates(ordered)}
    for duplicate in _near_duplicates(dataset, ordered, found):
        found[duplicate.study_id, duplicate.across] = duplicate
    return tuple(sorted(found.values(), key=lambda d: (d.study_id, d.other)))


def patients_in_several_splits(members: Iterable[tuple[str, Split]]) -> dict[str, set[Split]]:
    """Patient key -> splits, for patients that are in more than one split, from the (patient, split) of each study."""
    splits: dict[str, set[Split]] = defaultdict(set)
    for patient, split in members:
        splits[patient].add(split)
    return {patient: found for patient, found in splits.items() if len(found) > 1}


def exact_duplicates(ordered: Sequence[StudyImages]) -> Iterator[Duplicate]:
    """Pairs of studies of different patients that have an image with the same digest.

    Args:
        ordered: the studies, ordered by ``PRECEDENCE`` and id.
    """
    holders: dict[tuple[str, Split], list[StudyImages]] = defaultdict(list)
    for study in ordered:
        for digest in sorted(set(study.digests.values())):
            for split in PRECEDENCE:
                kept = holders[digest, split]
                if (other := next((k for k in kept if k.patient != study.patient), None)) is not None:
                    yield _duplicate(other, study, exact=True)
            kept = holders[digest, study.split]
            if all(k.patient != study.patient for k in kept[:2]) and len(kept) < 2:
                kept.append(study)  # two patients are enough to find another patient for every later study


def _near_duplicates(
    dataset: Path, ordered: Sequence[StudyImages], known: Mapping[tuple[str, bool], Duplicate]
) -> Iterator[Duplicate]:
    """The same for images that are alike; pairs whose study at fault is ``known`` are not compared.

    The caller adds each duplicate to ``known``, so that N copies of a radiograph need N comparisons and not N^2.
    """

    @lru_cache(maxsize=_SIGNATURES_KEPT)
    def signature(digest: str) -> ImageSignature | None:
        image = _read(dataset, digest)
        return None if image is None else signature_of(image)

    for pairs in candidate_pairs([study.descriptors for study in ordered]):
        for i, j in pairs.tolist():
            kept, study = ordered[i], ordered[j]
            if kept.patient == study.patient or (study.study_id, kept.split != study.split) in known:
                continue
            first, second = sorted((kept, study), key=lambda s: s.study_id)
            shared = [name for name in first.descriptors if name in second.descriptors]
            images = [(signature(first.digests[name]), signature(second.digests[name])) for name in shared]
            if same_radiographs(images):
                yield _duplicate(kept, study, exact=False)


def same_radiographs(images: Sequence[tuple[ImageSignature | None, ImageSignature | None]]) -> bool:
    """Whether both images of every pair show the same radiograph."""
    pairs = [(first, second) for first, second in images if first is not None and second is not None]
    if len(pairs) < len(images) or not all(may_match(*pair) for pair in pairs):
        return False
    return all(similarity(*pair) >= MIN_SIMILARITY for pair in pairs)


def _duplicate(kept: StudyImages, at_fault: StudyImages, *, exact: bool) -> Duplicate:
    return Duplicate(at_fault.study_id, kept.study_id, kept.split != at_fault.split, exact)


def _read(dataset: Path, digest: str) -> NDArray[np.uint16] | None:
    try:
        pixels: NDArray[np.uint16] = np.load(dataset / image_file(digest), mmap_mode="r", allow_pickle=False)
        return pixels
    except (OSError, ValueError):  # no readable array in the file: the caller counts the image as damaged
        return None
