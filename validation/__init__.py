"""Validation: checks of datasets, evaluation of models, the gate, promotion, and the report for the reviewer.

Training, the pipeline's steps and the detection of landmarks do not belong here. Neither torch nor Dagster is imported.

    dataset/      builds datasets and checks them
    evaluation/   measures the errors of one model on the frozen test set
    gates/        derives a verdict from policy and evidence
    promotion/    changes which model is in service, and records each change in the history
    review/       writes the report on one candidate
"""
