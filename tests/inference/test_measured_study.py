"""From the files of a study to its measurement: paths, bytes and pictures, with the way back to the stored image."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image

from inference.bundled import open_bundled
from inference.measured_study import measure_radiographs
from inference.radiograph_files import RadiographFile, open_radiographs
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.errors import DicomRejected, InputRejected, ParametersRejected
from spine.landmarks import VIEWS
from spine.scanner import NATIVE_SPACING_MM

pytestmark = pytest.mark.slow
SPACING = float(NATIVE_SPACING_MM * 8)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    write_cohort(folder, CohortConfig(count=1, seed=3, shape=(480, 240), spacing_mm=SPACING))
    return {view: folder / "case-00000" / f"{view}.dcm" for view in VIEWS}


@pytest.fixture(scope="module")
def model():
    return open_bundled()


def measured(model, *files):
    return measure_radiographs(model, open_radiographs(files))


def files_of(case, form="path"):
    return [RadiographFile(path if form == "path" else path.read_bytes(), path.name) for path in case.values()]


def picture(path, mirrored=False):
    pixels = pydicom.dcmread(path).pixel_array
    grey = np.rint(pixels * (255 / 4095)).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(grey[:, ::-1] if mirrored else grey).save(written, "PNG")
    return written.getvalue()


def values_of(study):
    return {name: m.value for name, m in study.prediction.parameters.items()}


def test_bytes_are_measured_like_their_files(case, model):
    by_path, by_bytes = (measured(model, *files_of(case, form)) for form in ("path", "bytes"))
    assert values_of(by_path) == values_of(by_bytes)
    assert by_path.report()["views"]["frontal"]["file"] == "frontal.dcm"
    assert by_path.prediction.points_3d


def test_a_picture_gives_the_angles_of_its_radiograph_and_no_length_without_spacing(case, model):
    tagged = values_of(measured(model, files_of(case)[0]))
    found = measured(model, RadiographFile(picture(case["frontal"]), "a.png", "frontal"))
    assert found.prediction.parameters["cobb"].value == pytest.approx(tagged["cobb"], abs=0.5)
    assert found.prediction.parameters["coronal_balance_t1"].absent_code == "LENGTHS_UNCALIBRATED"
    spaced = measured(model, RadiographFile(picture(case["frontal"]), "a.png", "frontal", spacing_mm=SPACING))
    if tagged["coronal_balance_t1"] is not None:
        balance = spaced.prediction.parameters["coronal_balance_t1"].value
        assert balance == pytest.approx(tagged["coronal_balance_t1"], abs=2.0)
    assert spaced.report()["views"]["frontal"]["calibration"] == "STATED"


def test_landmarks_lead_back_to_the_stored_image_after_the_model_read_the_facing(case, model):
    plain = measured(model, RadiographFile(picture(case["lateral"]), "b.png", "lateral"))
    turned = measured(model, RadiographFile(picture(case["lateral"], mirrored=True), "b.png", "lateral"))
    columns = turned.inputs["lateral"].image.shape[1]
    assert turned.grids["lateral"].mirrored and not plain.grids["lateral"].mirrored
    for name, point in plain.prediction.points["lateral"].items():
        np.testing.assert_allclose(plain.grids["lateral"].to_stored(point), point)
        there = turned.grids["lateral"].to_stored(turned.prediction.points["lateral"][name])
        np.testing.assert_allclose(there, [columns - 1 - point[0], point[1]], atol=0.01)


def test_files_that_no_study_can_have_are_refused(case, model):
    frontal, lateral = files_of(case)
    with pytest.raises(ParametersRejected, match=r"FILES_UNCLEAR: found 0 files"):
        open_radiographs([])
    with pytest.raises(ParametersRejected, match="VIEW_UNCLEAR"):
        open_radiographs([frontal, RadiographFile(frontal.content, "again.dcm")])
    with pytest.raises(DicomRejected, match=r"VIEW_NOT_STATED: found a\.png"):
        open_radiographs([RadiographFile(picture(case["frontal"]), "a.png")])
    with pytest.raises(ParametersRejected, match="SPACING_UNUSED"):
        open_radiographs([RadiographFile(lateral.content, "b.dcm", spacing_mm=0.4)])
    with pytest.raises(ParametersRejected, match="FACING_UNUSED"):
        open_radiographs([RadiographFile(frontal.content, "a.dcm", facing="left")])
    noise = np.random.default_rng(0).integers(0, 255, (480, 240)).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(noise).save(written, "PNG")
    with pytest.raises(InputRejected, match=r"NO_SPINE_FOUND|NOTHING_MEASURED"):
        measured(model, RadiographFile(written.getvalue(), "noise.png", "frontal"))
