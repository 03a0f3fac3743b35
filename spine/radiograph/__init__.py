"""Reads DICOM files as calibrated images in canonical orientation, or refuses them with a code; writes radiographs.

``spine.intake`` combines radiographs into studies.

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
    technique      facts that may be stored
    write          an image to a DICOM file
"""
