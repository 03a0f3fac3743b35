"""Batches of images and labels, loaded from disk, kept in device memory, or rendered from virtual patients.

The choice of a loader for a fit does not belong here: see ``training.fitting.loaders``.

    changed_examples  changed versions of images, for the calibration
    dataset           images of a data set, loaded and augmented one by one
    fields_of_view    other fields of view, cut from whole images
    pool              images in the memory of the training device, and augmented batches of them
    preload           images of a data set, kept on the training device
    virtual_patients  images of virtual patients, rendered on the training device
"""
