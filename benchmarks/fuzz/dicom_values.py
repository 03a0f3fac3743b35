"""Values of DICOM elements that a reader may trip over, by their type, and the tags that the readers look at."""

import struct
from random import Random

from pydicom.datadict import tag_for_keyword

from benchmarks.fuzz.byte_edits import MARKER, NUMBERS
from spine.radiograph.decoders import SYNTAXES
from spine.radiograph.sop_classes import KIND_OF_CLASS, READABLE

_KEYWORDS = """
    BitsAllocated BitsStored BodyPartExamined BurnedInAnnotation Columns ConversionType DetectorConfiguration
    DistanceSourceToDetector DistanceSourceToIsocenter DistanceSourceToPatient EchoTime
    EstimatedRadiographicMagnificationFactor FieldOfViewHorizontalFlip FieldOfViewRotation HighBit
    ImageOrientationPatient ImagerPixelSpacing KVP LUTData LUTDescriptor Manufacturer Modality ModalityLUTSequence
    NominalScannedPixelSpacing NumberOfFrames PatientAge PatientID PatientName PatientOrientation PatientSex
    PhotometricInterpretation PixelAspectRatio PixelData PixelIntensityRelationship PixelIntensityRelationshipSign
    PixelPaddingRangeLimit PixelPaddingValue PixelRepresentation PixelSpacing PixelSpacingCalibrationType
    PlanarConfiguration PresentationIntentType PresentationLUTShape RescaleIntercept RescaleSlope Rows SOPClassUID
    SOPInstanceUID SamplesPerPixel SeriesInstanceUID SliceThickness SmallestImagePixelValue SpecificCharacterSet
    StudyDate StudyInstanceUID VOILUTFunction VOILUTSequence ViewCodeSequence ViewPosition WindowCenter WindowWidth
"""
TAGS = tuple(sorted(int(tag_for_keyword(keyword) or 0) for keyword in _KEYWORDS.split()))
"""The tags that the reader of radiographs looks at."""
VRS = (
    b"SQ",
    b"UN",
    b"OB",
    b"OW",
    b"US",
    b"SS",
    b"UL",
    b"DS",
    b"IS",
    b"FL",
    b"FD",
    b"LO",
    b"UI",
    b"ZZ",
    b"\0\0",
    b"AT",
)
_DECIMALS = (
    *(b"", b"0", b"1", b"-1", b"nan", b"inf", b"1e400", b"-1e308", b"1e-320", b"0,143", b"abc", b"4096", b"1.02", b"."),
    *(b"2\\2", b"2,2", b"0\\0", b"nan\\1", b"3.6\\3.5", b"2\\2\\2", b"5\\4", b"1e9\\1e9", b"\\", b"-1\\-1", b"1e-9\\1"),
    *(b"1" * 400, b"1\\" * 3000, b" 1 ", b"1_0", b"+1", b"0x10", b"\xb2", b"1e", b"180", b"90", b"1500"),
)
_TEXTS = (
    *(b"", b"DX", b"CR", b"CT", b"YES", b"NO", b"L\\F", b"P\\F", b"F\\L", b"R\\H", b"A\\F", b"L\\F\\H", b"\\", b"AP"),
    b"LL",
    *(b"MONOCHROME1", b"MONOCHROME2", b"RGB", b"YBR_FULL", b"YBR_FULL_422", b"YBR_RCT", b"PALETTE COLOR", b"GEOMETRY"),
    *(b"FIDUCIAL", b"INVERSE", b"IDENTITY", b"SIGMOID", b"LINEAR_EXACT", b"FOR PROCESSING", b"SLOT", b"SYN", b"043Y"),
    *(b"20260132", b"\xc4\xff", b"ISO_IR 192", b"ISO 2022 IR 87", b"1.2", b"1.2\n", b"a" * 70, b"x" * 70_000),
    MARKER.encode(),
)
_UIDS = tuple(uid.encode() for uid in (*SYNTAXES, *sorted(READABLE), *sorted(KIND_OF_CLASS)[::9], "1.2.3", "2.25.3"))
_NUMERIC = (b"DS", b"IS")
_BINARY = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"FL": "f", b"FD": "d", b"AT": "I"}
FLOATS = (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), 987.0, 1300.0)


def value_for(random: Random, vr: bytes) -> bytes:
    """A value that a reader of this type may trip over."""
    if vr in _NUMERIC:
        value = random.choice(_DECIMALS)
    elif vr == b"UI":
        value = random.choice(_UIDS)
    elif vr in _BINARY:
        code = _BINARY[vr]
        if code in "fd":
            return struct.pack("<" + code, random.choice(FLOATS))
        number = random.choice(NUMBERS) if random.random() < 0.8 else random.getrandbits(32)
        return number.to_bytes(8, "little")[: struct.calcsize(code)] * random.choice((1, 1, 1, 2, 3))
    elif vr in (b"OB", b"OW", b"UN"):
        return random.randbytes(random.choice((0, 1, 2, 6, 512, 2560)))
    else:
        value = random.choice(_TEXTS)
    return value + b" " * (len(value) % 2 and random.random() < 0.95)
