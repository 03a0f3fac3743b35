"""Which looks pictures have: choices of exposure and display processing, drawn from families.

What belongs here: what is likely. What does not: the processing itself (``display``, ``exposure``). Contract: a
look is plain numbers; a seed always gives the same one. The families (docs/sources.md, pictures and postures):

    scanner   the slot scanner: flattened, evened out, sharp edges, sigmoid
    cr        plates and flat detectors: partly flattened, wider scatter, moderate edges
    film      film-like: not flattened, a steep curve that loses lungs or belly, sometimes two films joined
    flat      low contrast, little processing
    hard      high contrast, clipped at both ends

Any of them can be shown inverted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from spine.phantom.picture.exposure import Exposure

LookFamily = Literal["scanner", "cr", "film", "flat", "hard"]

FAMILY_SHARES: Mapping[LookFamily, float] = {"scanner": 0.80, "cr": 0.12, "film": 0.02, "flat": 0.04, "hard": 0.02}
"""Of biplanar pairs: most come from the slot scanner."""

FILM_SHARES: Mapping[LookFamily, float] = {"scanner": 0.06, "cr": 0.34, "film": 0.34, "flat": 0.14, "hard": 0.12}
"""Of plain frontal films."""

INVERTED_SHARE = 0.06


@dataclass(frozen=True)
class Look:
    """Choices of one display processing.

    Attributes:
        flatten: share of the large-scale picture that is removed, 0 to 1.
        flatten_mm: standard deviation of the flattening kernel.
        normalise: share of the local contrast that is evened out, 0 to 1.
        linear: 1 for a window with hard ends, 0 for a sigmoid.
        gain: steepness of the sigmoid; of a window, its width is 4 standard deviations over the gain.
        brightness: where mid-grey lies.
        edge: strength of the edge boost.
        edge_mm: standard deviation of the kernel whose remainder is boosted.
        gamma: of the final grey scale.
        tilt_across, tilt_down: brightness that rises from edge to edge (heel effect), in units of the line integral.
        seam: height of a joint between two films from the top, 0 to 1 (outside: none); seam_step and seam_gain say
            how the lower film differs, seam_line how bright the joint itself shows.
        inverted: 1 when bone is dark.
        background: grey of what lies outside the collimation.
        floor, ceiling: darkest and brightest grey.
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


def sample_family(rng: np.random.Generator, shares: Mapping[LookFamily, float] = FAMILY_SHARES) -> LookFamily:
    """Which family."""
    families: tuple[LookFamily, ...] = get_args(LookFamily)
    return families[int(rng.choice(len(families), p=[shares[f] for f in families]))]


def sample_look(rng: np.random.Generator, family: LookFamily) -> Look:
    """A look of one family, a little different from site to site."""
    u = rng.uniform
    inverted = float(rng.random() < INVERTED_SHARE)
    if family == "scanner":
        return Look(
            flatten=u(0.62, 0.88), flatten_mm=u(20, 34), normalise=u(0.4, 0.75), gain=u(0.8, 1.25),
            brightness=rng.normal(-0.2, 0.15), edge=u(0.5, 1.6), gamma=u(0.85, 1.2), inverted=inverted,
        )  # fmt: skip
    tilts = {"tilt_across": rng.normal(0, 0.15), "tilt_down": rng.normal(0, 0.25)}
    grey = {
        "inverted": inverted,
        "ceiling": min(1.0, u(0.68, 1.08)),
        "background": float(rng.choice([0.0, 0.0, 0.0, 1.0, u(0, 1)])),
        **tilts,
    }
    if family == "cr":
        return Look(
            flatten=u(0.0, 0.5), flatten_mm=u(25, 60), normalise=u(0.0, 0.4), gain=u(0.75, 1.6),
            brightness=rng.normal(-0.1, 0.4), edge=u(0.2, 1.4), edge_mm=u(1.5, 6), gamma=u(0.7, 1.5),
            **_joint(rng, 0.06), **grey,
        )  # fmt: skip
    if family == "film":
        return Look(
            flatten=u(0.0, 0.2), flatten_mm=u(40, 90), normalise=u(0.0, 0.15), linear=float(rng.random() < 0.4),
            gain=u(0.6, 1.5), brightness=rng.normal(-0.1, 0.35), edge=u(0.0, 0.8), edge_mm=u(1.5, 6),
            gamma=u(0.6, 1.8), **_joint(rng, 0.12), **grey,
        )  # fmt: skip
    if family == "flat":
        low = u(0.0, 0.25)
        grey["ceiling"] = low + u(0.45, 0.7)
        return Look(
            flatten=u(0.0, 0.4), flatten_mm=u(30, 80), normalise=u(0.0, 0.3), gain=u(0.4, 0.9),
            brightness=rng.normal(0, 0.5), edge=u(0.0, 0.6), gamma=u(0.7, 1.4), floor=low,
            **_joint(rng, 0.05), **grey,
        )  # fmt: skip
    return Look(
        flatten=u(0.1, 0.6), flatten_mm=u(25, 70), normalise=u(0.0, 0.5), linear=1.0, gain=u(1.0, 1.6),
        brightness=rng.normal(-0.2, 0.28), edge=u(0.4, 1.6), edge_mm=u(1.5, 5), gamma=u(0.6, 1.6),
        **_joint(rng, 0.06), **grey,
    )  # fmt: skip


def _joint(rng: np.random.Generator, share: float) -> dict[str, float]:
    """Two films joined, sometimes."""
    if rng.random() > share:
        return {}
    return {
        "seam": float(rng.uniform(0.3, 0.7)),
        "seam_step": float(rng.normal(0, 0.5)),
        "seam_gain": float(rng.uniform(0.7, 1.4)),
        "seam_line": float(rng.choice([0.0, rng.uniform(-0.6, 1.0)])),
    }


def sample_exposure(rng: np.random.Generator, family: LookFamily) -> Exposure:
    """How a view of this family is taken: the slot scanner is clean, plates scatter and blur more."""
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
