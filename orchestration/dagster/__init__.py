"""The only package that imports Dagster.

Assets, checks, jobs, schedules and sensors belong here. The work of a step does not: an asset calls one function of
``orchestration.pipeline`` or ``orchestration.lifecycle``. ``pipes`` imports Dagster in a function, because each
training process imports ``pipes`` and needs no Dagster.

    assets/       one asset for each step
    checks        asset checks, which can stop a run
    definitions   the code location that Dagster loads
    instance      the Dagster instance of a workspace
    jobs          the jobs that can be launched by name
    old_runs      finished runs that may be removed
    overview      unfinished and last runs, and the next scheduled run
    pipes         Dagster Pipes for fits on several GPUs
    ray_fits      a fit as a job of a Ray cluster
    ray_runs      whole runs as jobs of a Ray cluster
    resources     paths, versions, tracking and device for assets, checks and sensors
    run           runs the job retrain in this process, for the command line
    run_database  where Dagster's runs are stored: SQLite or PostgreSQL
    run_log       the event log as a text file
    run_log_reporter    messages of a fit in the run's log
    run_progress  progress and reports of a run's steps
    schedules     schedules that start runs at a fixed time
    sensors       sensors that start runs when new data arrive
    watch         sensors that look after the runs and alert
    web_server    Dagster's web server with links to MLflow
"""
