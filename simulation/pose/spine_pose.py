"""The posed spine and pelvis, computed from plate orientations and sizes.

Contract: patient frame LPS, mm. The axes of an end plate are the columns of a rotation matrix: X points to the
patient's left, Y to the back (both in the plane of the plate), and Z upwards along its normal. The margins lie at
+-width/2 on X and +-depth/2 on Y. Tilts that are measured between the margins equal ``curvature.Orientation`` exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simulation.anatomy import vertebral_column
from simulation.parameters import PatientParameters
from simulation.pose.coronal_shear import CoronalShear, sample_coronal_shear
from simulation.pose.curvature import Orientation, orient
from simulation.pose.fractures import apply_fractures
from simulation.pose.morphometry import VertebraSizes, sample_sizes
from simulation.pose.sagittal_profile import standing_segment_angles
from spine.types import Float, Floats


@dataclass(frozen=True)
class PosedSpine:
    """The end plates of V vertebrae (upper, lower), the S1 plate and the hips of one patient.

    Attributes:
        levels: names of the vertebrae, cranial to caudal, from C3 to the last mobile vertebra.
        sizes: sizes of vertebrae and pelvis.
        centre, axes: plate centres, and plate axes as columns.
        pelvis_axes: axes of the pelvis as columns: X points from the right to the left hip, Z is near the vertical.
        hips: centres of the femoral heads, left then right.
    """

    levels: tuple[str, ...]
    sizes: VertebraSizes
    centre: Float[Floats, "V 2 3"]
    axes: Float[Floats, "V 2 3 3"]
    s1_centre: Float[Floats, " 3"]
    s1_axes: Float[Floats, "3 3"]
    pelvis_axes: Float[Floats, "3 3"]
    hips: Float[Floats, "2 3"]
    hip_radius: float

    def moved(self, by: Float[Floats, " 3"]) -> "PosedSpine":
        """A copy of the spine, translated by ``by`` mm."""
        return replace(self, centre=self.centre + by, s1_centre=self.s1_centre + by, hips=self.hips + by)

    @cached_property
    def body_centre(self) -> Float[Floats, "V 3"]:
        """The points midway between the centres of the two plates of each vertebra."""
        return np.asarray(self.centre.mean(axis=1))

    @cached_property
    def body_axes(self) -> Float[Floats, "V 3 3"]:
        """Orthonormal axes of the bodies, midway between the axes of their two plates."""
        return orthonormal(self.axes.mean(axis=1))


PEDICLE_OF_CANAL, PEDICLE_MORE_MM = 0.55, 2.0
"""The length of a pedicle as a share of the depth of the canal, and a constant that is added; a choice."""


def pedicle_centres(spine: PosedSpine) -> Float[Floats, "2 V 3"]:
    """Centres of the pedicles, left then right."""
    sizes = spine.sizes
    y = sizes.plate_depth.mean(axis=1) / 2 + 0.5 * pedicle_length(sizes) - 1.0
    offsets = [np.stack([side * sizes.pedicle_offset, y, 0.20 * sizes.height], axis=-1) for side in (1.0, -1.0)]
    return np.asarray(spine.body_centre + np.einsum("vij,svj->svi", spine.body_axes, np.stack(offsets)))


def pedicle_length(sizes: VertebraSizes) -> Float[Floats, " V"]:
    """Distance from the posterior wall to the lamina, mm."""
    return np.asarray(PEDICLE_OF_CANAL * sizes.canal_depth + PEDICLE_MORE_MM)


def orthonormal(axes: Float[Floats, "*any 3 3"]) -> Float[Floats, "*any 3 3"]:
    """Orthonormal axes. Z keeps its direction, and Y is made perpendicular to Z."""
    z = axes[..., 2] / np.sqrt((axes[..., 2] ** 2).sum(-1, keepdims=True))
    y = axes[..., 1] - (axes[..., 1] * z).sum(-1, keepdims=True) * z
    y = y / np.sqrt((y**2).sum(-1, keepdims=True))
    return np.stack([cross(y, z), y, z], axis=-1)


def cross(a: Float[Floats, "*any 3"], b: Float[Floats, "*any 3"]) -> Float[Floats, "*any 3"]:
    """The cross product. On small arrays, this function is faster than ``numpy.cross``."""
    (ax, ay, az), (bx, by, bz) = ((v[..., 0], v[..., 1], v[..., 2]) for v in (a, b))
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def plate_axes(orientation: Orientation) -> Float[Floats, "P 3 3"]:
    """The plate axes whose projected tilts equal the given tilts exactly.

    A plate with slopes dz/dx = p and dz/dy = q and axial rotation psi has
    Y = (-sin psi, cos psi, q cos psi - p sin psi). Its sagittal tilt is atan(q - p tan psi), so q follows from p, and
    Y does not depend on p. X is Y x (-p, -q, 1). The slope z / x of X must equal the tangent w of the coronal tilt.
    This is a linear equation for p.
    """
    psi = np.deg2rad(orientation.axial_rotation)
    s, w = np.tan(np.deg2rad(orientation.sagittal)), np.tan(np.deg2rad(orientation.coronal))
    sine, cosine = np.sin(psi), np.cos(psi)
    p = (w * cosine * (1 + s**2) - s * sine) / (1 / cosine - w * s * sine)
    q = s + p * sine / cosine
    normal = np.stack([-p, -q, np.ones_like(p)], axis=-1)
    normal /= np.sqrt(1 + p**2 + q**2)[:, None]
    back = np.stack([-sine, cosine, s * cosine], axis=-1)
    back /= np.sqrt(1 + (s * cosine) ** 2)[:, None]
    return np.stack([cross(back, normal), back, normal], axis=-1)


def pose_spine(parameters: PatientParameters, rng: np.random.Generator) -> PosedSpine:
    """Pose one patient with the centre of the S1 plate at the origin."""
    levels = vertebral_column(parameters.anatomy).levels
    angles, sizes = apply_fractures(parameters, standing_segment_angles(parameters), sample_sizes(parameters, rng))
    axes = plate_axes(orient(parameters, angles, rng))
    shear = sample_coronal_shear(parameters.anatomy, rng)
    centres = _stack(parameters, sizes, axes, shear) + _slips(parameters, axes)
    pelvis = _pelvis_axes(parameters)
    return PosedSpine(
        levels=levels,
        sizes=sizes,
        centre=centres[:-1].reshape(len(levels), 2, 3),
        axes=axes[:-1].reshape(len(levels), 2, 3, 3),
        s1_centre=centres[-1],
        s1_axes=axes[-1],
        pelvis_axes=pelvis,
        hips=_hips(parameters, sizes, pelvis),
        hip_radius=parameters.femoral_head_radius_mm,
    )


_CLEARANCE_MM = 0.8
"""Smallest height of a disc at its margin."""


def _stack(parameters: PatientParameters, sizes: VertebraSizes, axes: Floats, shear: CoronalShear) -> Floats:
    """(P, 3) plate centres, with S1 as origin. The step from one plate to the next is along the mean of their normals.

    Shear moves a centre within the plane of its plate, so that heights do not change.
    """
    up = axes[:-1, :, 2] + axes[1:, :, 2]
    up /= np.sqrt((up**2).sum(-1, keepdims=True))
    discs = np.maximum(sizes.disc_below, _min_disc_heights(parameters, sizes, axes))
    lengths = np.stack([sizes.height, discs], axis=1).ravel()[:, None]
    aside = shear.share[:, None] * lengths * up[:, :1] / up[:, 2:] + shear.offset_mm[:, None]
    steps = up * lengths + aside * (axes[:-1, :, 0] + axes[1:, :, 0]) / 2
    return np.concatenate([np.cumsum(steps[::-1], axis=0)[::-1], np.zeros((1, 3))])


def _min_disc_heights(parameters: PatientParameters, sizes: VertebraSizes, axes: Floats) -> Floats:
    """(V,) smallest height in mm of each disc's middle at which the bones beside a tilted disc do not overlap."""
    lower, upper = axes[1:-1:2, :, 2], axes[2::2]  # normals of the plates above each disc, axes of the plates below
    lean = lower - upper[..., 2]
    to_side, to_back = ((lean * upper[..., i]).sum(-1) for i in (0, 1))
    width, depth = sizes.plate_width[:, 1] / 2, sizes.plate_depth[:, 1] / 2
    needed: Floats = _CLEARANCE_MM + np.maximum(np.abs(to_side) * width, np.abs(to_back) * depth)
    for level, slip, along in _slipped(parameters):
        v = vertebral_column(parameters.anatomy).index[level]
        needed[v] += abs(slip * float(upper[v, 2, along]))
    return needed


def _slipped(parameters: PatientParameters) -> Iterator[tuple[str, float, int]]:
    """Level, distance in mm and axis of every slip. The axis is 0 for X (left) or 1 for Y (back) of the plate below."""
    if parameters.listhesis_mm:
        yield parameters.listhesis_level, -parameters.listhesis_mm, 1
    if parameters.lateral_listhesis_mm:
        yield parameters.lateral_listhesis_level, parameters.lateral_listhesis_mm, 0


def _slips(parameters: PatientParameters, axes: Floats) -> Floats:
    """(P, 3) displacement by slips. The slipped level and all levels above move along the next plate below it."""
    moved = np.zeros(axes.shape[:2])
    for level, slip, along in _slipped(parameters):
        low = vertebral_column(parameters.anatomy).plate(level, 1)
        moved[: low + 1] += slip * axes[low + 1, :, along]
    return moved


def _pelvis_axes(parameters: PatientParameters) -> Floats:
    """(3, 3) axes of the pelvis after rotation about the vertical and obliquity (positive: the right side higher)."""
    psi, oblique = np.deg2rad(parameters.pelvic_rotation_deg), np.deg2rad(parameters.pelvic_obliquity_deg)
    left = np.array([np.cos(psi) * np.cos(oblique), np.sin(psi) * np.cos(oblique), -np.sin(oblique)])
    back = cross(np.array([0.0, 0.0, 1.0]), left)
    back /= np.linalg.norm(back)
    return np.stack([left, back, cross(left, back)], axis=-1)


def _hips(parameters: PatientParameters, sizes: VertebraSizes, pelvis: Floats) -> Floats:
    """(2, 3) left and right hip centre. In the sagittal plane, the line from their middle to S1 has the pelvic tilt."""
    tilt = np.deg2rad(parameters.pelvic_tilt_deg)
    middle = sizes.s1_to_hips * np.array([0.0, -np.sin(tilt), -np.cos(tilt)])
    half = sizes.hip_spacing / 2 * pelvis[:, 0]
    return np.stack([middle + half, middle - half])
