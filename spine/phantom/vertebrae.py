"""The vertebrae in place: bodies with end plates, pedicles, facets, laminae, transverse and spinous processes.

What belongs here: the shape of a vertebra, C3 to L5. What does not: where its plates lie (``spine_pose``) and how
large it is (``morphometry``). Contract: a body is lofted between its two posed plates, so its drawn end plates
have exactly the margins that the landmarks name; the posterior elements follow the body's own axes.
Thicknesses looked right in a prototype; they are not from the literature.
"""

import numpy as np

from spine.phantom.morphometry import DRAWN_LEVELS, FIRST
from spine.phantom.spine_pose import PosedSpine
from spine.phantom.surfaces import Bones, Filling, Shell, ball, bar, disc, outline, sweep
from spine.scanner import Floats

V = len(DRAWN_LEVELS)
_BODY_RING = outline(28, 2.35)
_RIM = np.array([0.0, 0.02, 0.06, 0.13, 0.26, 0.4, 0.5, 0.6, 0.74, 0.87, 0.94, 0.98, 1.0])
_WAIST = 0.13
_SCLEROSIS = 0.8  # extra plate thickness beside a disc that has lost all its height


def build_vertebrae(spine: PosedSpine) -> Bones:
    """All bone of C3 to L5."""
    return _bodies(spine) + _arches(spine) + _processes(spine) + _osteophytes(spine)


def body_grid(spine: PosedSpine) -> tuple[Floats, Floats]:
    """(V, M, N, 3) walls of the bodies from lower to upper plate, and their (V, M, 3) axes."""
    s = _RIM[None, :, None]
    lower, upper = spine.centre[:, 1], spine.centre[:, 0]
    path = lower[:, None] * (1 - s) + upper[:, None] * s
    half = np.stack([spine.sizes.plate_width, spine.sizes.plate_depth], axis=-1) / 2  # (V, plate, 2)
    # The waist is a parabola with short rounded rims; it is one exactly at both plates.
    waist = 1.0 - _WAIST * (4 * _RIM * (1 - _RIM)) ** 0.8
    radii = (half[:, 1, None] * (1 - s) + half[:, 0, None] * s) * waist[None, :, None]
    mixed = spine.axes[:, 1, None] * (1 - s[..., None]) + spine.axes[:, 0, None] * s[..., None]
    return sweep(path, mixed[..., 0], mixed[..., 1], radii, _BODY_RING), path


def _bodies(spine: PosedSpine) -> Bones:
    wall, path = body_grid(spine)
    half = np.stack([spine.sizes.plate_width, spine.sizes.plate_depth], axis=-1) / 2
    plates = disc(spine.centre.reshape(-1, 3), spine.axes.reshape(-1, 3, 3), half.reshape(-1, 2), _BODY_RING, 7)
    below = spine.sizes.narrowing
    above = np.concatenate([[0.0], below[:-1]])
    sclerosis = 1.0 + _SCLEROSIS * np.stack([above, below], axis=1).ravel()
    thickness = np.linspace(0.55, 0.85, V)
    return Bones(
        (
            Shell("body", wall, thickness),
            Shell("end plate", plates, 1.2 * sclerosis),
        ),
        (Filling("body", wall, path, np.full(V, 1.0)),),
    )


def _local(spine: PosedSpine, x: Floats, y: Floats, z: Floats) -> Floats:
    """(V, 3) points given in the bodies' own axes, mm (left, back, up) from the body's centre."""
    offset = np.stack(np.broadcast_arrays(x, y, z), axis=-1)
    points: Floats = spine.body_centre + np.einsum("vij,vj->vi", spine.body_axes, offset)
    return points


def pedicle_centres(spine: PosedSpine) -> Floats:
    """(2, V, 3) middles of the pedicles, left then right."""
    sizes, back = spine.sizes, spine.sizes.plate_depth.mean(axis=1) / 2
    y = back + 0.5 * _pedicle_length(spine) - 1.0
    z = 0.20 * sizes.height
    return np.stack([_local(spine, side * sizes.pedicle_offset, y, z) for side in (1.0, -1.0)])


def _pedicle_length(spine: PosedSpine) -> Floats:
    length: Floats = 0.55 * spine.sizes.canal_depth + 2.0
    return length


def _lumbar() -> Floats:
    """(V,) 0 for thoracic and cervical shape, rising to 1 from T11 to L1."""
    return np.interp(np.arange(V), [FIRST + 9, FIRST + 12], [0.0, 1.0])


def _arches(spine: PosedSpine) -> Bones:
    """Pedicles, facet masses and laminae on both sides."""
    sizes, axes = spine.sizes, spine.body_axes
    back = sizes.plate_depth.mean(axis=1) / 2
    length, up = _pedicle_length(spine), axes[..., 2]
    behind, z = back + length, 0.20 * sizes.height
    shells: list[Shell] = []
    for side in (1.0, -1.0):
        x = side * sizes.pedicle_offset
        radii = np.stack([sizes.pedicle_width, sizes.pedicle_height], axis=-1) / 2
        pedicle, _ = bar(_local(spine, x, back - 2.5, z), _local(spine, x, behind + 1.0, z), up, radii, radii, 4, 0.12)
        shells.append(Shell("pedicle", pedicle, np.full(V, 0.95)))
        facet_x = x * (1.02 + 0.08 * _lumbar())
        for sign, reach in ((1.0, 0.62), (-1.0, 0.72)):
            at = _local(
                spine, facet_x * (1.0 if sign > 0 else 0.86), behind + 3.0 + sign * -1.0, sign * reach * sizes.height
            )
            size = np.stack([0.16 * sizes.height + 2.2, np.full(V, 3.2), 0.34 * sizes.height], axis=-1)
            shells.append(Shell("facet", ball(at, axes * size[:, None, :], 8, 14)[0], np.full(V, 0.7)))
        arch = behind + 0.55 * sizes.canal_depth
        thin = np.stack([np.full(V, 2.4), 0.36 * sizes.height], axis=-1)
        lamina, _ = bar(
            _local(spine, x * 0.95, behind, -0.10 * sizes.height),
            _local(spine, 0 * x, arch, -0.22 * sizes.height),
            up,
            thin,
            thin,
        )
        shells.append(Shell("lamina", lamina, np.full(V, 1.0)))
    return Bones(tuple(shells), ())


def _processes(spine: PosedSpine) -> Bones:
    """Transverse processes on both sides and the spinous process."""
    sizes, up, lumbar = spine.sizes, spine.body_axes[..., 2], _lumbar()
    back = sizes.plate_depth.mean(axis=1) / 2
    behind = back + _pedicle_length(spine)
    shells: list[Shell] = []
    for side in (1.0, -1.0):
        start = _local(spine, side * sizes.pedicle_offset, behind, 0.12 * sizes.height)
        tip_y = behind + 9.0 * (1 - lumbar) + 2.0 * lumbar
        tip = _local(spine, side * sizes.transverse_span / 2, tip_y, (0.32 - 0.15 * lumbar) * sizes.height)
        thick = np.stack([np.full(V, 3.0), 0.24 * sizes.height], axis=-1)
        shells.append(Shell("transverse", bar(start, tip, up, thick, thick * 0.75)[0], np.full(V, 0.55)))
    arch = behind + 0.55 * sizes.canal_depth - 1.0
    reach = np.maximum(back + sizes.spinous_length - arch, 12.0)
    droop = np.interp(
        np.arange(V), [0, FIRST, FIRST + 4, FIRST + 8, FIRST + 11, V - 1], [0.25, 0.35, 0.95, 1.0, 0.35, 0.15]
    )
    start = _local(spine, 0 * arch, arch, -0.2 * sizes.height)
    tip = _local(spine, 0 * arch, arch + reach * np.cos(droop), -0.2 * sizes.height - reach * np.sin(droop))
    tall = np.stack([np.full(V, 2.6), sizes.height * (0.22 + 0.18 * lumbar)], axis=-1)
    shells.append(Shell("spinous", bar(start, tip, up, tall, tall * np.array([1.3, 0.95]))[0], np.full(V, 0.55)))
    return Bones(tuple(shells), ())


def _osteophytes(spine: PosedSpine) -> Bones:
    """Beaks beside narrowed discs, in front and on both sides of both neighbouring plates."""
    narrowed = spine.sizes.narrowing
    discs = np.flatnonzero(narrowed[:-1] > 0.3)
    shells: list[Shell] = []
    for i in discs:
        for level, plate, towards in ((i, 1, -1.0), (i + 1, 0, 1.0)):
            axes, centre = spine.axes[level, plate], spine.centre[level, plate]
            half = np.array([spine.sizes.plate_width[level, plate], spine.sizes.plate_depth[level, plate]]) / 2
            places = np.array([[0.0, -1.0], [0.75, -0.62], [-0.75, -0.62], [1.0, 0.0], [-1.0, 0.0]]) * half
            at = centre + places @ axes[:, :2].T - 0.8 * towards * axes[:, 2]
            size = np.array([3.6, 3.6, 1.7]) * (0.5 + narrowed[i])
            grid, _ = ball(at, np.broadcast_to(axes * size, (len(at), 3, 3)), 6, 10)
            shells.append(Shell("osteophyte", grid, np.full(len(at), 0.7)))
    return Bones(tuple(shells), ())
