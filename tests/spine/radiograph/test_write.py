import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from spine.radiograph.read import read_radiograph
from spine.scanner import NATIVE_SPACING_MM
from tests.spine.radiograph.constructed_radiographs import geometry, gradient, sample_radiograph

DCIODVFY = Path(sys.executable).parent / "dciodvfy"


@pytest.mark.parametrize("view", ["frontal", "lateral"])
def test_what_is_written_is_read_back(tmp_path, view):
    place = geometry(view)
    radiograph = read_radiograph(sample_radiograph(tmp_path / "a.dcm", view, age_years=54.7, sex="F"))
    np.testing.assert_array_equal(radiograph.image, gradient())
    assert radiograph.geometry == place
    assert radiograph.offset_recorded
    assert (radiograph.view, radiograph.calibration, radiograph.spacing_mm) == (view, "GEOMETRY", place.spacing_mm)
    assert radiograph.identity.study_uid == "2.25.1"
    facts = radiograph.facts
    assert (facts["age_years"], facts["sex"], facts["simulated"]) == (54, "F", True)


def test_the_native_spacing_survives_to_projection_accuracy(tmp_path):
    place = geometry(shape=(1200, 40), spacing=(NATIVE_SPACING_MM,) * 2)
    found = read_radiograph(sample_radiograph(tmp_path / "a.dcm", place=place)).geometry
    points = np.array([[-80.0, 60.0, 90.0], [3.0, -40.0, -70.0]])
    np.testing.assert_allclose(found.project(points), place.project(points), atol=1e-8)


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy of the package dicom3tools is not installed")
@pytest.mark.parametrize("view", ["frontal", "lateral"])
def test_the_validator_finds_no_error(tmp_path, view):
    path = sample_radiograph(tmp_path / "a.dcm", view, age_years=54.7, sex="F")
    done = subprocess.run([DCIODVFY, path], capture_output=True, text=True)
    told = (done.stdout + done.stderr).splitlines()
    assert "DXImageForPresentation" in told
    assert [line for line in told if line.startswith("Error")] == []


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    assert sample_radiograph(tmp_path / "a.dcm").read_bytes() == sample_radiograph(tmp_path / "b.dcm").read_bytes()


def test_a_simulated_radiograph_is_marked_and_names_no_manufacturer(original):
    dataset = pydicom.dcmread(original)
    marks = (dataset.Manufacturer, dataset.ConversionType, dataset.ImageType[0])
    assert marks == ("VIRTUAL COHORT", "SYN", "DERIVED")
    assert "SIMULATED" in dataset.SeriesDescription
    assert "SIMULATED" in dataset.ImageComments
    assert "EOS" not in str(dataset)
    assert dataset.BitsStored == 12
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.1.1"


def test_spacing_at_the_detector_is_that_at_the_isocentre_magnified(tmp_path):
    dataset = pydicom.dcmread(
        sample_radiograph(tmp_path / "a.dcm", "lateral", place=geometry("lateral", spacing=(1.5, 1.6)))
    )
    np.testing.assert_allclose(dataset.PixelSpacing, [1.5, 1.6])
    np.testing.assert_allclose(dataset.ImagerPixelSpacing, np.array([1.5, 1.6]) * 1300 / 918, rtol=1e-12)
    assert dataset.PatientOrientation == ["P", "F"]


@pytest.mark.parametrize("image", [gradient((10, 11)), gradient().astype(np.int32), gradient() + np.uint16(200)])
def test_an_image_that_does_not_fit_is_not_written(tmp_path, image):
    with pytest.raises(ValueError, match="image"):
        sample_radiograph(tmp_path / "a.dcm", image=image)
    assert list(tmp_path.iterdir()) == []
