"""What the literature says about the people the virtual ones stand for: means, SDs, correlations, lengths.

Contract: angles and lengths carry the names of ``spine.measurement`` where they are measured there. Marks as in
docs/sources.md: ``published``, ``measured``, ``memory``, or ``choice`` where the literature gave us no figure or only
an order of magnitude.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from simulation.vocabulary import Condition, Sex

Mark = Literal["published", "measured", "memory", "choice"]

PI, PT, SS = "pelvic_incidence", "pelvic_tilt", "sacral_slope"
LL, LL5, TK = "lumbar_lordosis_l1_s1", "lumbar_lordosis_l1_l5", "thoracic_kyphosis_t4_t12"


@dataclass(frozen=True)
class Figure:
    """One published mean with its SD between subjects (None: not given)."""

    mean: float
    sd: float | None
    source: str
    mark: Mark


_META, _MAC = "meta-analysis, 17 studies, n = 2926", "Mac-Thiong 2011, n = 709 (+-2 SD)"
_CONTROLS, _AIS = "sterEOS controls, n = 69", "sterEOS AIS, n = 458"
_ISSG, _OURS = "adult deformity, order of magnitude", "order of magnitude, ours"
_HERNIA = "after UCI hernia, n = 60"

ALIGNMENT: Mapping[Condition, Mapping[str, Figure]] = {
    "healthy_adult": {
        PI: Figure(50.6, 10.5, f"{_META}; SD {_MAC}", "published"),
        PT: Figure(12.6, 6.75, f"{_META}; SD {_MAC}", "published"),
        SS: Figure(37.7, 7.75, f"{_META}; SD {_MAC}", "published"),
        LL: Figure(54.6, 12.5, _META, "published"),
        LL5: Figure(37.0, 15.5, _META, "published"),
        TK: Figure(38.0, 10.0, "asymptomatic adults", "memory"),
    },
    "healthy_adolescent": {
        PI: Figure(46.2, 8.3, _CONTROLS, "published"),
        PT: Figure(7.1, 7.3, _CONTROLS, "published"),
        SS: Figure(39.1, 6.7, _CONTROLS, "published"),
        LL: Figure(57.0, 10.4, _CONTROLS, "published"),
        LL5: Figure(46.0, 9.1, _CONTROLS, "published"),
        TK: Figure(37.7, 15.1, _CONTROLS, "published"),
    },
    "adolescent_scoliosis": {
        PI: Figure(47.3, 12.8, _AIS, "published"),
        PT: Figure(7.5, 8.3, _AIS, "published"),
        SS: Figure(39.6, 10.3, _AIS, "published"),
        LL: Figure(54.9, 14.8, _AIS, "published"),
        LL5: Figure(46.4, 13.2, _AIS, "published"),
        TK: Figure(27.1, 18.8, _AIS, "published"),
    },
    "adult_deformity": {
        PI: Figure(54.5, 12.0, _ISSG, "memory"),
        PT: Figure(22.2, 10.0, _ISSG, "memory"),
        SS: Figure(32.3, 11.0, _ISSG, "memory"),
        LL: Figure(45.0, 20.0, _ISSG, "memory"),
        LL5: Figure(29.0, 19.0, _OURS, "choice"),
        TK: Figure(33.0, 18.0, _ISSG, "memory"),
    },
    "degenerative": {
        PI: Figure(51.0, 11.0, _OURS, "choice"),
        PT: Figure(17.4, 7.5, _HERNIA, "choice"),
        SS: Figure(33.6, 8.5, _OURS, "choice"),
        LL: Figure(46.0, 13.0, _OURS, "choice"),
        LL5: Figure(30.0, 13.0, _OURS, "choice"),
        TK: Figure(36.0, 11.0, _OURS, "choice"),
    },
    "osteoporotic": {
        PI: Figure(51.0, 10.5, _OURS, "choice"),
        PT: Figure(18.0, 7.5, _OURS, "choice"),
        SS: Figure(33.0, 8.0, _OURS, "choice"),
        LL: Figure(50.0, 13.0, _OURS, "choice"),
        LL5: Figure(34.0, 13.0, _OURS, "choice"),
        TK: Figure(47.0, 12.0, _OURS, "choice"),
    },
}
"""Targets of the draw. Operated patients are drawn as adolescent scoliosis or as degenerative ones."""

CORRELATIONS: Mapping[tuple[str, str], tuple[float, str]] = {
    (PI, SS): (0.84, "UCI normals, n = 100"),
    (PI, PT): (0.63, "UCI normals, n = 100"),
    (PI, LL): (0.70, "UCI normals, n = 100"),
    (SS, LL): (0.69, "UCI normals, n = 100 (.78 elsewhere)"),
    (PT, SS): (0.11, "UCI normals, n = 100"),
    (LL, TK): (0.56, "maximal LL with maximal TK, no full reference"),
    (PI, TK): (0.0, "EOS 3D, n = 642: independent"),
}
"""Of healthy adults."""

COBB_BANDS: Mapping[tuple[float, float], tuple[float, Figure]] = {
    (10.0, 20.0): (0.27, Figure(16.5, 2.5, "AIS 10-20, n = 282", "published")),
    (20.0, 40.0): (0.43, Figure(27.8, 5.3, "AIS 20-40, n = 668", "published")),
    (40.0, 90.0): (0.30, Figure(56.0, 12.0, "choice: beyond the published 49.9 +-8.8 (n = 104, to 86)", "choice")),
}
"""Major Cobb angles of adolescent scoliosis: range -> share of patients, mean and SD within. The shares are a choice:
in that clinic (n = 1054) they were .27, .63 and .10; a detector needs more of the large ones."""

LENGTHS: Mapping[tuple[str, Sex | None], Figure] = {
    ("T1-S1 length", "M"): Figure(450.0, None, "Dimeglio, at maturity", "memory"),
    ("T1-S1 length", "F"): Figure(425.0, None, "Dimeglio, at maturity", "memory"),
    ("T1-T12 length", "M"): Figure(280.0, None, "Dimeglio, at maturity", "memory"),
    ("T1-T12 length", "F"): Figure(260.0, None, "Dimeglio, at maturity", "memory"),
    ("L1-L5 length", "M"): Figure(160.0, None, "Dimeglio, at maturity", "memory"),
    ("L1-L5 length", "F"): Figure(155.0, None, "Dimeglio, at maturity", "memory"),
    ("L1 posterior height", None): Figure(26.6, None, "Bonczar, both sexes", "published"),
    ("L3 posterior height", None): Figure(26.7, None, "Bonczar, both sexes", "published"),
    ("L5 posterior height", None): Figure(24.1, None, "Bonczar, both sexes", "published"),
    ("L1 anterior height", None): Figure(24.5, None, "Bonczar, both sexes", "published"),
    ("L3 anterior height", None): Figure(26.8, None, "Bonczar, both sexes", "published"),
    ("L5 anterior height", None): Figure(27.4, None, "Bonczar, both sexes", "published"),
    ("L1 upper plate width", None): Figure(41.1, None, "Bonczar, both sexes", "published"),
    ("L3 upper plate width", None): Figure(44.8, None, "Bonczar, both sexes", "published"),
    ("hip spacing", "M"): Figure(172.0, None, "95.0 from the mid-line on radiograph (n = 500) less 10 %", "measured"),
    ("hip spacing", "F"): Figure(165.0, None, "91.5 from the mid-line on radiograph (n = 500) less 10 %", "measured"),
    ("femoral head diameter", "M"): Figure(49.2, 3.8, "radiograph, n = 200", "published"),
    ("femoral head diameter", "F"): Figure(45.3, 3.5, "radiograph, n = 200", "published"),
}
"""Of healthy adults, by sex or of both, mm. Lengths along the column between plate centres."""
