"""The pairs of studies whose images may show the same radiograph: step 1 of ``near_duplicates`` for all pairs.

Contract: the candidates contain every pair for which ``may_match`` holds in every view that both studies have. Spectra
are rounded and compared with a margin, so that a few candidates just below the limit are possible; whoever looks at the
pixels again applies ``may_match``. Memory is the descriptors (1.2 kB for each image) and one block of ``BLOCK`` x
``BLOCK`` products. Time grows with the square of the number of studies, at about 20 nanoseconds a pair and view on one
core (``python -m benchmarks.near_duplicates``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import VIEWS, ViewName
from validation.dataset.near_duplicates import MAX_DIFFERING_BITS, MIN_CORRELATION, Descriptor

BLOCK = 256
MARGIN = 1.1e-3
"""A float16 value is rounded by at most 2^-11 of its size, so a product of two unit vectors by at most 2^-10 = 9.8e-4.
The sum of 575 products in float32 adds less than 4e-5."""

Pairs = NDArray[np.intp]


@dataclass(frozen=True)
class _ViewStack:
    """The descriptors of one view of N studies; a study without this view has zeros.

    Attributes:
        present: (N,) whether the study has a descriptor.
        bits: (N, 4) uint64.
        spectra: (N, 575) float16.
    """

    present: NDArray[np.bool_]
    bits: NDArray[np.uint64]
    spectra: NDArray[np.float16]


def candidate_pairs(studies: Sequence[Mapping[ViewName, Descriptor]]) -> Iterator[Pairs]:
    """(K, 2) pairs (i, j), i < j, of studies that share a view and are alike in every view that both have.

    All pairs with the same j come in the order of i.
    """
    stacks = [_stacked(studies, view) for view in VIEWS]
    starts = range(0, len(studies), BLOCK)
    for right in starts:
        for left in starts[: right // BLOCK + 1]:
            pairs = _candidates(stacks, left, right)
            if len(pairs):
                yield pairs


def _stacked(studies: Sequence[Mapping[ViewName, Descriptor]], view: ViewName) -> _ViewStack:
    known = [(i, found[view]) for i, found in enumerate(studies) if view in found]
    size = known[0][1].spectrum.size if known else 0
    stack = _ViewStack(
        np.zeros(len(studies), dtype=bool),
        np.zeros((len(studies), 4), dtype=np.uint64),
        np.zeros((len(studies), size), dtype=np.float16),
    )
    for i, descriptor in known:
        stack.present[i] = True
        stack.bits[i], stack.spectra[i] = descriptor.bits.view(np.uint64), descriptor.spectrum
    return stack


def _candidates(stacks: Sequence[_ViewStack], left: int, right: int) -> Pairs:
    """The candidates (i, j) with i in the block that begins at ``left`` and j in the block that begins at ``right``."""
    rows, columns = slice(left, left + BLOCK), slice(right, right + BLOCK)
    shape = len(stacks[0].present[rows]), len(stacks[0].present[columns])
    share_a_view, alike = np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool)
    for stack in stacks:
        share = stack.present[rows, None] & stack.present[columns]
        share_a_view |= share
        first, second = (stack.spectra[block].astype(np.float32) for block in (rows, columns))
        alike &= (first @ second.T >= MIN_CORRELATION - MARGIN) | ~share
    alike &= share_a_view
    pairs = np.argwhere(np.triu(alike, 1) if left == right else alike) + (left, right)
    for stack in stacks:
        i, j = pairs.T
        apart = np.bitwise_count(stack.bits[i] ^ stack.bits[j]).sum(axis=1)
        pairs = pairs[(apart <= MAX_DIFFERING_BITS) | ~(stack.present[i] & stack.present[j])]
    return pairs
