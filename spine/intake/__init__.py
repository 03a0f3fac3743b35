"""Intake, which puts studies from any kind of source into the study store, or into quarantine if they are unusable.

``spine.radiograph`` and ``spine.reconstruction`` read the files. ``validation.dataset`` builds datasets from the store.

    aasce             source of the public frontal radiographs of AASCE 2019 with corner labels
    archives          zip archives: list of files, bounded unpacking
    burned_in_text    the decision which text in the pixels may identify the patient
    complete_marker   the file COMPLETE, and the list of files that it may have
    correction        the record of one person's judgement of a measurement
    correction_record  the folder of a case with its records
    corrections       source of cases that a person accepted, corrected or annotated
    ct_scans          source of CT keypoint sets, which have no images
    examinations      sorting of an export to CD by examination
    facts             allow-list of the facts that may be stored
    folder            source of study folders, archives and exports to CD
    folder_candidate  one study folder: kinds of its files, reading, joining
    ingest            puts all candidates of a source into the store or into quarantine
    intake_ledger     index of the candidates that were accepted or refused
    intake_report     the counts and refusals of one run
    known_views       the view of a stored study that a correction of the other view leaves
    pairing           the check that radiographs and reconstruction belong together
    pseudonym         keyed hashes in place of identifiers
    records           the records that a source passes to ``ingest``, and the protocol of a source
    revisions         relation of a study to the store: new, present, a revision, or the rest of one
    source_files      the files below a folder, and their kinds
    sources           the kinds of source, by name
    staging           reads one candidate and stages its study, the task of many processes
    study_store       atomic writing of studies into the store and of candidates into quarantine
    view_evidence     detection of exchanged views from the content of the images
    withdrawn         corrections that a person took back
"""
