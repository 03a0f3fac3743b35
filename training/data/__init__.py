"""Batches of images and labels, from disk, from device memory or of virtual patients.

Which loader a fit uses does not belong here: see ``training.fitting.loaders``.

    dataset           images of a data set, loaded and augmented one by one
    pool              images in the memory of the training device, and augmented batches of them
    preload           images of a data set, kept on the training device
    virtual_patients  virtual patients, rendered on the training device
"""
