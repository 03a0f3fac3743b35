"""Samples spinal implants and the curves after surgery: long scoliosis constructs, short lumbar fusions.

Contract: both ends of a construct and all screws are at levels of the patient's column, or at S1.

Sources: the levels follow usual surgical practice. Constructs of adolescents reach from T2-T4 to L1-L4, and a lumbar
fusion spans one to three segments. How often each construct occurs and how much of a curve remains are a choice.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulation.anatomy import VertebralColumn
from simulation.parameters import CoronalCurve, Instrumentation
from simulation.population.curve_patterns import sample_ais, sample_curves
from simulation.vocabulary import RodMetal, Side

_SIDES: tuple[Side, Side] = ("left", "right")


def sample_scoliosis_surgery(
    rng: np.random.Generator, column: VertebralColumn
) -> tuple[Instrumentation, tuple[CoronalCurve, ...]]:
    """Sample a long construct and the curves after surgery.

    After surgery, 20-50 % of a curve inside the construct remain, and 60-90 % of a curve outside it.
    """
    before = _before_surgery(sample_ais(rng, column))
    levels, ends = column.mobile, [column.mobile.index(e) for c in before for e in (c.upper_end, c.lower_end)]
    long = min(ends) < levels.index("T8")
    upper = levels.index(f"T{rng.integers(2, 5)}") if long else max(min(ends) - 1, 0)
    lower = int(np.clip(max(ends) + int(rng.integers(0, 2)), levels.index("L1"), levels.index("L4")))
    after = tuple(replace(c, cobb_deg=c.cobb_deg * _residual(rng, _inside(c, upper, lower, levels))) for c in before)
    spanned = levels[upper : lower + 1]
    ends_of = (spanned[0], spanned[-1])
    screws = tuple((v, side) for v in spanned for side in _SIDES if v in ends_of or rng.random() < 0.8)
    rod_metal: RodMetal = "cobalt_chrome" if rng.random() < 0.5 else "titanium"
    return Instrumentation(spanned[0], spanned[-1], rod_metal, screws), after


def _before_surgery(curves: Sequence[CoronalCurve]) -> tuple[CoronalCurve, ...]:
    """The curves, scaled so that the largest curve has at least 45 degrees, the usual indication for surgery."""
    major = max(c.cobb_deg for c in curves)
    factor = (45.0 + 0.5 * (major - 10.0)) / major
    return tuple(replace(c, cobb_deg=c.cobb_deg * factor) for c in curves)


def _inside(curve: CoronalCurve, upper: int, lower: int, levels: Sequence[str]) -> bool:
    middle = (levels.index(curve.upper_end) + levels.index(curve.lower_end)) / 2
    return upper <= middle <= lower


def _residual(rng: np.random.Generator, inside: bool) -> float:
    return float(rng.uniform(0.2, 0.5) if inside else rng.uniform(0.6, 0.9))


def sample_fusion(
    rng: np.random.Generator, column: VertebralColumn
) -> tuple[Instrumentation, tuple[CoronalCurve, ...]]:
    """Sample a short lumbar construct, and the curves after surgery. Half of each curve remains.

    All levels have screws, most levels have a cage, and most patients have a laminectomy.
    """
    levels = (*column.mobile, "S1")
    lower = len(levels) - (1 if rng.random() < 0.6 else 2)
    upper = lower - int(rng.integers(1, 4))
    spanned = levels[upper : lower + 1]
    cages = tuple(v for v in spanned[:-1] if rng.random() < 0.6)
    rod_metal: RodMetal = "cobalt_chrome" if rng.random() < 0.2 else "titanium"
    screws = tuple((v, side) for v in spanned for side in _SIDES)
    construct = Instrumentation(
        spanned[0], spanned[-1], rod_metal, screws, cages=cages, laminectomy=bool(rng.random() < 0.6)
    )
    before = sample_curves(rng, "degenerative", column)
    return construct, tuple(replace(c, cobb_deg=c.cobb_deg * 0.5) for c in before)
