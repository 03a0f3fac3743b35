from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import zoom

from spine.dataset import Example, ExampleView
from spine.storage import sha256_of_image
from spine.study import read_study, write_study_record
from tests.validation.dataset.constructed_datasets import BIPLANAR, add_study, image
from validation.dataset.leakage import exact_duplicates, near_duplicates, patients_in_several_splits, survey_images
from validation.dataset.near_duplicates import MIN_SIMILARITY, signature_of, similarity


def example(study, patient, split, sha="0" * 64):
    view = ExampleView("frontal", "images/x.npy", sha, (7, 5), None, "NONE", None, {})
    return Example(study, patient, split, "test", {"frontal": view})


def altered(radiograph):
    """The radiograph again: smaller, its margins cropped, regraded, noisier."""
    small = zoom(radiograph.astype(float), 0.7, order=1)[3:-4, 2:-3]
    grey = 60000 * (small / small.max()) ** 1.3 + np.random.default_rng(1).normal(0, 500, small.shape)
    return np.clip(grey, 0, 65535).astype(np.uint16)


def test_patients_in_several_splits():
    """Fault S1 of docs/faults.md."""
    examples = [example("a", "p1", "train"), example("b", "p1", "test"), example("c", "p2", "test")]
    assert patients_in_several_splits(examples) == {"p1": {"train", "test"}}


@pytest.mark.parametrize(
    ("first", "second", "at_fault"),
    [("train", "test", "a"), ("test", "train", "b"), ("validation", "test", "a"), ("train", "validation", "a")],
)
def test_the_study_outside_the_test_set_has_the_error(first, second, at_fault):
    (found,) = exact_duplicates([example("a", "p1", first), example("b", "p2", second)])
    assert (found.study_id, found.across, found.exact) == (at_fault, True, True)


def test_two_radiographs_of_one_patient_are_no_leak():
    assert exact_duplicates([example("a", "p1", "train"), example("b", "p1", "train")]) == []


def test_near_duplicates_are_found_and_other_radiographs_are_not():
    radiographs = [image(number, (190, 90)) for number in range(12)]
    radiographs.append(altered(radiographs[5]))
    examples = [example(f"s{n:02d}", f"p{n}", "train" if n < 12 else "test") for n in range(13)]
    signatures = {e.study_id: {"frontal": signature_of(f)} for e, f in zip(examples, radiographs, strict=True)}
    (found,) = near_duplicates(examples, signatures)
    assert (found.study_id, found.other, found.exact, found.across) == ("s05", "s12", False, True)
    assert near_duplicates([replace(e, patient="p") for e in examples], signatures) == []


def test_two_studies_must_be_alike_in_both_views():
    radiographs = [image(number, (190, 90)) for number in range(3)]
    examples = [example("a", "p1", "train"), example("b", "p2", "test")]
    same, other = signature_of(radiographs[0]), signature_of(altered(radiographs[0]))
    alike = {
        "a": {"frontal": same, "lateral": signature_of(radiographs[1])},
        "b": {"frontal": other, "lateral": signature_of(radiographs[1])},
    }
    unlike = alike | {"b": {"frontal": other, "lateral": signature_of(radiographs[2])}}
    assert len(near_duplicates(examples, alike)) == 1
    assert near_duplicates(examples, unlike) == []


def test_similarity_is_independent_of_scale_crop_and_greys():
    radiograph = image(3, (190, 90))
    assert similarity(signature_of(radiograph), signature_of(radiograph)) > 0.95
    assert similarity(signature_of(radiograph), signature_of(altered(radiograph))) > MIN_SIMILARITY
    assert similarity(signature_of(radiograph), signature_of(image(4, (190, 90)))) < MIN_SIMILARITY - 0.1
    assert similarity(signature_of(radiograph), signature_of(np.full((50, 30), 7, dtype=np.uint16))) < 0.2


def test_a_damaged_or_missing_image_is_counted(biplanar, workspace):
    examples = biplanar(4, test_patients=1).examples
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
    survey = survey_images(workspace / "dataset", examples)
    assert survey.damaged == {examples[1].study_id: 1, examples[2].study_id: 2}
    assert survey.duplicates == ()


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
