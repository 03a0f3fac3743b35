"""Reaches the Ray cluster that ``PLUMBLINE_RAY_ADDRESS`` names, or refuses with a reason.

Contract: a cluster that cannot be used is refused within seconds. Ray itself would try again for minutes, and ends the
process where a token is missing. Authentication by token is on unless the site has turned it off (``RAY_AUTH_MODE``),
because whoever reaches a Ray cluster without it can run any program there. The token is in ``RAY_AUTH_TOKEN`` or in
the file that ``RAY_AUTH_TOKEN_PATH`` names.

    CLUSTER_ADDRESS_INVALID   the address is not HOST:PORT
    CLUSTER_NOT_INSTALLED     Ray is not installed here
    CLUSTER_NOT_REACHED       nothing answers there, or this machine is no node of the cluster
    CLUSTER_TOKEN_WRONG       the token is missing or is not the cluster's
    CLUSTER_VERSION_DIFFERS   the cluster runs another version of Ray or Python
"""

import logging
import os
import socket
from typing import NoReturn

from orchestration.environment import RAY_ADDRESS_VARIABLE, apply_quiet_environment, quiet_environment
from spine.errors import ClusterRefused

_ANSWER_WITHIN_S = 5.0


def cluster_address() -> str | None:
    """The address of the cluster, HOST:PORT, or None where no cluster is named.

    Raises:
        ClusterRefused: ``CLUSTER_ADDRESS_INVALID``.
    """
    address = os.environ.get(RAY_ADDRESS_VARIABLE, "").strip()
    if not address:
        return None
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ClusterRefused(
            "CLUSTER_ADDRESS_INVALID",
            found=f"{RAY_ADDRESS_VARIABLE}={address!r}",
            expected="HOST:PORT of the cluster's head, such as 10.0.0.1:6379",
            remedy="correct the variable, or remove it to work on this machine alone",
        )
    return address


def connect(address: str) -> None:
    """Connect this process to the cluster, once; later calls do nothing.

    Raises:
        ClusterRefused: a code of this module.
    """
    apply_quiet_environment()  # Ray reads its variables when it is imported
    try:
        import ray
    except ImportError:
        raise ClusterRefused(
            "CLUSTER_NOT_INSTALLED",
            found=f"the cluster {address}, and no Ray on this machine",
            expected="the extra `ray`",
            remedy=f"install plumbline[ray], or remove {RAY_ADDRESS_VARIABLE} to work on this machine alone",
        ) from None
    if ray.is_initialized():
        return
    require_cluster(address)
    try:
        ray.init(
            address,
            runtime_env={"env_vars": quiet_environment()},
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
        )
    except RuntimeError as error:
        _refuse_version(address, error)
    except (ray.exceptions.RayError, ConnectionError, ValueError) as error:
        refuse_connection(address, str(error))


def require_cluster(address: str) -> None:
    """Refuse a cluster that does not answer, or does not accept the token. Does not connect this process.

    Raises:
        ClusterRefused: CLUSTER_NOT_REACHED, CLUSTER_TOKEN_WRONG.
    """
    require_answer(address)
    _require_token(address)


def require_answer(address: str) -> None:
    """Refuse a cluster whose head does not answer within seconds.

    Raises:
        ClusterRefused: CLUSTER_NOT_REACHED.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_WITHIN_S).close()
    except OSError as error:
        refuse_connection(address, error.strerror or str(error))


def _require_token(address: str) -> None:
    """Refuse a token that is missing or wrong."""
    # Ray has no public call for this; ``ray.init`` tries a wrong token for 20 s and says only that it failed.
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError, RayError

    try:
        ensure_token_if_auth_enabled(create_token_if_missing=False)
        GcsClient(address=address)
    except AuthenticationError:
        raise ClusterRefused(
            "CLUSTER_TOKEN_WRONG",
            found=f"no token, or a token that the cluster {address} does not accept",
            expected="the token with which the cluster was started",
            remedy="set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with the token, and RAY_AUTH_MODE=token",
        ) from None
    except RayError as error:
        refuse_connection(address, str(error))


def refuse_connection(address: str, reason: str) -> NoReturn:
    """Raise CLUSTER_NOT_REACHED."""
    raise ClusterRefused(
        "CLUSTER_NOT_REACHED",
        found=f"no usable cluster at {address}: {' '.join(reason.split())[:300]}",
        expected="a running cluster of which this machine is a node",
        remedy=f"start the head, then run `ray start --address {address}` on this machine; or remove "
        f"{RAY_ADDRESS_VARIABLE} to work on this machine alone",
    )


def _refuse_version(address: str, error: RuntimeError) -> NoReturn:
    """Refuse a cluster of another version; any other error of ``ray.init`` is one of the connection."""
    text = " ".join(str(error).split())
    if "ersion mismatch" not in text:
        refuse_connection(address, text)
    raise ClusterRefused(
        "CLUSTER_VERSION_DIFFERS",
        found=text[:300],
        expected="the same versions of Ray and Python on every machine",
        remedy="install the same image or environment on every node, and start the cluster again",
    )
