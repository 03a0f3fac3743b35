"""A measurement as DICOM objects that a PACS stores beside its radiographs.

Contract: the same radiographs, model and versions give the same objects, byte for byte. Every object lies in the study
of its radiographs, is marked as made by AI and as not verified, and no value of a patient's tag reaches a log.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from serving.results.identity import ResultKind, file_name
from serving.results.sources import Source, source_of
from spine.errors import ParametersRejected

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

IMPLEMENTATION_VERSION = "PLUMBLINE_RES_1"


@dataclass(frozen=True)
class ResultObject:
    """One DICOM object of a measurement.

    Attributes:
        dataset: pydicom data set with its file meta information.
        file_name: a name that is unique among the objects of a measurement.
    """

    kind: ResultKind
    dataset: Any
    file_name: str

    def encoded(self) -> bytes:
        """The bytes of the DICOM file."""
        from pydicom import dcmwrite

        stream = io.BytesIO()
        with _quiet():
            dcmwrite(stream, self.dataset, enforce_file_format=True)
        return stream.getvalue()


def result_objects(study: "MeasuredStudy") -> tuple[ResultObject, ...]:
    """The structured report, the overlay, one presentation state a grey radiograph, and the report as PDF.

    Raises:
        InputRejected: ``RESULTS_NEED_DICOM``, ``FILE_CHANGED``.
        ParametersRejected: ``SERVING_NOT_INSTALLED``.
    """
    require_installed()
    source = source_of(study)
    with _quiet():
        return tuple(
            ResultObject(kind, _finished(dataset, source), file_name(kind)) for kind, dataset in _made(study, source)
        )


def require_installed() -> None:
    """Refuse to go on without the libraries of the extra ``serving``.

    Raises:
        ParametersRejected: ``SERVING_NOT_INSTALLED``.
    """
    if not all(find_spec(name) for name in ("highdicom", "fhir")):
        found, expected = "an installation without the libraries of results", "the extra `serving`"
        remedy = "pip install 'plumbline[serving]'"
        raise ParametersRejected("SERVING_NOT_INSTALLED", found, expected, remedy)


def _made(study: "MeasuredStudy", source: Source) -> Iterator[tuple[ResultKind, Any]]:
    from serving.results.overlay_capture import overlay_capture
    from serving.results.presentation import presentations
    from serving.results.report_pdf import encapsulated_report
    from serving.results.structured_report import structured_report

    yield "sr", structured_report(study, source)
    yield "overlay", overlay_capture(study, source)
    yield from presentations(study, source)
    yield "report", encapsulated_report(study, source)


def _finished(dataset: Any, source: Source) -> Any:
    """The object with its patient and study, its schemes, and dates that follow from the radiographs."""
    from pydicom.uid import UID

    from serving.results.concepts import coding_schemes
    from serving.results.sources import CHARACTER_SET
    from spine.radiograph.write import IMPLEMENTATION_UID

    dataset.update(source.patient)
    dataset.SpecificCharacterSet = CHARACTER_SET
    dataset.CodingSchemeIdentificationSequence = coding_schemes()
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = source.date, source.time
    dataset.SeriesDate, dataset.SeriesTime = source.date, source.time
    for item in dataset.get("ContributingEquipmentSequence", []):
        item.pop("ContributionDateTime", None)  # highdicom writes the moment
    for keyword in ("Content", "PresentationCreation"):
        if f"{keyword}Date" in dataset:
            dataset[f"{keyword}Date"].value, dataset[f"{keyword}Time"].value = source.date, source.time
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    dataset.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    return dataset


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress log lines and warnings of pydicom and highdicom, which quote values."""
    from spine.radiograph.read import pydicom_silent

    logger = logging.getLogger("highdicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with pydicom_silent():
            yield
    finally:
        logger.setLevel(level)
