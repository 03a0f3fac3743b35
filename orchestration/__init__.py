"""The pipeline, Dagster, MLflow and the command line.

Work itself does not belong here: it is done in the packages below. Dagster is imported in ``dagster`` alone. Imports
point from ``cli`` down to ``environment``.

    cli/          the ``plumbline`` command
    services/     ``make up``: web servers, daemon, supervision
    dagster/      assets, checks, jobs, schedules, sensors
    lifecycle/    a model's life: registration, judging, promotion, approvals, rollback
    tracking/     what MLflow shows of runs and models
    pipeline/     the steps that Dagster and DVC both call, workspace, params.yaml
    environment   variables that every process starts with
"""
