"""Shapes that annotations state are checked while tests run."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from inference.decoding import pixels_from_normalised
from inference.model import NetworkOutput
from inference.vertebral_column import centres_of
from training.model.dsnt import euclidean_loss


def test_a_wrong_number_of_columns_is_refused():
    with pytest.raises(TypeCheckError, match="pixels_from_normalised"):
        pixels_from_normalised(np.zeros((4, 3)), (5, 7))


def test_sizes_of_one_name_must_agree():
    with pytest.raises(TypeCheckError, match="NetworkOutput"):
        NetworkOutput(np.zeros((2, 3, 5, 7), np.float32), np.zeros((2, 4), np.float32))
    with pytest.raises(TypeCheckError, match="euclidean_loss"):
        euclidean_loss(torch.zeros(2, 3, 2), torch.zeros(2, 4, 2), (5, 7))


def test_the_values_of_a_mapping_are_checked():
    with pytest.raises(TypeCheckError, match="centres_of"):
        centres_of({"T1_sup": np.zeros(3)})
