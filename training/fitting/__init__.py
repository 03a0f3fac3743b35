"""The fit: from a dataset and a config to trained weights.

Networks and losses do not belong here (``training.model``), nor does the export (``training.export``).

    average           the mean of several fits
    budget            time limit and learning-rate schedule
    ddp_worker        one process of a process group, as torchrun starts it
    energy            energy counters of the machine
    finishing         what a finished stage leaves: weights, contract, history, record
    fit               a fit from beginning to end
    fit_callback      time, validation, checkpoints and journal of a fit
    lightning_module  one training step
    loaders           the batches of a fit
    validation_score  landmark errors on the validation split
"""
