"""Where everything of one patient lies: levels, sizes, tilts, posed plates, landmarks, rib cage, build."""
