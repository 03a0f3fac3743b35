"""Networks: their architectures, losses and outputs, and their weights on disk.

The loop that trains a network belongs to ``training.fitting``.

    checkpoints  states and weights on disk
    dsnt         the differentiable spatial-to-numerical transform and its losses
    label_shift  corrects labels if all level names of an image are shifted
    networks     the network architectures
    output_map   the landmark of each output of a network
    warm_start   loads initial weights from a fitted model
"""
