"""The bodies of virtual patients: bones as surfaces, soft tissue as solids, and metal, as tensors for N patients.

Rays and images are part of ``simulation.imaging``.

    patient        one virtual patient: pose, build, soft tissue, metal, reconstruction
    batch          N patients as tensors of one shape
    skeleton       all bones of N patients, and the cell sizes for sampling mass points
    vertebrae      vertebral bodies, end plates, osteophytes
    arches         pedicles, laminae, facets, transverse and spinous processes
    pelvis         sacrum and hip bones
    legs           femora and tibiae
    thorax         ribs and sternum
    shoulders      clavicles, scapulae, arms, hands
    skull          C1, C2, skull, mandible
    soft_tissue    skin, muscle, lungs, heart, airways, bowel gas, breasts
    metal          screws, rods, cages, jewellery, brace, shields
    surfaces       grids of points, and the sweeps that build them
    solids         lofts and ellipsoids
    monotone_cubic  interpolation of small tables
    mass_points    surfaces and interiors as points, each of which represents a volume of material
    patient_mass   mass points of a batch
    materials      linear attenuation coefficients as functions of the energy
    constants      small constant tensors, cached for each device
"""
