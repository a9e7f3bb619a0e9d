"""What the rows of the projection hold."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import aiosqlite
import msgspec
from msgspec import Struct, field

from scopefold.consent.chosen import NEVER
from scopefold.consent.deadlines import Deadlines, dies
from scopefold.consent.reasons import Standing
from scopefold.consent.reconsent import Cleared, Judgement, Report, UserGrant
from scopefold.consent.ungiven import Ungiven
from scopefold.contracts.recorded import Cause
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


NOBODYS: Final = 0
"""In place of the grant set of a user who was erased."""
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


async def save_sets(db: aiosqlite.Connection, kept: Iterable[GrantSet], empty: Iterable[GrantSet]) -> None:
    """Store the grant sets that somebody holds, and remove those that nobody does."""
    rows = [
        (one.id, one.idp, one.key, _json(one.grant), one.users, one.judgement.status, _json(one.judgement))
        for one in kept
    ]
    await db.executemany("INSERT OR REPLACE INTO grant_sets VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    await db.executemany("DELETE FROM grant_sets WHERE id = ?", [(one.id,) for one in empty])
