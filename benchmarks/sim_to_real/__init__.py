"""The sim-to-real benchmark: a detector is trained on virtual frontal radiographs only and tested on real ones.

Contract: the recipe is fixed, so that two runs differ in their virtual radiographs only. The GPU machine needs torch,
numpy, scipy, a JPEG reader, ``simulation``, ``spine.landmarks``, ``inference.decoding`` and ``training.model.dsnt``.
``benchmarks.real_radiographs`` tests Plumbline's own model on real radiographs.

    letterbox          the frame of all images: 896 x 384, aspect ratio kept
    pack               the file for the GPU machine: JPEGs, corners, names
    pack_real          packs the 481 real radiographs
    pools              virtual radiographs of a run, rendered or (for tests) rectangles
    network            U-Net with residual blocks, 68 heat maps at half resolution
    augmentation       geometry and grey values, in batches on the device
    detector           training of the detector, and its corners
    probe              one run: virtual radiographs, training, scores
    level_matching     level shift, distances, mid-line Cobb angles
    scoring            the figures of a run
    diagnosis          causes of the angle errors
    appearance         image statistics, virtual against real
    image_statistics   the statistics of one radiograph
"""
