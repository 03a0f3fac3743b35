"""The side to which the patient faces: read by the confidence of both mirror images, or refused."""

from dataclasses import replace

import numpy as np
import pytest

from inference.facing import MIN_MARGIN, FacingRead, read_facing, turned_to_canonical
from inference.inputs import ImageInput
from spine.errors import InputRejected
from tests.inference.fake_model import knowing_model

SHAPE = (40, 20)
IMAGE = ImageInput(np.arange(800, dtype=np.uint16).reshape(SHAPE), file="b.dcm", notes=("first",))


@pytest.fixture
def confidences(monkeypatch):
    """``confidences(as_stored, mirrored)`` sets the confidence of the model on both images."""

    def fixed(as_stored, mirrored):
        monkeypatch.setattr("inference.facing.clearest_run", lambda model, view, image: image.image[0, 0])
        monkeypatch.setattr("inference.facing.confidence", lambda run, names: as_stored if run == 0 else mirrored)

    return fixed


MODEL = knowing_model({"lateral": {}}, SHAPE)


@pytest.mark.parametrize(("as_stored", "mirrored", "facing"), [(-1.0, -2.0, "left"), (-2.0, -1.5, "right")])
def test_the_more_confident_image_faces_left(confidences, as_stored, mirrored, facing):
    confidences(as_stored, mirrored)
    assert read_facing(MODEL, IMAGE) == FacingRead(facing, abs(as_stored - mirrored))
    turned = turned_to_canonical(MODEL, IMAGE).image
    np.testing.assert_array_equal(turned.image, IMAGE.image if facing == "left" else IMAGE.image[:, ::-1])
    assert turned.notes[0] == "first" and f"faces {facing}" in turned.notes[1]
    assert replace(turned, image=IMAGE.image, notes=IMAGE.notes) == IMAGE


@pytest.mark.parametrize("pair", [(-1.0, -1.0 - MIN_MARGIN / 2), (-np.inf, -np.inf)])
def test_an_unclear_image_needs_a_person(confidences, pair):
    confidences(*pair)
    with pytest.raises(InputRejected, match=r"FACING_UNCLEAR: found b\.dcm.*--facing left"):
        turned_to_canonical(MODEL, IMAGE)
