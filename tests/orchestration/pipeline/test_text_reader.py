"""The optional readers of text: which there are, how a large image is cut, and what rapidocr finds."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.burned_in_text import with_name
from orchestration.cli.main import plumbline
from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline import intake, text_reader
from orchestration.pipeline.params import Params, read_params
from orchestration.pipeline.steps import compute_step
from orchestration.pipeline.text_reader import open_text_reader, tiles
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.intake.burned_in_text import may_identify
from tests.spine.intake.constructed_studies import write_study


def test_no_reader_is_the_default_and_imports_nothing():
    assert Params().source.text_reader == "none"
    assert open_text_reader("none") is None
    assert "rapidocr" not in sys.modules


def test_a_reader_that_is_not_installed_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(text_reader, "find_spec", lambda name: None)
    with pytest.raises(ParametersRejected, match=r"TEXT_READER_MISSING.*plumbline\[ocr\]"):
        open_text_reader("rapidocr")


@pytest.mark.parametrize("shape", [(300, 110), (2048, 2048), (2049, 900), (5000, 1800), (8000, 4000)])
def test_the_tiles_cover_the_image_overlap_and_are_small(shape):
    place = np.arange(np.prod(shape)).reshape(shape)
    parts = list(tiles(place))
    assert all(max(part.shape) <= 2048 for part in parts)
    seen = np.zeros(shape, dtype=int)
    for part in parts:
        row, column = np.unravel_index(part[0, 0], shape)
        seen[row : row + part.shape[0], column : column + part.shape[1]] += 1
    assert seen.min() == 1 and (len(parts) == 1) == (max(shape) <= 2048)


def test_a_study_with_a_name_is_refused_in_the_pipeline_until_a_person_accepts_it(tmp_path, monkeypatch):
    """From params.yaml to the store, with a reader that finds a name in every image."""
    monkeypatch.setattr(intake, "open_text_reader", lambda name: (lambda image: ["MEIER"]) if name != "none" else None)
    workspace = Workspace(tmp_path / "ws")
    write_study(tmp_path / "drop" / "a", 1, simulated=False)
    prepare_workspace(workspace, "folder", tmp_path / "drop", ("source.text_reader=rapidocr",))
    with pytest.raises(Exception, match="NO_STUDIES"):
        compute_step("studies", workspace)
    (folder,) = workspace.quarantine.iterdir()
    command = ["accept", folder.name, "--reason", "a phantom", "-w", str(workspace.root)]
    assert CliRunner().invoke(plumbline, command).exit_code == 0
    assert read_params(workspace.params_file).source.accepted_text == (f"{folder.name}: a phantom",)
    assert compute_step("studies", workspace).figures["used"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("height", "contrast"), [(16, 0.5), (24, 0.25), (48, 1.0)])
def test_rapidocr_finds_a_drawn_name_and_not_a_side_marker(height, contrast):
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    read = open_text_reader("rapidocr")
    rows, columns = np.mgrid[0:1200, 0:500]
    image = (800 + 900 * np.exp(-(((columns - 250) / 60) ** 2)) + 200 * np.sin(rows / 40)).astype(np.uint16)
    assert not any(map(may_identify, read(image)))
    assert any(map(may_identify, read(with_name(image, height, contrast))))
