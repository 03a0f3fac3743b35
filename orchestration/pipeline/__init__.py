"""The pipeline as plain functions on a workspace. Dagster assets and DVC stages call these functions.

Workspace, parameters and DVC belong here too. Registration, judging and promotion do not: see
``orchestration.lifecycle``. torch and DVC are imported in the functions that use them, because these imports take
seconds and most commands need neither.

    batch_files         a digest of the files of a batch in the inbox
    cache               DVC's cache: the files of a version, and those that no version needs
    corrections         intake and list of the corrections of a workspace
    drift               compares new studies with the training population
    evaluate            makes predictions on the frozen test set, and the evaluation record
    intake              takes in studies from the source, from finished batches of the inbox, and corrections
    lease               a lock in PostgreSQL that several machines respect
    leftover            something that may be removed, with its size
    lock                locks a workspace, so that it has one writer at a time
    model_facts         how a model was made, for its evaluation record
    multi_gpu           a fit on several GPUs under torchrun
    names               the names of models and experiments in MLflow
    params              reads and validates params.yaml
    params_table        every parameter of params.yaml with default, range and meaning
    policies            the gate policy of a workspace
    predicting          predictions of many studies by one model, on every worker
    readable_files      DVC's repository, without links to nowhere and pipes in its digests
    remote              the DVC remote: a bucket or a folder, checked before it is configured
    report              the part of a candidate's report that is made from the workspace's files
    second_reading      a model that reads every image of the dataset again
    stages              the table of the stages, and the dvc.yaml that is made from it
    step_report         the report of one step
    steps               a function for each step
    survey              lists the parameters that can be computed from 3D reconstructions without images
    text_reader         the optional readers of text in the pixels of radiographs
    versioning          DVC: whether a stage is up to date, and the version of the data
    work                where the steps do their work, and the number of workers
    workspace           the folders of a workspace
"""
