"""Where everything of one patient lies: levels, sizes, tilts, posed plates, landmarks, rib cage, build.

What belongs here: places and lengths, one patient at a time, numpy only. What does not: surfaces (``body``).
"""
