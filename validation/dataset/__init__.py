"""Datasets: built from studies and their landmarks, split by patient, and validated before a model is trained.

Code that builds or checks datasets, or excludes studies from them, belongs here. The dataset record itself does not:
see ``spine.dataset``.

    build                  builds a manifest with images from studies and landmarks
    selection              selects the usable studies, and states why each other study is left out
    correction_rules       which corrections count as labels, and that none enters the test set
    splits                 assigns each patient to train, validation or test
    frozen_test_set        the frozen test set and the list of excluded studies
    reference_parameters   the reference value of each parameter of a study
    validate               the validation of a dataset folder
    checking               checks the rules of one row part by part, and the other rules on the whole
    suites                 the rules, which state the plausible values of each column
    tables                 a dataset as tables, which the rules check
    study_rows             the rows of one study in these tables
    population             the features of a study by which populations are compared
    drift                  compares two populations of studies, feature by feature
    drift_page             the page on drift
    second_reading         what a second reader finds in an image, compared with the labels
    spine_shape            ratios and angles that describe the vertebrae in one image
    leakage                finds patients and radiographs that are in two splits
    near_duplicates        whether two images show the same radiograph
    duplicate_search       which pairs of studies may show the same radiograph, among all pairs
    expectation_run        checks tables against the rules with Great Expectations, part by part
    data_docs              Great Expectations' own pages on a validation
    expectations           the rules as expectations of Great Expectations, and what it finds in a table
    results                the parameters and the result of a validation
    validation_page        the report on a validation, as one HTML file
    contact_sheets         pictures of the studies that break rules
    exclusion              removes studies with errors from a dataset
"""
