"""The servers of a workspace on this machine, which ``make up`` starts, and the status and cleaning of a workspace.

Starting, supervising and stopping processes belongs here. Jobs and assets do not: see ``orchestration.dagster``.
Dagster is imported after the environment variables are set, because it reads them at import.

    cleaning      removes what no model and no record needs
    interruption  handles SIGTERM like Ctrl-C, and ends a process that does not end by itself
    mlflow_app    MLflow's server application with links to Dagster
    processes     starts, supervises and stops child processes
    status        services, runs, models, disk use and next run of a workspace
    up            starts Dagster and MLflow and supervises them
"""
