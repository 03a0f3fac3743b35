"""Reads from a lateral image to which side the patient faces, where no tag and no person says it.

The network was trained on canonical laterals, in which the patient faces left. It is run on the image and on its mirror
image, and is more confident on the one in which the patient faces left.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from inference.detection import clearest_run
from inference.inputs import ImageInput
from inference.model import Model
from inference.view_check import confidence
from spine.errors import InputRejected

MIN_MARGIN = 0.25
"""With a smaller difference of the confidences, the direction is unclear. Of 12 real lumbar laterals, it is read
rightly for six, wrongly for one whose upper vertebrae are nearly black, and unclear for five
(`python -m benchmarks.outside_radiographs`). The limit was chosen on the same images, with earlier weights."""


@dataclass(frozen=True)
class FacingRead:
    """The side of the image to which the patient faces, and the difference of the two confidences."""

    facing: Literal["left", "right"]
    margin: float


def read_facing(model: Model, image: ImageInput) -> FacingRead:
    """The direction of the patient in a lateral image; the margin is 0 if neither image shows a spine."""
    names = model.contract.names
    as_stored = confidence(clearest_run(model, "lateral", image), names)
    mirrored = confidence(clearest_run(model, "lateral", _mirrored(image)), names)
    margin = 0.0 if as_stored == mirrored else abs(as_stored - mirrored)  # both may be minus infinity
    return FacingRead("left" if as_stored >= mirrored else "right", margin)


@dataclass(frozen=True)
class TurnedImage:
    """A lateral image with the patient facing left, and whether it was mirrored for this."""

    image: ImageInput
    mirrored: bool


def turned_to_canonical(model: Model, image: ImageInput) -> TurnedImage:
    """The lateral image with the patient facing left; its notes say how this is known.

    Raises:
        InputRejected: ``FACING_UNCLEAR``, if the model cannot tell the direction.
    """
    read = read_facing(model, image)
    if read.margin < MIN_MARGIN:
        found = (
            f"{image.file or 'a lateral image'}: no orientation tag, and the model cannot tell where the patient faces"
        )
        remedy = "say it with --facing left or --facing right"
        raise InputRejected("FACING_UNCLEAR", found, "a lateral image of known orientation", remedy)
    note = f"lateral: no orientation tag; the model reads that the patient faces {read.facing}. Check this"
    mirrored = read.facing == "right"
    turned = _mirrored(image) if mirrored else image
    return TurnedImage(replace(turned, notes=(*image.notes, note)), mirrored)


def _mirrored(image: ImageInput) -> ImageInput:
    return replace(image, image=np.ascontiguousarray(image.image[:, ::-1]))
