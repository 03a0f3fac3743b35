import json
import subprocess
import sys

import pytest

from benchmarks import radiograph_memory as memory
from spine.radiograph.read import read_radiograph


@pytest.mark.parametrize("colour", [False, True])
def test_the_images_that_are_measured_are_read(tmp_path, colour):
    for syntax, encoder in (memory.COLOUR if colour else memory.GREY).items():
        file = tmp_path / "a.dcm"
        memory.write_image(file, memory.SMALL, syntax, encoder, colour=colour)
        assert read_radiograph(file).image.shape == memory.SMALL


@pytest.mark.slow
def test_a_process_reports_its_peaks(tmp_path):
    files = [tmp_path / "small.dcm", tmp_path / "large.dcm"]
    for file, shape in zip(files, (memory.SMALL, (4000, 2000)), strict=True):
        memory.write_image(file, shape, "1.2.840.10008.1.2.5", "pydicom", colour=False)
    call = [sys.executable, "-m", "benchmarks.radiograph_memory", "one", *map(str, files)]
    peaks = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)
    for process in ("parent", "child"):
        assert 2 < peaks[process] / 8e6 < 12, "bytes a pixel"
