"""Virtual patients: population -> skeleton -> pose -> picture -> cohort; the only part of ``spine`` with torch.

What belongs here: everything that makes a patient who does not exist, with radiographs and a reconstruction
that agree exactly. What does not: reading studies (``intake``), measuring (``measurement``). The way through:

    population    who: PatientParameters, drawn from published distributions by a seed
    morphometry   how large each vertebra is                       (skeleton)
    curvature     which way each end plate faces                   (pose)
    spine_pose    where each end plate lies, hence each vertebra   (pose)
    vertebrae, pelvis, thorax   bones as grid patches in place     (skeleton, posed)
    soft_tissue   outline, lungs, heart, gas as lofts and ellipsoids
    patient       all of it together, with landmarks read off the same geometry
    splat, chords path length of bone and of soft tissue along every ray
    exposure, display, render   photons, noise, the scanner's processing -> 12-bit pictures
    field_of_view, cohort       what part of a patient is scanned; files on disk

Contract: a seed always gives the same patient and the same pictures.
"""
