"""The split by patient, the angles of the benchmark, labels, ensembles, and images without a spine."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks import not_spines, outside_radiographs
from benchmarks.real_radiographs.angles import benchmark_angles, s_shaped, smape_percent
from benchmarks.real_radiographs.ensemble import ensemble, with_mirrored_average
from benchmarks.real_radiographs.figures import radiograph_figures, summary
from benchmarks.real_radiographs.folds import FOLDS, fold_of, split_of, write_fold
from benchmarks.real_radiographs.intervals import ANGLE, by_shift, site_calibrations
from benchmarks.real_radiographs.labels import own_deviation, twice_labelled
from benchmarks.sim_to_real.level_matching import midline_tilts_deg
from benchmarks.sim_to_real.pack import Pack, read_pack
from benchmarks.sim_to_real.pack_real import pack_radiographs, radiographs_folder
from inference.calibration import ShiftGroup
from inference.model import INPUTS, Model
from spine.dataset import load_example_image, read_manifest
from spine.intake.aasce import LABEL_NAMES
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_view
from spine.prediction import Prediction
from tests.inference.fake_model import CONTRACT
from tests.training.export.test_interval_widths import CALIBRATION
from tests.training.export.test_interval_widths import images as drawn_images
from training.export.interval_widths import spread_in_cells

PATIENTS = np.array([str(100 + i // 3) for i in range(90)])


def test_no_patient_is_in_two_splits_of_a_fold_and_every_radiograph_is_tested_once():
    tested = np.zeros(len(PATIENTS), dtype=int)
    for fold in range(FOLDS):
        split = np.array(split_of(PATIENTS, fold))
        sides = [set(PATIENTS[split == name].tolist()) for name in ("train", "validation", "test")]
        assert all(sides) and not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
        tested += split == "test"
        assert ((split == "test") == (fold_of(PATIENTS) == fold)).all()
    assert (tested == 1).all()


def _corners(bend: float) -> np.ndarray:
    """(17, 4, 2) corners of a spine along x = bend sin(2 pi t), 800 px long."""
    t = (np.arange(17) + 0.5) / 17
    slope = np.degrees(np.arctan(bend * 2 * np.pi * np.cos(2 * np.pi * t) / 800))
    corners = np.zeros((17, 4, 2))
    for i in range(17):
        angle = -np.radians(slope[i])
        along, down = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        middle = np.array([192 + bend * np.sin(2 * np.pi * t[i]), 40 + 800 * t[i]])
        for k, (a, d) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1))):
            corners[i, k] = middle + 20 * a * along + 18 * d * down
    return corners


def _pack(bends: list[float]) -> Pack:
    corners = np.stack([_corners(b) for b in bends]).astype(np.float32)
    images = np.zeros((len(bends), 896, 384), dtype=np.uint8)
    images[:, 10:886, 60:330] = np.random.default_rng(0).integers(40, 220, (876, 270))
    facts = {
        "angle_deg": np.zeros((len(bends), 3)),
        "patient": np.array([str(i) for i in range(len(bends))]),
        "screened_out": np.arange(len(bends)) % 4 == 3,
    }
    return Pack(images, corners, np.ones((len(bends), 17, 4), bool), tuple(f"{b}" for b in bends), facts)


def test_a_fold_has_no_black_margins_and_no_screened_out_training_radiographs(tmp_path):
    pack = _pack([10.0 + i for i in range(20)])
    manifest = write_fold(pack, 2, tmp_path)
    assert read_manifest(tmp_path).digest == manifest.digest
    for example in manifest.examples():
        i, view = int(example.study_id), example.views["frontal"]
        assert example.split == "test" or i % 4 != 3
        assert load_example_image(tmp_path, view).shape == (876, 270)
        found = np.array([view.points[n] for n in LABEL_NAMES]) + [60, 10]
        np.testing.assert_allclose(found, pack.corners[i].reshape(68, 2), atol=1e-3)
        assert example.truth["cobb"].value > 1
    assert len(manifest.in_split("test")) == 4


def test_the_angles_of_a_double_curve_and_of_a_single_curve():
    corners = _corners(60.0)
    middles = corners.reshape(34, 2, 2).mean(axis=1)
    tilts = midline_tilts_deg(corners)
    assert s_shaped(middles)
    major, second, third = benchmark_angles(tilts, middles, 896.0)
    assert major == pytest.approx(np.ptp(tilts)) and 0 <= min(second, third) and max(second, third) <= major
    straight = np.linspace(10, -10, 17)
    assert benchmark_angles(straight, np.c_[np.linspace(0, 60, 34) ** 2, np.arange(34.0)], 99.0) == (20.0, 0.0, 0.0)


def test_smape_is_that_of_the_benchmark():
    published = np.array([[40.0, 20.0, 0.0], [10.0, 0.0, 0.0]])
    found = np.array([[44.0, 20.0, 0.0], [10.0, 0.0, 0.0]])
    assert smape_percent(found, published) == pytest.approx(100 * (4 / 124) / 2)


def test_a_column_one_level_off_is_exact_after_its_shift():
    corners = _corners(30.0)
    truth = np.full((17, 4, 2), np.nan)
    truth[1:] = corners[:-1]  # what is found as T1 is labelled T2
    names = np.array(LABEL_NAMES).reshape(17, 4)
    points = {str(n): p for n, p in zip(names.reshape(-1), corners.reshape(-1, 2), strict=True)}
    plane = planes_from_view("frontal", points, None, "NONE")["coronal"]
    prediction = Prediction("x", {"frontal": points}, parameters=measure({"coronal": plane}))
    seen = np.isfinite(truth).all(axis=2)
    radiograph = radiograph_figures(prediction, plane, np.nan_to_num(truth), seen, np.array([30.0, 1, 1]), 896.0)
    assert radiograph.shift == 1
    assert np.median(radiograph.centre) > 0.8 and radiograph.centre_shifted.max() < 1e-9
    figures = summary([radiograph, radiograph])
    assert figures["radiographs whose best shift is not 0"] == 1.0
    assert figures["answered"] == 1.0 and figures["refused"] == 0


def test_generated_images_without_a_spine_are_deterministic_and_of_every_kind():
    first, again = (not_spines.generate(3, seed=1) for _ in range(2))
    assert set(first) == {"noise", "blank", "photo"}
    for kind, images in first.items():
        for a, b in zip(images, again[kind], strict=True):
            assert a.dtype == np.uint16 and np.ptp(a) > 100
            assert np.array_equal(a, b)


@pytest.mark.slow
def test_the_published_angles_are_reproduced(tmp_path):
    try:
        radiographs_folder()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    pack_radiographs(tmp_path / "radiographs.npz", limit=120)
    radiographs = read_pack(tmp_path / "radiographs.npz")
    for i in range(len(radiographs.names)):
        corners = radiographs.corners[i].astype(np.float64)
        height = float(radiographs.facts["shape"][i][0] * radiographs.facts["scale"][i])
        first_row = (896 - round(height)) // 2
        middles = corners.reshape(34, 2, 2).mean(axis=1) - [0, first_row - 0.5]
        found = benchmark_angles(midline_tilts_deg(corners), middles, height)
        np.testing.assert_allclose(found, radiographs.facts["angle_deg"][i], atol=0.1, err_msg=str(i))


def test_exposures_with_two_labels_are_found_and_no_others():
    pack = _pack([10.0 + 5 * i for i in range(6)])
    random = np.random.default_rng(4)
    for image in pack.images:
        texture = gaussian_filter(random.normal(size=image.shape), 5)
        image[:] = np.clip(120 + 30 * texture / texture.std(), 20, 220)
    pack.images[4] = np.roll(pack.images[1], 5, axis=0)  # the same exposure, cropped differently
    pack.corners[4] = pack.corners[1] + np.array([1.0, 6.0])
    assert twice_labelled(pack) == [(1, 4)]


def test_the_error_of_each_reading_follows_from_the_differences():
    random = np.random.default_rng(0)
    truth = random.normal(30, 10, 20000)
    readings = [truth + random.normal(0, sd, truth.size) for sd in (3.0, 2.0, 1.0)]
    for i, sd in enumerate((3.0, 2.0, 1.0)):
        others = [r for k, r in enumerate(readings) if k != i]
        assert own_deviation(readings[i], *others) == pytest.approx(sd, rel=0.1)


class _Fixed:
    """A session with one heat map, whose peak is in this row."""

    def __init__(self, row):
        self.row = row

    def run(self, outputs, inputs):
        maps = np.zeros((len(inputs[INPUTS[0]]), 1, 4, 4), np.float32)
        maps[:, 0, self.row, 0] = 1.0
        return [maps, np.full((len(maps), 1), np.float32(self.row))]


def test_an_ensemble_has_the_mean_maps_of_its_models():
    alone, other = (Model(CONTRACT, "0" * 64, _Fixed(row)) for row in (1, 2))
    assert ensemble([alone]) is alone
    maps, logits = ensemble([alone, other]).session.run(
        ("heatmaps", "visibility"), {INPUTS[0]: np.zeros((1, 1, 8, 8), np.float32)}
    )
    assert logits.tolist() == [[1.5]]
    assert maps[0, 0, :, 0].tolist() == [0, 0.5, 0.5, 0]
    assert with_mirrored_average(alone).contract == replace(CONTRACT, mirrored_average=True)


def test_radiographs_from_outside_are_counted_by_kind(tmp_path, capsys):
    grey = np.random.default_rng(1).integers(0, 256, (300, 200), dtype=np.uint8)
    for kind in ("chest", "lumbar_lateral"):
        (tmp_path / kind).mkdir()
        Image.fromarray(grey).save(tmp_path / kind / "radiograph.png")
    assert outside_radiographs.main(["--radiographs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| chest | 1 | 1 | 0 | 0 | none |" in printed and "lumbar_lateral: 1 refused because" in printed
    assert outside_radiographs.main(["--radiographs", str(tmp_path / "nowhere")]) == 3


def test_intervals_are_judged_by_shift_and_site_calibrations_on_the_other_patients():
    calibration = replace(CALIBRATION, clear={"frontal": 0.15}, shifted=(ShiftGroup("changed", 9, {"frontal": 0.25}),))
    known = []
    for prediction, example in drawn_images(120, 4, 0.1, 0.3):
        basis = calibration.basis("frontal", spread_in_cells(prediction, "frontal"))
        named = {ANGLE: prediction.parameters["cobb"]}
        labelled = replace(example, truth={ANGLE: example.truth["cobb"]})
        known.append((replace(prediction, parameters=named, interval_basis={"frontal": basis}), labelled))
    calibration = replace(calibration, widths={ANGLE: 100.0})
    rows = by_shift(calibration, known)
    assert [upper for upper, _ in rows] == [0.15, 0.25, np.inf]
    assert [figures.count for _, figures in rows] == pytest.approx([30, 60, 30], abs=14)
    assert (rows[0][1].share, rows[0][1].withheld) == (1.0, 0)
    assert rows[0][1].width == pytest.approx(140.0, abs=2.0)  # from 0 to about 140 degrees
    assert [figures.withheld for _, figures in rows[1:]] == [figures.count for _, figures in rows[1:]]
    model = Model(replace(CONTRACT, calibration=calibration), "a" * 64, None)
    sites = site_calibrations(model, known, 40, 10)
    assert {figures.count for figures in sites} == {80}
    assert np.mean([figures.share for figures in sites]) == pytest.approx(0.9, abs=0.05)
