"""A folder of studies: one row each, refusals with their reason, and a table that a later call goes on with."""

import csv
import io
import shutil
import zipfile

import numpy as np
import pydicom
import pytest
from PIL import Image

from inference.batch import studies_below
from inference.batch_table import COLUMNS, BatchTable
from inference.bundled import open_bundled
from inference.measured_study import measure_radiographs
from inference.radiograph_files import RadiographFile, open_radiographs
from serving.results.objects import result_objects
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.errors import InputRejected, ParametersRejected
from spine.landmarks import VIEWS
from spine.scanner import NATIVE_SPACING_MM

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    write_cohort(folder, CohortConfig(count=2, seed=3, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))
    return folder


@pytest.fixture
def studies(patients, tmp_path):
    """Six studies: a pair, another pair in a zip archive, pictures, and three that cannot be measured."""
    folder = tmp_path / "studies"
    shutil.copytree(patients / "case-00000", folder / "pair")
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for view in VIEWS:
            archive.write(patients / "case-00001" / f"{view}.dcm", f"{view}.dcm")
    (folder / "=HYPERLINK(1)").mkdir()
    pixels = pydicom.dcmread(patients / "case-00000" / "frontal.dcm").pixel_array
    Image.fromarray(np.rint(pixels * (255 / 4095)).astype(np.uint8)).save(folder / "=HYPERLINK(1)" / "Frontal.png")
    (folder / "text").mkdir()
    (folder / "text" / "frontal.dcm").write_text("no radiograph")
    shutil.copytree(folder / "pair", folder / "two patients")
    shutil.copy(patients / "case-00001" / "lateral.dcm", folder / "two patients" / "lateral.dcm")
    (folder / "report only").mkdir()
    (folder / "report only" / "report.pdf").write_bytes(b"%PDF-1.4")
    return folder


@pytest.fixture(scope="module")
def model():
    return open_bundled()


def run(folder, path, model, wanted=lambda name: True):
    """Measure as the command does; returns the names that were measured in this call."""
    table = BatchTable(path, model.digest, "virtual")
    every = studies_below(folder)
    held = [s.name for s in every if table.holds(s.name, s.content())]
    table.begin(held)
    done = [s for s in every if s.name not in held and wanted(s.name)]
    for study in done:
        table.add(study.measure(model))
    return [study.name for study in done]


def rows_of(path):
    with path.open(newline="") as stream:
        return {row["study"]: row for row in csv.DictReader(stream)}


def test_every_study_has_one_row_with_values_or_a_reason(studies, patients, tmp_path, model):
    path = tmp_path / "out" / "table.csv"
    run(studies, path, model)
    rows = rows_of(path)
    assert {name: row["code"] for name, row in rows.items()} == {
        "'=HYPERLINK(1)": "",
        "archive.zip": "",
        "pair": "",
        "report only": "STUDY_EMPTY",
        "text": "NOT_DICOM",
        "two patients": "PATIENT_MISMATCH",
    }
    files = [RadiographFile(patients / "case-00000" / f"{view}.dcm", view) for view in VIEWS]
    alone = measure_radiographs(model, open_radiographs(files)).prediction.parameters
    for name, measured in alone.items():
        row = rows["pair"]
        assert row[name] == ("" if measured.value is None else f"{measured.value:.1f}")
        assert row[f"{name}_absent"] == (measured.absent_code or "")
        if measured.interval:
            assert [row[f"{name}_low"], row[f"{name}_high"]] == [f"{end:.1f}" for end in measured.interval]
    assert rows["'=HYPERLINK(1)"]["views"] == "frontal"
    assert rows["'=HYPERLINK(1)"]["pelvic_tilt_absent"] == "VIEW_MISSING"
    assert "expected" in rows["text"]["reason"]


def test_the_results_of_a_measurement_beside_its_radiographs_are_passed_over(studies, model, tmp_path):
    (study,) = (s for s in studies_below(studies) if s.name == "pair")
    for result in result_objects(study.measure(model).measured):
        (studies / "pair" / result.file_name).write_bytes(result.encoded())
    run(studies, tmp_path / "t.csv", model, lambda name: name == "pair")
    assert rows_of(tmp_path / "t.csv")["pair"]["views"] == "frontal lateral"


def test_a_later_call_goes_on_and_measures_only_what_changed(studies, patients, tmp_path, model):
    path = tmp_path / "table.csv"
    run(studies, path, model, lambda name: name in ("pair", "text"))
    whole = path.read_text()
    path.write_text(whole[:-30])  # the last row was cut off
    last = rows_of(path)
    assert len(last) == 2
    again = run(studies, path, model)
    assert len(again) == 5 and "pair" not in again
    assert len(rows_of(path)) == 6 and len({len(row) for row in csv.reader(io.StringIO(path.read_text()))}) == 1
    assert run(studies, path, model) == []
    shutil.copy(patients / "case-00001" / "frontal.dcm", studies / "pair" / "frontal.dcm")
    assert run(studies, path, model) == ["pair"]
    other = BatchTable(path, "another model", "virtual")
    assert not any(other.holds(s.name, s.content()) for s in studies_below(studies))


def test_a_defect_that_one_study_reveals_does_not_stop_the_others(studies, tmp_path, model, monkeypatch):
    def broken(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr("inference.batch.measure_radiographs", broken)
    path = tmp_path / "table.csv"
    run(studies, path, model)
    assert rows_of(path)["pair"]["code"] == "MEASUREMENT_FAULT"
    assert len(rows_of(path)) == 6


def test_another_file_is_not_overwritten_and_an_empty_folder_is_refused(tmp_path, model):
    path = tmp_path / "mine.csv"
    path.write_text("name,age\nA,3\n")
    with pytest.raises(ParametersRejected, match="CSV_OTHER"):
        BatchTable(path, model.digest, "")
    assert path.read_text() == "name,age\nA,3\n"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputRejected, match="NO_STUDIES"):
        studies_below(tmp_path / "empty")
    assert len(set(COLUMNS)) == len(COLUMNS)
