"""Which errors of SQLite pass by themselves, and which are ours to mend."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiosqlite
import pytest

from scopefold.auth.store.database import StoreAway, copied, open_database, reading

Ask = Callable[[aiosqlite.Connection], Awaitable[object]]
KEEP = "INSERT INTO moves_kept VALUES (1, 1)"

DEFECTS: list[Ask] = [
    lambda db: db.execute("SELECT nothing FROM moves_kept"),
    lambda db: db.execute("SELECT * FROM nowhere"),
    lambda db: db.execute("SELEC 1"),
    lambda db: db.execute("SELECT ?"),
    lambda db: db.execute("SELECT ?", (object(),)),
    lambda db: db.execute(KEEP),
    lambda db: db.execute("UPDATE moves_kept SET since = 'x'"),
    lambda db: db.execute_fetchall("SELECT * FROM nowhere"),
    lambda db: db.executemany(KEEP, [(1,)]),
    lambda db: db.executescript("SELEC 1;"),
]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """A database with one row, which waits for no lock."""
    db = await open_database(path)
    try:
        await db.execute("PRAGMA busy_timeout = 0")
        await db.execute(KEEP)
        yield db
    finally:
        await db.close()


@pytest.mark.parametrize("ask", DEFECTS)
async def test_a_wrong_statement_does_not_pass(tmp_path: Path, ask: Ask) -> None:
    async with opened(tmp_path / "a.db") as db:
        with pytest.raises(sqlite3.Error):
            await ask(db)


async def test_a_lock_passes(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as db:
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreAway, match="locked") as raised:
                await db.execute("BEGIN IMMEDIATE")
        assert not raised.value.damaged
        await db.execute("BEGIN IMMEDIATE")


async def test_a_full_disk_passes(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as db:
        await db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(StoreAway, match="full") as raised:
            await db.execute("CREATE TABLE more (one INTEGER)")
        assert not raised.value.damaged


async def test_a_damaged_file_passes_and_is_known_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "b.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreAway) as raised:
        await open_database(tmp_path / "b.db")
    assert raised.value.damaged
    async with opened(tmp_path / "a.db") as db:
        await db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (tmp_path / "a.db").open("r+b") as file:
            file.write(b"damaged" * 10_000)
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other, pytest.raises(sqlite3.Error):
            other.execute("SELECT * FROM moves_kept")
    for ask in (copied(tmp_path / "b.db", tmp_path / "c.db"), _read(tmp_path / "b.db")):
        with pytest.raises(StoreAway) as raised:
            await ask
        assert raised.value.damaged


async def _read(path: Path) -> object:
    async with reading(path) as db:
        return await db.execute_fetchall("SELECT * FROM moves_kept")


async def test_a_file_that_is_missing_or_closed_passes(tmp_path: Path) -> None:
    for ask in (_read(tmp_path / "none.db"), open_database(tmp_path / "none" / "a.db")):
        with pytest.raises(StoreAway, match="unable to open") as raised:
            await ask
        assert not raised.value.damaged
    async with opened(tmp_path / "a.db") as db:
        cursor = await db.execute("SELECT * FROM moves_kept")
    for closed in (lambda: db.execute_fetchall("SELECT 1"), lambda: db.execute("SELECT 1"), cursor.fetchone):
        with pytest.raises(StoreAway, match="closed") as raised:
            await closed()
        assert not raised.value.damaged


async def test_what_is_no_text_is_no_reason_to_wait(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as db:
        with pytest.raises(UnicodeEncodeError):
            await db.execute("SELECT ?", ("\ud800",))
