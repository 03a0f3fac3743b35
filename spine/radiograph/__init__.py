"""Reads DICOM files as calibrated images in canonical orientation, or refuses them with a code, and writes such files.

``spine.intake`` combines radiographs into studies.

    beginning         how a file begins, with or without the header of a Part 10 file
    decode_child      the child process that decodes compressed pixels
    decoders          the transfer syntaxes, their decoders, and the decoding of pixels
    elements          the header of one element of a data set
    geometry          the position of an image in the scanner
    grey_levels       the grey levels of an image, and how many pixels have each
    header            strict reading of the tags that are needed
    intensity         conversion of stored values to an image
    intensity_tags    the tags that turn stored values into intensities
    lookup            Modality LUT and VOI LUT
    magnification     the magnification from the header, and whether a spine can have it
    orientation       the view, and the turn to the canonical orientation
    picture           reading of a PNG or JPEG picture as a ``Radiograph``
    pixel_grid        colour to grey, and rectangular pixels to square ones
    read              reading of a file as a ``Radiograph``
    recognise         the kind of object that a file contains, from its first bytes
    sandbox           the parent's side of the child process: memory limit and timeout
    sop_classes       the table of SOP classes and their kinds
    spacing           the decision table of the pixel spacing
    stored_grid       positions in the canonical image and in the stored image
    structure         check of a file's size and structure before it is parsed
    tags              conversion of a tag's bytes to text and numbers
    technique         facts of a radiograph that may be stored
    write             writing of an image as a DICOM file
"""
