"""Where each end plate lies: from angles and lengths to a posed spine and pelvis in the scanner's frame.

What belongs here: the chain of plates from S1 upwards, exact in its projected tilts. What does not: bone
surfaces. Contract: patient frame LPS, mm. A plate's axes are the columns of a rotation: X to the patient's left,
Y to the back (both in the plate), Z its normal, upwards; the plate's margins lie at +-width/2 on X and
+-depth/2 on Y, and tilts measured between those margins equal ``curvature.Orientation`` exactly.
"""

from dataclasses import dataclass

import numpy as np

from spine.phantom.curvature import S1, Orientation, orient, plate_index
from spine.phantom.morphometry import DRAWN_LEVELS, VertebraSizes, sample_sizes
from spine.phantom.parameters import PatientParameters
from spine.scanner import Floats


@dataclass(frozen=True)
class PosedSpine:
    """Plates of the V drawn vertebrae (upper, lower), the S1 plate and the hips.

    Attributes:
        sizes: lengths.
        centre: (V, 2, 3) plate centres.
        axes: (V, 2, 3, 3) plate axes as columns.
        s1_centre, s1_axes: (3,), (3, 3).
        pelvis_axes: (3, 3) of the hip axis: X from the right to the left hip, Z near the vertical.
        hips: (2, 3) femoral head centres, left then right.
        hip_radius: mm.
    """

    sizes: VertebraSizes
    centre: Floats
    axes: Floats
    s1_centre: Floats
    s1_axes: Floats
    pelvis_axes: Floats
    hips: Floats
    hip_radius: float

    def moved(self, by: Floats) -> "PosedSpine":
        """The same spine elsewhere; ``by`` is (3,) mm."""
        return PosedSpine(
            self.sizes,
            self.centre + by,
            self.axes,
            self.s1_centre + by,
            self.s1_axes,
            self.pelvis_axes,
            self.hips + by,
            self.hip_radius,
        )

    @property
    def body_centre(self) -> Floats:
        """(V, 3) middle between both plates."""
        centre: Floats = self.centre.mean(axis=1)
        return centre

    @property
    def body_axes(self) -> Floats:
        """(V, 3, 3) axes between those of both plates, orthonormal."""
        return orthonormal(self.axes.mean(axis=1))


def orthonormal(axes: Floats) -> Floats:
    """(..., 3, 3) columns made orthonormal: Z kept in direction, then Y."""
    z = axes[..., 2] / np.linalg.norm(axes[..., 2], axis=-1, keepdims=True)
    y = axes[..., 1] - (axes[..., 1] * z).sum(-1, keepdims=True) * z
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def plate_axes(orientation: Orientation) -> Floats:
    """(P, 3, 3) plate axes whose projected tilts are exactly those asked for.

    A plate of slopes dz/dx = p and dz/dy = q, headed psi, has Y = (-sin psi, cos psi, q cos psi - p sin psi), so
    its sagittal tilt is atan(q - p tan psi): q follows from p. Its coronal tilt depends on p alone then, and p is
    found by the secant method.
    """
    psi = np.deg2rad(orientation.heading)
    slope, wanted = np.tan(np.deg2rad(orientation.sagittal)), np.tan(np.deg2rad(orientation.coronal))
    before, p = wanted * 0.95 - 0.01, wanted.copy()
    missed_before = _coronal_tangent(before, slope, psi) - wanted
    for _ in range(30):
        missed = _coronal_tangent(p, slope, psi) - wanted
        change = missed - missed_before
        safe = np.abs(change) > 1e-15
        step = np.where(safe, missed * (p - before) / np.where(safe, change, 1.0), 0.0)
        before, missed_before, p = p, missed, p - step
    return _axes(p, slope, psi)


def _axes(p: Floats, sagittal_slope: Floats, psi: Floats) -> Floats:
    q = sagittal_slope + p * np.tan(psi)
    normal = np.stack([-p, -q, np.ones_like(p)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    back = np.stack([-np.sin(psi), np.cos(psi), q * np.cos(psi) - p * np.sin(psi)], axis=-1)
    back /= np.linalg.norm(back, axis=-1, keepdims=True)
    return np.stack([np.cross(back, normal), back, normal], axis=-1)


def _coronal_tangent(p: Floats, sagittal_slope: Floats, psi: Floats) -> Floats:
    left = _axes(p, sagittal_slope, psi)[..., 0]
    tangent: Floats = left[..., 2] / left[..., 0]
    return tangent


def pose_spine(parameters: PatientParameters, rng: np.random.Generator) -> PosedSpine:
    """Pose one patient with the S1 plate's centre at the origin; the caller places it in the scanner."""
    sizes = sample_sizes(parameters, rng)
    axes = plate_axes(orient(parameters, rng))
    centres = _stack(sizes, axes, parameters.listhesis_mm)
    centres += _slips(parameters, axes, rng)
    pelvis = _pelvis_axes(parameters)
    hips = _hips(parameters, sizes, pelvis)
    count = len(DRAWN_LEVELS)
    return PosedSpine(
        sizes=sizes,
        centre=centres[:-1].reshape(count, 2, 3),
        axes=axes[:-1].reshape(count, 2, 3, 3),
        s1_centre=centres[-1],
        s1_axes=axes[-1],
        pelvis_axes=pelvis,
        hips=hips,
        hip_radius=parameters.femoral_head_radius_mm,
    )


_CLEARANCE_MM = 0.8
"""Vertebrae keep at least this much disc between them, at the margin where it is thinnest."""


def _stack(sizes: VertebraSizes, axes: Floats, listhesis_mm: float) -> Floats:
    """(P, 3) plate centres, from S1 at the origin upwards along the mean of neighbouring normals."""
    up = axes[:-1, :, 2] + axes[1:, :, 2]
    up = up / np.linalg.norm(up, axis=-1, keepdims=True)
    discs = np.maximum(sizes.disc_below, _least_disc(sizes, axes, listhesis_mm))
    lengths = np.stack([sizes.height, discs], axis=1).ravel()[:, None]
    steps = up * lengths
    return np.concatenate([np.cumsum(steps[::-1], axis=0)[::-1], np.zeros((1, 3))])


def _least_disc(sizes: VertebraSizes, axes: Floats, listhesis_mm: float) -> Floats:
    """(V,) height a disc needs in its middle so that a wedged or slipped disc does not let bones overlap, mm."""
    lower, upper = axes[1:-1:2, :, 2], axes[2::2, :, 2]  # normals of the plates above and below each disc
    frame = axes[2::2]
    lean = lower - upper
    to_side, to_back = ((lean * frame[..., i]).sum(-1) for i in (0, 1))
    width, depth = sizes.plate_width[:, 1] / 2, sizes.plate_depth[:, 1] / 2
    needed: Floats = _CLEARANCE_MM + np.maximum(np.abs(to_side) * width, np.abs(to_back) * depth)
    l4 = DRAWN_LEVELS.index("L4")
    needed[l4] += listhesis_mm * abs(float(frame[l4, 2, 1]))
    return needed


def _slips(parameters: PatientParameters, axes: Floats, rng: np.random.Generator) -> Floats:
    """(P, 3) displacement by listhesis: L4 and all above slip forward; some also sideways at L3-4."""
    moved = np.zeros((S1 + 1, 3))
    low, side = plate_index("L4", 1), plate_index("L3", 1)
    moved[: low + 1] -= parameters.listhesis_mm * axes[low + 1, :, 1]
    if parameters.condition == "degenerative" and rng.random() < 0.3:
        moved[: side + 1] += float(rng.uniform(-7, 7)) * axes[side + 1, :, 0]
    return moved


def _pelvis_axes(parameters: PatientParameters) -> Floats:
    """(3, 3) hip axis frame: rotated about the vertical, tilted by the obliquity (+: right side up)."""
    psi, oblique = np.deg2rad(parameters.pelvic_rotation_deg), np.deg2rad(parameters.pelvic_obliquity_deg)
    left = np.array([np.cos(psi) * np.cos(oblique), np.sin(psi) * np.cos(oblique), -np.sin(oblique)])
    back = np.cross([0.0, 0.0, 1.0], left)
    back /= np.linalg.norm(back)
    return np.stack([left, back, np.cross(left, back)], axis=-1)


def _hips(parameters: PatientParameters, sizes: VertebraSizes, pelvis: Floats) -> Floats:
    """(2, 3) hips left and right; their middle lies below S1 at exactly the pelvic tilt in the sagittal plane."""
    tilt = np.deg2rad(parameters.pelvic_tilt_deg)
    middle = sizes.s1_to_hips * np.array([0.0, -np.sin(tilt), -np.cos(tilt)])
    half = sizes.hip_spacing / 2 * pelvis[:, 0]
    return np.stack([middle + half, middle - half])
