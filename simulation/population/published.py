"""Published means, SDs, correlations and lengths of the patients that virtual patients represent.

Contract: an angle or length that ``spine.measurement`` measures has the same name here. Marks have the meaning that
docs/sources.md explains: ``published``, ``measured``, ``memory``, or ``choice`` where we found no value or only an
order of magnitude.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from simulation.vocabulary import Condition, Sex

Mark = Literal["published", "measured", "memory", "choice"]

PI, PT, SS = "pelvic_incidence", "pelvic_tilt", "sacral_slope"
LL, LL5, TK = "lumbar_lordosis_l1_s1", "lumbar_lordosis_l1_l5", "thoracic_kyphosis_t4_t12"


@dataclass(frozen=True)
class PublishedValue:
    """One published mean, and the SD between subjects, which is None if it was not published."""

    mean: float
    sd: float | None
    source: str
    mark: Mark


_META, _MAC = "meta-analysis, 17 studies, n = 2926", "Mac-Thiong 2011, n = 709 (+-2 SD)"
_CONTROLS, _AIS = "sterEOS controls, n = 69", "sterEOS AIS, n = 458"
_ISSG, _OURS = "adult deformity, order of magnitude", "order of magnitude, ours"
_HERNIA = "after UCI hernia, n = 60"


def _angles(mark: Mark, source: str, *values: tuple[float, float]) -> dict[str, PublishedValue]:
    """The mean and SD of PI, PT, SS, L1-S1, L1-L5 and T4-T12 from one source."""
    names = (PI, PT, SS, LL, LL5, TK)[: len(values)]
    return {name: PublishedValue(*value, source, mark) for name, value in zip(names, values, strict=True)}


ALIGNMENT: Mapping[Condition, Mapping[str, PublishedValue]] = {
    "healthy_adult": {
        **_angles("published", f"{_META}; SD {_MAC}", (50.6, 10.5), (12.6, 6.75), (37.7, 7.75)),
        LL: PublishedValue(54.6, 12.5, _META, "published"),
        LL5: PublishedValue(37.0, 15.5, _META, "published"),
        TK: PublishedValue(38.0, 10.0, "asymptomatic adults", "memory"),
    },
    "healthy_adolescent": _angles(
        "published", _CONTROLS, (46.2, 8.3), (7.1, 7.3), (39.1, 6.7), (57.0, 10.4), (46.0, 9.1), (37.7, 15.1)
    ),
    "adolescent_scoliosis": _angles(
        "published", _AIS, (47.3, 12.8), (7.5, 8.3), (39.6, 10.3), (54.9, 14.8), (46.4, 13.2), (27.1, 18.8)
    ),
    "adult_deformity": {
        **_angles("memory", _ISSG, (54.5, 12.0), (22.2, 10.0), (32.3, 11.0), (45.0, 20.0), (29.0, 19.0), (33.0, 18.0)),
        LL5: PublishedValue(29.0, 19.0, _OURS, "choice"),
    },
    "degenerative": {
        **_angles("choice", _OURS, (51.0, 11.0), (17.4, 7.5), (33.6, 8.5), (46.0, 13.0), (30.0, 13.0), (36.0, 11.0)),
        PT: PublishedValue(17.4, 7.5, _HERNIA, "choice"),
    },
    "osteoporotic": _angles(
        "choice", _OURS, (51.0, 10.5), (18.0, 7.5), (33.0, 8.0), (50.0, 13.0), (34.0, 13.0), (47.0, 12.0)
    ),
}
"""The figures that sampled angles must match. For operated patients, these are the figures of adolescent scoliosis or
of degenerative patients."""

CORRELATIONS: Mapping[tuple[str, str], tuple[float, str]] = {
    (PI, SS): (0.84, "UCI normals, n = 100"),
    (PI, PT): (0.63, "UCI normals, n = 100"),
    (PI, LL): (0.70, "UCI normals, n = 100"),
    (SS, LL): (0.69, "UCI normals, n = 100 (.78 elsewhere)"),
    (PT, SS): (0.11, "UCI normals, n = 100"),
    (LL, TK): (0.56, "maximal LL with maximal TK, no full reference"),
    (PI, TK): (0.0, "EOS 3D, n = 642: independent"),
}
"""Correlations of the angles of healthy adults, each with its source."""

COBB_BANDS: Mapping[tuple[float, float], tuple[float, PublishedValue]] = {
    (10.0, 20.0): (0.27, PublishedValue(16.5, 2.5, "AIS 10-20, n = 282", "published")),
    (20.0, 40.0): (0.43, PublishedValue(27.8, 5.3, "AIS 20-40, n = 668", "published")),
    (40.0, 90.0): (
        0.30,
        PublishedValue(56.0, 12.0, "choice: beyond the published 49.9 +-8.8 (n = 104, to 86)", "choice"),
    ),
}
"""Major Cobb angles of adolescent scoliosis: range -> share of patients, and mean and SD inside the range. The shares
are a choice: a detector needs more large curves than the published clinic had (n = 1054, shares 0.27, 0.63, 0.10)."""

LENGTHS: Mapping[tuple[str, Sex | None], PublishedValue] = {
    ("T1-S1 length", "M"): PublishedValue(450.0, None, "Dimeglio, at maturity", "memory"),
    ("T1-S1 length", "F"): PublishedValue(425.0, None, "Dimeglio, at maturity", "memory"),
    ("T1-T12 length", "M"): PublishedValue(280.0, None, "Dimeglio, at maturity", "memory"),
    ("T1-T12 length", "F"): PublishedValue(260.0, None, "Dimeglio, at maturity", "memory"),
    ("L1-L5 length", "M"): PublishedValue(160.0, None, "Dimeglio, at maturity", "memory"),
    ("L1-L5 length", "F"): PublishedValue(155.0, None, "Dimeglio, at maturity", "memory"),
    ("L1 posterior height", None): PublishedValue(26.6, None, "Bonczar, both sexes", "published"),
    ("L3 posterior height", None): PublishedValue(26.7, None, "Bonczar, both sexes", "published"),
    ("L5 posterior height", None): PublishedValue(24.1, None, "Bonczar, both sexes", "published"),
    ("L1 anterior height", None): PublishedValue(24.5, None, "Bonczar, both sexes", "published"),
    ("L3 anterior height", None): PublishedValue(26.8, None, "Bonczar, both sexes", "published"),
    ("L5 anterior height", None): PublishedValue(27.4, None, "Bonczar, both sexes", "published"),
    ("L1 upper plate width", None): PublishedValue(41.1, None, "Bonczar, both sexes", "published"),
    ("L3 upper plate width", None): PublishedValue(44.8, None, "Bonczar, both sexes", "published"),
    ("hip spacing", "M"): PublishedValue(
        172.0, None, "95.0 from the mid-line on radiograph (n = 500) less 10 %", "measured"
    ),
    ("hip spacing", "F"): PublishedValue(
        165.0, None, "91.5 from the mid-line on radiograph (n = 500) less 10 %", "measured"
    ),
    ("femoral head diameter", "M"): PublishedValue(49.2, 3.8, "radiograph, n = 200", "published"),
    ("femoral head diameter", "F"): PublishedValue(45.3, 3.5, "radiograph, n = 200", "published"),
}
"""Lengths of healthy adults in mm. The sex None means both sexes. Lengths of the column run through the plate centres.
"""
