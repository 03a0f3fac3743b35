"""The appearance of images: settings of exposure and display processing, sampled from families.

Contract: an appearance consists of plain numbers, and a seed always gives the same appearance. The families are
(docs/sources.md, images and postures):

    scanner       slot scanner: flattened, local contrast equalised, strong edge enhancement, sigmoid
    cr            storage plates and flat detectors: partly flattened, more scatter, moderate edge enhancement
    screen_film   screen-film radiographs: hardly flattened, steep curve with saturated lungs or abdomen
    flat          low contrast, little processing
    hard          high contrast, clipped at both ends

In all families except ``scanner``, some images are two joined radiographs. An image of any family can be inverted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from simulation.imaging.exposure import Exposure

AppearanceFamily = Literal["scanner", "cr", "screen_film", "flat", "hard"]

FAMILY_SHARES: Mapping[AppearanceFamily, float] = {
    "scanner": 0.80,
    "cr": 0.12,
    "screen_film": 0.02,
    "flat": 0.04,
    "hard": 0.02,
}
"""Share of each family in biplanar pairs, most of which come from the slot scanner."""

RADIOGRAPH_SHARES: Mapping[AppearanceFamily, float] = {
    "scanner": 0.06,
    "cr": 0.34,
    "screen_film": 0.34,
    "flat": 0.14,
    "hard": 0.12,
}
"""Share of each family in plain frontal radiographs."""

INVERTED_SHARE = 0.06

_SETTING_NAMES = ("flatten", "flatten_mm", "normalise", "gain", "brightness", "edge", "edge_mm", "gamma")
_SETTINGS: Mapping[AppearanceFamily, tuple[tuple[float, float] | None, ...]] = {
    "scanner": ((0.62, 0.88), (20, 34), (0.4, 0.75), (0.8, 1.25), (-0.2, 0.15), (0.5, 1.6), None, (0.85, 1.2)),
    "cr": ((0.0, 0.5), (25, 60), (0.0, 0.4), (0.75, 1.6), (-0.1, 0.4), (0.2, 1.4), (1.5, 6), (0.7, 1.5)),
    "screen_film": ((0.0, 0.2), (40, 90), (0.0, 0.15), (0.6, 1.5), (-0.1, 0.35), (0.0, 0.8), (1.5, 6), (0.6, 1.8)),
    "flat": ((0.0, 0.4), (30, 80), (0.0, 0.3), (0.4, 0.9), (0.0, 0.5), (0.0, 0.6), None, (0.7, 1.4)),
    "hard": ((0.1, 0.6), (25, 70), (0.0, 0.5), (1.0, 1.6), (-0.2, 0.28), (0.4, 1.6), (1.5, 5), (0.6, 1.6)),
}
"""Range of each setting of a family, or mean and SD of the brightness. None means the default of ``Appearance``."""
_SEAM_SHARES: Mapping[AppearanceFamily, float] = {"cr": 0.06, "screen_film": 0.12, "flat": 0.05, "hard": 0.06}
_LINEAR_SHARE = 0.4
"""Share of screen-film radiographs with a linear window. The other screen-film radiographs have a sigmoid."""


@dataclass(frozen=True)
class Appearance:
    """Settings of the display processing of one image.

    Attributes:
        flatten: share of the large-scale brightness that is removed, 0 to 1.
        flatten_mm: SD of the Gaussian kernel of the flattening.
        normalise: share of the local contrast that is equalised, 0 to 1.
        linear: 1 for a linear window, 0 for a sigmoid.
        gain: steepness of the sigmoid or the window. A window is 4 standard deviations divided by the gain wide.
        brightness: position of mid-grey.
        edge: strength of the edge enhancement.
        edge_mm: SD of the Gaussian kernel of the edge enhancement.
        gamma: gamma of the final grey scale.
        tilt_across, tilt_down: brightness that rises linearly from edge to edge (heel effect), in line integrals.
        seam: position of the joint of two radiographs, 0 (top) to 1 (bottom); negative for a single radiograph.
        seam_step, seam_gain: additional brightness, and factor of the contrast, of the lower radiograph.
        seam_line: brightness of the joint itself.
        inverted: 1 if bone is dark, else 0.
        background: grey value outside the collimation, 0 to 1.
        floor, ceiling: darkest and brightest grey value, 0 to 1.
    """

    flatten: float = 0.76
    flatten_mm: float = 26.0
    normalise: float = 0.55
    linear: float = 0.0
    gain: float = 1.0
    brightness: float = -0.2
    edge: float = 1.0
    edge_mm: float = 3.5
    gamma: float = 1.0
    tilt_across: float = 0.0
    tilt_down: float = 0.0
    seam: float = -1.0
    seam_step: float = 0.0
    seam_gain: float = 1.0
    seam_line: float = 0.0
    inverted: float = 0.0
    background: float = 0.0
    floor: float = 0.0
    ceiling: float = 1.0


def sample_family(
    rng: np.random.Generator, shares: Mapping[AppearanceFamily, float] = FAMILY_SHARES
) -> AppearanceFamily:
    """Sample a family. The probability of a family is its share."""
    families: tuple[AppearanceFamily, ...] = get_args(AppearanceFamily)
    return families[int(rng.choice(len(families), p=[shares[f] for f in families]))]


def sample_appearance(rng: np.random.Generator, family: AppearanceFamily) -> Appearance:
    """Sample an appearance of one family. The order of the calls of ``rng`` decides which images a seed gives."""
    u = rng.uniform
    values = {"inverted": float(rng.random() < INVERTED_SHARE)}
    if family == "scanner":
        return Appearance(**values, **_sample_settings(rng, family))
    values |= {"tilt_across": rng.normal(0, 0.15), "tilt_down": rng.normal(0, 0.25), "ceiling": min(1.0, u(0.68, 1.08))}
    values["background"] = float(rng.choice([0.0, 0.0, 0.0, 1.0, u(0, 1)]))
    if family == "flat":
        values["floor"] = u(0.0, 0.25)
        values["ceiling"] = values["floor"] + u(0.45, 0.7)
    if family == "hard":
        values["linear"] = 1.0
    values |= _sample_settings(rng, family)
    return Appearance(**values, **_sample_seam(rng, _SEAM_SHARES[family]))


def _sample_settings(rng: np.random.Generator, family: AppearanceFamily) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, limits in zip(_SETTING_NAMES, _SETTINGS[family], strict=True):
        if name == "gain" and family == "screen_film":
            values["linear"] = float(rng.random() < _LINEAR_SHARE)
        if limits is not None:
            values[name] = rng.normal(*limits) if name == "brightness" else rng.uniform(*limits)
    return values


def _sample_seam(rng: np.random.Generator, share: float) -> dict[str, float]:
    """The settings of the seam between two joined radiographs with probability ``share``, else no settings."""
    if rng.random() > share:
        return {}
    return {
        "seam": float(rng.uniform(0.3, 0.7)),
        "seam_step": float(rng.normal(0, 0.5)),
        "seam_gain": float(rng.uniform(0.7, 1.4)),
        "seam_line": float(rng.choice([0.0, rng.uniform(-0.6, 1.0)])),
    }


def sample_exposure(rng: np.random.Generator, family: AppearanceFamily) -> Exposure:
    """Sample the exposure of one view. The slot scanner has less scatter than the other families."""
    mottle = float(rng.choice([0.0, rng.uniform(0.2, 1.0)]))
    if family == "scanner":
        return Exposure(
            fluence=float(rng.uniform(0.5, 1.5)),
            scatter_share=float(rng.uniform(0.03, 0.10)),
            blur_mm=float(rng.uniform(0.3, 0.8)),
            mottle=mottle,
            texture=float(rng.uniform(0.7, 1.5)),
        )
    return Exposure(
        fluence=float(np.exp(rng.uniform(np.log(3.0), np.log(40.0)))),
        scatter_share=float(rng.uniform(0.1, 0.9)),
        row_noise=0.0,
        blur_mm=float(np.exp(rng.uniform(np.log(0.2), np.log(0.8)))),
        energy=float(rng.uniform(0.92, 1.18)),
        mottle=mottle,
        texture=float(rng.uniform(0.7, 2.0)),
    )
