"""The words that describe a virtual patient: condition, sex, side, anatomy, rod metal, field of view."""

from typing import Literal

Condition = Literal[
    "healthy_adolescent",
    "healthy_adult",
    "adolescent_scoliosis",
    "adult_deformity",
    "degenerative",
    "osteoporotic",
    "instrumented",
]
Anatomy = Literal["standard", "six_lumbar", "four_lumbar", "thirteen_thoracic"]
Sex = Literal["F", "M"]
Side = Literal["left", "right"]
RodMetal = Literal["titanium", "cobalt_chrome"]
FieldOfView = Literal["full", "without_hips", "without_t1", "thoracolumbar", "whole_body"]
