"""The report as a PDF: text of every parameter, reasons, model and study, on pages of A4."""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from PIL import Image

from inference.measured_study import MeasuredStudy
from serving.results.objects import ResultObject
from serving.results.pdf_page import BOTTOM_MM, PdfPages, wrapped
from serving.results.report_pdf import report_pdf
from serving.results.sources import source_of
from spine.measurement.registry import PARAMETERS
from tests.serving.results.measured import measured, read

A4_POINTS = (595.3, 841.9)


def texts_of(study: MeasuredStudy) -> list[list[str]]:
    """The texts of each page of the report."""
    pages: list[list[str]] = []
    encoded = PdfPages.encoded

    def kept(self: PdfPages, title: str) -> bytes:
        pages.extend([text.get_text() for text in figure.texts] for figure in self._figures)
        return encoded(self, title)

    with patch.object(PdfPages, "encoded", kept):
        report_pdf(study, source_of(study))
    return pages


@pytest.mark.slow
def test_the_page_states_every_parameter_the_model_and_the_study(pair: MeasuredStudy) -> None:
    (page,) = texts_of(pair)
    told = " ".join(page)
    for name, found in pair.prediction.parameters.items():
        assert PARAMETERS[name].label in page
        if found.value is not None and found.interval is not None:
            assert f"[{found.interval[0]:.1f}, {found.interval[1]:.1f}]" in page
    assert page[0] == "MODEL TRAINED ON SIMULATED DATA  ·  NOT FOR DIAGNOSIS"
    assert pair.model.digest in told
    assert pair.opened["frontal"].radiograph.identity.study_uid in told
    assert "not verified by a person" in told


@pytest.mark.slow
def test_reasons_are_stated_and_the_patient_is_not(case: Path) -> None:
    frontal = read(case, "frontal", PatientName="Doe^Jane", PatientID="4711-X", StudyDate="20240503")
    study = measured({"frontal": frontal})
    told = " ".join(text for page in texts_of(study) for text in page)
    reason = str(study.prediction.parameters["sacral_slope"].absent_reason)
    assert reason in told and "Date of the radiographs: 2024-05-03" in told
    assert "Doe" not in told and "4711-X" not in told


@pytest.mark.slow
def test_the_object_holds_a_pdf_of_a4_pages_without_a_date(objects: tuple[ResultObject, ...]) -> None:
    dataset = objects[-1].dataset
    document = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
    assert dataset.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document.startswith(b"%PDF-1") and document.rstrip().endswith(b"%%EOF")
    assert b"CreationDate" not in document
    boxes = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", document)
    assert [tuple(map(float, box)) for box in boxes] == [pytest.approx(A4_POINTS, abs=0.2)]


def streams_of(document: bytes) -> Iterator[bytes]:
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", document, re.DOTALL):
        try:
            yield zlib.decompress(found[1])
        except zlib.error:
            yield found[1]


def test_text_stays_text_and_marks_are_not_interpreted() -> None:
    pages = PdfPages("banner", ("foot",))
    pages.paragraph("costs $x^2$ <b>bold</b> \\alpha")
    document = pages.encoded("title")
    assert pages._figures[0].texts[-1].get_text() == "costs $x^2$ <b>bold</b> \\alpha"
    assert document.count(b"/ToUnicode") >= 1, "a reader can search and copy the text"
    assert any(b" Tf" in stream and b"TJ" in stream for stream in streams_of(document))


def test_a_full_page_is_followed_by_another() -> None:
    pages = PdfPages("banner", ("foot",))
    for number in range(60):
        pages.row((f"row {number}", "a remark that is rather long " * 6), (14.0, 60.0, 120.0))
        assert pages.top <= BOTTOM_MM
    words = [[text.get_text() for text in figure.texts] for figure in pages._figures]
    assert len(words) > 1
    assert all(page[0] == "banner" and "foot" in page for page in words)
    rows = [text for page in words for text in page if text.startswith("row ")]
    assert rows == [f"row {number}" for number in range(60)]


def test_images_keep_their_shape() -> None:
    pages = PdfPages("banner", ())
    right = pages.images([Image.new("RGB", (100, 200)), Image.new("RGB", (200, 200))], 80.0)
    widths = [axes.get_position().width * 210 for axes in pages._figures[0].axes]
    assert widths == pytest.approx([40.0, 80.0])
    assert right == pytest.approx(14 + 40 + 2 + 80 + 2)


@pytest.mark.parametrize("size", [7.0, 8.0, 15.0])
def test_wrapped_lines_fit_their_width(size: float) -> None:
    """Measured with matplotlib's own font metrics, for a text like those of the report."""
    from matplotlib.textpath import TextPath

    text = (
        "the spine in the frontal radiograph leans by 11 degrees: the radiograph may be turned. 90 % interval, n = 672"
    )
    for line in wrapped(text, 60.0, size):
        assert TextPath((0, 0), line, size=size).get_extents().width * 25.4 / 72 <= 60.0
    assert wrapped("", 60.0, size) == [""]
