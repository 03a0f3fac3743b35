"""Radiographs: DICOM bytes to a calibrated image, or a named refusal."""
