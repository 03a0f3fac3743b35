"""Alerts: what a person must look at, in one file, on the terminal and at an optional webhook.

Contract: ``alert`` never fails and waits ``TIMEOUT_S`` at most. Its text has codes, counts and ids only: it leaves the
workspace, so it must name no patient, file or folder. The same text is written once in ``REPEATED_AFTER``, so a caller
need not remember what it has said. The webhook (``PLUMBLINE_ALERT_WEBHOOK``) gets ``{"kind", "text", "at"}`` as JSON.
"""

import json
import logging
import os
import urllib.request
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.client import HTTPException
from typing import IO, Literal
from urllib.parse import urlsplit

from orchestration.environment import ALERT_WEBHOOK_VARIABLE
from orchestration.log_rotation import rotate
from orchestration.pipeline.workspace import Workspace

AlertKind = Literal["gate_refused", "run_failed", "batch_unusable", "retraining_stale", "drift"]

REPEATED_AFTER = timedelta(days=1)
TIMEOUT_S = 5.0

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_log = logging.getLogger("plumbline.alerts")


@dataclass(frozen=True)
class Alert:
    """One alert: what happened, in words, and when (UTC, ISO 8601)."""

    kind: str
    text: str
    at: str


def alert(workspace: Workspace, kind: AlertKind, text: str) -> bool:
    """Write an alert and send it to the webhook; return whether it is new."""
    now = datetime.now(UTC)
    try:
        if any((known.kind, known.text) == (kind, text) for known in alerts_since(workspace, now - REPEATED_AFTER)):
            return False
        new = Alert(kind, text, now.isoformat(timespec="seconds"))
        workspace.alerts.parent.mkdir(parents=True, exist_ok=True)
        rotate(workspace.alerts)
        with workspace.alerts.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(new)) + "\n")
    except OSError as error:
        _log.warning("the alert %s was not written: %s", kind, error)
        return False
    _log.warning("%s: %s", kind, text)
    _send(new)
    return True


def alerts_since(workspace: Workspace, since: datetime) -> list[Alert]:
    """The alerts since this time, oldest first. A line that a kill cut off is left out."""
    if not workspace.alerts.exists():
        return []
    found = []
    for line in workspace.alerts.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            known = Alert(**json.loads(line))
            recent = datetime.fromisoformat(known.at) >= since
        except (ValueError, TypeError):
            continue
        if recent:
            found.append(known)
    return found


def _send(new: Alert) -> None:
    address = os.environ.get(ALERT_WEBHOOK_VARIABLE, "")
    if not address:
        return
    if not _is_allowed(address):
        _log.warning("%s: expected an https address, or http on this machine; nothing was sent", ALERT_WEBHOOK_VARIABLE)
        return
    try:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            address, json.dumps(asdict(new)).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S):
            pass
    except (OSError, ValueError, HTTPException) as error:
        _log.warning("the webhook did not take the alert %s: %s", new.kind, error)


def _is_allowed(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        )
    except ValueError:
        return False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which could lead to another host or scheme."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Follow nothing; urllib then raises the answer as an error."""
