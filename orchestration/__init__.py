"""The pipeline, Dagster, MLflow and the command line.

The work itself does not belong here: it is done in the packages that this one imports. Only ``dagster`` imports
Dagster. Imports point from ``cli`` down to ``environment``.

    cli/          the ``plumbline`` command
    services/     ``make up``: web servers, daemon, supervision
    dagster/      assets, checks, jobs, schedules, sensors
    lifecycle/    registration, judging, promotion, approvals, rollback
    tracking/     what is written to MLflow about runs and models
    pipeline/     the steps that Dagster and DVC both call, workspace, params.yaml
    environment   variables that every process starts with
"""
