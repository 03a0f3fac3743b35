"""Small radiographs that are read, of every kind and in every transfer syntax, with the marker in their identifiers."""

import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from benchmarks.fuzz.byte_edits import MARKER
from benchmarks.fuzz.dicom_elements import DicomFile, parsed
from spine.radiograph.decoders import installed_decoders
from spine.radiograph.sop_classes import CR, DX_FOR_PROCESSING
from spine.radiograph.write import write_radiograph
from spine.scanner import ViewGeometry

SHAPE, SPACING = (64, 34), (3.6, 3.5)
_RLE, _J = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4."
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_GDCM_NAMES = {
    "50": "JPEGBaselineProcess1",
    "51": "JPEGExtendedProcess2_4",
    "57": "JPEGLosslessProcess14",
    "70": "JPEGLosslessProcess14_1",
    "80": "JPEGLSLossless",
    "81": "JPEGLSNearLossless",
}


@cache
def native_radiographs() -> tuple[DicomFile, ...]:
    """Uncompressed radiographs."""
    kinds = (lambda ds: None, _eight_bits, _colour, _computed, _capture, _raw, _modality_table, _display_table)
    frontal = [_file("frontal", change) for change in kinds]
    return (*frontal, _file("lateral", kinds[0]))


@cache
def compressed_radiographs() -> tuple[DicomFile, ...]:
    """Radiographs in every transfer syntax for which there is an encoder and a decoder here."""
    found = [_file("frontal", _compressed(_RLE)), _file("frontal", _compressed(_RLE, colour=True))]
    for number in ("90", "91"):
        if installed_decoders(_J + number):
            found.append(_file("frontal", _compressed(_J + number)))
            found.append(_file("frontal", _compressed(_J + number, colour=True)))
    for number in _GDCM_NAMES:
        if "gdcm" in "".join(installed_decoders(_J + number)):
            found.append(_by_gdcm(_J + number))
    if installed_decoders(_J + "201"):
        # Nothing here writes HTJ2K; a plain JPEG 2000 codestream reaches the same decoder.
        plain = next(file for file in found if file.syntax == _J + "90")
        found += [plain.with_syntax(_J + number) for number in ("201", "202", "203")]
    return tuple(found)


def _write(path: Path, view: Any, change: Callable[[Any], None]) -> None:
    rows, columns = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    image = ((rows * 7 + columns * 31) * 4000 // (SHAPE[0] * 7 + SHAPE[1] * 31)).astype(np.uint16)
    place = ViewGeometry(view, SHAPE, SPACING, {"frontal": 987.0, "lateral": 918.0}[view], 1.25, -30.5)
    uids: dict[str, Any] = {"study_uid": "2.25.1", "series_uid": "2.25.2", "sop_uid": "2.25.3"}
    write_radiograph(path, image, place, patient_id=MARKER, simulated=False, kvp=90.0, age_years=14, sex="F", **uids)
    dataset = pydicom.dcmread(path)
    for name in ("ImageComments", "InstitutionName", "AccessionNumber", "ReferringPhysicianName", "SeriesDescription"):
        setattr(dataset, name, MARKER)
    dataset.add_new(0x00091001, "LO", MARKER)
    change(dataset)
    dataset.save_as(path)


def _file(view: str, change: Callable[[Any], None]) -> DicomFile:
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "a.dcm", view, change)
        return parsed((Path(folder) / "a.dcm").read_bytes())


def _eight_bits(ds: Any) -> None:
    ds.PixelData = (ds.pixel_array >> 4).astype(np.uint8).tobytes()
    ds["PixelData"].VR = "OB"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    del ds.WindowCenter, ds.WindowWidth


def _colour(ds: Any) -> None:
    grey = (ds.pixel_array >> 4).astype(np.uint8)
    _eight_bits(ds)
    ds.PixelData = np.repeat(grey[..., None], 3, axis=2).tobytes()
    ds.SamplesPerPixel, ds.PlanarConfiguration, ds.PhotometricInterpretation = 3, 0, "RGB"


def _computed(ds: Any) -> None:
    ds.SOPClassUID, ds.Modality = CR, "CR"
    ds.PhotometricInterpretation = "MONOCHROME1"
    ds.EstimatedRadiographicMagnificationFactor = "1.3"


def _capture(ds: Any) -> None:
    ds.SOPClassUID, ds.Modality, ds.ConversionType = _SECONDARY_CAPTURE, "OT", "DF"
    ds.NominalScannedPixelSpacing, ds.PixelAspectRatio = [3.5, 2.8], [5, 4]
    del ds.PixelSpacing, ds.ImagerPixelSpacing, ds.PresentationIntentType


def _raw(ds: Any) -> None:
    ds.SOPClassUID, ds.PresentationIntentType = DX_FOR_PROCESSING, "FOR PROCESSING"
    ds.PixelIntensityRelationshipSign = 1
    ds.add_new(0x00280120, "US", 0)
    ds.add_new(0x00280121, "US", 10)


def _table(ds: Any, keyword: str, words: int) -> None:
    item = pydicom.Dataset()
    item.add_new(0x00283002, "US", [words, 0, 16])
    item.LUTExplanation = MARKER
    item.add_new(0x00283006, "OW", struct.pack(f"<{words}H", *(i * 15 for i in range(words))))
    setattr(ds, keyword, [item])


def _modality_table(ds: Any) -> None:
    del ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType
    _table(ds, "ModalityLUTSequence", 4096)
    ds.ModalityLUTSequence[0].ModalityLUTType = "US"


def _display_table(ds: Any) -> None:
    _table(ds, "VOILUTSequence", 256)


def _compressed(syntax: str, *, colour: bool = False) -> Callable[[Any], None]:
    def change(ds: Any) -> None:
        more: dict[str, Any] = {"encoding_plugin": "pydicom"} if syntax == _RLE else {}
        if colour:
            _colour(ds)
        if syntax == _J + "91":
            more["j2k_cr"] = [10]
        if colour and syntax != _RLE:
            ds.PhotometricInterpretation = "YBR_RCT" if syntax == _J + "90" else "YBR_ICT"
        ds.compress(syntax, generate_instance_uid=False, **more)

    return change


def _by_gdcm(syntax: str) -> DicomFile:
    import gdcm  # an optional decoder

    number = syntax.removeprefix(_J)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dcm"
        _write(path, "frontal", _eight_bits if number == "50" else lambda ds: None)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, _GDCM_NAMES[number])))
        change.SetInput(reader.GetImage())
        change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        return parsed(path.read_bytes())
