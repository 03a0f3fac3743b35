"""The model in the box on the real films, zero shot: no picture of them was ever learnt from.

What belongs here: from a pack to corners through the product's own preprocessing and network. What does not: figures
(``scoring``). Contract: every film counts, with every corner at its expectation, seen or not; what the model would have
answered is counted beside it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.decoding import decode, expectation, pixels_from_normalised
from inference.model import Model
from inference.preprocessing import prepare
from spine.intake.aasce import LABEL_NAMES
from tests.bench.real_films.folds import film_of
from tests.bench.sim_to_real.pack import Pack


@dataclass(frozen=True)
class Found:
    """Of N films: ``corners`` (N, 17, 4, 2) frame pixels, ``answered`` (N, 17, 4) whether the model says it saw it."""

    corners: NDArray[np.float64]
    answered: NDArray[np.bool_]


def find(model: Model, films: Pack) -> Found:
    """Run the model on each film without the black that the pack put around it."""
    order = [model.contract.names.index(name) for name in LABEL_NAMES]
    corners, answered = [], []
    for picture in films.pictures:
        film, first = film_of(picture)
        prepared = prepare(film, model.contract.input_shape)
        output = model.run(prepared.pixels[None], ["frontal"])
        mean, _ = expectation(output.heatmaps[0, order].astype(np.float64))
        points = prepared.affine.inverse.apply(pixels_from_normalised(mean, model.contract.input_shape))
        corners.append((points + first).reshape(17, 4, 2))
        seen = decode(
            output.heatmaps[0], output.visibility[0], model.contract.names, model.contract.input_shape,
            prepared.affine, (film.shape[0], film.shape[1]),
        ).points  # fmt: skip
        answered.append(np.array([name in seen for name in LABEL_NAMES]).reshape(17, 4))
    return Found(np.stack(corners), np.stack(answered))
