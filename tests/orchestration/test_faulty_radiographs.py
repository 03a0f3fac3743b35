"""Files of one study in other forms, and images that do not show what their tags say: D8 and D13 to D19.

The bundled model measures the bundled virtual study. A file of the same image in another form must give the same
landmarks. An image that contradicts its tags, or shows no spine, must give no number.
"""

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from inference.bundled import open_bundled
from inference.inputs import ImageInput
from inference.measure import measure_views
from orchestration.lifecycle.virtual_study import virtual_study_views
from spine.landmarks import VIEWS
from spine.radiograph.read import read_radiograph
from spine.radiograph.write import write_radiograph

ACROSS = {"frontal": ("L", "R"), "lateral": ("P", "A")}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of both views, as Plumbline writes them."""
    folder, given = tmp_path_factory.mktemp("study"), {"patient_id": "p", "study_uid": "2.25.1", "series_uid": "2.25.2"}
    for number, (view, found) in enumerate(virtual_study_views().items(), start=3):
        uid = {"sop_uid": f"2.25.{number}", "simulated": True, "kvp": 90.0}
        write_radiograph(folder / f"{view}.dcm", found.image // 16, found.geometry, **given, **uid)
    return {view: folder / f"{view}.dcm" for view in VIEWS}


def changed(path, turn=lambda pixels: pixels, **tags):
    """A copy whose stored pixels are turned, and whose tags have other values."""
    dataset = pydicom.dcmread(path)
    stored = np.ascontiguousarray(turn(dataset.pixel_array))
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(dataset, name, value)
    copy = path.with_name(f"changed-{path.name}")
    dataset.save_as(copy)
    return copy


def input_of(path):
    read = read_radiograph(path)
    return ImageInput(read.image, read.spacing_mm, read.calibration, read.geometry)


def measured(**paths):
    return measure_views(open_bundled(), {view: input_of(path) for view, path in paths.items()})


@pytest.fixture(scope="module")
def as_written(files):
    return measured(**files)


def numbers(prediction):
    return {name: found.value for name, found in prediction.parameters.items() if found.value is not None}


def inverted(top):
    return lambda pixels: (top - pixels).astype(pixels.dtype)


TWINS = {
    "MONOCHROME1": lambda view: {"turn": inverted(4095), "PhotometricInterpretation": "MONOCHROME1"},
    "MONOCHROME1 of 16 bits": lambda view: {
        "turn": inverted(65535),
        "PhotometricInterpretation": "MONOCHROME1",
        "BitsStored": 16,
        "HighBit": 15,
    },
    "facing the other way": lambda view: {"turn": np.fliplr, "PatientOrientation": [ACROSS[view][1], "F"]},
    "head down": lambda view: {"turn": np.flipud, "PatientOrientation": [ACROSS[view][0], "H"]},
    "turned by 180 degrees": lambda view: {
        "turn": lambda p: np.rot90(p, 2),
        "PatientOrientation": [ACROSS[view][1], "H"],
    },
    "turned by 90 degrees": lambda view: {"turn": lambda p: np.rot90(p), "PatientOrientation": ["F", ACROSS[view][1]]},
}


@pytest.mark.parametrize("form", TWINS)
def test_a_twin_has_the_same_landmarks_and_angles(files, as_written, form):
    twin = measured(**{view: changed(path, **TWINS[form](view)) for view, path in files.items()})
    for view in VIEWS:
        assert twin.points[view].keys() == as_written.points[view].keys()
        for name, point in twin.points[view].items():
            assert np.abs(point - as_written.points[view][name]).max() < 0.1, (view, name)
    assert numbers(twin).keys() == numbers(as_written).keys() and len(numbers(twin)) > 10
    for name, value in numbers(twin).items():
        assert value == pytest.approx(numbers(as_written)[name], abs=0.1)


LIES = {
    "lateral facing the other way": ({"lateral": np.fliplr}, {"lateral": "mirrored"}),
    "head down": (dict.fromkeys(VIEWS, np.flipud), dict.fromkeys(VIEWS, "head down")),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_image_that_contradicts_its_orientation_is_refused_and_the_other_view_is_measured(files, lie):
    turns, refused = LIES[lie]
    found = measured(**{v: changed(path, turns.get(v, lambda p: p)) for v, path in files.items()})
    assert found.refused.keys() == refused.keys()
    assert all(word in found.refused[view] for view, word in refused.items())
    assert bool(numbers(found)) == (len(refused) < 2)


def test_the_pixels_of_the_other_view_under_right_tags_are_refused(files):
    shown = {view: pydicom.dcmread(path).pixel_array for view, path in files.items()}
    frontal = changed(files["frontal"], lambda _: shown["lateral"])
    lateral = changed(files["lateral"], lambda _: shown["frontal"])
    both = measured(frontal=frontal, lateral=lateral)
    assert set(both.refused) == set(VIEWS) and not numbers(both)
    for view, path in (("frontal", frontal), ("lateral", lateral)):
        alone = measured(**{view: path})
        assert set(alone.refused) == {view} and not numbers(alone)


ROWS, COLUMNS = np.mgrid[0:1500, 0:700]
NO_SPINES = {
    "noise": np.random.default_rng(0).integers(0, 4096, ROWS.shape),
    "a test pattern": (ROWS // 40 + COLUMNS // 40) % 2 * 3000 + 500,
    "a ball": np.clip(4095 - ((ROWS - 750) ** 2 + (COLUMNS - 350) ** 2) // 30, 0, 4095),
    "text on black": ((ROWS // 9) % 3 == 0) * ((COLUMNS // 7) % 2) * ((ROWS // 200) % 2) * 4000,
}


@pytest.mark.parametrize(("kind", "view"), list(zip(NO_SPINES, VIEWS * 2, strict=True)))
def test_an_image_without_a_spine_gives_no_number(kind, view):
    image = np.clip(NO_SPINES[kind], 0, 4095).astype(np.uint16)
    found = measure_views(open_bundled(), {view: ImageInput(image, (0.8, 0.8))})
    assert set(found.refused) == {view} and not numbers(found)


def test_a_lateral_that_ends_above_the_hips_has_no_pelvic_incidence_and_the_other_angles(as_written):
    lateral = virtual_study_views()["lateral"]
    end = int(as_written.points["lateral"]["S1_sup"][1] + 25)
    found = measure_views(open_bundled(), {"lateral": replace(lateral, image=lateral.image[:end], geometry=None)})
    for name in ("pelvic_incidence", "pelvic_tilt"):
        assert found.parameters[name].is_absent and found.parameters[name].absent_reason
    for name in ("sacral_slope", "lumbar_lordosis_l1_s1", "thoracic_kyphosis_t4_t12"):
        assert found.parameters[name].value == pytest.approx(as_written.parameters[name].value, abs=6.0)


def test_a_lateral_that_begins_below_the_shoulders_has_no_upper_kyphosis_and_the_pelvis(as_written):
    lateral = virtual_study_views()["lateral"]
    start = int(as_written.points["lateral"]["T9_sup"][1])
    found = measure_views(open_bundled(), {"lateral": replace(lateral, image=lateral.image[start:], geometry=None)})
    kyphosis = found.parameters["thoracic_kyphosis_t4_t12"]
    assert kyphosis.is_absent and kyphosis.absent_reason
    for name in ("pelvic_incidence", "pelvic_tilt", "lumbar_lordosis_l1_s1"):
        assert found.parameters[name].value == pytest.approx(as_written.parameters[name].value, abs=6.0)
