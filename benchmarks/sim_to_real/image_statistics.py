"""Statistics of one radiograph: greys, spectrum, edges of vertebrae, noise, thorax and abdomen, proportions.

Contract: (H, W) uint8 images and (17, 4, 2) corners in pixels of the same frame. "Step" and "crest" are in standard
deviations of the grey values of the content, so that they do not depend on the display contrast. A quantity is NaN if
the radiograph does not show it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.sim_to_real.level_matching import centres, midline_tilts_deg
from spine.types import Floats

GREY_BINS = 32
_BLACK = 6
_QUANTILES = (5, 25, 50, 75, 95, 99)
_T5, _T8, _T10, _L3 = 4, 7, 9, 14
_THORACIC, _LUMBAR = slice(3, 11), slice(12, 16)
_PATCH = 128
_BANDS = ((32, 16), (16, 8), (8, 4), (4, 2))
_LAPLACE = np.array([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])


def content_box(image: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns of the content: the image without its letterbox."""
    lit = image > _BLACK
    rows, columns = np.flatnonzero(lit.mean(axis=1) > 0.01), np.flatnonzero(lit.mean(axis=0) > 0.01)
    if rows.size == 0 or columns.size == 0:
        return slice(0, image.shape[0]), slice(0, image.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def grey_histogram(image: NDArray[np.uint8]) -> Floats:
    """(32,) shares of the content's pixels."""
    counts = np.bincount((image[content_box(image)] // (256 // GREY_BINS)).ravel(), minlength=GREY_BINS)
    return counts / counts.sum()


def statistics_of(image: NDArray[np.uint8], corners: Floats, visible: NDArray[np.bool_]) -> dict[str, float]:
    """Name -> value of every quantity of one radiograph."""
    grey = image.astype(np.float32)
    content = grey[content_box(image)]
    deviation = float(max(content.std(), 1e-3))
    corners = np.where(visible[..., None], corners, np.nan)
    return {
        **_greys(image, content, deviation),
        **_spectrum(grey, corners),
        **_edges(grey, corners, deviation),
        **_places(grey, content_box(image), corners, deviation),
        **_proportions(corners),
    }


def _greys(image: NDArray[np.uint8], content: NDArray[np.float32], deviation: float) -> dict[str, float]:
    quantiles = np.quantile(content, [q / 100 for q in _QUANTILES])
    # The mean is used, because the median of 8-bit values is a whole number.
    noise = float(np.abs(ndimage.convolve(content, _LAPLACE)).mean()) * float(np.sqrt(np.pi / 2)) / 6.0
    small = ndimage.uniform_filter(content, 15)
    local = np.sqrt(np.maximum(ndimage.uniform_filter(content**2, 15) - small**2, 0))
    return {
        **{f"grey, {q} % quantile": float(v) for q, v in zip(_QUANTILES, quantiles, strict=True)},
        "grey, standard deviation": deviation,
        "black inside the image, %": 100 * float((content <= _BLACK).mean()),
        "black letterbox, % of the frame": 100 * (1 - content.size / image.size),
        "noise (Laplacian), grey": noise,
        "noise (Laplacian) / standard deviation, %": 100 * noise / deviation,
        "local contrast in 15 px / standard deviation, %": 100 * float(np.median(local)) / deviation,
    }


def _spectrum(grey: NDArray[np.float32], corners: Floats) -> dict[str, float]:
    """Spectrum of patches along the spine: slope of log power over log frequency, and share of energy in octaves."""
    power = [p for p in (_patch_power(grey, corners[i]) for i in (_T5, _T10, _L3)) if p is not None]
    radial = np.mean(power, axis=0) if power else np.full(_PATCH // 2 + 1, np.nan)  # k = 0..64 cycles per patch
    cycles = np.arange(radial.size)
    fitted = slice(4, 48)
    slope = float("nan")
    if np.isfinite(radial).all():
        slope = float(np.polyfit(np.log(cycles[fitted]), np.log(radial[fitted] + 1e-12), 1)[0])
    rings = radial * np.maximum(cycles, 1)
    found = {"spectrum along the spine, slope": slope}
    for coarse, fine in _BANDS:
        band = slice(_PATCH // coarse, _PATCH // fine)
        share = rings[band].sum() / rings[2:].sum()
        found[f"spectrum, log10 share of energy at {coarse}-{fine} px"] = float(np.log10(max(share, 1e-12)))
    return found


def _patch_power(grey: NDArray[np.float32], vertebra: Floats) -> Floats | None:
    middle = vertebra.mean(axis=0)
    if not np.isfinite(middle).all():
        return None
    column = int(np.clip(middle[0] - _PATCH / 2, 0, grey.shape[1] - _PATCH))
    row = int(np.clip(middle[1] - _PATCH / 2, 0, grey.shape[0] - _PATCH))
    patch = grey[row : row + _PATCH, column : column + _PATCH].astype(np.float64)
    window = np.hanning(_PATCH)
    power = np.abs(np.fft.fft2((patch - patch.mean()) * window[:, None] * window)) ** 2
    if power.sum() <= 0:
        return None
    k = np.fft.fftfreq(_PATCH) * _PATCH
    ring = np.rint(np.hypot(k[:, None], k)).astype(int).ravel()
    sums, counts = np.bincount(ring, power.ravel()), np.bincount(ring)
    return (sums / counts)[: _PATCH // 2 + 1] / power.sum()


def _edges(grey: NDArray[np.float32], corners: Floats, deviation: float) -> dict[str, float]:
    """Profiles across labelled edges: step (inside minus outside), crest (bright line on the edge), steepest pixel."""
    found = {}
    for edge, (first, second, sign) in {
        "upper plate": (0, 1, 1.0),
        "lower plate": (2, 3, -1.0),
        "left wall": (0, 2, -1.0),
        "right wall": (1, 3, 1.0),
    }.items():
        profiles = _profiles(grey, corners[:, first], corners[:, second], sign)  # (17, 17)
        inside, outside = profiles[:, 11:14].mean(axis=1), profiles[:, 3:6].mean(axis=1)
        # Labels are wrong by a pixel or two, so the crest is the brightest pixel within two pixels of the edge.
        crest = profiles[:, 6:11].max(axis=1) - (inside + outside) / 2
        steepest = np.abs(np.diff(profiles, axis=1))[:, 4:12].max(axis=1)
        for region, part in (("thoracic", _THORACIC), ("lumbar", _LUMBAR)):
            found[f"{edge}, {region}: step"] = _median((inside - outside)[part]) / deviation
            found[f"{edge}, {region}: crest"] = _median(crest[part]) / deviation
            found[f"{edge}, {region}: steepest px"] = _median(steepest[part]) / deviation
    return found


def _profiles(grey: NDArray[np.float32], start: Floats, end: Floats, sign: float) -> Floats:
    """(17, 17) mean greys from 8 px outside to 8 px inside of 17 edges, over the middle half of each edge."""
    along = end - start
    length = np.linalg.norm(along, axis=1, keepdims=True)
    unit = along / np.where(length > 1, length, np.nan)
    inward = sign * np.stack([-unit[:, 1], unit[:, 0]], axis=1)
    where = start[:, None] + np.linspace(0.25, 0.75, 9)[None, :, None] * along[:, None]
    points = where[:, :, None] + np.arange(-8, 9)[None, None, :, None] * inward[:, None, None]
    return _sampled(grey, points).mean(axis=1)


def _places(grey: NDArray[np.float32], box: tuple[slice, slice], corners: Floats, deviation: float) -> dict[str, float]:
    """Spine relative to its sides at three levels, thorax relative to abdomen, deviation inside bodies."""
    found, sides = {}, {}
    for name, level in (("T5", _T5), ("T10", _T10), ("L3", _L3)):
        spine, left, right = _row_of(grey, box, corners[level])
        sides[name] = np.nanmean([left, right]) if np.isfinite([left, right]).any() else np.nan
        found[f"{name}: spine minus its sides"] = (spine - sides[name]) / deviation
        found[f"{name}: right side of the image minus left"] = (right - left) / deviation
    found["sides, L3 minus T5"] = (sides["L3"] - sides["T5"]) / deviation
    bodies = _body_values(grey, corners)
    found["spine, L3 minus T5"] = (bodies[_L3].mean() - bodies[_T5].mean()) / deviation
    for region, part in (("thoracic", _THORACIC), ("lumbar", _LUMBAR)):
        found[f"inside a body, {region}: deviation"] = _median(bodies[part].std(axis=1)) / deviation
    return {name: float(value) for name, value in found.items()}


def _row_of(grey: NDArray[np.float32], box: tuple[slice, slice], vertebra: Floats) -> tuple[float, float, float]:
    """Mean grey of a vertebra, and of areas two widths to its left and right; NaN outside the content."""
    middle = vertebra.mean(axis=0)
    width = np.linalg.norm(vertebra[1] - vertebra[0])
    spread = np.stack(np.meshgrid(np.linspace(-0.35, 0.35, 9), np.linspace(-0.35, 0.35, 9)), axis=-1).reshape(-1, 2)
    values = []
    for offset in (0.0, -2.0, 2.0):
        at = middle + width * (spread + np.array([offset, 0.0]))
        off = not np.isfinite(at).all() or at[:, 0].min() < box[1].start or at[:, 0].max() > box[1].stop - 1
        values.append(np.nan if off else float(_sampled(grey, at).mean()))
    return values[0], values[1], values[2]


def _body_values(grey: NDArray[np.float32], corners: Floats) -> Floats:
    """(17, 81) greys in the middle of each vertebra."""
    u, v = (g.ravel() for g in np.meshgrid(np.linspace(0.25, 0.75, 9), np.linspace(0.25, 0.75, 9)))
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], axis=1)  # (81, 4)
    return _sampled(grey, np.einsum("pc,ncd->npd", weights, corners))


def _proportions(corners: Floats) -> dict[str, float]:
    """Sizes in pixels of the 896 x 384 frame, and ratios."""
    middle = centres(corners)
    widths = np.linalg.norm(corners[:, 1] - corners[:, 0] + corners[:, 3] - corners[:, 2], axis=1) / 2
    upper, lower = corners[:, :2].mean(axis=1), corners[:, 2:].mean(axis=1)
    heights, discs = np.linalg.norm(lower - upper, axis=1), np.linalg.norm(upper[1:] - lower[:-1], axis=1)
    tilts = midline_tilts_deg(corners)
    seen = tilts[np.isfinite(tilts)]
    return {
        "top of T1, row": float(np.nanmin(corners[..., 1])),
        "bottom of L5, row": float(np.nanmax(corners[..., 1])),
        "width of T5, px": float(widths[_T5]),
        "width of T10, px": float(widths[_T10]),
        "width of L3, px": float(widths[_L3]),
        "height of T8, px": float(heights[_T8]),
        "height of L3, px": float(heights[_L3]),
        "width / height of T8": float(widths[_T8] / heights[_T8]),
        "width / height of L3": float(widths[_L3] / heights[_L3]),
        "disc / vertebra, thoracic": _median(discs[_THORACIC] / heights[_THORACIC]),
        "disc / vertebra, lumbar": _median(discs[_LUMBAR] / heights[_LUMBAR]),
        "middle of the spine, column": _median(middle[:, 0]),
        "major Cobb angle, degrees": float(np.ptp(seen)) if seen.size else float("nan"),
    }


def _sampled(grey: NDArray[np.float32], points: Floats) -> Floats:
    """Greys at (..., 2) points (column, row); NaN at NaN points, and the nearest pixel outside the frame."""
    known = np.asarray(np.isfinite(points).all(axis=-1))
    at = np.where(known[..., None], points, 0.0)
    values = ndimage.map_coordinates(grey, [at[..., 1].ravel(), at[..., 0].ravel()], order=1, mode="nearest")
    return np.where(known, values.reshape(at.shape[:-1]), np.nan)


def _median(values: Floats) -> float:
    seen = values[np.isfinite(values)]
    return float(np.median(seen)) if seen.size else float("nan")
