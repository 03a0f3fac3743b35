"""The champion record: the database row that decides which version of a registered model is in service.

Contract: a change is one transaction, and it states the row that it expects (version, digest, sequence). If several
processes expect the same row, exactly one process changes it, even if they write different histories. The others get
STALE_CHAMPION. The transaction also marks the approval as used. In a rollback, it also denies the replaced model.

If the tracking URI is a server, ``PLUMBLINE_CHAMPIONS_DB`` names the database. Without a database nothing is promoted.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from spine.errors import GateRefused, ParametersRejected
from validation.promotion.database import connected, table

DATABASE_VARIABLE = "PLUMBLINE_CHAMPIONS_DB"
DIALECTS = ("sqlite", "postgresql")

COMPARE_AGAIN = (
    "run `plumbline run -w WORKSPACE`: it evaluates the present champion again, judges again, and promotes if the "
    "verdict allows it. The candidate is trained again only if its inputs changed. In Dagster: materialise "
    "champion_evaluation and verdict, then launch the job `promotion`"
)
"""The remedy if the champion has changed since the challenger was compared with it."""


@dataclass(frozen=True)
class ServingVersion:
    """The version in service: a row of ``plumbline_champions``.

    Attributes:
        version, digest: version of the registered model, and digest of the version's files.
        previous: the previous champion's version, to which a rollback can return; or "".
        sequence: number of the change, starting at 1. Every change gets a new number, even a return to an old version.
        entry: digest of the history entry that announced the change, or "" without such an entry.
        synced: whether the alias was set to this version. It is False during a change and after an interrupted change.
    """

    version: str
    digest: str
    previous: str = ""
    sequence: int = 1
    entry: str = ""
    synced: bool = False


@dataclass(frozen=True)
class Denial:
    """A denial or a reinstatement: the model's digest, the reason, the person or program, and the time (ISO 8601)."""

    digest: str
    reason: str
    by: str
    at: str


@dataclass(frozen=True)
class ChampionRecord:
    """The champion record of one registered model in one database."""

    database: str
    production_model: str

    def serving(self) -> ServingVersion | None:
        """The version in service; None if no version was ever in service."""
        with connected(self.database) as connection:
            return self._read(connection)

    def change(
        self,
        expected: ServingVersion | None,
        to: ServingVersion,
        *,
        approval: str | None = None,
        deny: Denial | None = None,
    ) -> ServingVersion:
        """Replace the row ``expected`` by ``to``, or refuse. Return the new row.

        Args:
            expected: the row as it was read; None if no version was ever in service.
            to: version, digest, previous version and entry of the new row.
            approval: digest of the approval that this change uses.
            deny: the model that must not go back into service.

        Raises:
            GateRefused: STALE_CHAMPION (another process was faster), APPROVAL_USED, REGISTRY_UNAVAILABLE.
        """
        from sqlalchemy.exc import IntegrityError

        new = replace(to, sequence=expected.sequence + 1 if expected else 1, synced=False)
        try:
            with connected(self.database) as connection:
                self._swap(connection, expected, new)
                if approval is not None:
                    self._use(connection, approval)
                if deny is not None:
                    self._deny(connection, deny)
        except IntegrityError as error:  # another process inserted the row between our read and our insert
            raise _stale(expected, self.serving()) from error
        return new

    def mark_synced(self, serving: ServingVersion) -> bool:
        """Record that the alias is set to ``serving``. Return False if another version is in service now."""
        rows = self.where("champions", sequence=serving.sequence)
        with connected(self.database) as connection:
            return bool(connection.execute(table("champions").update().where(*rows).values(synced=True)).rowcount)

    def has_happened(self, entry: str) -> bool:
        """Whether the database has the change or reinstatement that a history entry announced.

        Args:
            entry: digest of that entry.
        """
        return bool(self.rows("changes", entry=entry) or self.rows("reinstated", entry=entry))

    def versions_that_served(self) -> frozenset[str]:
        """The versions that are or ever were in service."""
        serving, changed = self.serving(), {row.version for row in self.rows("changes")}
        return frozenset(changed | ({serving.version, serving.previous} if serving else set()))

    def denials(self) -> dict[str, Denial]:
        """Digest of each denied model -> its denial."""
        return {row.digest: Denial(row.digest, row.reason, row.by, row.at) for row in self.rows("denied")}

    def reinstate(self, why: Denial, entry: str, *, denied: bool = True) -> None:
        """Remove a model's denial and record the reinstatement.

        Args:
            why: the model, the reason, the person and the time.
            entry: digest of the history entry that announced the reinstatement.
            denied: whether a rollback denied the model. It is False if only a person refused the model.

        Raises:
            GateRefused: NOT_DENIED: the model is not denied, or is no longer denied.
        """
        rows = self.where("denied", digest=why.digest)
        with connected(self.database) as connection:
            if denied and connection.execute(table("denied").delete().where(*rows)).rowcount != 1:
                raise GateRefused(
                    "NOT_DENIED",
                    found=f"model {why.digest[:12]} is not denied",
                    expected="a denied model",
                    remedy="no reinstatement is needed",
                )
            values = {"model": self.production_model, "entry": entry, **asdict(why)}
            connection.execute(table("reinstated").insert().values(**values))

    def rows(self, name: str, **values: Any) -> Sequence[Any]:
        """The rows of the table ``plumbline_<name>`` that are about this registered model and have these values."""
        with connected(self.database) as connection:
            rows: Sequence[Any] = connection.execute(table(name).select().where(*self.where(name, **values))).all()
        return rows

    def where(self, name: str, **values: Any) -> list[Any]:
        """The SQL conditions for the rows that ``rows`` returns."""
        columns = table(name).c
        return [columns[column] == value for column, value in {"model": self.production_model, **values}.items()]

    def _read(self, connection: Any) -> ServingVersion | None:
        row = connection.execute(table("champions").select().where(*self.where("champions"))).one_or_none()
        if row is None:
            return None
        return ServingVersion(row.version, row.digest, row.previous, row.sequence, row.entry, bool(row.synced))

    def _swap(self, connection: Any, expected: ServingVersion | None, new: ServingVersion) -> None:
        champions = table("champions")
        if expected is None:
            if (found := self._read(connection)) is not None:
                raise _stale(expected, found)
            connection.execute(champions.insert().values(model=self.production_model, **asdict(new)))
        else:
            old = self.where("champions", version=expected.version, digest=expected.digest, sequence=expected.sequence)
            if connection.execute(champions.update().where(*old).values(**asdict(new))).rowcount != 1:
                raise _stale(expected, self._read(connection))
        values = {name: getattr(new, name) for name in ("sequence", "version", "digest", "entry")}
        connection.execute(table("changes").insert().values(model=self.production_model, **values))

    def _use(self, connection: Any, approval: str) -> None:
        used = table("approvals")
        if connection.execute(used.select().where(used.c.approval == approval)).one_or_none() is not None:
            raise GateRefused(
                "APPROVAL_USED",
                found=f"approval {approval[:12]} was used for an earlier promotion",
                expected="an unused approval",
                remedy="ask a person other than the author to approve with `plumbline approve`",
            )
        connection.execute(used.insert().values(approval=approval, model=self.production_model))

    def _deny(self, connection: Any, denial: Denial) -> None:
        """Deny a model. If the model is already denied, keep the first reason."""
        rows, denied = self.where("denied", digest=denial.digest), table("denied")
        if connection.execute(denied.select().where(*rows)).one_or_none() is None:
            connection.execute(denied.insert().values(model=self.production_model, **asdict(denial)))


def open_champion_record(tracking_uri: str, production_model: str) -> ChampionRecord:
    """The champion record in the database that ``PLUMBLINE_CHAMPIONS_DB`` names, or else in the registry's database.

    Raises:
        ParametersRejected: NO_CHAMPIONS_DB: the registry is a server, and no database is named.
    """
    database = os.environ.get(DATABASE_VARIABLE) or tracking_uri
    if not database.startswith(DIALECTS):
        raise ParametersRejected(
            "NO_CHAMPIONS_DB",
            found=f"a registry with an {database.partition(':')[0]} address; such a registry has no transactions",
            expected=f"a database ({' or '.join(DIALECTS)}), so that two promotions cannot both succeed",
            remedy=f"set {DATABASE_VARIABLE} to the address of one database for all promoters, ideally the registry's",
        )
    return ChampionRecord(database, production_model)


def champion_record_or_none(tracking_uri: str, production_model: str) -> ChampionRecord | None:
    """The champion record for readers; None if the registry is a server and no database is named."""
    try:
        return open_champion_record(tracking_uri, production_model)
    except ParametersRejected:
        return None


def _stale(expected: ServingVersion | None, found: ServingVersion | None) -> GateRefused:
    return GateRefused(
        "STALE_CHAMPION",
        found=_describe(found),
        expected=f"{_describe(expected)}, as at the start of this change",
        remedy=COMPARE_AGAIN,
    )


def _describe(serving: ServingVersion | None) -> str:
    if serving is None:
        return "no champion"
    return f"champion {serving.digest[:12]} (version {serving.version}, change {serving.sequence})"
