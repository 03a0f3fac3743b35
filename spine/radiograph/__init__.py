"""Radiographs: DICOM bytes to a calibrated picture, or a named refusal."""
