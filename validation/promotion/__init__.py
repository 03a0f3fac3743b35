"""Promotion: which model is in service, and the history of these decisions.

The history decides: ``events`` derives the state from its events, and every other place (MLflow's aliases, the readable
copy, the local copy of the champion) only follows. The rules that judge a model are in ``validation.gates``.

    events             the events, and the state that follows from them
    approval           who may decide, and which approval permits a promotion
    decisions          makes the next event from the state, or refuses: approve, reject, promote, roll back, reinstate
    history            stores the events in one database table, and in a readable copy
    sync               sets MLflow's aliases and states from the history
    promote            copies a judged candidate, tests it, and makes it the champion
    promotion_request  the input of a promotion
    served_copy        copies the judged files to the promoter's registered model
    smoke_test         tests the model on a bundled virtual study before it goes into service
    rollback           puts the last good model back into service
    verify             finds differences between table, copy, registry and files
"""
