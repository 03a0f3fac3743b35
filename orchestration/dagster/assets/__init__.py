"""Dagster assets, one for each step.

Contract: an asset has at most fifteen lines. An asset that is also a stage of ``dvc.yaml`` has the stage's name and
upstream.

    data           from patients to a validated dataset
    materialising  the work that all assets share: progress, report, refusals as failures
    metadata       a step's report as Dagster metadata
    model          candidate, evaluation, registration
    promotion      the champion's evaluation, the verdict, the champion
    training_form  the run config of the asset candidate, from the training parameters
"""
