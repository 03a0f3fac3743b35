"""The settings of the HTTP service, as plain values that the command passes in.

Contract: nothing here is read from the environment or from a request. Times are seconds, sizes are bytes.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one request and all requests together may cost.

    Attributes:
        body_bytes: the largest body, counted as its bytes arrive.
        json_bytes: the largest body of the type JSON.
        header_s: the longest time until the headers of a request are complete.
        body_s: the longest time until the body is complete.
        request_s: the longest time for waiting and measuring, after the body is complete.
        workers: the studies that are measured at the same time.
        queue: the requests that may wait for a worker or for the rest of their body.
        stop_s: the longest time for requests to finish when the service is told to stop.
    """

    body_bytes: int = 128 * MEBIBYTE
    json_bytes: int = MEBIBYTE
    header_s: float = 10.0
    body_s: float = 60.0
    request_s: float = 120.0
    workers: int = 1
    queue: int = 32
    stop_s: float = 120.0


@dataclass(frozen=True)
class Access:
    """Who may use the service.

    Attributes:
        keys: name of a client -> its key. The name is what the log and a correction record say.
        identity_header: the header in which a proxy names the person, or "" for none.
        trusted_proxies: the addresses from which this header is believed.
        without_keys: whether everybody who reaches the address may use the service.
    """

    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    identity_header: str = ""
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    without_keys: bool = False


@dataclass(frozen=True)
class PacsAddress:
    """A PACS that requests may name.

    Attributes:
        url: the root of its DICOMweb services.
        headers: headers of every request to it, e.g. ``Authorization``.
        timeout_s: the longest wait for one answer.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 30.0


@dataclass(frozen=True)
class ServiceSettings:
    """The settings of one service; ``hosts`` are values of the Host header that are accepted without keys."""

    limits: Limits = Limits()
    access: Access = Access()
    pacs: Mapping[str, PacsAddress] = field(default_factory=dict)
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
