"""Packed examples: the same landmarks in a fraction of the memory."""

import tracemalloc

import numpy as np

from spine.dataset import read_manifest
from tests.training.drawn_cohort import write_drawn_dataset
from training.packed_examples import PackedPoints, packed


def test_a_packed_example_has_the_same_landmarks(tmp_path):
    write_drawn_dataset(tmp_path, (3, 1, 1))
    for example in read_manifest(tmp_path).examples():
        small = packed(example)
        for name, view in example.views.items():
            points = small.views[name].points
            assert list(points) == list(view.points) and len(points) == len(view.points)
            assert all(np.array_equal(points[key], view.points[key]) for key in view.points)
            assert points.get("no such landmark") is None
        assert (small.truth, small.facts, small.split) == (example.truth, example.facts, example.split)


def test_an_image_without_landmarks_can_be_packed():
    assert dict(PackedPoints({})) == {}


def test_many_images_with_the_same_landmarks_need_little_memory():
    def grown(pack):
        tracemalloc.start()
        kept = [pack({f"L{k}": np.array([1.0 * k, 2.0]) for k in range(175)}) for _ in range(200)]
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(kept) == 200
        return size

    assert grown(PackedPoints) < grown(dict) / 5
