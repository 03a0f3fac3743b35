"""Networks: their architectures, losses and outputs, and their weights on disk.

The loop that trains a network does not belong here: see ``training.fitting``.

    checkpoints  states and weights on disk
    dsnt         the differentiable spatial-to-numerical transform and its losses
    label_shift  labels whose level names may all be shifted
    networks     the network architectures
    output_map   which output of a network is which landmark
    warm_start   weights from a fitted model
"""
