"""The radiographs of a measurement as results refer to them, and their patient and study.

Contract: a result has the patient and study attributes of its radiographs, so that it lies in the same study. They are
decoded by the character set of their file and written as UTF-8. A malformed date, time or sex is left empty, because no
viewer would show it. No value leaves this module for a message or a log.
"""

import io
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.errors import InputRejected
from spine.landmarks import VIEWS, ViewName

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy
    from inference.radiograph_files import OpenedRadiograph

CHARACTER_SET = "ISO_IR 192"
"""UTF-8."""

NO_DATE, NO_TIME = "19000101", "000000"
"""Date and time of results whose radiographs have none."""

_REQUIRED = {
    "PatientName": "PN",
    "PatientID": "LO",
    "PatientBirthDate": "DA",
    "PatientSex": "CS",
    "StudyDate": "DA",
    "StudyTime": "TM",
    "ReferringPhysicianName": "PN",
    "StudyID": "SH",
    "AccessionNumber": "SH",
}
"""Attributes of patient and study that every object has, perhaps empty, with their VR."""

_OPTIONAL = {
    "IssuerOfPatientID": "LO",
    "PatientAge": "AS",
    "StudyDescription": "LO",
    "PatientIdentityRemoved": "CS",
    "DeidentificationMethod": "LO",
}
"""Further attributes that belong to patient and study and are copied where the radiograph has them."""

_FORMS: Mapping[str, Callable[[str], Any]] = {
    "DA": re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])").fullmatch,
    "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?").fullmatch,
    "AS": re.compile(r"\d{3}[DWMY]").fullmatch,
    "CS": re.compile(r"[A-Z0-9_ ]{1,16}").fullmatch,
}
_SEXES = ("M", "F", "O")
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_COPIED = (*_UIDS, "Modality", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation")
_DISPLAY = (
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
)


@dataclass(frozen=True, repr=False)
class Source:
    """The patient and the study of results, and the radiographs that they refer to.

    Attributes:
        patient: pydicom data set with the attributes of patient and study, cleaned.
        images: view -> pydicom data set that identifies a radiograph, without any attribute of a person.
        date, time: DICOM date and time of every result: those of the latest radiograph, else ``NO_DATE``.
        burned_in: whether the pixels of a radiograph may show text that identifies the patient.
    """

    patient: Any
    images: Mapping[ViewName, Any]
    date: str
    time: str
    burned_in: bool

    @property
    def sop_uids(self) -> tuple[str, ...]:
        """SOP Instance UIDs of the radiographs."""
        return tuple(str(image.SOPInstanceUID) for image in self.images.values())

    def references(self) -> list[Any]:
        """Items that refer to the radiographs by SOP class and instance."""
        from pydicom.dataset import Dataset

        items = []
        for image in self.images.values():
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
            items.append(item)
        return items

    def without_display(self, view: ViewName) -> Any:
        """The radiograph of ``view`` without its tags for display."""
        from pydicom.dataset import Dataset

        return Dataset({element.tag: element for element in self.images[view] if element.keyword not in _DISPLAY})


def source_of(study: "MeasuredStudy") -> Source:
    """Read what results need of the radiographs of ``study``.

    Raises:
        InputRejected: ``RESULTS_NEED_DICOM`` if an image has no DICOM header, ``FILE_CHANGED`` if a file is no longer
            the one that was measured.
    """
    from spine.radiograph.read import pydicom_silent

    views = [view for view in VIEWS if view in study.opened]
    with pydicom_silent():
        headers = {view: _header(study.opened[view]) for view in views}
        # One of two radiographs may lack the identifier; then the other one knows the patient.
        known = next((each for each in headers.values() if _cleaned(each, "PatientID", "LO")), headers[views[0]])
        date, time = max(_moment(header) for header in headers.values())
        return Source(
            patient=_patient(known),
            images={view: _image(header) for view, header in headers.items()},
            date=date,
            time=time,
            burned_in=any(str(header.get("BurnedInAnnotation", "")) == "YES" for header in headers.values()),
        )


def _header(opened: "OpenedRadiograph") -> Any:
    from pydicom import dcmread

    from spine.radiograph.picture import is_picture

    content = opened.file.content
    if is_picture(content):
        found = "a picture without a DICOM header"
        remedy = "measure the DICOM files, or omit the DICOM and FHIR results"
        raise InputRejected("RESULTS_NEED_DICOM", found, "radiographs in DICOM files", remedy)
    with suppress(Exception):  # a message of the parser may quote values
        header = dcmread(content if isinstance(content, Path) else io.BytesIO(content), stop_before_pixels=True)
        if str(header.SOPInstanceUID).strip("\0 ") == opened.radiograph.identity.sop_uid:
            return header
    found, expected = "a file that is not the one that was measured", "the same file"
    raise InputRejected("FILE_CHANGED", found, expected, "do not change the file meanwhile; measure it again")


def _patient(header: Any) -> Any:
    from pydicom.dataset import Dataset

    patient = Dataset()
    for keyword, vr in _REQUIRED.items():
        _add(patient, keyword, vr, _cleaned(header, keyword, vr))
    for keyword, vr in _OPTIONAL.items():
        if text := _cleaned(header, keyword, vr):
            _add(patient, keyword, vr, text)
    return patient


def _add(dataset: Any, keyword: str, vr: str, text: str) -> None:
    """Add a value as it is. An identifier that is too long is kept: cut, it would name another patient."""
    from pydicom import config
    from pydicom.dataelem import DataElement
    from pydicom.tag import Tag

    dataset.add(DataElement(Tag(keyword), vr, text, validation_mode=config.IGNORE))


def _cleaned(header: Any, keyword: str, vr: str) -> str:
    """The text of a tag without control characters; empty if it is absent, cannot be decoded or is malformed."""
    try:
        value = header.get(keyword)
        text = "\\".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")
    except Exception:
        return ""  # pydicom may raise anything on a malformed value; its message would quote the value
    text = "".join(letter for letter in text if letter.isprintable()).strip()
    if keyword == "PatientSex" and text not in _SEXES:
        return ""
    form = _FORMS.get(vr)
    return text if form is None or form(text) else ""


def _image(header: Any) -> Any:
    """What identifies a radiograph and how it is displayed; the attributes of a person are empty."""
    from pydicom.dataset import Dataset

    image = Dataset()
    for keyword in (*_COPIED, *_DISPLAY):
        with suppress(Exception):  # pydicom may raise anything on a malformed value; the image is then shown without it
            if keyword in header:
                image.add(header[keyword])
    for keyword in _REQUIRED:
        setattr(image, keyword, "")
    image.SpecificCharacterSet = CHARACTER_SET
    return image


def _moment(header: Any) -> tuple[str, str]:
    """Date and time of a radiograph: of its content, acquisition, series or study, the first that it has."""
    for name in ("Content", "Acquisition", "Series", "Study"):
        if date := _cleaned(header, f"{name}Date", "DA"):
            return date, _cleaned(header, f"{name}Time", "TM") or NO_TIME
    return NO_DATE, NO_TIME
