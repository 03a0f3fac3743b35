"""MLflow's registry and its storage: open it without global state, read versions, download files.

Nothing here decides which model is in service (``validation.promotion``) or judges a model (``validation.gates``).

    client           opens the registry, reads its versions, downloads their files
    database         SQLite and PostgreSQL: addresses, transactions, errors
    new_database     makes MLflow's SQLite database, so that a kill leaves no half of one
    experiments      finds or makes an experiment whose files every machine can read
    local_artifacts  finds MLflow's artefacts beside an SQLite database, without a server
    errors           turns errors of the registry into refusals
"""
