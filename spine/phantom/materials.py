"""What the virtual patient is made of: linear attenuation of each material at an effective energy.

What belongs here: the table. What does not: how thick anything is. Contract: coefficients in 1/mm.
Source: computed with xraydb from ICRU compositions (docs/sources.md, materials, exposure and display).
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from spine.landmarks import ViewName

Material = Literal["soft", "fat", "lung", "cortical", "trabecular"]

_ENERGY_KEV = (50.0, 60.0, 70.0, 80.0)
_PER_CM: Mapping[Material, tuple[float, float, float, float]] = {
    "soft": (0.238, 0.215, 0.201, 0.191),
    "fat": (0.202, 0.188, 0.178, 0.171),
    "lung": (0.059, 0.053, 0.050, 0.047),
    "cortical": (0.815, 0.604, 0.494, 0.428),
    "trabecular": (0.337, 0.281, 0.250, 0.230),
}

EFFECTIVE_KEV: Mapping[ViewName, float] = {"frontal": 62.0, "lateral": 67.0}
"""Mean energy behind 20 cm of tissue of the slot scanner's usual spectra (90 and 105 kVp with 0.1 mm Cu)."""

TUBE_KVP: Mapping[ViewName, float] = {"frontal": 90.0, "lateral": 105.0}


def attenuation_per_mm(material: Material, energy_kev: float) -> float:
    """Linear attenuation coefficient in 1/mm, interpolated in log energy between 50 and 80 keV."""
    logs = np.log(np.asarray(_PER_CM[material]))
    return float(np.exp(np.interp(np.log(energy_kev), np.log(_ENERGY_KEV), logs))) / 10.0
