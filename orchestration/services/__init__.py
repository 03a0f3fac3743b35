"""``make up``: the servers of a workspace on this machine.

Starting, supervising and stopping processes belongs here. Jobs and assets do not: see ``orchestration.dagster``.
Dagster is imported after the environment variables are set, because it reads them at import.

    interruption  SIGTERM handled like Ctrl-C
    processes     supervised child processes
    up            starts Dagster and MLflow and supervises them
"""
