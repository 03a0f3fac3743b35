"""Evaluation: the errors of one model on the frozen test set, in one sealed record.

Comparing predictions with reference values belongs here. Deciding about a model does not: see ``validation.gates``.
Drawing does not either: see ``validation.review``.

    record             the evaluation record: made, written, read and verified
    outcomes           truth and prediction of one study
    agreement          agreement statistics with intervals
    landmark_errors    landmark errors and level shifts
    sides              the side of the curve, and mirrored views
    predicted_points   the landmarks that a model predicted, for the review
    test_set_check     whether the test set is complete and unchanged
    test_set_ledger    how often a test set was read
    sealing            canonical JSON with a digest
    code_environment   versions of interpreter, libraries and sources
"""
