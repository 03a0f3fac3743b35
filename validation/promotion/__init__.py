"""Promotion: everything that changes which model serves, and the history of it.

Writers of the model registry, of the champion record and of the history belong here. What decides from evidence alone
does not: see ``validation.gates``. The champion record and the history are written by ``promote``, ``rollback``,
``approval``, ``reinstatement`` and ``repair``; the other modules serve those.

    promote             a judged candidate becomes champion, or is refused
    promotion_request   what a promotion needs
    rollback            back to the last good model
    approval            a person's approval or refusal of a verdict, sealed
    approval_check      whether an approval permits a promotion
    refusals            which models a person has refused
    reinstatement       a denied or refused model may serve again
    approved_baseline   the last model that a person approved
    smoke_test          the model measures a bundled virtual patient before it serves
    served_copy         the judged bytes, copied under the promoter's registered model
    champion            the champion and its bytes, read from the registry
    champion_record     the database row that decides which version serves
    champion_change     changes the record and sets the registry's aliases
    history             the chain of entries in a file
    history_length      the length of each history, remembered in the database
    audit               disagreements between history, record, registry and alias
    repair              completes interrupted changes, and accepts the loss of a history
    cleanup             removes what a killed promotion left
    database            the gate's tables, and transactions on them
    registry_errors     errors of the registry as refusals
"""
