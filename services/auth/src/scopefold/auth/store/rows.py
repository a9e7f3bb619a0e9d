"""What the rows of the projection hold."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import aiosqlite
import msgspec
from msgspec import Struct, field

from scopefold.consent.chosen import NEVER
from scopefold.consent.deadlines import Deadlines, dies
from scopefold.consent.idp_scopes import Idp, State
from scopefold.consent.reasons import Standing
from scopefold.consent.reconsent import Cleared, Judgement, Report, UserGrant
from scopefold.consent.ungiven import Asked, Declined, Ungiven
from scopefold.contracts.recorded import Cause, Quarantined
from scopefold.scopes.coverage import Grant


class Held(Struct, frozen=True, array_like=True):
    """What a row of `grants` says of one user, beside the grant set."""

    generation: int
    known_by: str
    stored: Cause
    reports: tuple[Report, ...]
    ungiven: tuple[Ungiven, ...]
    cleared: Cleared | None
    deadlines: Deadlines
    erased: Cause | None = None
    removed: Cause | None = None
    declined: Declined | None = None
    not_renewed: tuple[str, ...] = ()
    not_told: Asked | None = None


class GrantSet(Struct):
    """A canonical grant that at least one user holds at an IdP, and what it is worth."""

    id: int
    idp: str
    key: str
    grant: Grant
    users: int
    judgement: Judgement
    standings: Counter[Standing] = field(default_factory=Counter)
    """How many of the users stand otherwise than by default, and how."""

    def standing(self) -> list[tuple[Standing, int]]:
        """How all of its users stand, and how many so."""
        found = [(standing, users) for standing, users in sorted(self.standings.items()) if users]
        usual = self.users - sum(users for _, users in found)
        return [(Standing(), usual), *found] if usual else found


TOGETHER: Final = 1000
NOBODYS: Final = 0
"""In place of the grant set of who was erased, or whose IdP was removed."""
_json = msgspec.json.Encoder(order="deterministic").encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Held).decode


def packed(grant: UserGrant) -> bytes:
    """A user's grant, without the grant set."""
    return _pack(Held(*(getattr(grant, name) for name in Held.__struct_fields__)))


def user_grant(idp: str, user: str, grant: Grant, held: bytes) -> UserGrant:
    """A user's grant, with the grant set's."""
    kept = _unpack(held)
    return UserGrant(user, idp, grant, **{name: getattr(kept, name) for name in Held.__struct_fields__})


def stored_row(grant: UserGrant, number: int) -> tuple[object, ...]:
    """The row of `grants`, of the grant set with this number."""
    end = dies(grant.deadlines, grant.grant.evidence)
    ends = end.at.timestamp() if end is not None else NEVER
    return grant.idp, grant.user, number, packed(grant), idle_end(grant), grant.stored.seq, ends


def idle_end(grant: UserGrant) -> float | None:
    """When a token dies if it is not used before, in seconds since 1970."""
    at = grant.deadlines.idle
    return at.timestamp() if at is not None and grant.cleared is None else None


async def save_grants(db: aiosqlite.Connection, rows: list[tuple[object, ...]]) -> None:
    """Store these rows of `grants`, each in place of the one before."""
    rows.sort(key=lambda row: row[:2])  # neighbours in the file are written together
    await db.executemany(
        "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (idp, user)"
        " DO UPDATE SET grant_set = excluded.grant_set, held = excluded.held, idle_end = excluded.idle_end,"
        " stored = excluded.stored, dies = excluded.dies",
        rows,
    )


async def of_users(db: aiosqlite.Connection, idp: str, users: list[str]) -> Iterable[Any]:
    """What these users have at an IdP: each one's user, grant set, and what that does not hold."""
    # One JSON text, not a parameter a user: a statement with thousands of places costs more than the look-up.
    return await db.execute_fetchall(
        "SELECT user, grant_set, held FROM grants WHERE idp = ? AND user IN (SELECT value FROM json_each(?))",
        (idp, msgspec.json.encode(users).decode()),
    )


async def present_at(db: aiosqlite.Connection, idp: str) -> AsyncIterator[list[Any]]:
    """The same of all who have a grant set at an IdP, a part of them at a time."""
    last = ""
    while True:
        part = list(
            await db.execute_fetchall(
                "SELECT user, grant_set, held FROM grants WHERE idp = ? AND user > ? AND grant_set <> ?"
                " ORDER BY user LIMIT ?",
                (idp, last, NOBODYS, TOGETHER),
            )
        )
        if not part:
            return
        yield part
        last = part[-1][0]


async def save_sets(db: aiosqlite.Connection, kept: Iterable[GrantSet], empty: Iterable[GrantSet]) -> None:
    """Store the grant sets that somebody holds, and remove those that nobody does."""
    rows = [
        (one.id, one.idp, one.key, _json(one.grant), one.users, one.judgement.status, _json(one.judgement))
        for one in kept
    ]
    await db.executemany("INSERT OR REPLACE INTO grant_sets VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    await db.executemany("DELETE FROM grant_sets WHERE id = ?", [(one.id,) for one in empty])


async def scopes(db: aiosqlite.Connection) -> State:
    """What IdPs need."""
    idps = await db.execute_fetchall("SELECT idp, content FROM idps ORDER BY idp")
    removed = await db.execute_fetchall("SELECT idp, content FROM removed_idps ORDER BY idp")
    return State(
        {idp: msgspec.json.decode(content, type=Idp) for idp, content in idps},
        {idp: msgspec.json.decode(content, type=Cause) for idp, content in removed},
    )


async def save_scopes(db: aiosqlite.Connection, told: State) -> None:
    """Store all that IdPs need, where nothing is stored yet."""
    await db.executemany("INSERT INTO idps VALUES (?, ?)", [(name, _json(idp)) for name, idp in told.idps.items()])
    removed = [(name, _json(cause)) for name, cause in told.removed.items()]
    await db.executemany("INSERT INTO removed_idps VALUES (?, ?)", removed)


async def remove_idp(db: aiosqlite.Connection, idp: str, cause: Cause) -> None:
    """Store that an IdP was removed, by which event."""
    await db.execute("DELETE FROM idps WHERE idp = ?", (idp,))
    await db.execute("INSERT OR REPLACE INTO removed_idps VALUES (?, ?)", (idp, _json(cause)))


async def quarantined(db: aiosqlite.Connection, limit: int) -> list[Quarantined]:
    """The messages that no fold may use, oldest first."""
    found = await db.execute_fetchall("SELECT seq, at, subject, reason FROM quarantine ORDER BY seq LIMIT ?", (limit,))
    return [msgspec.convert(dict(zip(Quarantined.__struct_fields__, row, strict=True)), Quarantined) for row in found]
