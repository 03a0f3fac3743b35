"""The life cycle of a model in a workspace, from registration to promotion and rollback.

Each module collects inputs from the workspace and calls the function of ``validation.promotion`` that decides. The
rules do not belong here. ``orchestration.tracking`` writes what MLflow shows.

    registration     a candidate becomes an MLflow run and a model version
    judging          the champion is scored, and the evidence is compared with the policy
    baseline         the last approved model is scored too
    seed_evidence    evaluation records of other seeds, as evidence for a verdict
    seed_fits        several seeds of a recipe are fitted and evaluated
    approvals        a person approves or rejects a verdict
    promotion        the judged candidate is promoted
    history          audit, repair, reinstatement and rollback
    local_champion   the champion's bytes beside the workspace
    virtual_study    a model measures the bundled virtual study, for the smoke test
"""
