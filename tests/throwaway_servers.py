"""The servers of a deployment for tests and benchmarks: PostgreSQL, an object store and MLflow, each a process here.

The commands are those of ``infra/compose.yaml``, without containers. The object store is moto, which does what S3 does,
or rclone, which checks the keys.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from orchestration.environment import DAGSTER_DB_VARIABLE, quiet_environment
from orchestration.services.processes import Service, Supervised, free_port
from tests.validation.promotion import throwaway_postgres
from validation.promotion.history import DATABASE_VARIABLE

INFRA = Path(__file__).parents[1] / "infra"
BUCKET = "mlflow"
KEY, SECRET = "plumbline", "secret-of-the-tests"
Store = Literal["moto", "rclone"]


@dataclass(frozen=True)
class Servers:
    """Running servers.

    Attributes:
        tracking: the address of MLflow's server.
        objects: the address of the object store.
        mlflow_db, dagster_db: the PostgreSQL databases.
    """

    tracking: str
    objects: str
    mlflow_db: str
    dagster_db: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every process that uses the servers."""
        return quiet_environment() | {
            "PLUMBLINE_TRACKING_URI": self.tracking,
            DATABASE_VARIABLE: self.mlflow_db,
            DAGSTER_DB_VARIABLE: self.dagster_db,
            # An answer from a loaded test machine takes longer than the default six seconds.
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
            **keys(self.objects),
        }


def keys(objects: str, secret: str = SECRET) -> dict[str, str]:
    """The variables with which a client of the object store signs its requests."""
    known = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1"}
    return known | {"MLFLOW_S3_ENDPOINT_URL": objects, "AWS_ENDPOINT_URL": objects}


def why_not(store: Store = "moto") -> str | None:
    """The reason why the servers cannot be started here; None if they can."""
    wanted = ["dagster_postgres", "boto3", *(["moto"] if store == "moto" else [])]
    missing = [name for name in wanted if find_spec(name) is None]
    if missing or (store == "rclone" and _rclone() is None):
        return f"not installed: {', '.join(missing) or 'rclone'} (infra/requirements-server.txt, extra `dev`)"
    return throwaway_postgres.why_not()


@contextmanager
def servers(folder: Path, store: Store = "moto") -> Iterator[Servers]:
    """All servers, with an empty bucket, until the end of the block."""
    with throwaway_postgres.serving() as postgres, object_store(folder, store) as objects:
        _make_databases(postgres.address)
        at = {name: postgres.address.replace("/postgres?", f"/{name}?") for name in ("mlflow", "dagster")}
        known = Servers("", objects, at["mlflow"], at["dagster"])
        with mlflow_server(folder, known) as tracking:
            yield replace(known, tracking=tracking)


@contextmanager
def object_store(folder: Path, store: Store = "moto") -> Iterator[str]:
    """The address of an object store with the empty bucket ``BUCKET``."""
    port = free_port()
    (folder / "objects" / BUCKET).mkdir(parents=True, exist_ok=True)
    command: Sequence[str] = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    if store == "rclone":
        served = (str(folder / "objects"), "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{port}")
        command = (str(_rclone()), "serve", "s3", *served, "--vfs-cache-mode", "writes", "--config", os.devnull)
    with Supervised([Service("objects", command, wait_for=port)], folder / "logs", {}) as running:
        running.wait_until_up()
        address = f"http://127.0.0.1:{port}"
        if store == "moto":
            client(address).create_bucket(Bucket=BUCKET)
        yield address


def client(objects: str) -> Any:
    """A client of the object store."""
    import boto3

    named = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=objects, **named)


def stored(objects: str, bucket: str = BUCKET) -> dict[str, int]:
    """Key -> size in bytes of every object in the bucket."""
    pages = client(objects).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}


@contextmanager
def mlflow_server(folder: Path, known: Servers, secret: str = SECRET, bucket: str = BUCKET) -> Iterator[str]:
    """MLflow's server, which stores files in the bucket with this key."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "plumbline", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", known.mlflow_db]
    command += ["--artifacts-destination", f"s3://{bucket}", "--allowed-hosts", f"127.0.0.1:{port}"]
    address = f"http://127.0.0.1:{port}"
    service = Service("mlflow", command, f"{address}/health")
    with Supervised([service], folder / "logs", quiet_environment() | keys(known.objects, secret)) as running:
        running.wait_until_up()
        yield address


def _make_databases(postgres: str) -> None:
    """Run the statements of ``infra/databases.sql``, as the container of PostgreSQL does."""
    import psycopg2

    connection = psycopg2.connect(postgres.replace("+psycopg2", ""))
    connection.autocommit = True
    lines = (INFRA / "databases.sql").read_text().splitlines()
    for statement in filter(str.strip, "\n".join(x for x in lines if not x.startswith("--")).split(";")):
        connection.cursor().execute(statement)
    connection.close()


def _rclone() -> str | None:
    return shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
