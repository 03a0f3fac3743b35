"""Dagster assets, one for each step.

Contract: an asset has at most fifteen lines. An asset that is also a stage of ``dvc.yaml`` has the stage's name and
the same inputs.

    batch_check    the check that a batch brings at least one usable study
    data           the assets from patients to a validated dataset
    launchpad      the run config of the assets, from the sections of params.yaml
    materialising  the work that all assets share: progress, report, refusals as failures
    metadata       a step's report as Dagster metadata
    model          the assets of the candidate, its evaluation and its registration
    promotion      the assets of the champion's evaluation, the verdict and the champion
"""
