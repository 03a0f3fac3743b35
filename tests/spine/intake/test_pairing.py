import json
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pydicom
import pytest

from spine.errors import DicomRejected, ParametersRejected, PlumblineError
from spine.intake.folder import FolderSource
from spine.intake.pseudonym import load_pseudonym_key, pseudonym
from spine.intake.sources import open_source
from spine.intake.view_evidence import views_seem_exchanged
from spine.landmarks import VIEWS
from spine.radiograph.write import write_radiograph
from spine.reconstruction.plumbline_json import read_reconstruction, write_reconstruction
from tests.spine.intake.constructed_studies import KEY, image, places, points, write_study
from tests.spine.refusals import code_of


def load(folder, **options):
    (candidate,) = FolderSource(folder, **options).contents().candidates
    return candidate.load()


@pytest.fixture
def study(tmp_path):
    """The folder of a complete study in ``tmp_path``."""
    return write_study(tmp_path / "a", 1)


def rewrite(folder, change):
    path = folder / "reconstruction.json"
    write_reconstruction(change(read_reconstruction(path)), path)


# --- finding the parts


def test_radiographs_are_found_by_content_at_any_depth_under_any_name(tmp_path):
    study = write_study(tmp_path / "patient" / "x", 1)
    nested = study / "series" / "1"
    nested.mkdir(parents=True)
    (study / "frontal.dcm").rename(nested / "I0001")
    (study / "lateral.dcm").rename(study / "seite.bin")
    (study / "reconstruction.json").rename(study / "points.json")
    (study / "notes.txt").write_text("nothing")
    (study / "meta.json").write_text('{"scanner": 3}')
    found = load(tmp_path)
    assert set(found.views) == {"frontal", "lateral"}
    assert found.reconstruction is not None


def test_loose_radiographs_in_the_location_are_one_study(tmp_path):
    write_study(tmp_path, 1)
    assert set(load(tmp_path).views) == {"frontal", "lateral"}


@pytest.mark.parametrize("tail", [b"88.1", b"11.1", b"66.4", b"77.1", b"12.1"])
def test_other_objects_beside_the_radiographs_are_passed_over(study, tmp_path, tail):
    """A report, a presentation state, a segmentation, a photograph, an angiogram, each in the place of the frontal."""
    payload = (study / "frontal.dcm").read_bytes()
    assert payload.count(b"1.2.840.10008.5.1.4.1.1.1.1\0") == 2
    other = payload.replace(b"1.2.840.10008.5.1.4.1.1.1.1\0", b"1.2.840.10008.5.1.4.1.1." + tail)
    (study / "other.dcm").write_bytes(other)
    assert len(load(tmp_path).views) == 2
    (study / "frontal.dcm").unlink()
    assert set(load(tmp_path).views) == {"lateral"}


def test_an_object_of_an_unknown_class_refuses_its_study(study, tmp_path):
    payload = (study / "frontal.dcm").read_bytes()
    other = payload.replace(b"1.2.840.10008.5.1.4.1.1.1.1\0", b"1.2.840.10008.5.1.4.1.1.9999")
    (study / "other.dcm").write_bytes(other)
    assert code_of(load, tmp_path) == "SOP_CLASS_UNSUPPORTED"


@pytest.mark.parametrize("implicit", [True, False])
def test_a_view_without_header_and_suffix_is_not_lost(study, tmp_path, implicit):
    dataset = pydicom.dcmread(study / "lateral.dcm")
    (study / "lateral.dcm").unlink()
    del dataset.file_meta
    dataset.preamble = None
    with (study / "IM000002").open("wb") as stream:
        pydicom.dcmwrite(stream, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert set(load(tmp_path).views) == set(VIEWS)


def test_a_simulated_study_without_its_mark_is_unfinished(tmp_path):
    write_study(tmp_path / "a", 1, complete=False)
    assert code_of(load, tmp_path) == "STUDY_UNFINISHED"
    assert code_of(load, tmp_path, name="virtual", simulated=True) == "STUDY_UNFINISHED"
    (tmp_path / "COMPLETE").write_text("")
    assert load(tmp_path, simulated=True).facts["simulated"] is True


def test_a_study_of_a_person_needs_no_mark(tmp_path):
    write_study(tmp_path / "a", 1, complete=False, simulated=False)
    assert "simulated" not in load(tmp_path).facts


# --- what may be missing


def test_a_lateral_without_hips_and_a_reconstruction_without_hips(study, tmp_path):
    rewrite(study, lambda r: replace(r, points={n: p for n, p in r.points.items() if not n.startswith("HIP")}))
    assert "HIP_L" not in load(tmp_path).reconstruction.points


def test_a_truncated_field_of_view_is_no_fault(tmp_path):
    geometry = places(rows=150, z0=100.0)
    write_study(tmp_path / "a", 1, geometry=geometry)
    found = load(tmp_path)
    _, row = geometry["lateral"].project(found.reconstruction.points["HIP_L"])
    assert row > 150


@pytest.mark.parametrize(("views", "reconstruction"), [(VIEWS[:1], False), (VIEWS[1:], False), ((), True)])
def test_one_view_or_a_reconstruction_alone(tmp_path, views, reconstruction):
    write_study(tmp_path / "a", 1, views=views, reconstruction=reconstruction)
    found = load(tmp_path)
    assert (tuple(found.views), found.reconstruction is not None) == (views, reconstruction)


def test_the_place_in_the_scanner_is_completed_from_the_reconstruction(tmp_path):
    study = write_study(tmp_path / "a", 1, geometry=places(z0=12.5))
    for name in VIEWS:
        dataset = pydicom.dcmread(study / f"{name}.dcm")
        dataset.remove_private_tags()
        dataset.save_as(study / f"{name}.dcm")
    found = load(tmp_path)
    assert found.views["frontal"].geometry == places(z0=12.5)["frontal"]


# --- what does not belong together


def test_an_empty_study(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("nothing")
    assert code_of(load, tmp_path) == "STUDY_EMPTY"


def radiograph(path, view, seed=1, place=None, pixels=None, **tags):
    place = place or places()[view]
    pixels = image(place, points(seed), seed) if pixels is None else pixels
    given = {"patient_id": "vp-1", "study_uid": "2.25.11", "series_uid": "2.25.12", "sop_uid": "2.25.77"}
    given |= {"simulated": False, "kvp": 90.0} | tags
    write_radiograph(path, pixels, place, **given)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda study: (study / "lateral.dcm").write_text("not an image"), "NOT_DICOM"),
        (lambda study: shutil.copy(study / "reconstruction.json", study / "again.json"), "RECONSTRUCTION_AMBIGUOUS"),
        (lambda study: radiograph(study / "b.dcm", "lateral", seed=2), "VIEW_DUPLICATE"),
    ],
)
def test_a_part_that_is_no_radiograph_or_there_twice(study, tmp_path, spoil, code):
    spoil(study)
    assert code_of(load, tmp_path) == code


def test_the_same_radiograph_twice_counts_once_and_a_reused_uid_does_not(study, tmp_path):
    (study / "copy.dcm").write_bytes((study / "lateral.dcm").read_bytes())
    assert len(load(tmp_path).views) == 2
    radiograph(study / "copy.dcm", "lateral", seed=2, sop_uid="2.25.1004")
    assert code_of(load, tmp_path) == "UID_CONFLICT"


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"patient_id": "another"}, "PATIENT_MISMATCH"),
        ({"patient_id": ""}, "PATIENT_ID_MISSING"),
        ({"study_uid": "2.25.99"}, "STUDY_MISMATCH"),
    ],
)
def test_radiographs_of_different_people_or_studies(tmp_path, tags, code):
    study = write_study(tmp_path / "a", 1, views=("frontal",))
    radiograph(study / "b.dcm", "lateral", **tags)
    assert code_of(load, tmp_path) == code


@pytest.mark.parametrize("turn", [lambda a: a, lambda a: a[:, ::-1]])
def test_one_image_as_both_views(tmp_path, turn):
    study = write_study(tmp_path / "a", 1, views=("frontal",), reconstruction=False)
    pixels = image(places()["frontal"], points(1), 1)
    place = replace(places()["lateral"], shape=pixels.shape)
    radiograph(study / "b.dcm", "lateral", place=place, pixels=turn(pixels), sop_uid="2.25.78")
    assert code_of(load, tmp_path) == "IMAGES_IDENTICAL"


@pytest.mark.parametrize("other", [places(rows=290), places(z0=8.0)])
def test_radiographs_of_different_heights(tmp_path, other):
    study = write_study(tmp_path / "a", 1, views=("frontal",), reconstruction=False)
    radiograph(study / "b.dcm", "lateral", place=other["lateral"])
    assert code_of(load, tmp_path) == "HEIGHT_MISMATCH"


def test_a_radiograph_without_geometry_cannot_go_with_a_reconstruction(tmp_path):
    study = write_study(tmp_path / "a", 1, views=("frontal",))
    dataset = pydicom.dcmread(study / "frontal.dcm")
    del dataset.DistanceSourceToIsocenter
    dataset.save_as(study / "frontal.dcm")
    assert code_of(load, tmp_path) == "GEOMETRY_MISSING"


EXCHANGED = {view: replace(places()[other], view=view) for view, other in zip(VIEWS, VIEWS[::-1], strict=True)}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"geometry": places(z0=9.0)}, "GEOMETRY_CONFLICT"),
        ({"geometry": EXCHANGED}, "VIEW_MISMATCH"),
        ({"points": {n: p + (200.0, 0, 0) for n, p in points(1).items()}}, "SPINE_OUTSIDE_IMAGE"),
        ({"points": {n: p + (0, 0, 900.0) for n, p in points(1).items()}}, "SPINE_OUTSIDE_IMAGE"),
        ({"points": {n: p / 1000 for n, p in points(1).items()}}, "UNITS_SUSPECT_METRES"),
    ],
)
def test_a_reconstruction_of_another_scan_frame_or_unit(study, tmp_path, fields, code):
    rewrite(study, lambda r: replace(r, **fields))
    assert code_of(load, tmp_path) == code


def test_swapped_views_contradict_the_reconstruction(study, tmp_path):
    """Both radiographs with every tag of the other view: only the pixels show it."""
    true_places = {v: replace(p, shape=(300, 120)) for v, p in places().items()}
    for tagged, shown in zip(VIEWS, VIEWS[::-1], strict=True):
        pixels = image(true_places[shown], points(1), 1)
        tags = {"sop_uid": f"2.25.7{VIEWS.index(tagged)}", "simulated": True}
        radiograph(study / f"{tagged}.dcm", tagged, place=true_places[tagged], pixels=pixels, **tags)
    rewrite(study, lambda r: replace(r, geometry=true_places))
    assert code_of(load, tmp_path) == "VIEW_MISMATCH"


@pytest.mark.parametrize("seed", range(1, 6))
def test_exchanged_views_are_found(tmp_path, seed):
    truth, geometry = points(seed), {v: replace(p, shape=(300, 120)) for v, p in places().items()}
    shown = {view: image(place, truth, seed) for view, place in geometry.items()}
    record = read_reconstruction(write_study(tmp_path, seed) / "reconstruction.json")
    assert not views_seem_exchanged(shown, geometry, record)
    assert views_seem_exchanged({"frontal": shown["lateral"], "lateral": shown["frontal"]}, geometry, record)
    negative = {view: 4095 - radiograph for view, radiograph in shown.items()}
    assert not views_seem_exchanged(negative, geometry, record)
    assert views_seem_exchanged({"frontal": negative["lateral"], "lateral": negative["frontal"]}, geometry, record)
    noise = {v: np.random.default_rng(seed).integers(0, 4095, (300, 120)).astype(np.uint16) for v in shown}
    assert not views_seem_exchanged({"frontal": noise["frontal"]}, geometry, record)


# --- sources and pseudonyms


def test_every_kind_of_source_opens(tmp_path):
    kinds = ("folder", "virtual", "aasce", "ct-keypoints")
    assert [open_source(kind, tmp_path).name for kind in kinds] == list(kinds)
    for kind, location in (("pacs", tmp_path), ("folder", tmp_path / "nowhere")):
        with pytest.raises(ParametersRejected):
            open_source(kind, location)


def test_the_pseudonym_key_is_made_once_and_is_the_owners_alone(tmp_path):
    path = tmp_path / "keys" / "pseudonym.key"
    key = load_pseudonym_key(path)
    assert len(key) == 32
    assert load_pseudonym_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("not a key")
    with pytest.raises(PlumblineError, match="PSEUDONYM_KEY_INVALID"):
        load_pseudonym_key(path)


def test_pseudonyms_depend_on_key_kind_and_identifier():
    asked = product((KEY, b"k" * 32), ("patient", "instance"), ("a", "b"))
    found = {pseudonym(key, kind, identifier) for key, kind, identifier in asked}
    assert len(found) == 8
    assert pseudonym(KEY, "patient", "a") == pseudonym(KEY, "patient", "a")


def test_facts_of_a_reconstruction_pass_an_allow_list(study, tmp_path):
    facts = {"condition": "scoliotic", "age_years": 97.0, "sex": "F", "note": "Jane Doe", "record": 12345678901}
    facts |= {
        "population": "jane_doe",
        "Name": 3,
        "jane_doe": True,
        "severity": "mild",
        "cobb_deg": 41.5,
        "nested": {"name": "Jane"},
        "has_l6": True,
    }
    rewrite(study, lambda r: replace(r, facts=facts))
    found = load(tmp_path)
    expected = {
        "condition": "scoliotic",
        "age_years": 90.0,
        "sex": "F",
        "severity": "mild",
        "cobb_deg": 41.5,
        "has_l6": True,
    }
    assert found.facts == expected | {"simulated": True}
    assert found.reconstruction.facts == expected
    assert "jane" not in json.dumps(found.facts).lower()


@pytest.mark.parametrize("view", VIEWS)
def test_a_radiograph_with_burned_in_text_waits_for_redaction(study, view):
    dataset = pydicom.dcmread(study / f"{view}.dcm")
    dataset.BurnedInAnnotation = "YES"
    dataset.save_as(study / f"{view}.dcm")
    with pytest.raises(DicomRejected, match=r"BURNED_IN_ANNOTATION.*redact"):
        load(study.parent)
