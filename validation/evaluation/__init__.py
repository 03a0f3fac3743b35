"""Evaluation: the errors of one model on the frozen test set, in one sealed record.

Code that compares predictions with reference values belongs here. Decisions about a model do not: see
``validation.gates``. Pages and charts do not either: see ``validation.review``.

    record             makes, writes, reads and verifies the evaluation record
    outcomes           the truth and the prediction of each parameter in one study
    model_facts        how a model was made: landmarks, input, and training
    agreement          agreement statistics with intervals
    landmark_errors    landmark errors and level shifts
    sides              the side of the major curve, and whether a view is mirrored
    predicted_points   the landmarks that a model predicted, for the review
    test_set_check     whether the test set is complete and unchanged
    test_set_ledger    the list of every read of a test set
    sealing            canonical JSON files with a digest
    code_environment   the versions of interpreter, libraries and sources
"""
