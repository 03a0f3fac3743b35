"""Validation: checks of datasets, evaluation of models, the gate, promotion, and the report for the reviewer.

Finding landmarks, training and the pipeline's steps do not belong here. Neither torch nor Dagster is imported.

    dataset/      building a dataset, and its checks
    evaluation/   errors of one model on the frozen test set
    gates/        policy and evidence to a verdict
    promotion/    which model serves, and the history of it
    review/       the report on one candidate
"""
