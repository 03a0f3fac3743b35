"""The linear attenuation of each material as a function of the energy, and the beams of both views.

Contract: coefficients are in 1/mm. The amount of bone mineral is given as millimetres of cortical bone that replaces
soft tissue. The amount of metal is given as millimetres of titanium alloy. Source: the coefficients are computed with
xraydb from ICRU compositions (docs/sources.md, materials, exposure and display).
"""

from collections.abc import Mapping
from functools import cache
from typing import Literal

import numpy as np

from spine.landmarks import ViewName

Material = Literal["soft", "fat", "lung", "cortical", "trabecular", "titanium"]

MATERIALS: tuple[Material, ...] = ("soft", "fat", "lung", "cortical", "titanium")
"""The materials of line integrals. Spongiosa is converted to cortical bone."""

_ENERGY_KEV = (50.0, 60.0, 70.0, 80.0)
_PER_CM: Mapping[Material, tuple[float, float, float, float]] = {
    "soft": (0.238, 0.215, 0.201, 0.191),
    "fat": (0.202, 0.188, 0.178, 0.171),
    "lung": (0.059, 0.053, 0.050, 0.047),
    "cortical": (0.815, 0.604, 0.494, 0.428),
    "trabecular": (0.337, 0.281, 0.250, 0.230),
    "titanium": (5.18, 3.28, 2.30, 1.75),
}

TRABECULAR_SHARE = 0.1695
"""Millimetres of cortical bone that are equivalent to 1 mm of spongiosa. The ratio (trabecular - soft) / (cortical -
soft) is 0.165 to 0.172 between 50 and 80 keV, so one map is enough for both kinds of bone."""

VESSEL_SHARE = 0.42
"""Millimetres of cortical bone that are equivalent, at 60 keV, to 1 mm of blood that replaces inflated lung."""

EFFECTIVE_KEV: Mapping[ViewName, float] = {"frontal": 62.0, "lateral": 67.0}
"""Mean photon energy behind 20 cm of tissue, for the usual spectra of the slot scanner (90 and 105 kVp, 0.1 mm Cu)."""

BINS: tuple[tuple[float, float], ...] = ((0.86, 0.5), (1.14, 0.5))
"""The two energies that represent the beam and model its hardening: share of the effective energy, and weight."""

TUBE_KVP: Mapping[ViewName, float] = {"frontal": 90.0, "lateral": 105.0}


@cache
def attenuation_per_mm(material: Material, energy_kev: float) -> float:
    """Linear attenuation coefficient in 1/mm, interpolated in log energy between 50 and 80 keV."""
    logs = np.log(np.asarray(_PER_CM[material]))
    return float(np.exp(np.interp(np.log(energy_kev), np.log(_ENERGY_KEV), logs))) / 10.0
