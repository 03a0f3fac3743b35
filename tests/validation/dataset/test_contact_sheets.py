import numpy as np
import pytest
from PIL import Image, ImageColor

from spine.dataset_writing import write_manifest
from validation.dataset import contact_sheets
from validation.dataset.contact_sheets import COLOURS, draw_examples, draw_findings
from validation.dataset.results import Finding


def reds(path):
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return image, int(np.sum((image[..., 0] > 240) & (image[..., 1] < 110) & (image[..., 2] < 110)))


def test_the_worst_radiographs_are_drawn_with_the_wrong_level_in_red(radiographs, workspace, monkeypatch):
    examples = tuple(radiographs(4, test_patients=1).examples())
    sheet = workspace / "out" / "sheet.png"
    message = "frontal T9: wedge_deg 31 deg, expected 0 to 25"
    found = [Finding(examples[1].study_id, "wedge", message, "error")]
    draw_findings(workspace / "dataset", found, sheet, tile_px=300)
    image, red = reds(sheet)
    assert red > 20
    assert image.shape[0] > 300
    monkeypatch.setattr(contact_sheets, "COLUMNS", 3)
    warnings = [Finding(e.study_id, "wedge", message, "warning") for e in examples]
    draw_findings(workspace / "dataset", warnings, sheet, tile_px=300)
    four, none = reds(sheet)
    assert none == 0
    assert four.shape[0] > 2 * 300


def test_biplanar_studies_are_drawn_too(biplanar, workspace):
    (example,) = biplanar(1, test_patients=0).examples()
    found = [Finding(example.study_id, "s1_to_hips", "s1_to_hips_mm 300 mm, expected 50 to 170", "error")]
    assert draw_findings(workspace / "dataset", found, workspace / "one.png", tile_px=200).stat().st_size > 1000


def test_nothing_to_draw_is_refused(biplanar, workspace):
    biplanar(1, test_patients=0)
    with pytest.raises(ValueError, match="no study"):
        draw_findings(workspace / "dataset", [], workspace / "none.png")


def test_a_few_studies_of_the_train_split_are_drawn_with_their_labels(biplanar, workspace, tmp_path):
    biplanar(4, test_patients=1)
    assert draw_examples(workspace / "dataset", tmp_path / "sheet.png", count=2, tile_px=200) == tmp_path / "sheet.png"
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20)}
    assert {ImageColor.getrgb(colour) for colour in COLOURS} & colours
    write_manifest(tmp_path, "galbusera39", 0, ())
    assert draw_examples(tmp_path, tmp_path / "none.png") is None
