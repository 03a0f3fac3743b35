"""Lifecycle: the life of a model in a workspace, from registration to promotion and rollback.

Each module gathers what a workspace has and calls the function of ``validation.promotion`` that decides; the rules
themselves do not belong here. What MLflow shows is written by ``orchestration.tracking``.

    registration     a candidate becomes an MLflow run and a model version
    judging          champion and candidate are scored, and the evidence is compared with the policy
    baseline         the last approved model is scored beside them
    seed_evidence    evaluation records of other seeds, as evidence for a verdict
    seed_fits        several seeds of a recipe are fitted and evaluated
    approvals        a person approves or refuses a verdict
    promotion        the judged candidate is promoted
    history          audit, repair, reinstatement and rollback
    local_champion   the champion's bytes beside the workspace
    virtual_study    a model measures the bundled virtual study, for the smoke test
"""
