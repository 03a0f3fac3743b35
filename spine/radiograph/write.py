"""Writes an image as a DICOM radiograph (DX, For Presentation, 12 bit) with the slot scanner's geometry.

Contract: equal arguments give equal bytes. The file is written completely or not at all. A simulated image is marked in
five tags (Manufacturer, ImageType, ConversionType, SeriesDescription, ImageComments) and names no real manufacturer.

The geometry is written into the standard tags of a slot scanner (DistanceSourceToIsocenter, DistanceSourceToDetector,
PixelSpacing at the isocentre plane with calibration type GEOMETRY, ImagerPixelSpacing at the detector). No standard tag
contains the position of the image centre in the scanner. This position and the exact source distance are in a private
block of creator ``PLUMBLINE_1`` (group 0011: 00 u0_mm, 01 z0_mm, 02 source_to_isocentre_mm; FD). ConversionType and
DistanceSourceToIsocenter are not in the DX IOD, so this is a Standard Extended SOP Class (docs/dicom-conformance.md).
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pydicom.valuerep import DSfloat

from spine.radiograph.technique import SIMULATED_MAKER
from spine.scanner import SOURCE_TO_DETECTOR_MM, ViewGeometry
from spine.storage import write_bytes_atomically

DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLEMENTATION_UID = "2.25.175213905487026631890871229037721470209"
PRIVATE_GROUP = 0x0011
PRIVATE_CREATOR = "PLUMBLINE_1"
MAXIMUM = 4095

_ORIENTATION = {"frontal": ["L", "F"], "lateral": ["P", "F"]}
# The frontal source is in front of the patient (AP). The lateral source is on the right, its detector on the left (LL).
_POSITION = {"frontal": "AP", "lateral": "LL"}
_VIEW_CODE = {"frontal": ("399348003", "antero-posterior"), "lateral": ("399173006", "left lateral")}


def write_radiograph(
    path: Path,
    image: NDArray[np.uint16],
    geometry: ViewGeometry,
    *,
    patient_id: str,
    study_uid: str,
    series_uid: str,
    sop_uid: str,
    simulated: bool,
    kvp: float | None,
    age_years: float | None = None,
    sex: str | None = None,
) -> None:
    """Write one image atomically.

    Args:
        image: (H, W) uint16, 0..4095, bone bright, canonical orientation (frontal L\\F, lateral P\\F).
        patient_id: a pseudonym, which is also written as the patient's name.
        study_uid, series_uid, sop_uid: UIDs; both views of a study have the same ``study_uid``.
        simulated: whether to mark the image as simulated.
        kvp: tube voltage, kV; None if unknown.
        age_years, sex: age at the examination in years, and ``M``, ``F`` or ``O``; None if unknown.

    Raises:
        ValueError: the image is not uint16, has another shape than its geometry, or exceeds 12 bits.
    """
    if image.dtype != np.uint16 or image.shape != geometry.shape:
        raise ValueError(f"image is {image.dtype} {image.shape}, expected uint16 {geometry.shape}")
    if image.size and int(image.max()) > MAXIMUM:
        raise ValueError(f"image value {int(image.max())} exceeds 12 bits")
    dataset = Dataset()
    _add_identity(dataset, patient_id, (study_uid, series_uid, sop_uid), age_years, sex)
    _add_provenance(dataset, simulated, geometry)
    _add_geometry(dataset, geometry)
    _add_pixels(dataset, image)
    dataset.KVP = "" if kvp is None else f"{kvp:.6g}"
    write_bytes_atomically(path, _encoded(dataset, sop_uid))


def _add_identity(
    ds: Any, patient_id: str, uids: tuple[str, str, str], age_years: float | None, sex: str | None
) -> None:
    ds.PatientName = patient_id
    ds.PatientID = patient_id
    ds.PatientBirthDate = ""
    ds.PatientSex = sex or ""
    if age_years is not None:
        ds.PatientAge = f"{min(999, max(0, int(age_years))):03d}Y"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uids
    ds.SOPClassUID = DX_FOR_PRESENTATION
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.StudyID = ds.ReferringPhysicianName = ""
    ds.SeriesNumber = ds.InstanceNumber = "1"
    ds.Modality = "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"


def _add_provenance(ds: Any, simulated: bool, geometry: ViewGeometry) -> None:
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.BurnedInAnnotation = "NO"  # YES would mean text that identifies a person (C.7.6.1), unlike side markers
    ds.LossyImageCompression = "00"
    if not simulated:
        ds.Manufacturer = ""
        ds.SeriesDescription = f"spine {geometry.view}"
        return
    ds.Manufacturer = SIMULATED_MAKER
    ds.ConversionType = "SYN"
    ds.SeriesDescription = f"SIMULATED spine {geometry.view}"
    ds.ImageComments = "SIMULATED radiograph of a virtual patient; not of a person"
    ds.DerivationDescription = "SIMULATED: rendered from a virtual patient"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "virtual patient: there is no person"


def _add_geometry(ds: Any, geometry: ViewGeometry) -> None:
    magnification = SOURCE_TO_DETECTOR_MM / geometry.source_to_isocentre_mm
    ds.PixelSpacing = [DSfloat(s, auto_format=True) for s in geometry.spacing_mm]
    ds.ImagerPixelSpacing = [DSfloat(s * magnification, auto_format=True) for s in geometry.spacing_mm]
    ds.PixelSpacingCalibrationType = "GEOMETRY"
    ds.PixelSpacingCalibrationDescription = "scaled to the isocentre plane"
    ds.DistanceSourceToDetector = DSfloat(SOURCE_TO_DETECTOR_MM, auto_format=True)
    ds.DistanceSourceToPatient = DSfloat(geometry.source_to_isocentre_mm, auto_format=True)
    ds.DistanceSourceToIsocenter = geometry.source_to_isocentre_mm
    ds.PatientOrientation = _ORIENTATION[geometry.view]
    ds.ViewPosition = _POSITION[geometry.view]
    ds.ViewCodeSequence = [_code(*_VIEW_CODE[geometry.view])]
    ds.AnatomicRegionSequence = [_code("421060004", "Spine")]
    ds.BodyPartExamined = "SPINE"
    ds.ImageLaterality = "U"
    ds.DetectorConfiguration = "SLOT"
    ds.DetectorType = ds.PositionerType = ""  # of type 2: must be there, may be empty
    ds.AcquisitionContextSequence = []
    block = ds.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    for offset, value in enumerate((geometry.u0_mm, geometry.z0_mm, geometry.source_to_isocentre_mm)):
        block.add_new(offset, "FD", float(value))


def _code(value: str, meaning: str) -> Any:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _add_pixels(ds: Any, image: NDArray[np.uint16]) -> None:
    ds.Rows, ds.Columns = image.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelIntensityRelationship = "LOG"
    # Part 3, C.8.11.3: -1 means that higher values are less X-ray intensity, as in bone-bright MONOCHROME2.
    ds.PixelIntensityRelationshipSign = -1
    ds.PresentationLUTShape = "IDENTITY"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.WindowCenter, ds.WindowWidth = "2048", "4096"
    ds.add_new(0x7FE00010, "OW", np.ascontiguousarray(image, dtype="<u2").tobytes())


def _encoded(dataset: Any, sop_uid: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(DX_FOR_PRESENTATION)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "PLUMBLINE_1"
    dataset.file_meta = meta
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
