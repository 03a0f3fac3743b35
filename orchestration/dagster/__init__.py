"""The only package that imports Dagster.

assets/       one thin asset for each step
checks        asset checks: what stops a run
definitions   the code location that Dagster loads
instance      the Dagster instance of a workspace
jobs          what can be launched by name
pipes         fits on several GPUs under Dagster Pipes
resources     paths, versions, tracking and device for assets, checks and sensors
run           runs a job in this process, for the command line
run_log       the event log as a text file
run_progress  progress and reports of a run's steps
schedules     what runs at a fixed time
sensors       what runs because new data arrived
"""
