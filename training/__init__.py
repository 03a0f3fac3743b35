"""Training: a dataset in, a candidate model out.

The fit, its data, its export and its log in MLflow belong here. Evaluation and promotion do not: see ``validation``. A
fit needs only torch, lightning and numpy, so that it runs on a bare GPU machine.

    arguments      the options of ``python -m training``
    config         the parameters of a fit
    curves         the curves of a fit as charts
    data/          batches of images and labels
    export/        from a finished fit to a calibrated, exported model
    fields         fields of a parameter record: description, bounds, checks
    fit_context    everything that one fit works with
    fitting/       the fit itself
    journal        parameters and figures of a fit, line by line
    model/         networks, losses, checkpoints
    process_group  the processes that fit one network together
    recipe         named parameter values, such as those of the bundled model
    tracking       a candidate in MLflow
"""
