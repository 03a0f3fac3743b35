"""Training, which makes a candidate model from a data set.

The fit, its data, its export and its log in MLflow belong here. Evaluation and promotion belong to ``validation``. A
fit needs only torch, lightning and numpy, so that it runs on a GPU machine with few packages.

    arguments        the options of ``python -m training``
    config           the parameters of a fit
    curves           the curves of a fit as charts
    data/            batches of images and labels
    export/          makes a calibrated, exported model from a finished fit
    fields           fields of a parameter record: description, bounds, checks
    fit_context      hardware, data, config, journal and process group of one fit
    fitting/         the fit itself
    journal          parameters and figures of a fit, line by line
    model/           networks, losses, checkpoints
    packed_examples  examples in little memory
    process_group    the processes that fit one network together
    recipe           named parameter values, such as those of the bundled model
    tracking         logs a candidate to MLflow
"""
