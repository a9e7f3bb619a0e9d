"""Whom and what the fold names, without a look at the log."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from scopefold.auth.store.database import reading
from scopefold.auth.store.projection import Projection


async def users_named(projection: Projection, users: Iterable[str]) -> frozenset[str]:
    """Those of these users of whom the fold has kept something: a grant, or that it is gone."""
    idps = list({*projection.scopes.idps, *projection.scopes.removed})
    sql = "SELECT DISTINCT user FROM grants WHERE idp IN (SELECT value FROM json_each(?)) AND user IN "
    sql += "(SELECT value FROM json_each(?))"
    values = [msgspec.json.encode(names).decode() for names in (idps, list(users))]
    return frozenset(user for (user,) in await projection.select(sql, values))


async def place_named(path: Path, event_id: str) -> int | None:
    """The sequence of the event with this id, where some user's grant goes back to it; else None.

    SQLite looks through the bytes of every row, on a connection of its own: half a second for 100,000 users. Raises
    `StoreAway`.
    """
    async with reading(path) as database:
        rows = await database.execute_fetchall(
            "SELECT held FROM grants WHERE instr(held, CAST(? AS BLOB)) LIMIT 1", (event_id,)
        )
    causes = [one for (held,) in rows for one in _causes(msgspec.msgpack.decode(held))]
    return next((one["seq"] for one in causes if one["event_id"] == event_id), None)


def _causes(value: Any) -> Iterator[dict[str, Any]]:
    """Every cause in what is stored of a grant, however deep."""
    if isinstance(value, dict) and "event_id" in value:
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _causes(one)
