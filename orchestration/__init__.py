"""The pipeline, Dagster, MLflow and the command line.

The work itself does not belong here: the packages that ``orchestration`` imports do the work. Only ``dagster`` imports
Dagster, and only ``dagster`` and ``cluster`` import Ray. In the list below, each package imports only packages that are
below it.

    cli/          the ``plumbline`` command
    services/     ``make up``: web servers, daemon, supervision
    dagster/      assets, checks, jobs, schedules, sensors
    lifecycle/    registration, judging, promotion, approvals, rollback
    tracking/     what is written to MLflow about runs and models
    pipeline/     workspace, params.yaml, and the steps that both Dagster and DVC call
    cluster/      work on the nodes of a Ray cluster, where one is named
    alerts        what a person must look at: a file, the log, an optional webhook
    links         links between MLflow's and Dagster's pages that hold on every port
    environment   the environment variables that every process starts with
    log_rotation  rotates log files by size
    printable     texts with names of files, made safe to print on a terminal
    web_guard     refuses requests of foreign pages and hosts before they reach a web server
    system_errors  describes errors of the operating system in one line
"""
