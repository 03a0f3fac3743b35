"""The three angles of the AASCE benchmark (AASCE 2019; Wu et al. 2017).

All angles are between the mid-lines of two vertebrae. The first is the largest such angle, between the upper and the
lower end vertebra of the major curve. In a spine with one curve, the second is the angle between the first vertebra and
the upper end vertebra, and the third is the angle between the lower end vertebra and the last vertebra. In an S-shaped
spine, the second is the largest angle between the upper end vertebra and a vertebra above it. The third is the largest
angle between the lower end vertebra and a vertebra below it. If the major curve is in the lower half of the image, the
third is instead the next angle above the second. With these rules, all 481 rows of the published table agree within 0.1
degrees.

Contract: pixels (column, row), with rows counted from the upper edge of the image.
"""

import numpy as np

from spine.types import Floats


def benchmark_angles(tilts_deg: Floats, middles: Floats, height: float) -> tuple[float, float, float]:
    """The three angles in degrees.

    Args:
        tilts_deg: (N,) tilts of the mid-lines, cranial to caudal.
        middles: (2 N, 2) centres of the plates: upper plate, lower plate, next upper plate and so on.
        height: of the image, pixels.
    """
    between = np.abs(tilts_deg[:, None] - tilts_deg[None, :])
    upper, lower = (int(i) for i in np.unravel_index(np.argmax(np.triu(between)), between.shape))
    major, last = float(between[upper, lower]), len(tilts_deg) - 1
    if not s_shaped(middles):
        return major, float(between[0, upper]), float(between[lower, last])
    above = between[: upper + 1, upper]
    if middles[2 * upper + 1, 1] + middles[2 * lower + 1, 1] < height:
        return major, float(above.max()), float(between[lower, lower:].max())
    next_up = int(np.argmax(above))
    return major, float(above.max()), float(between[: next_up + 1, next_up].max())


def s_shaped(middles: Floats) -> bool:
    """Whether the line through (N, 2) points crosses the straight line between its ends."""
    first, last = middles[0], middles[-1]
    span = first - last
    if not span.all():
        return False
    share = (middles[:-2] - last) / span
    aside = share[:, 1] - share[:, 0]
    return bool((aside > 1e-9).any() and (aside < -1e-9).any())


def smape_percent(found: Floats, published: Floats) -> float:
    """SMAPE of (N, 3) angles in percent: mean over N of sum |found - published| / sum (found + published)."""
    total = np.maximum((found + published).sum(axis=1), 1e-9)
    return float(100 * (np.abs(found - published).sum(axis=1) / total).mean())
