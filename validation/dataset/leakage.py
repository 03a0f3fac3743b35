"""Leakage between splits: the same person or the same film on both sides.

What belongs here: patient keys, picture digests and near-duplicates across splits. What does not: removing
what is found (``validate``). Contract: reads pictures read-only and once; a near-duplicate is the same film
again after rescaling, cropping of the margins, or another grey curve, not another film of the same person.

Near-duplicates are found by two independent signs that must agree: a 255-bit perceptual hash (signs of the low
cosine frequencies against their median, Zauner 2010) and the correlation of frequency-whitened cosine
coefficients. Measured on the 481 AASCE films: rescaled, cropped, re-graded copies score 42 bits and 0.93 or
better, films of different patients 88 bits or 0.88 at their most alike.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.dataset import Example, Split, load_example_picture
from spine.scanner import Floats
from spine.storage import sha256_of_picture

THUMBNAIL = 64
_FREQUENCIES = 24
_HASH_FREQUENCIES = 16
MOST_BITS_APART = 80
LEAST_CORRELATION = 0.88

PRECEDENCE: Mapping[Split, int] = {"test": 0, "validation": 1, "train": 2}
"""Of two studies that must not be in different splits, the one further back is at fault: the test set stays."""


@dataclass(frozen=True)
class Duplicate:
    """Two studies of different patients that show the same film.

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
class PictureSurvey:
    """What reading every picture once tells.

    Attributes:
        damaged: study id -> number of pictures that are missing or not what their digest says.
        duplicates: pairs of studies of different patients with the same film.
    """

    damaged: Mapping[str, int]
    duplicates: tuple[Duplicate, ...]


def survey_pictures(dataset: Path, examples: Sequence[Example]) -> PictureSurvey:
    """Check every picture against its digest and find films that occur twice."""
    damaged: dict[str, int] = defaultdict(int)
    thumbnails: dict[str, list[tuple[Example, Floats]]] = defaultdict(list)
    for example in examples:
        for name, view in example.views.items():
            picture = _read(dataset, example, name)
            if picture is None or sha256_of_picture(picture) != view.sha256:
                damaged[example.study_id] += 1
            else:
                thumbnails[name].append((example, thumbnail(picture)))
    duplicates = set(exact_duplicates(examples))
    known = {(d.study_id, d.other) for d in duplicates}
    for pairs in thumbnails.values():
        near = near_duplicates([e for e, _ in pairs], np.stack([t for _, t in pairs]))
        duplicates |= {d for d in near if (d.study_id, d.other) not in known}
    return PictureSurvey(dict(damaged), tuple(sorted(duplicates, key=lambda d: (d.study_id, d.other))))


def patients_in_several_splits(examples: Sequence[Example]) -> dict[str, set[Split]]:
    """Patient key -> splits, of patients that are in more than one."""
    splits: dict[str, set[Split]] = defaultdict(set)
    for example in examples:
        splits[example.patient].add(example.split)
    return {patient: found for patient, found in splits.items() if len(found) > 1}


def exact_duplicates(examples: Sequence[Example]) -> list[Duplicate]:
    """Pairs of studies of different patients that share a picture's digest."""
    holders: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        for view in example.views.values():
            holders[view.sha256].append(example)
    return [
        _duplicate(first, second, exact=True)
        for found in holders.values()
        for first, second in pairwise(found)
        if first.patient != second.patient
    ]


def near_duplicates(examples: Sequence[Example], thumbnails: Floats) -> list[Duplicate]:
    """Pairs of studies of different patients among N examples with thumbnails (N, 64, 64) that look the same."""
    bits, spectra = perceptual_hash(thumbnails).astype(np.float64), spectrum(thumbnails)
    apart = bits @ (1 - bits).T + (1 - bits) @ bits.T
    alike = np.triu((apart <= MOST_BITS_APART) & (spectra @ spectra.T >= LEAST_CORRELATION), 1)
    return [
        _duplicate(examples[i], examples[j], exact=False)
        for i, j in np.argwhere(alike)
        if examples[i].patient != examples[j].patient
    ]


def thumbnail(picture: NDArray[np.uint16]) -> Floats:
    """(H, W) -> (64, 64) by averaging 4 x 4 samples a cell; the aspect is not kept."""
    height, width = picture.shape
    samples = (np.arange(4 * THUMBNAIL) + 0.5) / (4 * THUMBNAIL)
    rows, columns = (samples * height).astype(int), (samples * width).astype(int)
    cells = np.asarray(picture[rows][:, columns], dtype=np.float64)
    return np.asarray(cells.reshape(THUMBNAIL, 4, THUMBNAIL, 4).mean(axis=(1, 3)), dtype=np.float64)


def perceptual_hash(thumbnails: Floats) -> NDArray[np.bool_]:
    """(N, 64, 64) -> (N, 255) signs of the low cosine frequencies against their median."""
    low = _cosine(thumbnails)[:, :_HASH_FREQUENCIES, :_HASH_FREQUENCIES].reshape(len(thumbnails), -1)[:, 1:]
    return np.asarray(low > np.median(low, axis=1, keepdims=True))


def spectrum(thumbnails: Floats) -> Floats:
    """(N, 64, 64) -> (N, 575) unit vectors of cosine coefficients, raised with frequency to flatten them."""
    low = _cosine(thumbnails)[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(thumbnails), -1)[:, 1:]
    frequency = np.add.outer(np.arange(_FREQUENCIES), np.arange(_FREQUENCIES)).reshape(-1)[1:]
    raised = low * np.sqrt(frequency)
    lengths = np.linalg.norm(raised, axis=1, keepdims=True)
    return np.asarray(raised / np.where(lengths > 0, lengths, 1.0), dtype=np.float64)


def _cosine(thumbnails: Floats) -> Floats:
    from scipy.fft import dctn

    return np.asarray(dctn(thumbnails, axes=(1, 2), norm="ortho"), dtype=np.float64)


def _duplicate(first: Example, second: Example, *, exact: bool) -> Duplicate:
    kept, at_fault = sorted((first, second), key=lambda e: (PRECEDENCE[e.split], e.study_id))
    return Duplicate(at_fault.study_id, kept.study_id, first.split != second.split, exact)


def _read(dataset: Path, example: Example, name: str) -> NDArray[np.uint16] | None:
    try:
        return load_example_picture(dataset, example.views[name])  # type: ignore[index]
    except (OSError, ValueError):  # missing, truncated, or no array at all: counted as damaged by the caller
        return None
