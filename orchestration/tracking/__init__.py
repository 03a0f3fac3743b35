"""What is written to MLflow about runs and models, for people to read.

Metrics, tags, descriptions and the report page belong here. Evidence does not: no gate reads what MLflow shows. MLflow
takes seconds to import, so the functions that call it import it.

    describe      run and model version of a candidate: verdict, report, model card, links
    metrics       the figures of an evaluation record as MLflow metrics, and whether they still agree
    registry      look-ups in the model registry: candidate, author, champion, history
    review_page   collects the content of the report page and writes it
    run_facts     code, environment, cost and data behind a model
    seed_groups   groups runs that differ only in their seed
"""
