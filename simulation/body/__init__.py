"""What patients are made of: bones as surfaces, soft tissue as solids, metal; N patients as tensors.

Rays and images do not belong here: see ``simulation.imaging``.

    patient        one virtual patient: pose, build, soft tissue, metal, reconstruction
    batch          N patients as tensors of one shape
    skeleton       all bones of N patients, and the cell sizes for sampling
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
    mass_points    surfaces and interiors as points that each stand for a volume
    patient_mass   mass points of a batch; one captured CUDA graph on a GPU
    materials      linear attenuation over energy
    constants      small constant tensors, cached for each device
"""
