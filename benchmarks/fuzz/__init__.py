"""Fuzzing of the readers: damaged radiographs, reconstructions and study folders, made from small valid ones.

Every input follows from its target, the seed and its number, so any input can be made again. Inputs are changed with
knowledge of their format, because bytes that are changed at random rarely get past the first check of a reader.

Contract: for every input, the reader returns a result or a refusal with a documented code other than ``READER_FAULT``,
within 10 s and 1 GiB, writes nothing outside its temporary folder, starts no process but the decoder, and no message or
output contains the planted marker.

    byte_edits         changes of bytes that know no format
    dicom_elements     the elements of a DICOM file, and their encoding in each transfer syntax
    dicom_values       values of elements that a reader may trip over
    dicom_edits        changes of elements: values, lengths, types, order, nesting
    text_edits         changes of JSON, tables, mesh texts and the data of VTP files
    archive_edits      changes of zip archives
    study_edits        changes of study folders
    radiograph_seeds   small radiographs in every transfer syntax
    points_seeds       small reconstructions in every format
    targets            what is fuzzed: how an input is made, and how it is read
    watch              reading of one input under observation, and the verdict
    worker             the process that reads inputs one after the other
    pool               several workers, and what becomes of a worker that hangs or dies
    findings           inputs that broke the contract, as files of the corpus
    results            the counts of all parts of a run
    corpus/            one file for each defect that was found, which a test replays
"""
