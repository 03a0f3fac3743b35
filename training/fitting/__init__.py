"""The fit, which makes trained weights from a data set and a config.

Networks and losses belong to ``training.model``. The export belongs to ``training.export``.

    average           mean weights of several fits
    budget            time limit and learning-rate schedule
    ddp_worker        the program that torchrun starts in each process of a process group
    energy            energy counters of the machine
    finishing         the files of a finished stage: weights, contract, history, record
    fit               runs a fit from beginning to end
    fit_callback      time, validation, checkpoints and journal of a fit
    lightning_module  one training step
    loaders           the batches of a fit
    validation_score  landmark errors on the validation split
"""
