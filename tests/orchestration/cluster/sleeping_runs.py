"""A code location for ``test_ray_runs``: a job whose run writes its process id and waits, and one that ends at once."""

import json
import os
import time
from pathlib import Path

import dagster as dg

FOLDER = "PLUMBLINE_WORKSPACE"
WRITES = {"plumbline/writes": "true"}


@dg.op
def wait() -> None:
    Path(os.environ[FOLDER], "waiting").write_text(str(os.getpid()))
    time.sleep(600)


@dg.op
def note() -> None:
    Path(os.environ[FOLDER], "noted").touch()


@dg.job(tags={**WRITES, "dagster-ray/config": json.dumps({"resources": {"second": 1}})})
def waiting() -> None:
    wait()


@dg.job(tags=WRITES)
def noting() -> None:
    note()


definitions = dg.Definitions(jobs=[waiting, noting])
