"""Who the virtual patients are: parameters, distributions, bounds, and the comparison with the literature.

What belongs here: what is decided before a bone is placed. What does not: places and shapes. numpy only.
"""
