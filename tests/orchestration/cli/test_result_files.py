"""``plumbline measure --dicom-out --fhir``: all files or none, and the same ones when repeated."""

import json
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from serving.results.identity import RESULT_KINDS, file_name
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.scanner import NATIVE_SPACING_MM
from spine.storage import sha256_of_tree
from tests.orchestration.cli.test_command_line import command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    write_cohort(folder, CohortConfig(count=1, seed=3, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))
    return folder / "case-00000"


def measure(case: Path, workspace: Path, *options: object):
    return command("measure", case / "frontal.dcm", case / "lateral.dcm", "-w", workspace, *options)


def test_results_are_written_beside_the_measurement_and_repeat_exactly(case, tmp_path):
    results, bundle, found = tmp_path / "r", tmp_path / "b" / "bundle.json", tmp_path / "m.json"
    options = ("--dicom-out", results, "--fhir", bundle, "--fhir-release", "R5", "--out", found)
    digests = []
    for _ in range(2):
        done = measure(case, tmp_path / "ws", *options)
        assert done.returncode == 0, done.stderr
        digests.append((sha256_of_tree(results), sha256_of_tree(bundle.parent)))
    assert digests[0] == digests[1]
    assert {path.name for path in results.iterdir()} == {file_name(kind) for kind in RESULT_KINDS}
    entries = [entry["resource"]["resourceType"] for entry in json.loads(bundle.read_text())["entry"]]
    assert {"ImagingStudy", "Device", "Observation", "DiagnosticReport"} == set(entries)
    slope = json.loads(found.read_text())["parameters"]["sacral_slope"]["value"]
    assert f'"value": {slope}' in bundle.read_text()


def test_a_refused_radiograph_leaves_no_result_of_an_earlier_call(case, tmp_path):
    results, bundle = tmp_path / "r", tmp_path / "bundle.json"
    options = ("--dicom-out", results, "--fhir", bundle)
    assert measure(case, tmp_path / "ws", *options).returncode == 0
    (results / "notes.txt").write_text("of a person")
    blank = pydicom.dcmread(case / "frontal.dcm")
    blank.PixelData = bytes(len(blank.PixelData))
    blank.save_as(tmp_path / "blank.dcm")
    done = command("measure", tmp_path / "blank.dcm", "-w", tmp_path / "ws", *options)
    assert done.returncode == 1
    assert [path.name for path in results.iterdir()] == ["notes.txt"] and not bundle.exists()


def test_a_picture_gets_neither_dicom_nor_fhir_results(case, tmp_path):
    from PIL import Image

    Image.fromarray(pydicom.dcmread(case / "frontal.dcm").pixel_array // 16).convert("L").save(tmp_path / "f.png")
    call = ("measure", "--frontal", tmp_path / "f.png", "-w", tmp_path / "ws", "--out", tmp_path / "m.json")
    for option in (("--dicom-out", tmp_path / "r"), ("--fhir", tmp_path / "b.json")):
        done = command(*call, *option)
        assert done.returncode == 1 and "RESULTS_NEED_DICOM" in done.stderr
        assert not (tmp_path / "m.json").exists() and not option[1].exists()


def test_results_never_replace_an_input_or_each_other(case, tmp_path):
    inside = tmp_path / file_name("report")
    inside.write_bytes((case / "frontal.dcm").read_bytes())
    done = command("measure", inside, "-w", tmp_path / "ws", "--dicom-out", tmp_path)
    assert done.returncode == 2 and "this is an input file" in done.stderr and inside.exists()
    same = tmp_path / "m.json"
    done = measure(case, tmp_path / "ws", "--fhir", same, "--out", same)
    assert done.returncode == 2 and "name two files" in done.stderr
    done = measure(case, tmp_path / "ws", "--dicom-out", inside)
    assert done.returncode == 2


def test_a_missing_extra_is_said_before_anything_is_measured(case, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.results.objects.find_spec", lambda name: None)
    monkeypatch.setattr("inference.measured_study.measure_radiographs", lambda *given: pytest.fail("measured"))
    done = measure(case, tmp_path / "ws", "--dicom-out", tmp_path / "r")
    assert done.returncode == 2 and "plumbline[serving]" in done.stderr


def test_a_measurement_without_results_does_not_import_their_libraries():
    code = (
        "import sys, orchestration.cli.measuring, inference.measured_study, inference.radiograph_files\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"highdicom", "fhir", "matplotlib"} & set(done.stdout.split())
