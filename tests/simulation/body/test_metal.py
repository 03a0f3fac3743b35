"""Metal and surgery: screws pass through pedicles, rods through screw heads, and removed laminae are missing."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from simulation.body.batch import collate
from simulation.body.patient import VirtualPatient, build_patient
from simulation.body.surfaces import Shell
from simulation.body.vertebrae import build_vertebrae
from simulation.parameters import CoronalCurve, Instrumentation
from simulation.pose.spine_pose import pedicle_centres
from simulation.vocabulary import Side
from tests.simulation.standard_patient import standing


def named(shells: tuple[Shell, ...], name: str) -> list[Shell]:
    found = [shell for shell in shells if shell.name == name]
    assert found, name
    return found


def operated(lower: str = "L4", laminectomy: bool = False, anatomy="standard", size: float = 1.0) -> VirtualPatient:
    levels = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", *(("L5", "S1") if lower == "S1" else ()))
    screws = tuple((level, side) for level in levels for side in get_args(Side))
    metal = Instrumentation("T9", lower, "titanium", screws, laminectomy=laminectomy)
    curve = CoronalCurve("T6", "L1", 35.0, "right")
    chosen = standing(condition="instrumented", instrumentation=metal, curves=(curve,), anatomy=anatomy)
    return build_patient(replace(chosen, size_factor=size), 7)


def shanks(patient: VirtualPatient) -> np.ndarray:
    """(S, 2, 3) heads and tips of the screws."""
    bars = patient.arrays["bars"]
    chosen = bars[(bars[:, 7] == 1.0) & (np.abs(bars[:, 6] - 2.9) < 1e-5)]
    return chosen[:, :6].reshape(-1, 2, 3)


def beside(point: np.ndarray, lines: np.ndarray) -> tuple[float, int]:
    """Distance of a point from the nearest of (S, 2, 3) line segments, and its index."""
    start, along = lines[:, 0], lines[:, 1] - lines[:, 0]
    t = np.clip(((point - start) * along).sum(-1) / (along**2).sum(-1), 0, 1)
    apart = np.linalg.norm(start + t[:, None] * along - point, axis=-1)
    return float(apart.min()), int(apart.argmin())


@pytest.mark.parametrize("size", [0.95, 1.12])
@pytest.mark.parametrize("lower", ["L4", "S1"])
def test_screws_pass_through_pedicles_into_bodies_and_rods_through_screw_heads(lower, size) -> None:
    patient = operated(lower, size=size)
    lines, construct, spine = shanks(patient), patient.parameters.instrumentation, patient.spine
    assert len(lines) == len(construct.screws)
    pedicles, used = pedicle_centres(spine), []
    for level, side in construct.screws:
        if level == "S1":
            continue
        v = spine.levels.index(level)
        apart, which = beside(pedicles[0 if side == "left" else 1, v], lines)
        used.append(which)
        assert apart < 0.05, (level, side)
        x, y, z = (lines[which, 1] - spine.body_centre[v]) @ spine.body_axes[v]
        width, depth = spine.sizes.plate_width[v].mean() / 2, spine.sizes.plate_depth[v].mean() / 2
        assert abs(x) < width, (level, side)
        assert -1.05 * depth < y < depth, (level, side)
        assert abs(z) < spine.sizes.height[v] / 2, (level, side)
    assert len(set(used)) == len(used)
    heads = np.stack([beside_rods(patient, line[0]) for line in lines])
    assert heads.max() < 2.0
    assert bool((patient.arrays["rod_weight"] > 0).all())


def test_every_screw_of_the_longest_construct_is_placed() -> None:
    levels = [f"T{i}" for i in range(2, 13)] + [f"L{i}" for i in range(1, 6)]
    screws = tuple((level, side) for level in levels for side in get_args(Side))
    metal = Instrumentation("T2", "L5", "titanium", screws)
    assert len(shanks(build_patient(standing(condition="instrumented", instrumentation=metal), 7))) == len(screws)


def beside_rods(patient: VirtualPatient, point: np.ndarray) -> float:
    rods = patient.arrays["rods"]
    return min(beside(point, np.stack([rod[:-1], rod[1:]], axis=1))[0] for rod in rods)


def test_without_a_construct_there_are_no_screws_or_rods() -> None:
    patient = build_patient(standing(), 7)
    assert not len(shanks(patient))
    assert not patient.arrays["rod_weight"].any()
    # Missing bars have weight 0 and lie far away.
    bars = patient.arrays["bars"]
    assert bool((np.abs(bars[bars[:, 7] == 0][:, 2]) > 1e3).all())


@pytest.mark.parametrize(("lower", "anatomy"), [("L4", "standard"), ("S1", "standard"), ("S1", "six_lumbar")])
def test_a_laminectomy_removes_laminae_and_spinous_processes_below_its_upper_level(lower, anatomy) -> None:
    patient = operated(lower, True, anatomy)
    bones, levels = build_vertebrae(collate([patient.arrays])), patient.spine.levels
    first = levels.index("T9") + 1
    last = len(levels) - 1 if lower == "S1" else levels.index(lower)
    gone = [first <= v <= last for v in range(len(levels))]
    assert sum(gone) > 6
    for name in ("lamina", "spinous"):
        for shell in named(bones.shells, name):
            assert (shell.thickness_mm[0, : len(levels)] == 0).tolist() == gone, name
    for name in ("facet", "pedicle", "transverse"):
        for shell in named(bones.shells, name):
            assert bool((shell.thickness_mm[0, : len(levels)] > 0).all()), name
    whole = build_vertebrae(collate([operated(lower, False, anatomy).arrays]))
    for shell in named(whole.shells, "lamina"):
        assert bool((shell.thickness_mm[0, : len(levels)] > 0).all())
