"""The report of a measurement as a PDF, and as the DICOM object that encapsulates it.

Contract: the page shows the radiographs with landmarks and lines, every parameter with its value and interval or the
reason of its absence, classes, warnings, model and version. It identifies the study by its date and UID; patient and
accession number stand in the tags of the object alone.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from inference.drawing import render_view
from inference.overlay import NOT_FOR_DIAGNOSIS
from inference.value_table import value_rows
from serving.results.derived_classes import class_texts
from serving.results.identity import result_uids, series_uid
from serving.results.pdf_page import MARGIN_MM, WIDTH_MM, PdfPages
from serving.results.sources import CHARACTER_SET, NO_DATE, Source
from serving.results.statements import MANUFACTURER, MODEL_NAME, series_description, statements
from spine.landmarks import VIEWS
from spine.measurement.registry import PARAMETERS

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

SERIES_NUMBER = 9104
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
TITLE = "Spinal alignment, measured by software"
_IMAGE_MM, _PIXELS = 96.0, 1150
_COLUMNS = (MARGIN_MM, 70.0, 90.0, 114.0, WIDTH_MM - MARGIN_MM)
_CLASS_COLUMNS = (MARGIN_MM, 70.0, WIDTH_MM - MARGIN_MM)


def report_pdf(study: "MeasuredStudy", source: Source) -> bytes:
    """The bytes of the report."""
    simulated = "MODEL TRAINED ON SIMULATED DATA  ·  " if study.model.contract.simulated_training_data else ""
    made_by = f"Plumbline {version('plumbline')}, model {study.model.digest}"
    of_study = f"Study {next(iter(source.images.values())).StudyInstanceUID}"
    pages = PdfPages(f"{simulated}{NOT_FOR_DIAGNOSIS}", (made_by, of_study))
    pages.heading(TITLE)
    _add_images(pages, study, source)
    _add_values(pages, study)
    _add_classes(pages, study)
    return pages.encoded(TITLE)


def _add_images(pages: PdfPages, study: "MeasuredStudy", source: Source) -> None:
    """The radiographs, and beside them what the study is and what a reader must know."""
    prediction, above = study.prediction, pages.top
    panels = [
        render_view(
            view,
            study.inputs[view].image,
            prediction.points.get(view, {}),
            prediction.parameters,
            {},
            _PIXELS,
            spacing_mm=study.inputs[view].spacing_mm,
            scale_bar=study.inputs[view].lengths_allowed and view not in prediction.lengths_withheld,
        )
        for view in VIEWS
        if view in study.inputs
    ]
    widest = WIDTH_MM - 2 * MARGIN_MM - 62
    height = min(_IMAGE_MM, (widest - 2 * len(panels)) / sum(panel.width / panel.height for panel in panels))
    left = pages.images(panels, height) + 2
    for text in (_date_line(source), *statements(study)):
        pages.paragraph(text[:1].upper() + text[1:], left=left, width=WIDTH_MM - MARGIN_MM - left, size=7.5)
        pages.top += 1.2
    pages.top = max(pages.top, above + height) + 3


def _date_line(source: Source) -> str:
    date = f"{source.date[:4]}-{source.date[4:6]}-{source.date[6:]}" if source.date != NO_DATE else "not recorded"
    return f"Date of the radiographs: {date}"


def _add_values(pages: PdfPages, study: "MeasuredStudy") -> None:
    parameters = study.prediction.parameters
    pages.row(("Parameter", "Value", "90 % interval", "Findings, or why there is no value"), _COLUMNS, head=True)
    shown = {row.parameter: row for row in value_rows(parameters, rough=study.interval_remark is not None)}
    for name, measured in parameters.items():
        row = shown.get(name)
        if row is None:  # the view is missing or was refused
            pages.row((PARAMETERS[name].label, "not measured", "", str(measured.absent_reason)), _COLUMNS)
        else:
            pages.row((row.label, row.value, row.interval, row.remark), _COLUMNS)
    if study.interval_remark is not None:
        pages.paragraph(f"~ {study.interval_remark}", size=7)


def _add_classes(pages: PdfPages, study: "MeasuredStudy") -> None:
    classes = class_texts(study)
    if classes:
        pages.top += 3
        pages.row(("Class", "Value, or why there is none"), _CLASS_COLUMNS, head=True)
    for each in classes:
        pages.row((each.label, each.text), _CLASS_COLUMNS)


def encapsulated_report(study: "MeasuredStudy", source: Source) -> Any:
    """The pydicom data set of the Encapsulated PDF (PS3.3 A.45)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    digest, document = study.model.digest, report_pdf(study, source)
    ds: Any = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SOPClassUID, ds.SOPInstanceUID = (
        ENCAPSULATED_PDF,
        result_uids(source.sop_uids, study.model.result_digest)["report"],
    )
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    ds.SpecificCharacterSet = CHARACTER_SET
    ds.StudyInstanceUID = next(iter(source.images.values())).StudyInstanceUID
    ds.SeriesInstanceUID, ds.SeriesNumber = (
        series_uid("report", source.sop_uids, study.model.result_digest),
        SERIES_NUMBER,
    )
    ds.SeriesDescription, ds.Modality, ds.InstanceNumber = series_description(study, "report"), "DOC", 1
    ds.Manufacturer, ds.ManufacturerModelName, ds.DeviceSerialNumber = MANUFACTURER, MODEL_NAME, digest
    ds.SoftwareVersions, ds.ConversionType = version("plumbline"), "WSD"
    ds.ContentDate, ds.ContentTime, ds.AcquisitionDateTime = source.date, source.time, ""
    ds.BurnedInAnnotation = "YES" if source.burned_in else "NO"
    ds.DocumentTitle, ds.ConceptNameCodeSequence = TITLE, []
    ds.VerificationFlag, ds.MIMETypeOfEncapsulatedDocument = "UNVERIFIED", "application/pdf"
    ds.SourceInstanceSequence = source.references()
    ds.EncapsulatedDocumentLength = len(document)
    ds.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return ds
