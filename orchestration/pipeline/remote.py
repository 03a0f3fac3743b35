"""The DVC remote of a workspace: a bucket of an object store, or a folder, to which `dvc push` copies the data.

Contract: a remote that cannot be written and read is refused before anything is configured. Keys come from the
environment or from AWS's own files and are never written into the configuration. `dvc push` and `dvc pull` are DVC's
own commands; they need nothing else.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.storage import write_bytes_atomically

NAME = "store"
"""The name of the remote in DVC's configuration."""

ENDPOINT_VARIABLES = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL")

_WRONG_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AuthFailure"}
_MISSING = {"NoSuchBucket", "404"}
_TIMES: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 20, "retries": {"total_max_attempts": 2}}


@dataclass(frozen=True)
class Remote:
    """A remote that was written, read and cleaned up again.

    Attributes:
        url: ``s3://BUCKET/PREFIX``, or the absolute path of a folder.
        endpoint: address of the object store; empty for Amazon's and for a folder.
    """

    url: str
    endpoint: str = ""


def checked_remote(url: str, endpoint: str = "") -> Remote:
    """The remote at ``url``, after a small object was written there, read back and deleted.

    Args:
        endpoint: address of the object store, or else the value of the first of ``ENDPOINT_VARIABLES`` that is set.

    Raises:
        ParametersRejected: REMOTE_INVALID (an address that is none, or has a key), REMOTE_NEEDS_S3 (no ``dvc-s3``),
            REMOTE_KEY_MISSING, REMOTE_KEY_REFUSED, REMOTE_MISSING (no such bucket), REMOTE_REFUSED (no permission),
            REMOTE_UNREACHABLE, REMOTE_ALTERED (other bytes came back).
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        address = endpoint or next((os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)), "")
        _require_plain(url, address)
        remote = Remote(url.rstrip("/"), address)
        _check_bucket(remote, parts.netloc, parts.path.strip("/"))
        return remote
    if "://" in url or not url:
        raise _invalid(f"the address {url!r}")
    remote = Remote(str(Path(url).expanduser().resolve()))
    _check_folder(Path(remote.url))
    return remote


def write_remote(workspace: Workspace, remote: Remote) -> None:
    """Make ``remote`` the default remote of the workspace's DVC repository, in place of the present one."""
    from configobj import ConfigObj

    path = workspace.root / ".dvc" / "config"
    # Not DVC's own writer, which fails at a path that is not ASCII; its reader takes UTF-8.
    config = ConfigObj(str(path), encoding="utf-8", interpolation=False)
    config.setdefault("core", {})["remote"] = NAME
    config[f'remote "{NAME}"'] = {"url": remote.url} | ({"endpointurl": remote.endpoint} if remote.endpoint else {})
    config.filename = None
    lines: list[bytes] = config.write()
    write_bytes_atomically(path, b"\n".join(lines) + b"\n")


def _require_plain(url: str, endpoint: str) -> None:
    parts, store = urlsplit(url), urlsplit(endpoint)
    if not parts.netloc or "@" in parts.netloc + store.netloc or parts.query:
        raise _invalid("an address of a bucket that has no bucket, or has a key or options in it")
    if endpoint and not (store.scheme in ("http", "https") and store.hostname):
        raise _invalid(f"the address {endpoint!r} of the object store")


def _invalid(found: str) -> ParametersRejected:
    return ParametersRejected(
        "REMOTE_INVALID",
        found=found,
        expected="--remote s3://BUCKET/PREFIX or a folder, with --remote-endpoint http(s)://HOST:PORT for a store of "
        "your own",
        remedy="correct the address; keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


def _check_bucket(remote: Remote, bucket: str, prefix: str) -> None:
    if find_spec("dvc_s3") is None:
        raise ParametersRejected(
            "REMOTE_NEEDS_S3",
            found="no package dvc-s3",
            expected="DVC with support for object stores",
            remedy="pip install -c infra/constraints.txt 'plumbline[s3]'",
        )
    import botocore.session
    from botocore.config import Config

    where, payload = f"{prefix}/{_name()}".lstrip("/"), uuid4().bytes
    with _store_errors(remote, bucket):
        session = botocore.session.get_session()
        client = session.create_client("s3", endpoint_url=remote.endpoint or None, config=Config(**_TIMES))
        client.put_object(Bucket=bucket, Key=where, Body=payload)
        read = client.get_object(Bucket=bucket, Key=where)["Body"].read()
        client.delete_object(Bucket=bucket, Key=where)
    _require_same(remote, payload, read)


@contextmanager
def _store_errors(remote: Remote, bucket: str) -> Iterator[None]:
    """Turn the errors of the object store into refusals that say what to do."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    at = f" at {remote.endpoint}" if remote.endpoint else " at Amazon S3"
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ParametersRejected(
            "REMOTE_KEY_MISSING",
            found=f"no complete key for the object store{at}",
            expected="a key in the environment or in AWS's own files",
            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ) from error
    except ClientError as error:
        raise _refused(str(error.response["Error"].get("Code", "")), f"bucket {bucket}{at}") from error
    except (BotoCoreError, ValueError) as error:
        raise ParametersRejected(
            "REMOTE_UNREACHABLE",
            found=f"no answer of an object store{at} ({' '.join(str(error).split())[:200]})",
            expected="an object store that answers within seconds",
            remedy="start it, or correct --remote-endpoint, AWS_DEFAULT_REGION or the network",
        ) from error


def _refused(code: str, bucket: str) -> ParametersRejected:
    if code in _WRONG_KEY:
        return ParametersRejected(
            "REMOTE_KEY_REFUSED",
            found=f"a key that the object store does not accept ({code}; {bucket})",
            expected="the key of an account of this object store",
            remedy="correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if code in _MISSING:
        return ParametersRejected(
            "REMOTE_MISSING",
            found=f"no {bucket}",
            expected="a bucket that exists",
            remedy="make the bucket, or correct --remote",
        )
    return ParametersRejected(
        "REMOTE_REFUSED",
        found=f"{bucket} refuses to write, read or delete ({code})",
        expected="a key that may write, read and delete objects in the bucket",
        remedy="let the owner of the bucket permit it (PutObject, GetObject, DeleteObject, ListBucket)",
    )


def _check_folder(folder: Path) -> None:
    path, payload = folder / _name(), uuid4().bytes
    try:
        write_bytes_atomically(path, payload)
        try:
            read = path.read_bytes()
        finally:
            with suppress(FileNotFoundError):
                path.unlink()
    except OSError as error:
        raise ParametersRejected(
            "REMOTE_REFUSED",
            found=f"the folder {folder} cannot be written and read ({error.strerror})",
            expected="a folder that this account may write",
            remedy="choose another folder, or correct its permissions",
        ) from error
    _require_same(Remote(str(folder)), payload, read)


def _require_same(remote: Remote, written: bytes, read: bytes) -> None:
    if written != read:
        raise ParametersRejected(
            "REMOTE_ALTERED",
            found=f"other bytes than were written to {remote.url}",
            expected="the same bytes",
            remedy="use another object store; this one, or a proxy before it, changes what it stores",
        )


def _name() -> str:
    return f"plumbline-check-{uuid4().hex}"
