from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import zoom

from spine.dataset import SPLITS, image_file
from spine.storage import sha256_of_image
from spine.study import read_study, write_study_record
from tests.validation.dataset.constructed_datasets import BIPLANAR, add_study, image
from validation.dataset import leakage
from validation.dataset.leakage import (
    PRECEDENCE,
    StudyImages,
    duplicates_of,
    exact_duplicates,
    images_of,
    patients_in_several_splits,
)
from validation.dataset.near_duplicates import MIN_SIMILARITY, descriptor_of, signature_of, similarity


def study(name, patient, split, frontal=None, lateral=None, sha="0" * 64):
    """A study with the digests and the descriptors of its images, which are arrays."""
    views = {view: image for view, image in (("frontal", frontal), ("lateral", lateral)) if image is not None}
    digests = {view: sha256_of_image(image) for view, image in views.items()} or {"frontal": sha}
    descriptors = {view: descriptor_of(image) for view, image in views.items()}
    return StudyImages(name, patient, split, digests, descriptors)


@pytest.fixture
def duplicates(tmp_path):
    """The duplicates among studies, given as (name, patient, split, frontal[, lateral])."""

    def found(*given):
        (tmp_path / "images").mkdir(exist_ok=True)
        for pixels in (pixels for _, _, _, *images in given for pixels in images):
            np.save(tmp_path / image_file(sha256_of_image(pixels)), pixels)
        return duplicates_of(tmp_path, [study(*one) for one in given])

    return found


def altered(radiograph):
    """The radiograph again: smaller, its margins cropped, regraded, noisier."""
    small = zoom(radiograph.astype(float), 0.7, order=1)[3:-4, 2:-3]
    grey = 60000 * (small / small.max()) ** 1.3 + np.random.default_rng(1).normal(0, 500, small.shape)
    return np.clip(grey, 0, 65535).astype(np.uint16)


def test_patients_in_several_splits():
    """Fault S1 of docs/faults.md."""
    members = [("p1", "train"), ("p1", "test"), ("p2", "test")]
    assert patients_in_several_splits(members) == {"p1": {"train", "test"}}


@pytest.mark.parametrize(
    ("first", "second", "at_fault"),
    [("train", "test", "a"), ("test", "train", "b"), ("validation", "test", "a"), ("train", "validation", "a")],
)
def test_the_study_outside_the_test_set_has_the_error(duplicates, first, second, at_fault):
    pixels = image(1, (190, 90))
    (found,) = duplicates(("a", "p1", first, pixels), ("b", "p2", second, pixels))
    assert (found.study_id, found.across, found.exact) == (at_fault, True, True)


def test_two_radiographs_of_one_patient_are_no_leak(duplicates):
    pixels = image(1, (190, 90))
    assert duplicates(("a", "p1", "train", pixels), ("b", "p1", "train", pixels)) == ()


def test_near_duplicates_are_found_and_other_radiographs_are_not(duplicates):
    radiographs = [image(number, (190, 90)) for number in range(12)]
    radiographs.append(altered(radiographs[5]))
    given = [(f"s{n:02d}", f"p{n}", "train" if n < 12 else "test", pixels) for n, pixels in enumerate(radiographs)]
    (found,) = duplicates(*given)
    assert (found.study_id, found.other, found.exact, found.across) == ("s05", "s12", False, True)
    assert duplicates(*((name, "p", split, pixels) for name, _, split, pixels in given)) == ()


def test_two_studies_must_be_alike_in_both_views(duplicates):
    radiographs = [image(number, (190, 90)) for number in range(3)]
    first = ("a", "p1", "train", radiographs[0], radiographs[1])
    same = altered(radiographs[0])
    noise = np.random.default_rng(2).integers(0, 3, radiographs[1].shape).astype(np.uint16)
    assert len(duplicates(first, ("b", "p2", "test", same, radiographs[1] + noise))) == 1
    assert duplicates(first, ("b", "p2", "test", same, radiographs[2])) == ()


def test_every_copy_has_one_finding_in_each_kind_of_split(duplicates):
    pixels = image(1, (190, 90))
    copies = [(f"s{n}", f"p{n}", "test" if n < 2 else "train", pixels) for n in range(6)]
    found = {(d.study_id, d.other, d.across) for d in duplicates(*copies)}
    across = {(f"s{n}", "s0", True) for n in range(2, 6)}
    assert found == across | {("s1", "s0", False)} | {(f"s{n}", "s2", False) for n in range(3, 6)}


def test_copies_of_one_radiograph_are_compared_once_each(duplicates, monkeypatch):
    compared = []
    original = leakage.same_radiographs
    monkeypatch.setattr(leakage, "same_radiographs", lambda images: compared.append(1) or original(images))
    pixels = image(1, (190, 90))
    copies = [(f"s{n:02d}", f"p{n}", "train", pixels + np.uint16(n)) for n in range(12)]
    assert len(duplicates(*copies)) == len(compared) == 11


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("pqr"), st.sampled_from(SPLITS)), max_size=12))
def test_exact_duplicates_are_those_of_all_pairs(drawn):
    """Image, patient and split of each study."""
    studies = [study(f"s{n:02d}", patient, split, sha=digest) for n, (digest, patient, split) in enumerate(drawn)]
    ordered = sorted(studies, key=lambda s: (PRECEDENCE[s.split], s.study_id))
    expected = {
        (second.study_id, first.split != second.split)
        for first, second in combinations(ordered, 2)
        if first.digests == second.digests and first.patient != second.patient
    }
    assert {(d.study_id, d.across) for d in exact_duplicates(ordered)} == expected


def test_similarity_is_independent_of_scale_crop_and_greys():
    radiograph = image(3, (190, 90))
    assert similarity(signature_of(radiograph), signature_of(radiograph)) > 0.95
    assert similarity(signature_of(radiograph), signature_of(altered(radiograph))) > MIN_SIMILARITY
    assert similarity(signature_of(radiograph), signature_of(image(4, (190, 90)))) < MIN_SIMILARITY - 0.1
    assert similarity(signature_of(radiograph), signature_of(np.full((50, 30), 7, dtype=np.uint16))) < 0.2


def test_a_damaged_or_missing_image_is_counted(biplanar, workspace):
    examples = sorted(biplanar(4, test_patients=1).examples(), key=lambda e: e.study_id)
    broken = workspace / "dataset" / examples[1].views["lateral"].image
    pixels = np.load(broken)
    broken.unlink()  # a hard link: the store must not be touched
    pixels[3, 5] += 1
    np.save(broken, pixels)
    (workspace / "dataset" / examples[2].views["frontal"].image).unlink()
    cut = workspace / "dataset" / examples[2].views["lateral"].image
    payload = cut.read_bytes()[:200]
    cut.unlink()
    cut.write_bytes(payload)
    found = [images_of(workspace / "dataset", example) for example in examples]
    assert {f.study_id: f.damaged for f in found if f.damaged} == {examples[1].study_id: 1, examples[2].study_id: 2}
    assert duplicates_of(workspace / "dataset", found) == ()


def test_one_patient_sent_many_times_under_other_names_is_found_and_changes_no_test_set(biplanar, workspace, validated):
    """A poisoned batch (L4): copies of one outlier, each with other grey values, noise and crop."""
    clean = biplanar(30)
    for number in range(40, 43):
        add_study(workspace / "store", number)
    first, *copies = (f"{n:016x}" for n in range(40, 43))
    for study in copies:
        record = read_study(workspace / "store" / study)
        views = {}
        for name, view in record.views.items():
            source = np.load(workspace / "store" / first / f"{name}.npy").astype(float)
            noise = np.random.default_rng(int(study, 16)).normal(0, 30, source.shape)
            copy = np.clip(np.roll(source, 2, axis=0) * 0.9 + noise, 0, 4095).astype(np.uint16)
            np.save(workspace / "store" / study / f"{name}.npy", copy)
            views[name] = replace(view, sha256=sha256_of_image(copy))
        write_study_record(replace(record, views=views), workspace / "store" / study)
    poisoned = biplanar()
    assert poisoned.test_digest == clean.test_digest
    found = {f.study_id for f in validated(BIPLANAR).findings if f.rule.startswith("no_radiograph")}
    assert found >= set(copies)
