import csv
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from spine.errors import ParametersRejected
from spine.intake.aasce import LABEL_NAMES, AasceSource, corner_labels, read_grey_image
from spine.landmarks import CORNERS68
from tests.spine.refusals import code_of

H, W = 90, 35


def radiographs(folder, rows):
    """rows: (name, (68, 2) shares of width and height, angles)."""
    (folder / "images").mkdir(parents=True)
    for table, content in (
        ("filenames.csv", [[name] for name, _, _ in rows]),
        ("landmarks.csv", [[*xy[:, 0], *xy[:, 1]] for _, xy, _ in rows]),
        ("angles.csv", [angles for _, _, angles in rows]),
    ):
        with (folder / table).open("w", newline="") as stream:
            csv.writer(stream).writerows(content)
    for number, (name, _, _) in enumerate(rows):
        grey = ((np.add.outer(np.arange(H) * 2, np.arange(W)) + number) % 256).astype(np.uint8)
        Image.fromarray(grey).save(folder / "images" / name, quality=95)
    return folder


def corners():
    """(68, 2): corners of 17 vertebrae, upper left, upper right, lower left, lower right in the image."""
    found = []
    for i in range(17):
        top = 0.05 + 0.05 * i
        found += [(0.4, top), (0.6, top), (0.4, top + 0.03), (0.6, top + 0.03)]
    return np.array(found)


NAME = "sunhl-1th-02-Jan-2017-162 A AP.jpg"


@pytest.fixture
def folder(tmp_path):
    return radiographs(tmp_path, [(NAME, corners(), [1, 2, 3])])


def test_a_row_becomes_a_frontal_study_in_patient_sides(tmp_path):
    (candidate,) = AasceSource(radiographs(tmp_path, [(NAME, corners(), [41.1, 14.6, 0.0])])).contents().candidates
    study = candidate.load()
    assert study.patient == "aasce:162"
    assert study.facts == {"published_angle_1_deg": 41.1, "published_angle_2_deg": 14.6, "published_angle_3_deg": 0.0}
    view = study.views["frontal"]
    assert set(study.views) == {"frontal"}
    assert (view.spacing_mm, view.calibration, view.geometry) == (None, "NONE", None)
    assert view.image.shape == (H, W)
    assert set(view.labels) == set(CORNERS68.names)
    # The patient's left is on the image's right.
    np.testing.assert_allclose(view.labels["T1_sup_left"], [0.6 * W, 0.05 * H])
    np.testing.assert_allclose(view.labels["T1_sup_right"], [0.4 * W, 0.05 * H])
    np.testing.assert_allclose(view.labels["L5_inf_left"], [0.6 * W, 0.88 * H])


def test_eight_bits_fill_the_range(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 1], [128, 255]], np.uint8)).save(path)
    np.testing.assert_array_equal(read_grey_image(path), [[0, 16], [2056, 4095]])


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        (NAME, 162),
        ("sunhl-1th-20-Jul-2016-coronal16.jpg", 16),
        ("sunhl-1th-20-Jul-2016-18 A AP.jpg", 18),
        ("sunhl-1th-21-Nov-2016-138 D AP2.jpg", 138),
        ("sunhl-1th-22-Nov-2016-142 A AP (2).jpg", 142),
    ],
)
def test_the_number_in_the_name_is_the_patient(tmp_path, name, patient):
    (candidate,) = AasceSource(radiographs(tmp_path, [(name, corners(), [1, 2, 3])])).contents().candidates
    assert candidate.load().patient == f"aasce:{patient}"


def test_a_corner_off_the_radiograph_is_absent_and_far_ones_refuse_the_row():
    xy = corners()
    xy[-1, 1] = 1.02
    cells = [str(v) for v in (*xy[:, 0], *xy[:, 1])]
    assert set(LABEL_NAMES) - set(corner_labels(cells, (H, W))) == {"L5_inf_left"}
    for wrong, code in (
        ([*cells[:-1], "1.4"], "LABELS_OUTSIDE_IMAGE"),
        (["-0.01"] * 20 + cells[20:], "LABELS_OUTSIDE_IMAGE"),
        (["nan", *cells[1:]], "LABELS_NOT_FINITE"),
        (["x", *cells[1:]], "LABELS_NOT_FINITE"),
        (cells[:-1], "LABEL_COUNT_WRONG"),
    ):
        assert code_of(corner_labels, wrong, (H, W)) == code


def turned():
    out = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(out, "JPEG", exif=exif)
    return out.getvalue()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (lambda image: None, "IMAGE_MISSING"),
        (lambda image: b"", "EMPTY_FILE"),
        (lambda image: b"\xff\xd8\xffnope", "IMAGE_INVALID"),
        (lambda image: image[:-400], "IMAGE_INVALID"),
        (lambda image: turned(), "IMAGE_ROTATED"),
    ],
)
def test_images_that_cannot_be_used(folder, payload, code):
    (candidate,) = AasceSource(folder).contents().candidates
    content = payload(candidate.image.read_bytes())
    candidate.image.unlink()
    if content is not None:
        candidate.image.write_bytes(content)
    assert code_of(candidate.load) == code


def test_a_name_cannot_point_outside(folder):
    (folder / "filenames.csv").write_text("../../etc/sunhl-1th-02-Jan-2017-7.jpg\n")
    (candidate,) = AasceSource(folder).contents().candidates
    assert candidate.image.parent == folder / "images"


def test_tables_must_agree(folder):
    (folder / "angles.csv").write_text("1,2,3\n4,5,6\n")
    with pytest.raises(ParametersRejected, match="SOURCE_LAYOUT_INVALID"):
        AasceSource(folder).contents()
    (folder / "angles.csv").unlink()
    with pytest.raises(ParametersRejected, match=r"angles\.csv"):
        AasceSource(folder).contents()


def test_an_edited_row_is_a_new_candidate(folder):
    (before,) = AasceSource(folder).contents().candidates
    (folder / "angles.csv").write_text("1,2,4\n")
    (after,) = AasceSource(folder).contents().candidates
    assert before.fingerprint() != after.fingerprint()
