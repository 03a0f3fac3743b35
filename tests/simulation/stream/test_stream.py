"""Streams of patients: independence of the batch, labels as projections, radiographs with their corners."""

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from simulation.body.patient import build_patient
from simulation.imaging.display import MAXIMUM
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.render import render_views
from simulation.population.sampling import sample_patient
from simulation.randomness import patient_seed
from simulation.stream.patients import PosedPatients, VirtualPatients
from simulation.stream.posed import PosedPatient, RenderedBatch, collate_posed, render_posed
from simulation.stream.radiographs import (
    CORNER_NAMES,
    FrontalRadiographs,
    PosedRadiographs,
    frontal_radiographs,
)
from simulation.stream.stream_config import StreamConfig
from spine.errors import ValuesRejected
from spine.landmarks import CORNERS68, GALBUSERA39, VIEWS
from spine.scanner import NATIVE_SPACING_MM, is_on_image

CONFIG = StreamConfig(seed=5, count=5, batch_size=2, shape=(128, 64), spacing_mm=NATIVE_SPACING_MM * 32)
COUNT = 0.6 / MAXIMUM
"""Rounding may change a grey by 1 of 4095."""
SHAPE = (160, 72)


def same(one: PosedPatient, other: PosedPatient) -> bool:
    arrays = all(np.array_equal(one.arrays[n], other.arrays[n]) for n in one.arrays)
    labels = all(np.array_equal(one.landmarks[v], other.landmarks[v]) for v in one.landmarks)
    return arrays and labels and one.facts == other.facts


@cache
def one_pass() -> tuple[RenderedBatch, ...]:
    return tuple(VirtualPatients(CONFIG))


def test_a_batch_has_the_documented_shapes() -> None:
    assert len(VirtualPatients(CONFIG)) == len(one_pass()) == 3
    assert [len(batch.seeds) for batch in one_pass()] == [2, 2, 1]
    for batch in one_pass():
        n = len(batch.seeds)
        assert len(batch.facts) == n
        for view in VIEWS:
            image, points, present = batch.images[view], batch.landmarks[view], batch.present[view]
            assert (image.shape, image.dtype) == ((n, 1, 128, 64), torch.float32)
            assert (points.shape, points.dtype) == ((n, 39, 2), torch.float32)
            assert (present.shape, present.dtype) == ((n, 39), torch.bool)
            assert float(image.min()) >= 0
            assert float(image.max()) <= 1
            assert torch.isfinite(points).all()
            assert bool((image.flatten(1).std(1) > 0.05).all())


def test_a_patient_does_not_depend_on_batch_size_or_order() -> None:
    planned = PosedPatients(replace(CONFIG, count=9))
    assert len(planned) == 9
    later = PosedPatients(replace(CONFIG, batch_size=7, first=3))
    for index in (4, 0, 1):
        assert same(planned[index + 3], later[index])
    assert not same(planned[0], planned[1])
    assert not same(planned[0], PosedPatients(replace(CONFIG, seed=6))[0])
    assert not same(planned[0], planned[3])


def test_seeds_of_patients_are_all_different() -> None:
    seeds = {patient_seed(seed, index) for seed in range(20) for index in range(300)}
    assert len(seeds) == 6000
    assert all(0 <= s < 2**63 for s in seeds)


def test_a_pass_can_continue_another() -> None:
    rest = list(VirtualPatients(replace(CONFIG, count=3, first=2)))
    seeds = [s for batch in one_pass() for s in batch.seeds]
    assert [s for batch in rest for s in batch.seeds] == seeds[2:]
    for mine, theirs in zip(rest, one_pass()[1:], strict=True):
        for view in VIEWS:
            assert float((mine.images[view] - theirs.images[view]).abs().max()) <= COUNT
            assert torch.equal(mine.landmarks[view], theirs.landmarks[view])
            assert torch.equal(mine.present[view], theirs.present[view])


@cache
def one_field(kind: str, count: int) -> tuple[int, ...]:
    """Patients of the stream with this field of view."""
    fitting = (i for i in range(900) if sample_patient(patient_seed(CONFIG.seed, i)).field_of_view == kind)
    return tuple(next(fitting) for _ in range(count))


def drawn(*indices: int) -> RenderedBatch:
    planned = PosedPatients(CONFIG)
    return render_posed(collate_posed([planned[i] for i in indices]), "cpu")


def apart(one: RenderedBatch, at: int, other: RenderedBatch, there: int) -> float:
    """Largest difference between two images of one patient, 0 to 1."""
    assert one.seeds[at] == other.seeds[there]
    return max(float((one.images[v][at] - other.images[v][there]).abs().max()) for v in VIEWS)


@pytest.mark.slow
def test_an_image_does_not_depend_on_the_batch() -> None:
    full, cut = one_field("full", 2), one_field("without_hips", 1)
    together = drawn(*full, *cut)
    for at, index in enumerate((*full, *cut)):
        assert apart(drawn(index), 0, together, at) <= 1.1 / MAXIMUM
    swapped = drawn(*cut, *full)
    assert apart(swapped, 0, together, 2) <= 1.1 / MAXIMUM


def test_a_whole_body_image_does_not_depend_on_the_batch() -> None:
    body, full = one_field("whole_body", 1)[0], one_field("full", 1)[0]
    assert apart(drawn(body), 0, drawn(full, body), 1) <= 1.1 / MAXIMUM


def test_labels_are_projections_of_the_reconstruction() -> None:
    config = replace(CONFIG, count=12, names=GALBUSERA39.names)
    for index in range(12):
        seed = patient_seed(config.seed, index)
        patient = build_patient(sample_patient(seed), seed)
        geometry = scan_geometry(patient, config.shape, config.spacing_mm)
        planned = PosedPatients(config)[index]
        for view, g in geometry.items():
            for k, name in enumerate(config.names):
                if name not in patient.reconstruction.points:
                    assert not planned.present[view][k]
                    continue
                # A short field lies at the top of the image, so its pixels are those of the scan.
                expected = g.project(patient.reconstruction.points[name])
                assert planned.landmarks[view][k] == pytest.approx(expected, abs=2e-4), name
                assert planned.present[view][k] == bool(is_on_image(expected, g.shape)), name
            assert planned.acquisitions[view].geometry.shape == config.shape
            assert planned.acquisitions[view].overlay.bounds == (0.0, g.shape[0], 0.0, g.shape[1])


def test_landmarks_and_views_can_be_chosen() -> None:
    names = ("L3_sup_left", "L6_sup", "HIP_L")
    planned = PosedPatients(replace(CONFIG, names=names, views=("lateral",)))[1]
    assert set(planned.acquisitions) == {"lateral"}
    assert planned.landmarks["lateral"].shape == (3, 2)
    assert planned.present["lateral"][1] == ("L6_sup" in names and planned.facts["anatomy"] == "six_lumbar")


def test_below_a_short_field_the_image_is_black() -> None:
    index = one_field("thoracolumbar", 1)[0]
    planned, batch = PosedPatients(CONFIG)[index], drawn(index)
    for view in VIEWS:
        rows = int(planned.acquisitions[view].overlay.bounds[1])
        assert 20 < rows < 128
        outside = batch.images[view][0, 0, rows:].clone()
        marks = planned.acquisitions[view].overlay
        assert (marks.rows < rows).all()
        assert not outside.any()
        assert batch.images[view][0, 0, rows - 1].any()


def test_the_stream_has_the_images_of_the_files() -> None:
    index = one_field("full", 1)[0]
    seed = patient_seed(CONFIG.seed, index)
    patient = build_patient(sample_patient(seed), seed)
    images = render_views(patient, scan_geometry(patient, CONFIG.shape, CONFIG.spacing_mm), seed)
    for view, image in images.items():
        streamed = drawn(index).images[view][0, 0].numpy() * MAXIMUM
        assert np.abs(streamed - image.astype(float)).max() <= 1.1


def test_every_tensor_of_a_batch_lies_on_the_device() -> None:
    batch = one_pass()[0]
    for field in fields(RenderedBatch):
        value = getattr(batch, field.name)
        if isinstance(value, dict):
            assert {t.device.type for t in value.values()} == {"cpu"}


@cache
def radiographs() -> FrontalRadiographs:
    return frontal_radiographs(6, 3, SHAPE, batch_size=4)


@cache
def planned_radiograph(index: int) -> PosedPatient:
    return PosedRadiographs(6, 3, SHAPE)[index]


def test_frontal_radiographs_keep_their_contract() -> None:
    pool = radiographs()
    assert (pool.images.dtype, pool.images.shape) == (torch.uint8, (6, *SHAPE))
    assert (pool.corners.dtype, pool.corners.shape) == (torch.float32, (6, 17, 4, 2))
    assert (pool.visible.dtype, pool.visible.shape) == (torch.bool, (6, 17, 4))
    assert float(pool.visible.float().mean()) > 0.97
    for i in range(6):
        acquisition = planned_radiograph(i).acquisitions["frontal"]
        top, bottom, left, right = acquisition.overlay.bounds
        column, row = pool.corners[i][pool.visible[i]].T
        assert bool(((column >= left - 0.5) & (column <= right - 0.5)).all())
        assert bool(((row >= top - 0.5) & (row <= bottom - 0.5)).all())
        image = pool.images[i].float()
        ahead, beyond = int(np.ceil(left - 0.5)), int(np.floor(right - 0.5)) + 1
        upper, lower = int(np.ceil(top - 0.5)), int(np.floor(bottom - 0.5)) + 1
        marked = torch.zeros(SHAPE, dtype=torch.bool)
        marked[acquisition.overlay.rows, acquisition.overlay.columns] = True
        dark = torch.ones(SHAPE, dtype=torch.bool)
        dark[upper:lower, ahead:beyond] = False
        assert not image[dark & ~marked].any(), "outside the radiograph the image is black"
        assert float(image[upper:lower, ahead:beyond].std()) > 5


def test_corners_have_the_order_of_the_public_labels() -> None:
    """Upper left, upper right, lower left, lower right in the image; vertebrae from T1 down."""
    upper_left, upper_right, lower_left, lower_right = radiographs().corners.unbind(2)
    assert bool((upper_left[..., 0] < upper_right[..., 0]).all())
    assert bool((lower_left[..., 0] < lower_right[..., 0]).all())
    assert bool((upper_left[..., 1] < lower_left[..., 1]).all())
    assert bool((upper_right[..., 1] < lower_right[..., 1]).all())
    assert bool((radiographs().corners.mean(2)[..., 1].diff(dim=1) > 0).all())
    assert sorted(CORNER_NAMES) == sorted(CORNERS68.names)
    assert CORNER_NAMES[:4] == ("T1_sup_right", "T1_sup_left", "T1_inf_right", "T1_inf_left")


@pytest.mark.parametrize("index", range(4))
def test_corners_are_projected_from_the_point_source(index) -> None:
    planned = planned_radiograph(index)
    acquisition, seed = planned.acquisitions["frontal"], planned.facts["seed"]
    points = build_patient(sample_patient(seed), seed).reconstruction.points
    xyz = np.array([points[name] for name in CORNER_NAMES])
    f, z = acquisition.geometry.source_to_isocentre_mm, acquisition.point_source.source_z_mm
    towards_source = -xyz[:, 1] if not acquisition.point_source.from_behind else xyz[:, 1]
    share = f / (f - towards_source)
    seen = np.stack([xyz[:, 0] * share, z + (xyz[:, 2] - z) * share], axis=-1)
    found = radiographs().corners[index].reshape(68, 2).numpy()
    assert found == pytest.approx(acquisition.geometry.pixels_from_plane(seen), abs=1e-3)


def test_most_radiographs_are_taken_from_behind() -> None:
    point_sources = [PosedRadiographs(60, 9, SHAPE)[i].acquisitions["frontal"].point_source for i in range(60)]
    assert 0.55 < np.mean([c.from_behind for c in point_sources]) < 0.92


def test_radiographs_show_standard_columns_and_mostly_curves() -> None:
    planned = PosedRadiographs(40, 9, SHAPE)
    facts = [planned[i].facts for i in range(40)]
    assert {f["anatomy"] for f in facts} == {"standard"}
    curves = [max((c.cobb_deg for c in sample_patient(f["seed"]).curves), default=0.0) for f in facts]
    assert np.median(curves) > 15
    assert len({f["seed"] for f in facts}) == 40


def test_the_wanted_share_of_radiographs_shows_a_severe_curve() -> None:
    severe = PosedRadiographs(60, 9, SHAPE, severe_share=1.0)
    tilts = []
    for radiograph in map(severe.__getitem__, range(60)):
        corners = radiograph.landmarks["frontal"].reshape(17, 4, 2)
        right, left = corners[:, 0] + corners[:, 2], corners[:, 1] + corners[:, 3]
        tilts.append(np.degrees(np.arctan2(*(left - right).T[::-1])))
    major = np.ptp(tilts, axis=1)
    assert major.min() > 40  # projection and mid-lines change an angle by a few degrees
    assert 60 < np.median(major) < 80
    assert major.max() < 105
    plain, mixed = PosedRadiographs(60, 9, SHAPE), PosedRadiographs(60, 9, SHAPE, severe_share=0.5)
    same = [np.array_equal(plain[i].landmarks["frontal"], mixed[i].landmarks["frontal"]) for i in range(60)]
    assert 20 <= sum(same) <= 40


def test_a_pool_of_radiographs_can_continue_another() -> None:
    later = PosedRadiographs(2, 3, SHAPE, first=4)
    assert same(later[0], planned_radiograph(4))
    assert same(later[1], planned_radiograph(5))
    assert not same(later[0], later[1])
    again = frontal_radiographs(6, 3, SHAPE, batch_size=4)
    assert torch.equal(again.images, radiographs().images)
    assert torch.equal(again.corners, radiographs().corners)
    other = frontal_radiographs(1, 4, SHAPE)
    assert not torch.equal(other.corners[0], radiographs().corners[0])


def test_a_radiograph_does_not_depend_on_the_batch() -> None:
    alone = frontal_radiographs(6, 3, SHAPE, batch_size=1)
    assert torch.equal(alone.corners, radiographs().corners)
    assert int((alone.images.int() - radiographs().images.int()).abs().max()) <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": -1}, "count = -1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"shape": (4, 4)}, r"shape = \(4, 4\).*at least 64 x 32"),
        ({"workers": -1}, "workers = -1"),
    ],
)
def test_impossible_radiographs_are_refused(change, words) -> None:
    with pytest.raises(ValueError, match=words):
        frontal_radiographs(**{"count": 2, "seed": 1} | change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 0}, "batch_size = 0"),
        ({"count": 2.5}, "count = 2.5"),
        ({"seed": -3, "first": -1}, "seed = -3 .*; first = -1 "),
        ({"shape": (512,)}, r"shape = \(512,\)"),
        ({"shape": (512.5, 256)}, r"shape = \(512.5, 256\)"),
        ({"shape": "ab"}, "shape = 'ab'"),
        ({"shape": None}, "shape = None"),
        ({"shape": (64, 32)}, "shape.*92 x 46 mm.*600 to 1500 mm high"),
        ({"views": ("axial",)}, r"views 'axial' \(known: frontal, lateral\)"),
        ({"views": "frontal"}, "views = 'frontal'.*a tuple"),
        ({"views": ()}, r"views = \(\)"),
        ({"names": ("T1_supp",)}, "names 'T1_supp'.*known: .*T1_sup, "),
        ({"names": "T1_sup"}, "names = 'T1_sup'.*a tuple"),
        ({"names": ()}, r"names = \(\)"),
        ({"spacing_mm": float("nan")}, "spacing_mm = nan"),
        ({"spacing_mm": "wide"}, "spacing_mm = 'wide'"),
    ],
)
def test_impossible_streams_are_refused(change, words) -> None:
    with pytest.raises(ValueError, match=words):
        StreamConfig(**{"count": 2, "seed": 1} | change)


def test_a_negative_number_of_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="workers = -1"):
        VirtualPatients(CONFIG, workers=-1)


def test_numpy_integers_are_accepted() -> None:
    assert len(VirtualPatients(replace(CONFIG, count=np.int64(5)))) == 3  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_stream_inside_a_worker_of_a_loader_is_refused() -> None:
    loader = DataLoader(VirtualPatients(CONFIG), batch_size=None, num_workers=1, multiprocessing_context="spawn")
    with pytest.raises(RuntimeError, match=r"VirtualPatients\(\.\.\., workers=N\)"):
        next(iter(loader))


def test_a_share_of_the_patients_is_varied_and_the_others_do_not_change() -> None:
    plain = PosedPatients(StreamConfig(seed=3, count=8))
    mixed = PosedPatients(StreamConfig(seed=3, count=8, varied=0.5))
    changed = [not same(plain[i], mixed[i]) for i in range(8)]
    assert 0 < sum(changed) < 8


def test_a_share_of_varied_patients_above_one_is_refused() -> None:
    with pytest.raises(ValuesRejected, match=r"varied = 1.5 \(a share, 0 to 1\)"):
        StreamConfig(seed=3, count=8, varied=1.5)
