"""The search for candidates in blocks, against the formula for all pairs at once."""

import numpy as np
import pytest

from validation.dataset import duplicate_search
from validation.dataset.duplicate_search import candidate_pairs
from validation.dataset.near_duplicates import (
    MAX_DIFFERING_BITS,
    MIN_CORRELATION,
    Descriptor,
    ImageSignature,
    descriptor_of,
    may_match,
    perceptual_hash,
    spectrum,
)

STUDIES = 90


def images(rng, count):
    """(count, 64, 64) uint16 in groups, with more or less noise: pairs lie on both sides of the limits."""
    groups = rng.normal(size=(count // 6, 64, 64))
    noise = rng.normal(size=(count, 64, 64)) * rng.uniform(0, 0.9, size=(count, 1, 1))
    made = groups[rng.integers(0, len(groups), count)] + noise
    return np.round(20000 + 3000 * made).clip(0, 65535).astype(np.uint16)


def alike(thumbnails):
    """Step 1 for (N, 64, 64) thumbnails as one (N, N) formula in float64."""
    bits, spectra = perceptual_hash(thumbnails).astype(np.float64), spectrum(thumbnails)
    apart = bits @ (1 - bits).T + (1 - bits) @ bits.T
    return (apart <= MAX_DIFFERING_BITS) & (spectra @ spectra.T >= MIN_CORRELATION)


def expected_pairs(present, by_view):
    """Pairs that share a view and are alike in every view that both have."""
    shared = {v: np.logical_and.outer(present[v], present[v]) for v in present}
    fits = np.logical_and.reduce([by_view[v] | ~shared[v] for v in present]) & np.logical_or.reduce([*shared.values()])
    return {(int(i), int(j)) for i, j in np.argwhere(np.triu(fits, 1))}


@pytest.mark.parametrize("block", [7, 32, 512])
@pytest.mark.parametrize("seed", range(3))
def test_the_search_in_blocks_finds_the_pairs_of_the_formula(monkeypatch, seed, block):
    monkeypatch.setattr(duplicate_search, "BLOCK", block)
    rng = np.random.default_rng(seed)
    views = {"frontal": images(rng, STUDIES), "lateral": images(rng, STUDIES)}
    views["lateral"][: STUDIES // 2] = views["frontal"][: STUDIES // 2]
    present = {view: rng.random(STUDIES) < 0.8 for view in views}
    studies = [{v: descriptor_of(views[v][i]) for v in views if present[v][i]} for i in range(STUDIES)]
    candidates = {(int(i), int(j)) for pairs in candidate_pairs(studies) for i, j in pairs}
    expected = expected_pairs(present, {v: alike(views[v].astype(float)) for v in views})
    confirmed = {(i, j) for i, j in candidates if matches(views, present, i, j)}
    assert len(expected) > 20
    assert candidates >= expected
    assert len(candidates) <= len(expected) + 2
    assert confirmed == expected


def matches(views, present, i, j):
    shared = [v for v in views if present[v][i] and present[v][j]]
    return bool(shared) and all(
        may_match(*(ImageSignature(views[v][n].astype(float), np.zeros((1, 1))) for n in (i, j))) for v in shared
    )


def test_a_product_is_rounded_by_less_than_the_margin():
    rng = np.random.default_rng(5)
    exact = rng.normal(size=(200, 575))
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    rounded = exact.astype(np.float16).astype(np.float32)
    assert np.abs(rounded @ rounded.T - exact @ exact.T).max() < duplicate_search.MARGIN / 10
    upwards = np.full(575, 575**-0.5 * (1 + 2.0**-11))  # the worst case: every value is rounded the same way
    assert upwards @ upwards - 1 < duplicate_search.MARGIN


def test_pairs_of_one_later_study_come_in_the_order_of_the_earlier_one(monkeypatch):
    monkeypatch.setattr(duplicate_search, "BLOCK", 4)
    same = Descriptor(np.zeros(32, dtype=np.uint8), np.eye(575, dtype=np.float16)[0])
    pairs = [pair for found in candidate_pairs([{"frontal": same}] * 11) for pair in found.tolist()]
    assert len(pairs) == 55
    for j in range(11):
        assert [i for i, second in pairs if second == j] == list(range(j))


def test_without_studies_or_images_there_are_no_pairs():
    assert list(candidate_pairs([])) == []
    assert list(candidate_pairs([{}, {}])) == []
