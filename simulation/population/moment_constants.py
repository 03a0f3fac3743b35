"""Constants of the joint draw. Written by ``python -m spine.phantom.people.calibration``; not for editing.

What belongs here: numbers. What does not: how they are found (``calibration``) and used (``alignment``). Contract:
order PI, PT, L1-S1, L1-L5, TK, degrees; ``MEANS`` and ``ROOTS`` are those of the normal draw before the refusals of
``alignment``, fitted so that what remains has the moments of ``published``.
"""

from collections.abc import Mapping

from spine.phantom.people.parameters import Condition

MEANS: Mapping[Condition, tuple[float, ...]] = {
    "healthy_adult": (50.354, 12.670, 54.363, 36.795, 38.009),
    "healthy_adolescent": (46.040, 6.994, 56.860, 45.980, 37.754),
    "adolescent_scoliosis": (45.529, 6.783, 53.262, 45.480, 27.079),
    "adult_deformity": (54.406, 22.564, 46.769, 29.966, 33.135),
    "degenerative": (50.778, 17.345, 45.917, 29.900, 35.988),
    "osteoporotic": (50.894, 18.018, 50.068, 33.995, 47.033),
}

ROOTS: Mapping[Condition, tuple[tuple[float, ...], ...]] = {
    "healthy_adult": (
        (11.035, 0.000, 0.000, 0.000, 0.000),
        (4.210, 4.399, 0.000, 0.000, 0.000),
        (8.995, -2.089, 8.008, 0.000, 0.000),
        (8.201, -1.478, 8.798, 6.965, 0.000),
        (0.355, -1.023, 8.602, 0.419, 4.604),
    ),
    "healthy_adolescent": (
        (8.662, 0.000, 0.000, 0.000, 0.000),
        (4.487, 5.581, 0.000, 0.000, 0.000),
        (5.930, -4.735, 7.327, 0.000, 0.000),
        (5.132, -4.317, 3.289, 5.322, 0.000),
        (0.350, -0.504, 10.214, 10.233, 4.766),
    ),
    "adolescent_scoliosis": (
        (14.312, 0.000, 0.000, 0.000, 0.000),
        (5.694, 6.985, 0.000, 0.000, 0.000),
        (11.020, -5.904, 9.596, 0.000, 0.000),
        (9.844, -5.742, 5.216, 6.575, 0.000),
        (1.723, -1.778, 10.891, 10.911, 11.572),
    ),
    "adult_deformity": (
        (12.458, 0.000, 0.000, 0.000, 0.000),
        (5.290, 8.880, 0.000, 0.000, 0.000),
        (8.392, -11.046, 15.694, 0.000, 0.000),
        (7.471, -10.786, 12.251, 6.701, 0.000),
        (1.770, -1.262, 9.812, 7.080, 13.808),
    ),
    "degenerative": (
        (11.293, 0.000, 0.000, 0.000, 0.000),
        (4.845, 5.901, 0.000, 0.000, 0.000),
        (7.762, -5.195, 9.351, 0.000, 0.000),
        (6.950, -4.695, 7.471, 6.798, 0.000),
        (0.380, -0.335, 7.445, 3.417, 7.477),
    ),
    "osteoporotic": (
        (10.723, 0.000, 0.000, 0.000, 0.000),
        (4.879, 5.886, 0.000, 0.000, 0.000),
        (7.739, -5.256, 9.349, 0.000, 0.000),
        (6.905, -4.777, 7.430, 6.811, 0.000),
        (0.396, -0.367, 8.163, 3.778, 8.135),
    ),
}
