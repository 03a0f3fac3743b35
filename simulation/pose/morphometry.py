"""Sizes of vertebrae and discs: adult means by level, and the sizes of one patient.

Contract: the arrays have one entry for each level of the patient's column (``anatomy``), cranial to caudal, in
millimetres. The means are means of men. Women and children have a smaller ``size_factor``; ``growth`` describes the
other differences of children. Cervical levels have no landmarks.

Sources (docs/sources.md, population and anatomy):

    plates, pedicles, processes, canal   Panjabi 1991/1992, written from memory and not compared with the papers.
                                         Lumbar widths are multiplied by 1.05 to match Bonczar. The widths of T1-T5 are
                                         enlarged to match frontal radiographs.
    heights of bodies                    L1-L5: Bonczar; T1-T12: Panjabi, multiplied by 1.07
    heights of discs                     Fletcher 2015 and Bach 2019 (CT)
    T13 and L6                           estimates from their neighbours
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from simulation.anatomy import vertebral_column
from simulation.parameters import PatientParameters
from simulation.pose.growth import growth_of
from simulation.vocabulary import Anatomy
from spine.types import Float, Floats

S1_WIDTH_MM, S1_DEPTH_MM = 50.0, 33.5
S1_TO_HIPS_MM = 108.0
SACRALISED_RISE = 1.12
"""Factor of the height of the S1 plate above the hips if L5 is part of the sacrum; a choice."""
HIP_SPACING_MM = 172.0

# Columns: upper plate width, lower plate width, upper plate depth, lower plate depth, body height, pedicle width,
# pedicle height, span of the transverse processes, length of the spinous process from the posterior wall, canal width,
# canal depth, height of the disc below
_ROWS: Mapping[str, tuple[float, ...]] = {
    "C3": (17.0, 18.0, 15.0, 15.6, 13.9, 5.4, 7.0, 50.0, 30.0, 22.9, 15.0, 5.0),
    "C4": (17.5, 18.5, 15.3, 16.0, 13.5, 5.4, 7.0, 51.0, 30.0, 24.0, 15.0, 5.2),
    "C5": (18.0, 19.5, 15.6, 16.4, 13.3, 5.8, 7.0, 53.0, 33.0, 24.7, 15.0, 5.2),
    "C6": (19.5, 21.5, 16.0, 17.2, 13.6, 6.0, 7.3, 56.0, 40.0, 25.0, 15.0, 5.2),
    "C7": (21.5, 23.5, 17.0, 18.0, 14.6, 6.6, 7.8, 65.0, 50.0, 24.0, 15.0, 5.0),
    "T1": (29.0, 30.5, 18.5, 19.7, 15.1, 8.5, 9.6, 75.0, 50.0, 21.9, 16.4, 3.9),
    "T2": (28.0, 29.4, 19.6, 21.6, 16.7, 8.2, 11.4, 69.5, 51.6, 19.5, 15.5, 3.5),
    "T3": (26.8, 27.8, 22.7, 23.3, 16.8, 6.8, 11.9, 61.0, 51.9, 18.3, 16.2, 3.1),
    "T4": (26.0, 27.3, 23.3, 24.5, 17.3, 6.3, 12.1, 60.0, 51.8, 17.0, 16.2, 3.0),
    "T5": (25.7, 27.7, 24.3, 25.8, 17.3, 6.0, 11.9, 61.0, 51.8, 17.3, 16.5, 3.1),
    "T6": (26.2, 28.2, 26.0, 26.9, 18.6, 6.0, 12.2, 61.0, 52.7, 17.3, 16.2, 3.4),
    "T7": (27.8, 29.1, 27.4, 28.5, 19.5, 5.9, 12.0, 60.4, 53.1, 17.3, 15.8, 3.8),
    "T8": (29.5, 30.5, 27.9, 29.4, 20.0, 6.7, 12.5, 60.0, 52.3, 17.7, 15.9, 4.2),
    "T9": (30.6, 33.0, 29.3, 31.0, 20.7, 7.7, 13.9, 59.3, 51.1, 17.9, 15.7, 4.7),
    "T10": (31.9, 35.4, 30.5, 31.6, 21.6, 9.0, 14.9, 58.4, 50.0, 18.2, 15.5, 5.2),
    "T11": (34.9, 39.1, 31.9, 31.8, 22.8, 9.8, 17.4, 52.2, 48.0, 19.4, 16.1, 5.4),
    "T12": (39.0, 42.1, 32.8, 33.4, 24.3, 8.7, 16.5, 46.9, 47.0, 22.2, 18.1, 5.6),
    "T13": (41.7, 44.4, 33.5, 34.4, 25.4, 8.6, 16.2, 52.0, 56.0, 23.0, 18.5, 5.8),
    "L1": (43.3, 45.5, 34.1, 35.3, 26.6, 8.6, 15.9, 71.2, 67.7, 23.7, 19.0, 6.9),
    "L2": (44.7, 47.8, 34.6, 34.9, 27.5, 8.3, 15.0, 76.1, 70.0, 23.8, 18.2, 8.1),
    "L3": (46.3, 50.4, 35.2, 34.8, 27.9, 10.2, 14.4, 85.7, 73.0, 24.3, 17.5, 8.7),
    "L4": (48.9, 52.0, 35.5, 33.9, 27.4, 14.1, 15.5, 79.5, 69.0, 25.4, 18.6, 9.2),
    "L5": (49.7, 51.9, 34.7, 33.2, 26.8, 18.0, 17.6, 92.5, 62.0, 27.1, 19.7, 8.8),
    "L6": (49.9, 52.1, 34.5, 33.2, 26.0, 18.5, 17.6, 90.0, 58.0, 27.6, 19.7, 8.2),
}


_PATIENT_SD = np.array([0.03] * 11 + [0.08])
"""Relative SD of each column of the table between patients. Discs vary most (Fletcher 2015, Bach 2019)."""
_VERTEBRA_SD = np.array([0.018] * 11 + [0.07])
"""Relative SD of each column of the table between the vertebrae of one patient; a choice."""
_IS_HEIGHT = np.array([0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1])
_WIDTHS, _HEIGHTS = [0, 1, 5, 9], [4, 11]
"""Columns of the table that growth changes."""
_WIDTH_GRADIENT_SD, _HEIGHT_GRADIENT_SD = 0.035, 0.03
"""SDs of the change of sizes along the column; choices that match the spread of proportions on frontal radiographs."""


@cache
def _table(anatomy: Anatomy) -> Floats:
    """(V, 12) means of adult men, for the levels of one anatomy."""
    return np.array([_ROWS[level] for level in vertebral_column(anatomy).levels])


@dataclass(frozen=True)
class VertebraSizes:
    """Sizes of V vertebrae in mm. Index 0 of a pair is the upper plate, and index 1 is the lower plate.

    Attributes:
        height: height of the middle of the body, after any fracture.
        disc_below: height of the middle of the disc below (last level: the disc to S1).
        narrowing: share of the height that the disc below has lost, 0 to 0.85.
        sclerosis, osteophyte: severity at each plate, 0 (none) to 1 (severe).
        pedicle_offset: distance from the mid-line to the centre of the pedicle.
        s1_to_hips: distance from the S1 plate to the hip axis.
        hip_spacing: distance between the hip centres.
    """

    plate_width: Float[Floats, "V 2"]
    plate_depth: Float[Floats, "V 2"]
    height: Float[Floats, " V"]
    disc_below: Float[Floats, " V"]
    narrowing: Float[Floats, " V"]
    sclerosis: Float[Floats, "V 2"]
    osteophyte: Float[Floats, "V 2"]
    pedicle_width: Float[Floats, " V"]
    pedicle_height: Float[Floats, " V"]
    pedicle_offset: Float[Floats, " V"]
    transverse_span: Float[Floats, " V"]
    spinous_length: Float[Floats, " V"]
    canal_depth: Float[Floats, " V"]
    s1_width: float
    s1_depth: float
    s1_to_hips: float
    hip_spacing: float


def mean_heights(anatomy: Anatomy = "standard") -> tuple[Float[Floats, " V"], Float[Floats, " V"]]:
    """Mean heights of the bodies and of the discs below them in adult men, mm."""
    table = _table(anatomy)
    return table[:, 4].copy(), table[:, 11].copy()


def sample_sizes(parameters: PatientParameters, rng: np.random.Generator) -> VertebraSizes:
    """Sample the sizes of one patient before any fracture."""
    mean, size = _table(parameters.anatomy), parameters.size_factor
    habit = 1.0 + _PATIENT_SD * rng.standard_normal(mean.shape[1])
    noise = 1.0 + _VERTEBRA_SD * rng.standard_normal(mean.shape)
    # The ratio of thoracic to lumbar sizes varies between patients: a linear change about the middle of the column.
    along = np.linspace(-1.0, 1.0, len(mean))[:, None]
    gradient = (
        1.0
        + along * np.array([_WIDTH_GRADIENT_SD, _HEIGHT_GRADIENT_SD])[_IS_HEIGHT] * rng.standard_normal(2)[_IS_HEIGHT]
    )
    t = mean * habit * noise * gradient * size
    levels = vertebral_column(parameters.anatomy).levels
    growth = growth_of(levels, parameters.age_years, size, float(rng.standard_normal()))
    t[:, _WIDTHS] *= growth.width[:, None]
    t[:, _HEIGHTS] *= growth.pitch[:, None]
    # The bony part of a low body keeps at least three quarters of its height.
    cartilage = np.minimum(2.0 * growth.cartilage_mm, 0.25 * t[:, 4])
    narrowing = _narrowing(parameters, rng)
    sclerosis, osteophyte = _plate_changes(narrowing, parameters.age_years, rng)
    stature = 1.0 + 0.03 * rng.standard_normal(4)
    rise = SACRALISED_RISE if parameters.anatomy == "four_lumbar" else 1.0
    return VertebraSizes(
        plate_width=t[:, 0:2],
        plate_depth=t[:, 2:4],
        height=t[:, 4] - cartilage,
        disc_below=(t[:, 11] + cartilage) * (1.0 - narrowing),
        narrowing=narrowing,
        sclerosis=sclerosis,
        osteophyte=osteophyte,
        pedicle_width=t[:, 5],
        pedicle_height=t[:, 6],
        pedicle_offset=(t[:, 9] + t[:, 5]) / 2.0,
        transverse_span=t[:, 7],
        spinous_length=t[:, 8],
        canal_depth=t[:, 10],
        s1_width=S1_WIDTH_MM * size * float(stature[0]),
        s1_depth=S1_DEPTH_MM * size * float(stature[1]),
        s1_to_hips=S1_TO_HIPS_MM * rise * size * float(stature[2]),
        hip_spacing=HIP_SPACING_MM * (0.5 * size + 0.5) * float(stature[3]),
    )


@cache
def _wear_by_level(anatomy: Anatomy) -> Floats:
    """(V,) narrowing of each disc relative to the patient's ``disc_narrowing``; lumbar discs narrow most."""
    levels = vertebral_column(anatomy).levels
    thoracic = dict(zip([f"T{i}" for i in range(1, 14)], np.linspace(0.25, 0.75, 13), strict=True))
    lumbar = {"L1": 0.8, "L2": 0.9, "L3": 1.0, "L4": 1.1, "L5": 1.1, "L6": 1.0}
    return np.array([(thoracic | lumbar).get(level, 0.5) for level in levels])


def _narrowing(parameters: PatientParameters, rng: np.random.Generator) -> Floats:
    """(V,) share of the height that each disc has lost."""
    by_level = _wear_by_level(parameters.anatomy)
    uneven = rng.uniform(0.3, 1.7, len(by_level))
    return np.clip(parameters.disc_narrowing * by_level * uneven, 0.0, 0.85)


def _plate_changes(narrowing: Floats, age_years: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Sclerosis and osteophytes of the end plates, (V, 2) each. Both grow with the narrowing of the adjacent disc."""
    beside = np.stack([np.concatenate([[0.0], narrowing[:-1]]), narrowing], axis=1)
    uneven = rng.uniform(0.5, 1.5, (2, *beside.shape))
    sclerosis = np.clip(1.5 * (beside - 0.2) * uneven[0], 0.0, 1.0)
    osteophyte = np.clip((1.4 * (beside - 0.15) + 0.005 * max(0.0, age_years - 50.0)) * uneven[1], 0.0, 1.0)
    return sclerosis, osteophyte
