"""Reads the settings of the service from a TOML file.

Contract: every violation is named with its place, and nothing else is accepted. Secrets are in files of their own, so
that the settings can be shown and versioned.
"""

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError

from serving.service.access import read_keys
from serving.service.settings import Access, Limits, PacsAddress, ServiceSettings
from spine.errors import ContractViolation, ParametersRejected

Seconds = Annotated[float, Field(gt=0, le=3600)]
"""A time in a settings file."""
_DEFAULT = Limits()


class StrictTable(BaseModel):
    """A table of a settings file that has no other keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Table = TypeVar("Table", bound=StrictTable)


class _Limits(StrictTable):
    body_mib: Annotated[int, Field(ge=1, le=1024)] = _DEFAULT.body_bytes >> 20
    header_s: Seconds = _DEFAULT.header_s
    body_s: Seconds = _DEFAULT.body_s
    request_s: Seconds = _DEFAULT.request_s
    stop_s: Seconds = _DEFAULT.stop_s
    workers: Annotated[int, Field(ge=1, le=64)] = _DEFAULT.workers
    queue: Annotated[int, Field(ge=0, le=1000)] = _DEFAULT.queue


class _Access(StrictTable):
    keys_file: Path | None = None
    identity_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$")] = ""
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()


class PacsTable(StrictTable):
    """The address of a PACS."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    authorization_file: Path | None = None
    timeout_s: Seconds = 30.0


class _Settings(StrictTable):
    limits: _Limits = _Limits()
    access: _Access = _Access()
    pacs: dict[str, PacsTable] = {}


def read_settings(path: Path | None, *, keys_file: Path | None = None, without_keys: bool = False) -> ServiceSettings:
    """The settings in ``path`` (None: the defaults), with the keys in ``keys_file``.

    Raises:
        ContractViolation: ``SETTINGS_INVALID``.
        ParametersRejected: ``KEYS_INVALID``, ``ACCESS_UNCLEAR``.
    """
    read = parsed(path, _Settings, "docs/service.md") if path is not None else _Settings()
    named = keys_file or (_beside(path, read.access.keys_file) if path and read.access.keys_file else None)
    limits = read.limits.model_dump(exclude={"body_mib"}) | {"body_bytes": read.limits.body_mib << 20}
    networks = tuple(ipaddress.ip_network(str(each)) for each in read.access.trusted_proxies)
    access = Access(read_keys(named) if named else {}, read.access.identity_header, networks, without_keys)
    _require_clear(access)
    pacs = {name: pacs_address(path, each) for name, each in read.pacs.items()}
    return ServiceSettings(Limits(**limits), access, pacs)


def parsed(path: Path, kind: type[Table], page: str) -> Table:
    """The tables of a settings file; ``page`` documents them.

    Raises:
        ContractViolation: ``SETTINGS_INVALID``.
    """
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        violations = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        violations = [str(error)]
    expected = f"the settings of {page}"
    raise ContractViolation.gathered("SETTINGS_INVALID", violations, expected, "correct the file and start again")


def _require_clear(access: Access) -> None:
    proxy = bool(access.identity_header and access.trusted_proxies)
    if bool(access.identity_header) != bool(access.trusted_proxies):
        found = "only one of identity_header and trusted_proxies"
        remedy = "name the header and the addresses of the proxies that set it"
    elif access.without_keys and (access.keys or proxy):
        found, remedy = "keys or a proxy, and the choice to serve without keys", "leave one of them out"
    elif not (access.keys or proxy or access.without_keys):
        found = "neither keys nor a proxy that names persons"
        remedy = "give --keys FILE with NAME KEY on each line, or --without-keys to serve this machine only"
    else:
        return
    raise ParametersRejected("ACCESS_UNCLEAR", found, "one clear rule who may use the service", remedy)


def pacs_address(path: Path | None, read: PacsTable) -> PacsAddress:
    """The address that a table of the settings file ``path`` names, with its credentials."""
    headers: dict[str, Any] = {}
    if path is not None and read.authorization_file is not None:
        headers["Authorization"] = _beside(path, read.authorization_file).read_text(encoding="utf-8").strip()
    return PacsAddress(read.url, headers, read.timeout_s)


def _beside(settings: Path, named: Path) -> Path:
    """A path in the settings is relative to their folder."""
    return settings.parent / named
