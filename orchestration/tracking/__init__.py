"""What is written to MLflow about runs and models, for people to read.

Metrics, tags, descriptions and the report page belong here. Evidence does not: no gate reads what MLflow shows. MLflow
is imported in the functions that use it, because the import takes seconds.

    describe       writes verdict, report, model card and links to a candidate's run and model version
    drift_history  the comparisons of new studies with the training population over time
    metrics        the figures of an evaluation record as MLflow metrics, and a check that nobody edited them
    registry       look-ups in the model registry: candidate, author, champion, history
    review_page    collects the content of the report page and writes the page
    run_facts      the code, environment, cost and data of a model's training run
    run_table      the name of a run, and the saved view of the runs with decision and errors
    seed_groups    groups runs that differ only in their seed
    shadow_cases   the cases of shadow runs: their record, and MLflow's metrics of it
"""
