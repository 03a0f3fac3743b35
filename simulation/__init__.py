"""Virtual patients, from who they are to their images; the only part of ``spine`` with torch.

    people    population, alignment, curve_patterns, degeneration, fractures, operations -> parameters (limits);
              published, statistics: held against the literature
    pose      anatomy, morphometry, sagittal_plan, curvature -> spine_pose; landmarks3d, chest, habitus
    patient   all of it together, with soft parts and metal; one row of a batch. Up to here numpy, a patient at a
              time; from here torch, N patients at once, on a CPU or a GPU
    body      batch; surfaces, vertebrae, pelvis, thorax, shoulders -> skeleton; soft_tissue, metal; points, matter
    image   rays; splat, chords -> path lengths; exposure, looks, display, annotation, shots -> render
    cohort    files: case, export, sway
    stream    batches that never touch a disk

Contract: a seed always gives the same patient, and on a CPU the same images. docs/virtual-cohort.md shows and
measures them.
"""
