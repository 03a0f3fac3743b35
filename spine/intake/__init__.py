"""Intake: studies from any kind of source into the study store, and those that cannot be used into quarantine.

Reading the files belongs to ``spine.radiograph`` and ``spine.reconstruction``. Building a dataset from the store does
not belong here: see ``validation.dataset``.

    aasce           source: the public frontal radiographs of AASCE 2019 with corner labels
    ct_scans        source: CT keypoint sets without images
    facts           allow-list of the facts that enter the store
    folder          source: study folders with DICOM views and a reconstruction
    ingest          all candidates of a source into the store or into quarantine
    intake_ledger   index of what is in the store already
    intake_report   the counts and refusals of one run
    pairing         check that radiographs and reconstruction belong together
    pseudonym       keyed hashes in place of identifiers
    records         the records between a source and ``ingest``, and the protocol of a source
    sources         every kind of source by name
    study_store     atomic writing into the store and into quarantine
    view_evidence   check of the images themselves for exchanged views
"""
