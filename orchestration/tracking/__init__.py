"""What MLflow shows of runs and models. Nothing here is evidence: no gate reads it.

describe      run and model version of a candidate: verdict, page, card, links
metrics       the figures of a record as MLflow metrics, and whether they still agree
registry      questions to the model registry: candidate, author, champion, history
review_page   gathers what the report page needs and writes it
run_facts     code, environment, cost and data behind a model
seed_groups   groups runs that differ only in their seed
"""
