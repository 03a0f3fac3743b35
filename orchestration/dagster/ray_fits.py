"""A fit as a job of a Ray cluster, under Dagster Pipes: the run shows the job's log and the progress of the fit.

Contract: one job at a time fits in a folder. A job that an earlier run left, because its process was killed, is stopped
first, and the new job continues from its checkpoint. When the run is interrupted, its job is stopped. A cluster that is
lost ends the run with a reason, and not the job, which the next run stops.

    python -m orchestration.dagster.ray_fits REQUEST.json PROCESSES     the job, on the head of the cluster
"""

import json
import secrets
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from dagster_pipes import open_dagster_pipes

from orchestration.cluster.connection import cluster_address, connect, refuse_connection, require_cluster
from orchestration.cluster.fit_on_nodes import run_on_nodes
from orchestration.dagster.run_log_reporter import RunLogReporter
from orchestration.environment import RAY_ADDRESS_VARIABLE
from orchestration.pipeline.multi_gpu import WORKER_MODULE, MessageReader, torchrun
from spine.errors import ClusterRefused, PlumblineError
from training.fitting.ddp_worker import messages_of

_FOLDER_KEY = "plumbline/fit"
_STOPPED_WITHIN_S = 60.0


def launch_on_cluster(context: Any, request: Path, processes: int) -> int:
    """Run ``request`` as a job of the cluster, to its end; returns its exit code. ``context``: of an asset.

    Raises:
        ClusterRefused: CLUSTER_NOT_REACHED, CLUSTER_TOKEN_WRONG, FIT_STILL_RUNS.
    """
    from dagster_ray import PipesRayJobClient

    address = str(cluster_address())
    require_cluster(address)  # Ray's client would try for 40 s, and raises errors of its own
    client = PipesRayJobClient(address=address)
    name = f"fit-{context.run.run_id}-{secrets.token_hex(4)}"  # a run may fit more than once
    command = [sys.executable, "-m", "orchestration.dagster.ray_fits", str(request), str(processes)]
    job = {
        "submission_id": name,
        "entrypoint": shlex.join(command),
        "metadata": {_FOLDER_KEY: str(request.parent)},
        "runtime_env": {"env_vars": {RAY_ADDRESS_VARIABLE: address}},
    }
    with _cluster_errors(address), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster uses its own deprecated members
        stop_earlier_jobs(client.client, str(request.parent))
        try:
            client.run(context=context, submit_job_params=job)
        except RuntimeError as error:  # of dagster-ray: the job failed or was stopped
            context.log.warning(str(error))
            return 1
        except OSError:
            raise
        except BaseException:  # dagster-ray stops the job only while it waits for it
            with suppress(Exception):
                client.client.stop_job(name)
            raise
    return 0


@contextmanager
def _cluster_errors(address: str) -> Iterator[None]:
    """Errors of Ray and of its HTTP interface, such as those after the head has died, as CLUSTER_NOT_REACHED."""
    from ray.exceptions import RayError

    try:
        yield
    except (OSError, RayError) as error:  # an error of the package `requests` is an OSError
        refuse_connection(address, f"{type(error).__name__}: {error}")


def stop_earlier_jobs(client: Any, folder: str) -> None:
    """Stop jobs that fit in the same folder, and wait for their end.

    Raises:
        ClusterRefused: FIT_STILL_RUNS.
    """
    for job in client.list_jobs():
        if (job.metadata or {}).get(_FOLDER_KEY) != folder or job.status.is_terminal():
            continue
        client.stop_job(job.submission_id)
        limit = time.monotonic() + _STOPPED_WITHIN_S
        while not client.get_job_status(job.submission_id).is_terminal():
            if time.monotonic() >= limit:
                raise ClusterRefused(
                    "FIT_STILL_RUNS",
                    found=f"the job {job.submission_id} of an earlier run, which fits in the same folder and did not "
                    f"stop within {_STOPPED_WITHIN_S:.0f} s",
                    expected="one job at a time that fits in a folder",
                    remedy=f"run `ray job stop {job.submission_id}` until the job has ended, then run again",
                )
            time.sleep(1.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """The job: run the process group on the nodes and pass the leader's messages to the run; returns the exit code."""
    request, processes = sys.argv[1:] if arguments is None else list(arguments)
    messages = messages_of(Path(request))
    with open_dagster_pipes() as pipes, MessageReader(messages, RunLogReporter(pipes)):
        try:
            connect(str(cluster_address()))
            import ray

            device = json.loads(Path(request).read_text())["config"]["device"]
            resource = resource_of(device, ray.cluster_resources().get("GPU", 0.0))
            return run_on_nodes(partial(_command, Path(request)), int(processes), resource)
        except PlumblineError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code


def _command(request: Path, processes: int, machines: Sequence[str]) -> list[str]:
    return torchrun(request, processes, WORKER_MODULE, machines)


def resource_of(device: str, gpus: float) -> str:
    """What each process of a fit occupies, given ``training.device`` and the number of GPUs of the cluster."""
    if device == "auto" and not gpus:
        sys.stderr.write(
            "no GPU in the cluster: each process of the fit uses a core, because training.device is auto\n"
        )
    return "GPU" if device == "cuda" or (device == "auto" and gpus) else "CPU"


if __name__ == "__main__":
    sys.exit(main())
