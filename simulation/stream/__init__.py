"""Patients that are rendered on the training device and never written to disk.

The pool of images that a model is trained on is part of ``training.data``.

    stream_config   the settings of a stream, and their checks
    posed           posed patients, collated on the CPU and rendered on a device
    patients        biplanar pairs
    radiographs     plain frontal radiographs
"""
