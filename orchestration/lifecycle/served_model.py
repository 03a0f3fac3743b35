"""The champion that a service must answer with: that of the history, or else that of the verified local copy.

Contract: the history decides while the registry can be read, so a promotion or a rollback of another workspace on the
same registry is followed. While it cannot be read, the last known champion stays. A local rollback comes first, because
the history does not have it yet. The digest is only named here; who loads the files verifies it.
"""

from contextlib import suppress
from pathlib import Path

from orchestration.lifecycle.history import up_to_date
from orchestration.lifecycle.local_champion import LocalChampion, local_champion
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from spine.errors import PlumblineError
from spine.storage import locked
from validation.promotion.events import Event
from validation.registry.client import fetch_version
from validation.registry.database import database_exists
from validation.registry.errors import errors_as_refusals


class ChampionOfWorkspace:
    """Names the champion of a workspace, each time it is asked."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._last: tuple[LocalChampion, Path] | None = None

    def __call__(self) -> tuple[LocalChampion, Path] | None:
        """The champion and the folder of its files; None before the first promotion.

        Raises:
            PlumblineError: the history is not intact, or the champion's files cannot be fetched.
        """
        if not self._workspace.rollback_pending.exists():
            try:
                event = self._champion_of_history()
            except PlumblineError as error:
                if error.code != "REGISTRY_UNAVAILABLE":
                    raise
                return self._last or self._local()
            if event is not None:
                self._last = self._fetched(event)
                return self._last
        return self._local()

    def _champion_of_history(self) -> Event | None:
        if not database_exists(self._workspace.tracking_uri) and not self._workspace.history_copy.is_file():
            return None
        return history_state(self._workspace).champion

    def _fetched(self, event: Event) -> tuple[LocalChampion, Path]:
        """The files of the champion: the local copy, which follows the history, or a copy of the service's own."""
        wanted = LocalChampion(event.version, event.digest, event.verdict)
        if not self._is_local(wanted):
            with suppress(PlumblineError, OSError):  # e.g. a workspace that this account may only read
                up_to_date(self._workspace)
        if self._is_local(wanted):
            return wanted, self._workspace.champion
        own = self._workspace.served_copy
        with errors_as_refusals(), locked(own.with_name(f".{own.name}.lock")):
            fetch_version(self._workspace.tracking_uri, PRODUCTION_MODEL, event.version, event.digest, into=own)
        return wanted, own

    def _is_local(self, wanted: LocalChampion) -> bool:
        record = local_champion(self._workspace)
        return record is not None and record.digest == wanted.digest

    def _local(self) -> tuple[LocalChampion, Path] | None:
        record = local_champion(self._workspace)
        return None if record is None else (record, self._workspace.champion)
