"""The probe that counts: does what is learnt on virtual frontal views alone hold on real radiographs?

Contract: the recipe is fixed, so that two runs differ by their virtual radiographs only; on the device machine only
    torch, numpy, scipy, a JPEG reader, ``training.model.dsnt``, ``inference.decoding``, ``spine.landmarks`` and
    ``simulation`` are needed.

    letterbox      the one frame of all images: 896 x 384, aspect kept
    pack           the file that travels: JPEGs, corners, names
    radiographs          the 481 real radiographs -> pack
    pools          where virtual radiographs come from: simulation.stream.radiographs, or a stored pack
    network        U-Net with residual blocks, 68 maps at half resolution
    augmentation   geometry and greys, in batches on the device
    detector       training, and finding corners with mirrored averaging
    chains         level shift, distances, mid-line Cobb angles
    scoring        the figures; reports: files and contact sheet
    appearance     image statistics, real against virtual
"""
