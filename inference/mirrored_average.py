"""Averages what the network finds in a frontal image with what it finds in the mirror image.

A mirrored frontal image looks like an image of another patient, so its errors differ and a part of them cancels in the
mean. A mirrored lateral image does not look like a patient. The check of the view and the choice of the scale
(``detection``) are made before, because averaged maps are wider.

Contract: in the mirror image, a landmark has the place and the name of its left-right partner.
"""

from dataclasses import replace

from inference.decoding import decode
from inference.model import Model
from inference.view_check import ViewDetection
from spine.landmarks import mirrored_name


def averaged_with_mirror_image(model: Model, found: ViewDetection) -> ViewDetection:
    """``found`` in a frontal image, with the mean heat maps and logits of this image and its mirror image."""
    contract, prepared = model.contract, found.prepared
    partner = [contract.names.index(mirrored_name(name)) for name in contract.names]
    output = model.run(prepared.pixels[None, :, :, ::-1].copy(), ["frontal"])
    heatmaps = (found.heatmaps + output.heatmaps[0][partner, :, ::-1]) / 2
    visibility = (found.visibility + output.visibility[0][partner]) / 2
    decoded = decode(heatmaps, visibility, contract.names, contract.input_shape, prepared.affine, found.shape)
    return replace(found, heatmaps=heatmaps, visibility=visibility, decoded=decoded)
