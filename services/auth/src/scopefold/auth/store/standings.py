"""What of users, beside their grants, says why they lack something: counted by grant set, so that none is looked at."""

from collections.abc import Mapping
from typing import Final

import aiosqlite
import msgspec

from scopefold.consent.reasons import Standing

USUAL: Final = Standing()
_encode = msgspec.json.Encoder().encode


async def load(db: aiosqlite.Connection) -> list[tuple[int, Standing, int]]:
    """All that are stored: the grant set's number, how users stand, and how many do."""
    rows = await db.execute_fetchall("SELECT grant_set, standing, users FROM standings")
    return [(number, msgspec.json.decode(text, type=Standing), users) for number, text, users in rows]


async def save(db: aiosqlite.Connection, moved: Mapping[tuple[int, Standing], int]) -> None:
    """Store how many users of a grant set stand so now."""
    kept = [(number, _encode(standing).decode(), users) for (number, standing), users in moved.items() if users]
    gone = [(number, _encode(standing).decode()) for (number, standing), users in moved.items() if not users]
    await db.executemany("INSERT OR REPLACE INTO standings VALUES (?, ?, ?)", kept)
    await db.executemany("DELETE FROM standings WHERE grant_set = ? AND standing = ?", gone)
