"""Radiographs: DICOM bytes to a calibrated image in canonical orientation, or a refusal with a code.

Writing radiographs belongs here too. Which radiographs make a study does not: see ``spine.intake``.

    decode_child   the child process that decodes compressed pixels
    decoders       transfer syntaxes, their decoders, and encoded pixels to stored values
    header         the tags that are read, strictly
    intensity      stored values to an image
    orientation    the view, and the turn to the canonical orientation
    read           a file to a ``Radiograph``
    sandbox        the parent's side of the child process: memory limit and timeout
    spacing        the decision table of the pixel spacing
    structure      limits and consistency of the file before it is parsed
    tags           bytes of a tag to text and numbers
    technique      facts that are safe to keep
    write          an image to a DICOM file
"""
