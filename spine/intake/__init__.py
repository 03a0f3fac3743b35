"""Intake: puts studies from any kind of source into the study store, and studies that cannot be used into quarantine.

``spine.radiograph`` and ``spine.reconstruction`` read the files. ``validation.dataset`` builds datasets from the store.

    aasce           source: the public frontal radiographs of AASCE 2019 with corner labels
    ct_scans        source: CT keypoint sets without images
    facts           allow-list of the facts that are stored
    folder          source: study folders with DICOM views and a reconstruction
    ingest          puts all candidates of a source into the store or into quarantine
    intake_ledger   index of the candidates that were taken in or refused
    intake_report   the counts and refusals of one run
    pairing         check that radiographs and reconstruction belong together
    pseudonym       keyed hashes in place of identifiers
    records         the records between a source and ``ingest``, and the protocol of a source
    sources         every kind of source by name
    study_store     atomic writing into the store and into quarantine
    view_evidence   detection of exchanged views in the images
"""
