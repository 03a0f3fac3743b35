"""The fit: from a dataset and a config to trained weights.

Networks and losses do not belong here: see ``training.model``. The export does not either: see ``training.export``.

    average           mean weights of several fits
    budget            time limit and learning-rate schedule
    ddp_worker        one process of a process group, as torchrun starts it
    energy            energy counters of the machine
    finishing         the files of a finished stage: weights, contract, history, record
    fit               a fit from beginning to end
    fit_callback      time, validation, checkpoints and journal of a fit
    lightning_module  one training step
    loaders           the batches of a fit
    validation_score  landmark errors on the validation split
"""
