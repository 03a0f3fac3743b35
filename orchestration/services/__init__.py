"""``make up``: the servers of a workspace on this machine.

interruption  SIGTERM handled like Ctrl-C
processes     supervised child processes
up            starts Dagster and MLflow and supervises them
"""
