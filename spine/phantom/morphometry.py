"""How large each vertebra and disc is: adult means by level, and one patient's sizes.

What belongs here: lengths. What does not: angles (``curvature``) and shapes (``vertebrae``). Contract: arrays
over ``DRAWN_LEVELS`` (C3..C7, T1..L5, cranial to caudal), millimetres. Sources (docs/sources.md,
population and anatomy): Panjabi 1991/1992 from memory, body heights times 1.07 (CT and modern adults are taller
than the table); disc heights from memory too (Bach 2019, CT: up to 2 mm less); pedicle separation from canal
width plus pedicle width.
Cervical levels only dress the picture; no landmark lies on them.
"""

from dataclasses import dataclass

import numpy as np

from spine.landmarks import VERTEBRAE
from spine.phantom.parameters import PatientParameters
from spine.scanner import Floats

CERVICAL = ("C3", "C4", "C5", "C6", "C7")
DRAWN_LEVELS: tuple[str, ...] = (*CERVICAL, *VERTEBRAE)
FIRST = len(CERVICAL)
"""Index of T1 in ``DRAWN_LEVELS``."""

HEIGHT_FACTOR = 1.07
S1_WIDTH_MM, S1_DEPTH_MM = 50.0, 33.5
S1_TO_HIPS_MM = 108.0
HIP_SPACING_MM = 172.0

# upper width, lower width, upper depth, lower depth, height, pedicle width, pedicle height,
# transverse span, spinous length (from the posterior wall), canal width, canal depth, disc below
_TABLE = np.array(
    [
        (17.0, 18.0, 15.0, 15.6, 13.0, 5.4, 7.0, 50.0, 30.0, 22.9, 15.0, 5.0),  # C3
        (17.5, 18.5, 15.3, 16.0, 12.6, 5.4, 7.0, 51.0, 30.0, 24.0, 15.0, 5.2),
        (18.0, 19.5, 15.6, 16.4, 12.4, 5.8, 7.0, 53.0, 33.0, 24.7, 15.0, 5.2),
        (19.5, 21.5, 16.0, 17.2, 12.7, 6.0, 7.3, 56.0, 40.0, 25.0, 15.0, 5.2),
        (21.5, 23.5, 17.0, 18.0, 13.6, 6.6, 7.8, 65.0, 50.0, 24.0, 15.0, 5.0),  # C7
        (24.5, 27.8, 18.5, 19.7, 14.1, 8.5, 9.6, 75.0, 50.0, 21.9, 16.4, 4.5),  # T1
        (24.9, 27.4, 19.6, 21.6, 15.6, 8.2, 11.4, 69.5, 51.6, 19.5, 15.5, 4.0),
        (24.6, 25.9, 22.7, 23.3, 15.7, 6.8, 11.9, 61.0, 51.9, 18.3, 16.2, 3.9),
        (24.5, 26.0, 23.3, 24.5, 16.2, 6.3, 12.1, 60.0, 51.8, 17.0, 16.2, 3.8),
        (24.9, 27.0, 24.3, 25.8, 16.2, 6.0, 11.9, 61.0, 51.8, 17.3, 16.5, 4.0),
        (26.2, 28.2, 26.0, 26.9, 17.4, 6.0, 12.2, 61.0, 52.7, 17.3, 16.2, 4.3),
        (27.8, 29.1, 27.4, 28.5, 18.2, 5.9, 12.0, 60.4, 53.1, 17.3, 15.8, 4.7),
        (29.5, 30.5, 27.9, 29.4, 18.7, 6.7, 12.5, 60.0, 52.3, 17.7, 15.9, 5.0),
        (30.6, 33.0, 29.3, 31.0, 19.3, 7.7, 13.9, 59.3, 51.1, 17.9, 15.7, 5.4),
        (31.9, 35.4, 30.5, 31.6, 20.2, 9.0, 14.9, 58.4, 50.0, 18.2, 15.5, 5.8),
        (34.9, 39.1, 31.9, 31.8, 21.3, 9.8, 17.4, 52.2, 48.0, 19.4, 16.1, 6.5),
        (39.0, 42.1, 32.8, 33.4, 22.7, 8.7, 16.5, 46.9, 47.0, 22.2, 18.1, 7.2),
        (41.2, 43.3, 34.1, 35.3, 23.8, 8.6, 15.9, 71.2, 67.7, 23.7, 19.0, 8.0),  # L1
        (42.6, 45.5, 34.6, 34.9, 24.3, 8.3, 15.0, 76.1, 70.0, 23.8, 18.2, 9.3),
        (44.1, 48.0, 35.2, 34.8, 23.8, 10.2, 14.4, 85.7, 73.0, 24.3, 17.5, 10.4),
        (46.6, 49.5, 35.5, 33.9, 24.1, 14.1, 15.5, 79.5, 69.0, 25.4, 18.6, 11.0),
        (47.3, 49.4, 34.7, 33.2, 22.9, 18.0, 17.6, 92.5, 62.0, 27.1, 19.7, 10.0),  # L5
    ]
)


@dataclass(frozen=True)
class VertebraSizes:
    """Sizes of the V drawn vertebrae in mm; index 0 of a pair is the upper plate, 1 the lower.

    Attributes:
        plate_width, plate_depth: (V, 2).
        height: (V,) of the body in its middle.
        disc_below: (V,) height of the disc below in its middle (L5: the disc to S1).
        narrowing: (V,) share of the disc below that is lost, 0 to 0.85.
        pedicle_width, pedicle_height, pedicle_offset: (V,); offset is from the mid-line to the pedicle's centre.
        transverse_span, spinous_length, canal_depth: (V,).
        s1_width, s1_depth: the S1 plate.
        s1_to_hips, hip_spacing: pelvis.
    """

    plate_width: Floats
    plate_depth: Floats
    height: Floats
    disc_below: Floats
    narrowing: Floats
    pedicle_width: Floats
    pedicle_height: Floats
    pedicle_offset: Floats
    transverse_span: Floats
    spinous_length: Floats
    canal_depth: Floats
    s1_width: float
    s1_depth: float
    s1_to_hips: float
    hip_spacing: float


def mean_heights() -> tuple[Floats, Floats]:
    """Adult mean body heights and heights of the discs below, (V,) each, mm."""
    return _TABLE[:, 4] * HEIGHT_FACTOR, _TABLE[:, 11].copy()


def sample_sizes(parameters: PatientParameters, rng: np.random.Generator) -> VertebraSizes:
    """Sizes of one patient: the common factor, a column-wise habit and a little noise per vertebra."""
    habit = 1.0 + 0.03 * rng.standard_normal(_TABLE.shape[1])
    noise = 1.0 + 0.012 * rng.standard_normal(_TABLE.shape)
    t = _TABLE * habit * noise * parameters.size_factor
    narrowing = _narrowing(parameters, rng)
    stature = 1.0 + 0.03 * rng.standard_normal(4)
    size = parameters.size_factor
    return VertebraSizes(
        plate_width=t[:, 0:2],
        plate_depth=t[:, 2:4],
        height=t[:, 4] * HEIGHT_FACTOR,
        disc_below=t[:, 11] * (1.0 - narrowing),
        narrowing=narrowing,
        pedicle_width=t[:, 5],
        pedicle_height=t[:, 6],
        pedicle_offset=(t[:, 9] + t[:, 5]) / 2.0,
        transverse_span=t[:, 7],
        spinous_length=t[:, 8],
        canal_depth=t[:, 10],
        s1_width=S1_WIDTH_MM * size * float(stature[0]),
        s1_depth=S1_DEPTH_MM * size * float(stature[1]),
        s1_to_hips=S1_TO_HIPS_MM * size * float(stature[2]),
        hip_spacing=HIP_SPACING_MM * (0.5 * size + 0.5) * float(stature[3]),
    )


def _narrowing(parameters: PatientParameters, rng: np.random.Generator) -> Floats:
    """(V,) lost share of each disc: mostly lumbar, uneven from disc to disc."""
    where = np.concatenate([np.full(FIRST, 0.5), np.linspace(0.25, 0.7, 12), [0.8, 0.9, 1.0, 1.1, 1.1]])
    uneven = rng.uniform(0.3, 1.7, len(DRAWN_LEVELS))
    narrowing: Floats = np.clip(parameters.disc_narrowing * where * uneven, 0.0, 0.85)
    return narrowing
