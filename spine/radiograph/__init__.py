"""Reads DICOM files as calibrated images in canonical orientation, or refuses them with a code, and writes such files.

``spine.intake`` combines radiographs into studies.

    decode_child   the child process that decodes compressed pixels
    decoders       the transfer syntaxes, their decoders, and the decoding of pixels
    header         strict reading of the tags that are needed
    intensity      conversion of stored values to an image
    orientation    the view, and the turn to the canonical orientation
    read           reading of a file as a ``Radiograph``
    sandbox        the parent's side of the child process: memory limit and timeout
    spacing        the decision table of the pixel spacing
    structure      check of a file's size and structure before it is parsed
    tags           conversion of a tag's bytes to text and numbers
    technique      facts of a radiograph that may be stored
    write          writing of an image as a DICOM file
"""
