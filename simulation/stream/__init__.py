"""Patients that are rendered on the training device and never written to disk.

``training.data`` collects these images in a pool on which a model is trained.

    stream_config   the settings of a stream, and their checks
    posed           posed patients, collated on the CPU and rendered on a device
    patients        biplanar pairs
    radiographs     plain frontal radiographs
"""
