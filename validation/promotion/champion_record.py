"""The seat: one row a registered model says who is champion, and one UPDATE changes it.

Contract: a change names the row it expects (version, digest, sequence) and happens in one transaction, whole or not at
all; of any number of processes that expect the same row, whatever history they write, exactly one changes it, and
every other one gets STALE_CHAMPION. What a change spends or denies stands or falls with it.

Where the tracking URI is a server, ``PLUMBLINE_CHAMPIONS_DB`` names the database; without one nothing is promoted.
"""

import os
from dataclasses import asdict, dataclass, replace
from typing import Any

from spine.errors import GateRefused, ParametersRejected
from validation.promotion.database import connected, tables

DATABASE_VARIABLE = "PLUMBLINE_CHAMPIONS_DB"
DIALECTS = ("sqlite", "postgresql")

COMPARE_AGAIN = (
    "`plumbline run -w WORKSPACE` scores the present champion again (step champion_evaluation), judges again (verdict) "
    "and promotes what may be; nothing is trained anew where nothing changed. In Dagster: materialise "
    "champion_evaluation and verdict, then launch the job promotion"
)
"""The way out where the champion is not the one that was compared."""


@dataclass(frozen=True)
class Holder:
    """Who sits: a row of ``plumbline_champions``.

    Attributes:
        version, digest: of the registered model; previous: version that served before and may serve again, or "".
        sequence: how often the seat changed, from 1 on; a model that returns does not bring its old number back.
        entry: digest of the history's entry that announced the change; "" for a champion older than the table.
        mirrored: whether the alias has been set to it since; False is the trace of a change under way or cut off.
    """

    version: str
    digest: str
    previous: str = ""
    sequence: int = 1
    entry: str = ""
    mirrored: bool = False


@dataclass(frozen=True)
class Denial:
    """What may not serve as a model again: a model's digest or a verdict's; why, by whom, when (ISO 8601)."""

    digest: str
    reason: str
    by: str
    at: str


@dataclass(frozen=True)
class Seat:
    """The seat of one registered model in one database."""

    database: str
    production_model: str

    def holder(self) -> Holder | None:
        """Who sits, None where nobody ever did."""
        with connected(self.database) as connection:
            return self._holder(connection)

    def change(
        self, expected: Holder | None, to: Holder, *, approval: str | None = None, deny: Denial | None = None
    ) -> Holder:
        """Put ``to`` (its version, digest, previous and entry) in the place of ``expected``, or refuse.

        Args:
            expected: the row as it was read; None: nobody ever sat.
            to: who follows.
            approval: digest of the approval that this change spends; deny: what is denied with it.

        Raises:
            GateRefused: STALE_CHAMPION, another process was faster; APPROVAL_USED; REGISTRY_UNAVAILABLE.
        """
        from sqlalchemy.exc import IntegrityError

        follower = replace(to, sequence=expected.sequence + 1 if expected else 1, mirrored=False)
        try:
            with connected(self.database) as connection:
                self._swap(connection, expected, follower)
                if approval is not None:
                    self._spend(connection, approval)
                if deny is not None:
                    self._deny(connection, deny)
        except IntegrityError as error:  # the row was inserted between our look and our insert
            raise self._stale(expected, self.holder()) from error
        return follower

    def mirrored(self, holder: Holder) -> bool:
        """Note that the alias shows ``holder``; False where somebody else sits by now."""
        table = tables().champions
        with connected(self.database) as connection:
            done = connection.execute(
                table.update()
                .where(table.c.model == self.production_model, table.c.sequence == holder.sequence)
                .values(mirrored=True)
            )
            return bool(done.rowcount)

    def made(self, entry: str) -> bool:
        """Whether the change or lifting that the history's entry with this digest announced has happened."""
        with connected(self.database) as connection:
            return any(
                connection.execute(
                    table.select().where(table.c.model == self.production_model, table.c.entry == entry)
                ).first()
                is not None
                for table in (tables().changes, tables().lifted)
            )

    def sat(self) -> frozenset[str]:
        """Every version that sits or ever sat."""
        table, holder = tables().changes, self.holder()
        with connected(self.database) as connection:
            rows = connection.execute(table.select().where(table.c.model == self.production_model)).all()
        return frozenset({row.version for row in rows} | ({holder.version, holder.previous} if holder else set()))

    def denials(self) -> dict[str, Denial]:
        """Digest -> why it may not serve."""
        table = tables().denied
        with connected(self.database) as connection:
            rows = connection.execute(table.select().where(table.c.model == self.production_model)).all()
        return {row.digest: Denial(row.digest, row.reason, row.by, row.at) for row in rows}

    def deny(self, denial: Denial) -> None:
        """Put a digest on the deny-list; the first reason stays."""
        with connected(self.database) as connection:
            self._deny(connection, denial)

    def lift(self, word: Denial, entry: str, *, denied: bool = True) -> None:
        """Take a digest off the deny-list; who says so, why and when, and in which entry, is kept.

        Args:
            denied: it is on the list; False: a human's refusal is lifted, which the history alone holds.

        Raises:
            GateRefused: NOT_DENIED: it is not on the list (any more).
        """
        table = tables().denied
        of_it = (table.c.model == self.production_model, table.c.digest == word.digest)
        with connected(self.database) as connection:
            if denied and connection.execute(table.delete().where(*of_it)).rowcount != 1:
                raise GateRefused(
                    "NOT_DENIED",
                    found=f"model {word.digest[:12]}, which is not denied",
                    expected="a model that was rolled back from",
                    remedy="nothing needs to be lifted",
                )
            connection.execute(
                tables().lifted.insert().values(model=self.production_model, entry=entry, **asdict(word))
            )

    def spent(self) -> frozenset[str]:
        """Digests of the approvals that were used, for whatever model."""
        table = tables().approvals
        with connected(self.database) as connection:
            return frozenset(row.approval for row in connection.execute(table.select()).all())

    def _holder(self, connection: Any) -> Holder | None:
        table = tables().champions
        row = connection.execute(table.select().where(table.c.model == self.production_model)).one_or_none()
        if row is None:
            return None
        return Holder(row.version, row.digest, row.previous, row.sequence, row.entry, bool(row.mirrored))

    def _swap(self, connection: Any, expected: Holder | None, follower: Holder) -> None:
        table = tables().champions
        if expected is None:
            if self._holder(connection) is not None:
                raise self._stale(expected, self._holder(connection))
            connection.execute(table.insert().values(model=self.production_model, **asdict(follower)))
            return self._record(connection, follower)
        old = (
            table.c.model == self.production_model,
            table.c.version == expected.version,
            table.c.digest == expected.digest,
            table.c.sequence == expected.sequence,
        )
        if connection.execute(table.update().where(*old).values(**asdict(follower))).rowcount != 1:
            raise self._stale(expected, self._holder(connection))
        return self._record(connection, follower)

    def _record(self, connection: Any, follower: Holder) -> None:
        values = {name: getattr(follower, name) for name in ("sequence", "version", "digest", "entry")}
        connection.execute(tables().changes.insert().values(model=self.production_model, **values))

    def _spend(self, connection: Any, approval: str) -> None:
        table = tables().approvals
        if connection.execute(table.select().where(table.c.approval == approval)).one_or_none() is not None:
            raise GateRefused(
                "APPROVAL_USED",
                found=f"approval {approval[:12]}, which let a model in before",
                expected="an approval for one promotion",
                remedy="ask for a new one with `plumbline approve`",
            )
        connection.execute(table.insert().values(approval=approval, model=self.production_model))

    def _deny(self, connection: Any, denial: Denial) -> None:
        table = tables().denied
        of_it = (table.c.model == self.production_model, table.c.digest == denial.digest)
        if connection.execute(table.select().where(*of_it)).one_or_none() is None:
            connection.execute(table.insert().values(model=self.production_model, **asdict(denial)))

    def _stale(self, expected: Holder | None, found: Holder | None) -> GateRefused:
        return GateRefused(
            "STALE_CHAMPION",
            found=_told(found),
            expected=f"{_told(expected)}, as it was when this change began",
            remedy=COMPARE_AGAIN,
        )


def open_seat(tracking_uri: str, production_model: str) -> Seat:
    """The seat of a registered model in the registry's database, or in the one ``PLUMBLINE_CHAMPIONS_DB`` names.

    Raises:
        ParametersRejected: NO_CHAMPIONS_DB: the registry is a server, and no database is named.
    """
    database = os.environ.get(DATABASE_VARIABLE) or tracking_uri
    if not database.startswith(DIALECTS):
        raise ParametersRejected(
            "NO_CHAMPIONS_DB",
            found=f"a registry behind {database.partition(':')[0]}, which offers no transaction",
            expected=f"a database ({' or '.join(DIALECTS)}) in which two promoters cannot both win",
            remedy=f"name one in {DATABASE_VARIABLE}, best the registry's own; every promoter must name the same",
        )
    return Seat(database, production_model)


def seat_or_none(tracking_uri: str, production_model: str) -> Seat | None:
    """``open_seat`` for those who only read: None where the registry is a server and no database is named."""
    try:
        return open_seat(tracking_uri, production_model)
    except ParametersRejected:
        return None


def _told(holder: Holder | None) -> str:
    return f"champion {holder.digest[:12]} (version {holder.version}, change {holder.sequence})" if holder else "none"
