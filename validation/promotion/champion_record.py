"""The champion record: the database row that decides which version of a registered model serves.

Contract: a change names the row that it expects (version, digest, sequence) and is one transaction. Of any number of
processes that expect the same row, exactly one changes it, whichever history each of them writes. The others get
STALE_CHAMPION. The approval that a change uses and the model that it denies belong to the same transaction.

Where the tracking URI is a server, ``PLUMBLINE_CHAMPIONS_DB`` names the database. Without one nothing is promoted.
"""

import os
from dataclasses import asdict, dataclass, replace
from typing import Any

from spine.errors import GateRefused, ParametersRejected
from validation.promotion.database import connected, tables

DATABASE_VARIABLE = "PLUMBLINE_CHAMPIONS_DB"
DIALECTS = ("sqlite", "postgresql")

COMPARE_AGAIN = (
    "`plumbline run -w WORKSPACE` evaluates the present champion again (step champion_evaluation), judges again "
    "(verdict) and promotes if the verdict allows it; the candidate is trained again only if its inputs changed. In "
    "Dagster: materialise champion_evaluation and verdict, then launch the job promotion"
)
"""The remedy where the champion is not the one that the challenger was compared with."""


@dataclass(frozen=True)
class ServingVersion:
    """The version that serves: a row of ``plumbline_champions``.

    Attributes:
        version, digest: of the registered model.
        previous: version that served before and may serve again, or "".
        sequence: number of changes so far, from 1 on; a model that returns gets a new number.
        entry: digest of the history entry that announced the change, or "" where no entry did.
        synced: whether the alias was set to this version; False while a change is under way, or after it was killed.
    """

    version: str
    digest: str
    previous: str = ""
    sequence: int = 1
    entry: str = ""
    synced: bool = False


@dataclass(frozen=True)
class Denial:
    """A digest with a reason: why the model may not serve, or why it may again; by whom and when (ISO 8601)."""

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
        """The version that serves, None where none ever did."""
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
        """Replace ``expected`` by ``to`` (its version, digest, previous and entry), or refuse; the new row.

        Args:
            expected: the row as it was read; None: no version ever served.
            to: what serves from then on.
            approval: digest of the approval that this change uses.
            deny: the model that may not serve again.

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
        """Note that the alias shows ``serving``; False where another version serves by now."""
        table = tables().champions
        with connected(self.database) as connection:
            done = connection.execute(
                table.update()
                .where(table.c.model == self.production_model, table.c.sequence == serving.sequence)
                .values(synced=True)
            )
            return bool(done.rowcount)

    def has_happened(self, entry: str) -> bool:
        """Whether the change or reinstatement that a history entry (by its digest) announced is in the database."""
        with connected(self.database) as connection:
            return any(
                connection.execute(
                    table.select().where(table.c.model == self.production_model, table.c.entry == entry)
                ).first()
                is not None
                for table in (tables().changes, tables().reinstated)
            )

    def versions_that_served(self) -> frozenset[str]:
        """Every version that serves or ever served."""
        table, serving = tables().changes, self.serving()
        with connected(self.database) as connection:
            rows = connection.execute(table.select().where(table.c.model == self.production_model)).all()
        return frozenset({row.version for row in rows} | ({serving.version, serving.previous} if serving else set()))

    def denials(self) -> dict[str, Denial]:
        """Digest of each denied model -> why it may not serve."""
        table = tables().denied
        with connected(self.database) as connection:
            rows = connection.execute(table.select().where(table.c.model == self.production_model)).all()
        return {row.digest: Denial(row.digest, row.reason, row.by, row.at) for row in rows}

    def reinstate(self, why: Denial, entry: str, *, denied: bool = True) -> None:
        """Remove a model's denial, and record who did so, why, when, and in which history entry.

        Args:
            denied: False where the model was refused by a person and never denied.

        Raises:
            GateRefused: NOT_DENIED: the model has no denial (any more).
        """
        table = tables().denied
        rows = (table.c.model == self.production_model, table.c.digest == why.digest)
        with connected(self.database) as connection:
            if denied and connection.execute(table.delete().where(*rows)).rowcount != 1:
                raise GateRefused(
                    "NOT_DENIED",
                    found=f"model {why.digest[:12]}, which is not denied",
                    expected="a denied model",
                    remedy="nothing needs to be reinstated",
                )
            values = {"model": self.production_model, "entry": entry, **asdict(why)}
            connection.execute(tables().reinstated.insert().values(**values))

    def used_approvals(self) -> frozenset[str]:
        """Digests of the approvals that were used, for any model."""
        table = tables().approvals
        with connected(self.database) as connection:
            return frozenset(row.approval for row in connection.execute(table.select()).all())

    def _read(self, connection: Any) -> ServingVersion | None:
        table = tables().champions
        row = connection.execute(table.select().where(table.c.model == self.production_model)).one_or_none()
        if row is None:
            return None
        return ServingVersion(row.version, row.digest, row.previous, row.sequence, row.entry, bool(row.synced))

    def _swap(self, connection: Any, expected: ServingVersion | None, new: ServingVersion) -> None:
        table = tables().champions
        if expected is None:
            if (found := self._read(connection)) is not None:
                raise _stale(expected, found)
            connection.execute(table.insert().values(model=self.production_model, **asdict(new)))
        else:
            old = (
                table.c.model == self.production_model,
                table.c.version == expected.version,
                table.c.digest == expected.digest,
                table.c.sequence == expected.sequence,
            )
            if connection.execute(table.update().where(*old).values(**asdict(new))).rowcount != 1:
                raise _stale(expected, self._read(connection))
        values = {name: getattr(new, name) for name in ("sequence", "version", "digest", "entry")}
        connection.execute(tables().changes.insert().values(model=self.production_model, **values))

    def _use(self, connection: Any, approval: str) -> None:
        table = tables().approvals
        if connection.execute(table.select().where(table.c.approval == approval)).one_or_none() is not None:
            raise GateRefused(
                "APPROVAL_USED",
                found=f"approval {approval[:12]}, which was used for an earlier promotion",
                expected="an approval that was not used yet",
                remedy="ask for a new one with `plumbline approve`",
            )
        connection.execute(table.insert().values(approval=approval, model=self.production_model))

    def _deny(self, connection: Any, denial: Denial) -> None:
        """Deny a model; where it is denied already, the first reason stays."""
        table = tables().denied
        rows = (table.c.model == self.production_model, table.c.digest == denial.digest)
        if connection.execute(table.select().where(*rows)).one_or_none() is None:
            connection.execute(table.insert().values(model=self.production_model, **asdict(denial)))


def open_champion_record(tracking_uri: str, production_model: str) -> ChampionRecord:
    """The champion record in the registry's database, or in the one that ``PLUMBLINE_CHAMPIONS_DB`` names.

    Raises:
        ParametersRejected: NO_CHAMPIONS_DB: the registry is a server, and no database is named.
    """
    database = os.environ.get(DATABASE_VARIABLE) or tracking_uri
    if not database.startswith(DIALECTS):
        raise ParametersRejected(
            "NO_CHAMPIONS_DB",
            found=f"a registry behind {database.partition(':')[0]}, which offers no transaction",
            expected=f"a database ({' or '.join(DIALECTS)}) in which two promoters cannot both win",
            remedy=f"name one in {DATABASE_VARIABLE}, preferably the registry's; all promoters must use this one",
        )
    return ChampionRecord(database, production_model)


def champion_record_or_none(tracking_uri: str, production_model: str) -> ChampionRecord | None:
    """``open_champion_record`` for readers: None where the registry is a server and no database is named."""
    try:
        return open_champion_record(tracking_uri, production_model)
    except ParametersRejected:
        return None


def _stale(expected: ServingVersion | None, found: ServingVersion | None) -> GateRefused:
    return GateRefused(
        "STALE_CHAMPION",
        found=_describe(found),
        expected=f"{_describe(expected)}, as it was when this change began",
        remedy=COMPARE_AGAIN,
    )


def _describe(serving: ServingVersion | None) -> str:
    if serving is None:
        return "no champion"
    return f"champion {serving.digest[:12]} (version {serving.version}, change {serving.sequence})"
