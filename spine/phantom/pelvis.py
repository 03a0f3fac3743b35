"""The pelvis in place: sacrum with its S1 plate, iliac wings, acetabula, pubic and ischial rami, femora.

What belongs here: bone between L5 and the knees. What does not: where S1 and the hips lie (``spine_pose``).
Contract: the S1 plate is drawn with exactly the margins its landmarks name, the femoral heads are spheres about
the hip centres with the recorded radius. Wings and rami hang between sacrum and hips, so they follow pelvic
incidence. Figures: docs/sources.md, population and anatomy (sacrum about 105 high and 112 wide, bicristal width
270-285, S1 centre 38 below the crest, neck-shaft angle 127 degrees).
"""

import numpy as np

from spine.phantom.spine_pose import PosedSpine, orthonormal
from spine.phantom.surfaces import Bones, Filling, Shell, ball, bar, disc, outline, sweep, tube
from spine.scanner import Floats

_S1_RING = outline(32, 2.2)
_SACRUM_AT = np.array([0.0, 0.05, 0.12, 0.22, 0.35, 0.5, 0.65, 0.8, 0.92, 1.0])
_SACRUM_WIDTH = np.array([1.0, 1.12, 1.72, 2.1, 2.12, 1.75, 1.35, 0.9, 0.55, 0.25])  # of the S1 plate
_SACRUM_DEPTH = np.array([1.0, 1.0, 1.02, 0.98, 0.85, 0.68, 0.52, 0.4, 0.3, 0.18])
_SACRAL_KYPHOSIS_DEG = 62.0
_LEFT_RIGHT = (1.0, -1.0)


def build_pelvis(spine: PosedSpine) -> Bones:
    """All bone of pelvis and femora."""
    return _sacrum(spine) + _wings(spine) + _rami(spine) + _femora(spine)


def _sacral_path(spine: PosedSpine) -> tuple[Floats, Floats]:
    """(M, 3) axis of the sacrum and its (M, 3, 3) ring axes; both begin on the S1 plate."""
    height = 1.0 * spine.sizes.s1_to_hips
    dense = np.linspace(0.0, 1.0, 60)
    turn = np.deg2rad(_SACRAL_KYPHOSIS_DEG) * (3 * dense**2 - 2 * dense**3)
    x, y, z = spine.s1_axes.T
    # Caudally along -Z, bending to the back first (the plate's own direction) and forwards towards the tip.
    down = -np.cos(turn)[:, None] * z - np.sin(turn)[:, None] * y
    lean = np.deg2rad(14.0)
    down = np.cos(lean) * down + np.sin(lean) * (np.cos(turn)[:, None] * y - np.sin(turn)[:, None] * z)
    path = np.concatenate([np.zeros((1, 3)), np.cumsum((down[1:] + down[:-1]) / 2, axis=0) * height / 59])
    centre = spine.s1_centre + np.stack([np.interp(_SACRUM_AT, dense, path[:, i]) for i in range(3)], axis=-1)
    angle = np.interp(_SACRUM_AT, dense, turn)[:, None]
    back = np.cos(angle) * y - np.sin(angle) * z
    up = np.cos(angle) * z + np.sin(angle) * y
    return centre, np.stack([np.broadcast_to(x, back.shape), back, up], axis=-1)


def _sacrum(spine: PosedSpine) -> Bones:
    centre, axes = _sacral_path(spine)
    half = np.array([spine.sizes.s1_width, spine.sizes.s1_depth]) / 2
    radii = np.stack([_SACRUM_WIDTH, _SACRUM_DEPTH], axis=-1) * half
    wall = sweep(centre[None], axes[None, ..., 0], axes[None, ..., 1], radii[None], _S1_RING)
    plate = disc(spine.s1_centre[None], spine.s1_axes[None], half[None], _S1_RING, 9)
    # Remnants of the sacral discs, fainter and smaller from S1-2 down to S4-5.
    where = [3, 5, 6, 7]
    remnants = disc(centre[where], axes[where], radii[where] * np.array([0.42, 0.75]), outline(20), 5)
    crest, _ = bar(
        (centre[1] + axes[1, :, 1] * half[1] * 1.1)[None],
        (centre[7] + axes[7, :, 1] * radii[7, 1] * 1.1)[None],
        axes[3, :, 1][None],
        np.array([[3.0, 6.0]]),
        np.array([[2.5, 4.0]]),
        10,
    )
    shells = (
        Shell("sacrum", wall, np.array([0.75])),
        Shell("S1 plate", plate, np.array([1.6]), 1.2),
        Shell("sacral disc", remnants, np.array([0.9, 0.7, 0.5, 0.4])),
        Shell("sacral crest", crest, np.array([0.9])),
        _foramina(centre, axes, radii),
    )
    return Bones(shells, (Filling("sacrum", wall, centre[None], np.array([0.6])),))


def _foramina(centre: Floats, axes: Floats, radii: Floats) -> Shell:
    """Rims of the four pairs of sacral foramina."""
    at, size = [], []
    for ring, scale in ((3, 1.0), (5, 0.9), (6, 0.75), (7, 0.6)):
        for side in _LEFT_RIGHT:
            at.append(centre[ring] + side * 0.48 * radii[ring, 0] * axes[ring, :, 0])
            size.append(axes[ring] * np.array([6.0, 7.0, 5.0]) * scale)
    grid, _ = ball(np.stack(at), np.stack(size)[:, :, [0, 2, 1]], 6, 14)
    return Shell("sacral foramen", grid, np.full(len(at), 0.7))


def _pelvic_axes(spine: PosedSpine) -> Floats:
    """(3, 3) axes of the hip bones: X along the hip axis, Z tilted back as the pelvis is (13 degrees are neutral)."""
    to_s1 = spine.s1_centre - spine.hips.mean(axis=0)
    tilt = np.arctan2(to_s1[1], to_s1[2]) - np.deg2rad(13.0)
    z = np.array([0.0, np.sin(tilt), np.cos(tilt)])
    x = spine.pelvis_axes[:, 0]
    z = z - (z @ x) * x
    return orthonormal(np.stack([x, np.cross(z, x), z], axis=-1))


def _wings(spine: PosedSpine) -> Bones:
    """Iliac wings: two faces between the crest and the line from the sacro-iliac joint to the acetabulum."""
    axes, scale = _pelvic_axes(spine), spine.sizes.s1_to_hips / 108.0
    s1_up = float((spine.s1_centre - spine.hips.mean(axis=0)) @ axes[:, 2])
    s1_back = float((spine.s1_centre - spine.hips.mean(axis=0)) @ axes[:, 1])
    shells, t = [], np.linspace(0.0, 1.0, 15)
    for side, hip in zip(_LEFT_RIGHT, spine.hips, strict=True):
        half = spine.sizes.hip_spacing / 2
        # Crest from the posterior superior spine over the top to the anterior superior spine; all relative to the hip.
        crest = np.array(
            [
                (42 - half, s1_back + 42, s1_up - 22),
                (62 - half, s1_back + 36, s1_up + 14),
                (100 - half, s1_back + 14, s1_up + 34),
                (128 - half, s1_back - 22, s1_up + 32),
                (139 - half, s1_back - 52, s1_up + 8),
                (126 - half, -34, 72),
            ]
        )
        lower = np.array(
            [
                (50 - half, s1_back + 30, s1_up - 52),
                (54 - half, s1_back + 8, s1_up - 48),
                (60 - half, s1_back - 14, s1_up - 62),
                (70 - half, 10, 34),
                (88 - half, -4, 26),
                (102 - half, -24, 30),
            ]
        )
        top, bottom = (_smooth(line * scale * np.array([side, 1.0, 1.0]), t) for line in (crest, lower))
        shells.append(_wing(hip, axes, top, bottom))
    return Bones(tuple(shells), ())


def _smooth(control: Floats, t: Floats) -> Floats:
    """(len(t), 3) monotone cubic through (K, 3) control points."""
    from scipy.interpolate import PchipInterpolator

    line: Floats = PchipInterpolator(np.linspace(0.0, 1.0, len(control)), control)(t)
    return line


def _wing(hip: Floats, axes: Floats, top: Floats, bottom: Floats) -> Shell:
    """A flat loft between two lines: thick along the crest, thin in the fossa."""
    centre, half = (top + bottom) / 2, (top - bottom) / 2
    length = np.linalg.norm(half, axis=-1, keepdims=True)
    along = np.gradient(centre, axis=0)
    normal = np.cross(half / length, along / np.linalg.norm(along, axis=-1, keepdims=True))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    angle = np.linspace(0.0, 2 * np.pi, 41)
    height, thick = np.cos(angle), np.sin(angle)
    profile = 2.2 + 4.2 * np.clip(height, 0, 1) ** 6 + 3.0 * np.clip(-height, 0, 1) ** 3
    bow = 5.0 * (1 - height**2)  # the fossa is hollow towards the inside
    grid = (
        centre[:, None]
        + half[:, None] * height[:, None]
        + normal[:, None] * (np.sign(thick) * np.sqrt(np.abs(thick)) * profile + bow)[:, None]
    )
    return Shell("ilium", (hip + grid @ axes.T)[None], np.array([1.45]), 1.25)


def _rami(spine: PosedSpine) -> Bones:
    """Acetabular shells, pubic and ischial rami, symphysis."""
    axes, r, shells = _pelvic_axes(spine), spine.hip_radius, []
    middle = spine.hips.mean(axis=0)
    for side, hip in zip(_LEFT_RIGHT, spine.hips, strict=True):

        def at(x: float, y: float, z: float, side: float = side) -> Floats:
            return np.asarray(middle + axes @ np.array([side * x, y, z]))[None]

        up = axes[:, 2][None]
        # The cup opens outwards, downwards and a little forwards.
        pole = axes @ np.array([-side * 0.72, 0.12, 0.68])
        cup_axes = orthonormal(np.stack([axes[:, 0], axes[:, 1], -pole / np.linalg.norm(pole)], axis=-1))
        cup, _ = ball(hip[None], (cup_axes * (r + 3.5))[None], 9, 24, 0.5)
        shells.append(Shell("acetabulum", cup, np.array([1.7])))
        inner = spine.sizes.hip_spacing / 2 - r - 4
        wide, narrow = np.array([[5.5, 7.5]]), np.array([[4.5, 6.0]])
        for start, end, a, b in (
            (at(inner + 6, -12, 8), at(9, -40, -22), wide, narrow),
            (at(10, -40, -30), at(52, 6, -72), narrow, narrow),
            (at(inner + 8, 16, -14), at(56, 16, -74), wide * 1.3, wide * 1.15),
            (at(10, -40, -18), at(9, -37, -44), wide, narrow),
        ):
            shells.append(Shell("ramus", bar(start, end, up + 0.3 * axes[:, 1], a, b, 8)[0], np.array([1.0]), 1.6))
    return Bones(tuple(shells), ())


def _femora(spine: PosedSpine) -> Bones:
    """Heads, necks, trochanters and shafts; legs stand straight whatever the pelvis does."""
    r, shells, fillings = spine.hip_radius, [], []
    up = np.array([[0.0, 0.0, 1.0]])
    for side, hip in zip(_LEFT_RIGHT, spine.hips, strict=True):

        def at(x: float, y: float, z: float, side: float = side, hip: Floats = hip) -> Floats:
            return (hip + np.array([side * x, y, z]) * r / 23.5)[None]

        head, axis = ball(hip[None], np.eye(3)[None] * r, 14, 28)
        shells.append(Shell("femoral head", head, np.array([1.15])))
        fillings.append(Filling("femoral head", head, axis, np.array([1.15])))
        neck, _ = bar(at(8, 0, -7), at(48, 4, -38), up, np.full((1, 2), 0.62 * r), np.full((1, 2), 0.78 * r), 8, 0.1)
        shells.append(Shell("femoral neck", neck, np.array([1.5])))
        trochanter, _ = bar(
            at(58, 8, -12), at(52, 6, -48), np.array([[0.0, 1.0, 0.0]]), *(np.full((1, 2), 0.5 * r),) * 2
        )
        shells.append(Shell("trochanter", trochanter, np.array([0.9])))
        lengths = np.linspace(0.0, 1.0, 12)[:, None]
        path = at(50, 5, -38) * (1 - lengths) + at(30, -2, -330) * lengths
        width = np.interp(lengths, [0, 0.05, 0.12, 0.3, 1], [0.3, 0.62, 0.7, 0.58, 0.56]) * r
        grid = tube(path[None], np.repeat(width, 2, axis=1)[None], np.broadcast_to([0.0, 1.0, 0.0], (1, 12, 3)), 24)
        shells.append(Shell("femoral shaft", grid, np.array([3.4]), 1.4))
    return Bones(tuple(shells), tuple(fillings))
