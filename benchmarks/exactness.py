"""Exactness of the renderer: path lengths, mass and edges against closed forms and projected landmarks.

Splatted path lengths are compared at pixel centres that lie at least two pixels inside the outline. The figure is the
mean absolute difference relative to the largest path length. Mass is the sum of the image. Points have random
positions, so the difference is noise that decreases with the number of points. Each figure names its spacing; the
renderer's spacing is one of them. ``mean`` is the signed difference, in which the noise averages out.
"""

import numpy as np
from scipy.ndimage import binary_erosion, map_coordinates

from benchmarks import closed_forms, rendering_cost
from benchmarks.closed_forms import Phantom
from benchmarks.figures import Figure
from simulation.body.solids import Ellipsoid
from spine.landmarks import VERTEBRAE, VIEWS, ViewName
from spine.scanner import NATIVE_SPACING_MM, SOURCE_TO_ISOCENTRE_MM, ViewGeometry
from spine.types import Floats

PIXEL_MM = 8 * NATIVE_SPACING_MM
SOLID_MM, SHELL_MM = 0.6, 0.15  # spacings at which the noise is below the target
FINER = 8
EDGE_ON_DEG = 6.0
SEED = 1


def figures() -> list[Figure]:
    """Path lengths and mass of the phantoms, positions of edges, mass of every bone."""
    rows = [row for phantom in closed_forms.phantoms() for row in _phantom(phantom)]
    return [*rows, *_chords(), _margins(), *_plates(), *_bone_mass()]


def view_geometry(view: ViewName, shape: tuple[int, int]) -> ViewGeometry:
    """An image of the default spacing around the isocentre."""
    return ViewGeometry(view, shape, (PIXEL_MM, PIXEL_MM), SOURCE_TO_ISOCENTRE_MM[view])


def _phantom(phantom: Phantom) -> list[Figure]:
    rows, mass = [], 0.0
    geometries = [view_geometry(view, (112, 96)) for view in VIEWS]
    fine = SHELL_MM if phantom.part.axis is None else SOLID_MM
    for spacing in (phantom.part.spacing_mm, fine):
        points = rendering_cost.points_of(phantom.part, spacing)
        found = [_profile(rendering_cost.image_of(points, g), phantom, g) for g in geometries]
        grain, signed = max(f[0] for f in found), max((f[1] for f in found), key=abs)
        mass = max(mass, *(abs(f[2]) for f in found))
        how = f"worse view, mean {100 * signed:+.3f} %, {points.volume_mm3.numel()} points"
        target = "< 0.5" if spacing == fine else ""
        name = f"{phantom.name}, path length, points every {spacing:g} mm"
        rows.append(Figure(name, 100 * grain, "% of the peak", target, how))
    return [*rows, Figure(f"{phantom.name}, mass", 100 * mass, "%", "< 0.5", "sum of the image, worse view")]


def _profile(image: Floats, phantom: Phantom, geometry: ViewGeometry) -> tuple[float, float, float]:
    """Mean absolute and mean signed difference relative to the peak, and the relative difference of the sums."""
    centre = closed_forms.closed_form(phantom.chord, geometry)
    fine = closed_forms.closed_form(phantom.chord, geometry, FINER)
    inside = binary_erosion(centre > 0, iterations=2)
    if phantom.part.axis is None:  # the path length of a shell changes within a pixel near its outline
        inside = binary_erosion(inside, iterations=2)
    difference = (image - centre)[inside] / centre[inside].max()
    return float(np.abs(difference).mean()), float(difference.mean()), float(image.sum() * FINER**2 / fine.sum() - 1)


def _chords() -> list[Figure]:
    """The renderer's closed-form path lengths of soft tissue against those of this benchmark, at every pixel."""
    chords = {phantom.name: phantom.chord for phantom in closed_forms.phantoms()}
    centre, radius = closed_forms.CENTRE, closed_forms.RADIUS
    solids = {
        "sphere": Ellipsoid(centre, np.eye(3) * radius),
        "cylinder": rendering_cost.cylinder_solid(centre, radius, closed_forms.HALF_HEIGHT),
    }
    rows = []
    for name, solid in solids.items():
        worst = 0.0
        for view in VIEWS:
            geometry = view_geometry(view, (112, 96))
            expected = closed_forms.closed_form(chords[name], geometry)
            difference = np.abs(rendering_cost.chord_image_of(solid, geometry) - expected)
            worst = max(worst, float(difference.max() / expected.max()))
        rows.append(Figure(f"{name}, closed-form chord, worst pixel", 100 * worst, "% of the peak", "< 0.5", "float32"))
    return rows


def _margins() -> Figure:
    """The edges of an upright cylinder in both images against the projections of its outermost points."""
    phantom = next(p for p in closed_forms.phantoms() if p.name == "cylinder")
    points = rendering_cost.points_of(phantom.part, SOLID_MM)
    worst = 0.0
    for view in VIEWS:
        geometry = view_geometry(view, (64, 96))
        profile = rendering_cost.image_of(points, geometry)[16:48].mean(axis=0)
        for sign in (-1.0, 1.0):
            rim = float(geometry.project(closed_forms.cylinder_margin(geometry, sign))[0])
            worst = max(worst, abs(_edge(profile, phantom, geometry, rim, sign) - rim))
    how = "position of the closed form that fits best, 4 edges, mean of 32 rows"
    return Figure("rendered edge against projected margin, worst", worst, "px", "< 0.1", how)


def _edge(profile: Floats, phantom: Phantom, geometry: ViewGeometry, rim: float, sign: float) -> float:
    """The column of the rendered edge: the edge of the closed form, shifted to the best fit."""
    row = closed_forms.closed_form(phantom.chord, geometry, 32)[geometry.shape[0] * 16]
    at = (np.arange(row.size) + 0.5) / 32 - 0.5
    edge = at[row > 0].max() + 0.5 / 32 if sign > 0 else at[row > 0].min() - 0.5 / 32
    near = np.abs(np.arange(len(profile)) - rim) < 5
    shifts = np.linspace(-0.5, 0.5, 201)
    errors = [((_tent_row(np.interp(at - shift, at, row)) - profile)[near] ** 2).sum() for shift in shifts]
    return float(edge + shifts[int(np.argmin(errors))])


def _tent_row(fine: Floats) -> Floats:
    return closed_forms.footprint(np.repeat(fine[None], 3 * 32, axis=0), 32)[1]


def _plates() -> list[Figure]:
    """Rendered end plates of a virtual patient against their landmarks.

    The position of a plate is the half-maximum of the path length along the normal of the plate. Only plates that are
    parallel to the rays count: the image of a tilted plate has no edge.
    """
    walls, axes, levels = rendering_cost.body_solids(SEED)
    points = rendering_cost.patient(SEED).reconstruction.points
    rows = []
    for view in VIEWS:
        geometry, found = view_geometry(view, (512, 256)), []
        for level, wall, axis in zip(levels, walls, axes, strict=True):
            edge_on = [_tilt_deg(ring, view) < EDGE_ON_DEG for ring in (wall[0], wall[-1])]
            if level in VERTEBRAE and any(edge_on):
                image = rendering_cost.image_of(
                    rendering_cost.solid_points(wall[None], axis[None], SOLID_MM / 2), geometry
                )
                ends = geometry.project(np.stack([points[f"{level}_{side}"] for side in ("inf", "sup")]))
                found += [_half_height(image, ends[i], ends[1 - i]) for i in (0, 1) if edge_on[i]]
        how = f"mean {np.mean(found):+.3f}, worst {np.max(np.abs(found)):.3f}, {len(found)} plates of one patient"
        value = float(np.abs(found).mean())
        rows.append(Figure(f"rendered plate against landmark, {view}", value, "px", "< 0.1", how))
    return rows


def _tilt_deg(ring: Floats, view: ViewName) -> float:
    """The angle between the plane of a (K, 3) ring and the central ray of the view."""
    normal = np.linalg.svd(ring[:-1] - ring[:-1].mean(axis=0))[2][-1]
    return float(np.rad2deg(np.arcsin(abs(normal[1 if view == "frontal" else 0]))))


def _half_height(image: Floats, plate: Floats, other: Floats) -> float:
    """Distance in pixels of the half-maximum from the plate's landmark, on the line from the other plate."""
    length = float(np.linalg.norm(plate - other))
    outwards = (plate - other) / length
    steps = np.linspace(-length / 2, length / 2, 401)
    beside = np.linspace(-1.5, 1.5, 7)  # neighbouring lines, over which the noise is averaged
    across = np.array([-outwards[1], outwards[0]])
    at = plate + steps[:, None, None] * outwards + beside[:, None] * across
    profile = map_coordinates(image, [at[..., 1], at[..., 0]], order=1).mean(axis=1)
    # The waist narrows the body below the plate, so the value at the plate is extrapolated.
    body = (steps > -0.4 * length) & (steps < -3.0)
    plateau = np.polyval(np.polyfit(steps[body], profile[body], 2), 0.0) if body.sum() > 20 else profile.max()
    last = int(np.flatnonzero(profile > plateau / 2)[-1])
    inside, outside = profile[last], profile[last + 1]
    return float(steps[last] + (inside - plateau / 2) / (inside - outside) * (steps[1] - steps[0]))


def _bone_mass() -> list[Figure]:
    """The image of every grid of a patient: its sum against the magnified mass of the cells of the grid."""
    worst, where, count, total = 0.0, "", 0, np.zeros(2)
    geometry = ViewGeometry("frontal", (1600, 700), (2.0, 2.0), SOURCE_TO_ISOCENTRE_MM["frontal"])
    for part in rendering_cost.bone_parts(SEED):
        expected = _cell_mass(part, geometry)
        found = float(rendering_cost.image_of(rendering_cost.points_of(part), geometry).sum()) * 4.0
        total += found, expected
        count += 1
        if abs(found / expected - 1) > worst:
            worst, where = abs(found / expected - 1), part.name
    return [
        Figure("mass of a bone's grid, worst", 100 * worst, "%", "< 0.1", f"{where}, {count} grids of one patient"),
        Figure("mass of all bone", 100 * abs(total[0] / total[1] - 1), "%", "< 0.1", "sum of the same grids"),
    ]


def _cell_mass(part: rendering_cost.Part, geometry: ViewGeometry) -> float:
    """Sum of volume x magnification x obliquity of all cells, mm^3, in double precision."""
    a, b, c, d = (part.vertices[i : i - 1 or None, j : j - 1 or None] for i in (0, 1) for j in (0, 1))
    middle = (a + b + c + d) / 4
    if part.axis is None:
        volume = np.linalg.norm(np.cross(d - a, c - b), axis=-1) / 2
    else:
        low, high = part.axis[:-1, None], part.axis[1:, None]
        tetrahedra = ((low, a, b, c), (low, b, d, c), (low, high, c, d))
        volume = np.abs(sum((np.cross(q - p, r - p) * (s - p)).sum(-1) / 6 for p, q, r, s in tetrahedra))
        middle = middle * 2 / 3 + (low + high) / 2 / 3
    f = geometry.source_to_isocentre_mm
    magnification = f / (f + middle[..., 1])
    slant = np.sqrt(1 + (middle[..., 0] * magnification / f) ** 2)
    return float((volume * part.amount * magnification * slant).sum())
