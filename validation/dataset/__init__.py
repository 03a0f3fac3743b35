"""Datasets: built from studies and their landmarks, split by patient, and validated before a model is trained.

Everything that builds, checks or excludes belongs here. The dataset record itself does not: see ``spine.dataset``.

    build                  studies and landmarks to a manifest with images
    selection              which studies are used, and why others are left out
    splits                 train, validation or test for each patient
    frozen_test_set        the frozen test set and the list of excluded studies
    reference_parameters   the reference value of each parameter of a study
    validate               the validation of a dataset folder
    suites                 the rules: plausible values of each column
    tables                 a dataset as four tables of rows
    spine_shape            ratios and angles of the vertebrae in one image
    leakage                one patient or one radiograph in two splits
    near_duplicates        whether two images are the same radiograph
    expectation_run        running the rules with Great Expectations
    results                parameters and result of a validation
    validation_page        the report as one HTML file
    contact_sheets         images of the studies that break rules
    exclusion              removing studies with errors
"""
