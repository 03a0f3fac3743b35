"""Patients that are rendered on the training device and never written to disk.

The pool of images that a fit learns from does not belong here: see ``training.data``.

    stream_config   what a stream contains, and checks of its settings
    posed           posed patients, collated on the CPU and rendered on a device
    patients        biplanar pairs
    radiographs     plain frontal radiographs
"""
