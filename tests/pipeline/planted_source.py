"""A source of studies with a marker in every place that may name a patient: names, tags, points, lists, archives."""

import copy
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import UID, generate_uid

from spine.storage import sha256_of_file

MARKER = "ZQXMARKERXQZ"
SIDEWAYS = os.fsdecode(f"{MARKER}ü".encode("latin-1"))
"""A name that is no UTF-8."""

SHORT_TEXTS = (
    *("AccessionNumber", "StudyID", "StationName", "PerformedStationAETitle", "ScheduledStationAETitle"),
    *("ProtocolName", "ImageComments", "PatientComments", "AdditionalPatientHistory", "Occupation", "DetectorID"),
    *("StudyDescription", "SeriesDescription", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
    *("DeviceSerialNumber", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "IssuerOfPatientID"),
    *("AcquisitionDeviceProcessingDescription", "DerivationDescription", "ContrastBolusAgent", "ImageLaterality"),
    *("PatientAddress", "PatientTelephoneNumbers", "EthnicGroup", "MilitaryRank", "MedicalAlerts", "Allergies"),
    *("RequestedProcedureDescription", "PerformedProcedureStepDescription", "AdmissionID", "PlateID", "CassetteID"),
    *("WindowCenterWidthExplanation", "LossyImageCompressionMethod", "AcquisitionDeviceProcessingCode"),
)  # fmt: skip
NAMES = ("PatientName", "ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName", "OtherPatientNames")


def plant(path: Path, **changed: str) -> None:
    """Write the marker into the tags of a radiograph: texts, names, a nested sequence, private tags, overlays, the
    preamble and the private information of the header."""
    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(path)
        for keyword in (*SHORT_TEXTS, *NAMES):
            setattr(dataset, keyword, MARKER)
        dataset.PatientID = f"{MARKER}^{path.parent.name[-12:]}"
        inner = pydicom.Dataset()
        inner.ScheduledProcedureStepDescription, inner.PatientName = MARKER, MARKER
        item = pydicom.Dataset()
        item.RequestedProcedureDescription, item.ScheduledProtocolCodeSequence = MARKER, [inner]
        dataset.RequestAttributesSequence = [item]
        dataset.private_block(0x0009, MARKER, create=True).add_new(0x10, "LO", MARKER)
        dataset.private_block(0x0029, MARKER, create=True).add_new(0x01, "OB", MARKER.encode() * 9)
        dataset.add_new(0x60000010, "US", 4)
        dataset.add_new(0x60000022, "LO", MARKER)
        dataset.add_new(0x60003000, "OW", MARKER.encode())
        dataset.PatientBirthDate, dataset.StudyDate, dataset.PatientAge = "19211103", "20140229", "099Y"
        dataset.StudyInstanceUID = generate_uid(entropy_srcs=[path.parent.name])
        dataset.file_meta.PrivateInformationCreatorUID = UID("1.2.3.4")
        dataset.file_meta.PrivateInformation = MARKER.encode()
        dataset.file_meta.SourceApplicationEntityTitle = MARKER
        dataset.preamble = MARKER.encode().ljust(128, b"\0")
        if "ConversionType" in dataset:
            del dataset.ConversionType  # the studies count as real ones
        for keyword, value in changed.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)


def plant_points(path: Path) -> None:
    """Write the marker into the subject and the facts of a reconstruction."""
    content = json.loads(path.read_text())
    content["subject_id"] = MARKER
    facts = content.setdefault("facts", {})
    facts.pop("simulated", None)
    facts |= {
        "condition": MARKER.lower(),
        MARKER.lower(): True,
        MARKER: 1,
        "operator": MARKER,
        "nested": {MARKER: [MARKER]},
        "record": 12345678,
    }
    path.write_text(json.dumps(content))


def planted_source(cohort: Path, source: Path) -> None:
    """Make ``source`` from the case folders of a virtual cohort: usable studies first, then each kind of refusal."""
    cases = sorted(case for case in cohort.iterdir() if case.is_dir())
    for case in cases:
        study = source / f"{MARKER}, {case.name}"
        study.mkdir(parents=True)
        for name in ("frontal.dcm", "lateral.dcm", "reconstruction.json"):
            shutil.copy(case / name, study / f"{MARKER} {name}")
        for file in study.glob("*.dcm"):
            plant(file)
        plant_points(study / f"{MARKER} reconstruction.json")
        (study / f"{MARKER} report.txt").write_text(MARKER)
    studies = sorted(source.iterdir())
    _listed(studies[0])
    _zipped(studies[1])
    _exported(studies[2], source / f"{MARKER} CD")
    _noise(studies[3])
    (source / f"{MARKER}-loose.log").write_text(MARKER)
    for position, spoil in enumerate(REFUSED):
        study = source / f"{MARKER}-refused-{spoil.__name__}"
        shutil.copytree(studies[5], study)
        for file in study.glob("*.dcm"):
            plant(
                file,
                SOPInstanceUID=generate_uid(entropy_srcs=[str(position), file.name]),
                PatientID=f"{MARKER}{position}",
            )
        spoil(study)


def batches(cohort: Path, inbox: Path) -> None:
    """Three batches whose folders are named after the marker, one in Latin-1 and one with control characters."""
    cases = sorted(case for case in cohort.iterdir() if case.is_dir())
    for number, name in enumerate((MARKER, SIDEWAYS, f"[red]{MARKER}\n\x07[x")):
        study = inbox / name / f"{MARKER} {number}"
        shutil.copytree(cases[number], study)
        for file in study.glob("*.dcm"):
            plant(file)
        plant_points(study / "reconstruction.json")
        if number:
            (study / "lateral.dcm").write_bytes((study / "lateral.dcm").read_bytes()[:-500])
        (inbox / name / "COMPLETE").touch()


def _listed(study: Path) -> None:
    lines = [f"{sha256_of_file(file)}  {file.name}\n" for file in sorted(study.iterdir())]
    (study / "COMPLETE").write_text("".join(lines))


def _zipped(study: Path) -> None:
    with zipfile.ZipFile(study.parent / f"{MARKER}.zip", "w") as archive:
        archive.comment = MARKER.encode()
        for file in sorted(study.iterdir()):
            archive.write(file, f"{MARKER}/{file.name}")
    shutil.rmtree(study)


def _exported(study: Path, folder: Path) -> None:
    for number, file in enumerate(sorted(study.glob("*.dcm"))):
        target = folder / "DICOM" / MARKER / f"IM00000{number}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    index = pydicom.dcmread(target, stop_before_pixels=True)
    index.file_meta.MediaStorageSOPClassUID = index.SOPClassUID = UID("1.2.840.10008.1.3.10")
    index.save_as(folder / "DICOMDIR")
    shutil.rmtree(study)


def _noise(study: Path) -> None:
    """Replace the pixels by noise, which only the second reader finds."""
    for number, file in enumerate(study.glob("*.dcm")):
        dataset = pydicom.dcmread(file)
        noise = np.random.default_rng(number).integers(0, 4096, dataset.pixel_array.shape)
        dataset.PixelData = noise.astype(dataset.pixel_array.dtype).tobytes()
        dataset.save_as(file)


def _radiograph(study: Path, view: str = "lateral") -> Path:
    return study / f"{MARKER} {view}.dcm"


def _points(study: Path) -> Path:
    return study / f"{MARKER} reconstruction.json"


def truncated(study: Path) -> None:
    payload = _radiograph(study).read_bytes()
    _radiograph(study).write_bytes(payload[: len(payload) // 2])


def text_as_dicom(study: Path) -> None:
    _radiograph(study).write_text(MARKER * 50)


def two_lateral_images(study: Path) -> None:
    shutil.copy(_radiograph(study), study / f"{MARKER} again.dcm")
    dataset = pydicom.dcmread(study / f"{MARKER} again.dcm")
    dataset.SOPInstanceUID = generate_uid()
    dataset.PixelData = dataset.PixelData[::-1]
    dataset.save_as(study / f"{MARKER} again.dcm")


def two_patients(study: Path) -> None:
    plant(_radiograph(study), PatientID=f"{MARKER}-other")


def unknown_sop_class(study: Path) -> None:
    plant(_radiograph(study), SOPClassUID="1.2.3.4.5.6", ImageType=MARKER)


def malformed_numbers(study: Path) -> None:
    dataset = pydicom.dcmread(_radiograph(study))
    with pydicom.config.disable_value_validation():
        dataset.add_new("ImagerPixelSpacing", "LO", [MARKER, MARKER])
        dataset.save_as(_radiograph(study))


def burned_in(study: Path) -> None:
    plant(_radiograph(study), BurnedInAnnotation="YES")


def point_unknown(study: Path) -> None:
    _points(study).write_text(_points(study).read_text().replace('"T1_sup"', f'"{MARKER}"', 1))


def points_are_no_json(study: Path) -> None:
    _points(study).write_text(_points(study).read_text()[:-30] + MARKER)


def point_without_numbers(study: Path) -> None:
    content = json.loads(_points(study).read_text())
    content["points"]["T1_sup"] = [MARKER, 1, 2]
    _points(study).write_text(json.dumps(content))


def markups(study: Path) -> None:
    control = {"id": MARKER, "label": MARKER, "description": MARKER, "position": [1, 2, 3], "positionStatus": "defined"}
    content = {
        "@schema": "https://raw.githubusercontent.com/slicer/slicer/master/markups-schema-v1.0.3.json#",
        "markups": [
            {
                "type": "Fiducial",
                "coordinateSystem": "LPS",
                "coordinateUnits": "mm",
                "name": MARKER,
                "controlPoints": [control, copy.deepcopy(control)],
            }
        ],
    }
    _points(study).unlink()
    (study / f"{MARKER}.mrk.json").write_text(json.dumps(content))


def slicer_table(study: Path) -> None:
    _points(study).unlink()
    head = f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {MARKER}\n# columns = id,x,y,z,label,desc\n"
    (study / f"{MARKER}.fcsv").write_text(head + f"{MARKER},1,2,3,{MARKER},{MARKER}\n")


def table(study: Path) -> None:
    _points(study).unlink()
    text = f"# axes=LPS\n# units=mm\nlevel,name,x,y,z\n{MARKER},sup,1,2,3\nT1,{MARKER},1,2,{MARKER}\n"
    (study / f"{MARKER}.csv").write_text(text, encoding="utf-16")


def mesh(study: Path) -> None:
    _points(study).unlink()
    (study / f"{MARKER}.obj").write_text(f"o {MARKER}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")


def picture(study: Path) -> None:
    Image.new("L", (9, 9)).save(study / f"{MARKER}.png")


def damaged_archive(study: Path) -> None:
    (study / f"{MARKER}.zip").write_bytes(b"PK\x03\x04" + MARKER.encode() * 9)


def link(study: Path) -> None:
    (study / f"{MARKER}.lnk.dcm").symlink_to(f"/nowhere/{MARKER}")


def pipe(study: Path) -> None:
    os.mkfifo(study / f"{MARKER}.pipe.dcm")


def other_content_than_listed(study: Path) -> None:
    (study / "COMPLETE").write_text(f"{'0' * 64}  {_radiograph(study).name}\n")


def missing_file(study: Path) -> None:
    (study / "COMPLETE").write_text(f"{'0' * 64}  {MARKER}/absent.dcm\n")


def copy_under_way(study: Path) -> None:
    (study / f"{MARKER}.dcm.part").write_text(MARKER)


REFUSED = (
    *(truncated, text_as_dicom, two_lateral_images, two_patients, unknown_sop_class, malformed_numbers, burned_in),
    *(point_unknown, points_are_no_json, point_without_numbers, markups, slicer_table, table, mesh, picture),
    *(damaged_archive, link, pipe, other_content_than_listed, missing_file, copy_under_way),
)
