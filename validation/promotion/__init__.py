"""Promotion: everything that changes the champion, and the history of these changes.

This package writes the model registry, the champion record and the history. The rules that judge a model are in
``validation.gates``. The entry points are ``promote``, ``rollback``, ``approval``, ``reinstatement``, ``repair`` and
``audit``.

    promote             makes a judged candidate the champion, or refuses it
    promotion_request   the input of a promotion
    rollback            puts the last good model back into service
    approval            a person's sealed approval or refusal of a verdict
    approval_check      decides whether an approval permits a promotion
    refusals            the models that a person has refused
    reinstatement       permits a denied or refused model to go back into service
    approved_baseline   the last model that a person approved
    smoke_test          tests the model on a bundled virtual study before it goes into service
    served_copy         copies the judged files to the promoter's registered model
    champion            reads the champion and its files from the registry
    champion_record     the database row that decides which version is in service
    champion_change     changes the champion record and sets the registry's aliases
    history             the file of all changes, as a chain of entries
    history_length      the length of each history, stored in the database
    audit               finds disagreements between history, champion record, registry and alias
    repair              completes interrupted changes, and continues a history that has lost entries
    cleanup             removes the remains of a killed promotion
    database            the gate's tables in the registry's database, and transactions on these tables
    new_database        makes MLflow's SQLite database, so that a kill leaves no half of one
    local_artifacts     finds MLflow's artefacts beside an SQLite database, without a server
    registry_errors     turns errors of the registry into refusals
"""
