"""The life cycle of a model in a workspace, from registration to promotion and rollback.

Each module collects inputs from the workspace and calls the function of ``validation.promotion`` that decides. The
rules of these decisions do not belong here. ``orchestration.tracking`` writes what MLflow shows.

    registration       registers a candidate as an MLflow run and a model version
    judging            scores the champion, and compares the evidence with the policy
    baseline           scores the last approved model
    champion_training  finds what the champion learnt from, in its sealed record
    seed_evidence      finds evaluation records of other seeds, as evidence for a verdict
    seed_fits          fits and evaluates several seeds of a recipe
    promotion          promotes the judged candidate
    changes            opens the history for a change; registry and local copy follow
    history            approval, rejection, reinstatement, rollback, restoration and verification
    correcting         radiographs of the store for the correction page
    data_in_use        the versions of the data that models and records name
    backup             writes a workspace into an archive, and restores it
    failed_fits        fits that failed or were abandoned
    local_champion     the workspace's local copy of the champion
    served_model       the champion that a service must answer with
    shadow             the challenger of the shadow runs
    virtual_study      measures the bundled virtual study, for the smoke test
"""
