"""The figures of one run: distances after the best level shift, and the major Cobb angle.

Contract: no figure compares absolute level names. The angle is the maximum over pairs of mid-lines of the vertebrae
that are completely visible, without any correction. No radiograph is left out.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.sim_to_real.level_matching import FAR_PX, SHIFTS, Match, major_cobb_deg, match_levels
from spine.types import Floats


@dataclass(frozen=True)
class RadiographScore:
    """The score of one radiograph.

    Attributes:
        match: distances after the best level shift.
        found_deg, labelled_deg: major angle of the found and of the labelled corners.
        published_deg: major angle in the data set, or ``labelled_deg`` if there is none.
    """

    match: Match
    found_deg: float
    labelled_deg: float
    published_deg: float


def score_radiographs(
    found: Floats,
    corners: NDArray[np.floating],
    visible: NDArray[np.bool_],
    published_deg: Floats | None = None,
) -> list[RadiographScore]:
    """The scores of (N, 17, 4, 2) found corners, from labelled corners with (N, 17, 4) visibility.

    Raises:
        ValueError: a radiograph has fewer than two visible vertebrae.
    """
    scores = []
    for i in range(found.shape[0]):
        labels, seen = np.asarray(corners[i], dtype=np.float64), visible[i]
        labelled = major_cobb_deg(labels, seen)
        published = labelled if published_deg is None else float(published_deg[i])
        scores.append(
            RadiographScore(match_levels(found[i], labels, seen), major_cobb_deg(found[i], seen), labelled, published)
        )
    return scores


def summary(scores: list[RadiographScore]) -> dict[str, object]:
    """Name -> figure of all radiographs; angles in degrees, distances in pixels of 896 rows."""
    if not scores:
        raise ValueError("found no radiographs to summarise; expected at least one: check the pack")
    centre_px = np.concatenate([s.match.centre_px for s in scores])
    corner_px = np.concatenate([s.match.corner_px.ravel() for s in scores])
    shifts = Counter(s.match.shift for s in scores)
    found = np.array([s.found_deg for s in scores])
    return {
        "radiographs": len(scores),
        "level_shifts": {str(shift): shifts.get(shift, 0) for shift in SHIFTS},
        "centres_off_share": float((centre_px > FAR_PX).mean()),
        "radiographs_completely_found_share": float(np.mean([(s.match.centre_px <= FAR_PX).all() for s in scores])),
        "centre_median_px": float(np.median(centre_px)),
        "corner_median_px": float(np.median(corner_px)),
        "corner_p90_px": float(np.quantile(corner_px, 0.9)),
        "cobb_against_published": angle_figures(found, np.array([s.published_deg for s in scores])),
        "cobb_against_labelled_corners": angle_figures(found, np.array([s.labelled_deg for s in scores])),
    }


def angle_figures(found: Floats, true: Floats) -> dict[str, float]:
    """Figures of (N,) major angles: absolute errors, bias, SMAPE, rank correlation."""
    error = np.abs(found - true)
    ranks = [np.argsort(np.argsort(a)) for a in (found, true)]
    alike = float(np.asarray(np.corrcoef(ranks))[0, 1]) if len(found) > 2 else float("nan")
    return {
        "mean": float(error.mean()),
        "median": float(np.median(error)),
        "p90": float(np.quantile(error, 0.9)),
        "within_5_share": float((error <= 5).mean()),
        "within_10_share": float((error <= 10).mean()),
        "bias": float((found - true).mean()),
        "smape_percent": float(100 * (error / np.maximum(found + true, 1e-9)).mean()),
        "rank_correlation": alike,
    }


def lines(name: str, figures: dict[str, object]) -> str:
    """The figures as a block of text."""
    rows = [f"{name}: {figures['radiographs']} radiographs"]
    for key, value in figures.items():
        if isinstance(value, dict):
            inner = "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in value.items())
            rows.append(f"  {key}: {inner}")
        elif key != "radiographs":
            rows.append(f"  {key}: {value:.3g}")
    return "\n".join(rows) + "\n"
