"""Reads the settings of the loop from a TOML file.

Contract: every violation is named with its place. The credentials come from a file that the settings name or from the
environment, never from the command line, which other users of the machine can read.
"""

import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from serving.service.settings import MEBIBYTE, PacsAddress
from serving.service.settings_file import PacsTable, StrictTable, pacs_address, parsed
from serving.watch.settings import Pace, StudyChoice, WatchSettings

CREDENTIALS = "PLUMBLINE_PACS_AUTHORIZATION"
"""Environment variable with the value of the header Authorization."""

_PACE, _CHOICE = Pace(), StudyChoice()
_Time = Annotated[float, Field(gt=0, le=30 * 86400)]
_Keyword = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{1,63}$")]


class _Studies(StrictTable):
    since: date | Literal["all"]
    modalities: Annotated[list[Annotated[str, Field(pattern=r"^[A-Z0-9_ ]{1,16}$")]], Field(min_length=1)] = sorted(
        _CHOICE.modalities
    )
    filters: dict[_Keyword, Annotated[str, Field(min_length=1, max_length=64)]] = Field(default_factory=dict)


class _Pace(StrictTable):
    poll_s: _Time = _PACE.poll_s
    recent_days: Annotated[int, Field(ge=0, le=365)] = _PACE.recent_days
    sweep_s: _Time = _PACE.sweep_s
    settle_s: Annotated[float, Field(ge=0, le=3600)] = _PACE.settle_s
    pair_wait_s: Annotated[float, Field(ge=0, le=30 * 86400)] = _PACE.pair_wait_s
    attempts: Annotated[int, Field(ge=1, le=20)] = _PACE.attempts
    retry_s: _Time = _PACE.retry_s
    longest_pause_s: _Time = _PACE.longest_pause_s
    verify_days: Annotated[float, Field(ge=0, le=36500)] = _PACE.verify_days
    page: Annotated[int, Field(ge=1, le=5000)] = _PACE.page


class _Limits(StrictTable):
    study_mib: Annotated[int, Field(ge=1, le=4096)] = 256
    free_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 512


class _Settings(StrictTable):
    pacs: PacsTable
    studies: _Studies
    pace: _Pace = _Pace()
    limits: _Limits = _Limits()


def read_watch_settings(path: Path) -> WatchSettings:
    """The settings in ``path``, with the credentials.

    Raises:
        ContractViolation: ``SETTINGS_INVALID``.
    """
    read = parsed(path, _Settings, "docs/pacs-loop.md")
    since = None if read.studies.since == "all" else read.studies.since
    return WatchSettings(
        _with_credentials(pacs_address(path, read.pacs)),
        StudyChoice(since, frozenset(read.studies.modalities), read.studies.filters),
        Pace(**read.pace.model_dump()),
        read.limits.study_mib * MEBIBYTE,
        read.limits.free_mib * MEBIBYTE,
    )


def _with_credentials(address: PacsAddress) -> PacsAddress:
    """The environment is used where the settings name no file."""
    value = os.environ.get(CREDENTIALS)
    if not value or "Authorization" in address.headers:
        return address
    return replace(address, headers={**address.headers, "Authorization": value})
