"""The environment variables that every Plumbline process starts with.

Contract: the import of this module sets nothing. The command line, ``make up`` and tests apply the variables before
they import the tools, because most tools read them at import time.
"""

import getpass
import os

WORKSPACE_VARIABLE = "PLUMBLINE_WORKSPACE"
"""The variable that names the workspace folder for the Dagster definitions."""

MLFLOW_UI_VARIABLE = "PLUMBLINE_MLFLOW_UI"
"""The variable with the address under which a browser reaches MLflow. Only redirects between the servers use it."""

DEFAULT_MLFLOW_UI = "http://127.0.0.1:5000"

DAGSTER_UI_VARIABLE = "PLUMBLINE_DAGSTER_UI"
"""The variable with the address under which a browser reaches Dagster. Only redirects between the servers use it."""

DEFAULT_DAGSTER_UI = "http://127.0.0.1:3000"

DAGSTER_DB_VARIABLE = "PLUMBLINE_DAGSTER_DB"
"""The variable with the PostgreSQL database of Dagster's runs; without it, they are in the workspace."""

WEB_HOSTS_VARIABLE = "PLUMBLINE_WEB_HOSTS"
"""The variable with further values of the Host header that the web servers accept, separated by commas."""

WEB_TOKEN_VARIABLE = "PLUMBLINE_WEB_TOKEN"  # noqa: S105 - the name of a variable
"""The variable with the token that every request to the web servers must carry; without it, no token is needed."""

ALERT_WEBHOOK_VARIABLE = "PLUMBLINE_ALERT_WEBHOOK"
"""The variable with the address that gets every alert (``orchestration.alerts``): https, or http on this machine."""

WORKERS_VARIABLE = "PLUMBLINE_WORKERS"
"""The variable with the largest number of worker processes of a step; without it, one for each usable core."""

RAY_ADDRESS_VARIABLE = "PLUMBLINE_RAY_ADDRESS"
"""The variable with the address (HOST:PORT) of a Ray cluster for the heavy work. Without it, no other machine works."""

_TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    # Stops the upload of Dagster's telemetry. `telemetry: {enabled: false}` in dagster.yaml stops the collection.
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
    "DVC_STUDIO_OFFLINE": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

_SAFE_MLFLOW = {
    # MLflow's job runner needs ten processes and 1.5 GB, and had an unauthenticated interface (CVE-2026-0545).
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # With MLflow's default, loading a pickled model runs its code.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # MLflow's assistant can run shell commands, so it may start only in a container. MLflow's model gateway is off.
    "MLFLOW_ENABLE_ASSISTANT_SANDBOX": "true",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    # An empty catalogue and no requirements check: nothing is fetched from a network.
    "MLFLOW_MODEL_CATALOG_URI": "",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
}

_IMPATIENT = {
    # With MLflow's defaults, a command hangs for minutes if the server is down: now at most 2 x 6 s, and a pause.
    # Training does not depend on the server. Its journal is sent when it has ended.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # libpq would wait for a silent host for two minutes.
    "PGCONNECT_TIMEOUT": "6",
}

# Without a token, whoever reaches a Ray cluster can run any program on it.
_AUTHENTICATED = {"RAY_AUTH_MODE": "token"}

_QUIET = {
    # MLflow's messages on table migrations would break the progress bars.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # GitPython, which MLflow uses, warns at import on machines without git.
    "GIT_PYTHON_REFRESH": "quiet",
    "MPLBACKEND": "Agg",
    # MLflow's progress bars would overwrite ours, and with a server it prints the addresses of its pages.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def quiet_environment() -> dict[str, str]:
    """Variables that turn off telemetry, pickles, job runners and network look-ups in every embedded tool.

    They also limit the time of a request to MLflow's server and of a connection to PostgreSQL, and ask for a token on a
    Ray cluster, unless this process has other values.
    """
    adjustable = {name: os.environ.get(name, value) for name, value in {**_IMPATIENT, **_AUTHENTICATED}.items()}
    return {**_TELEMETRY_OFF, **_SAFE_MLFLOW, **_QUIET, **adjustable}


def worker_environment() -> dict[str, str]:
    """This process's environment, plus a variable that keeps modules of the working directory from hiding libraries."""
    return {**os.environ, "PYTHONSAFEPATH": "1"}


def apply_quiet_environment() -> None:
    """Set the variables in this process, and a name of its account. Call this before any tool is imported."""
    os.environ.update(quiet_environment())
    try:
        getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container; Plumbline, DVC and MLflow ask for one
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"
