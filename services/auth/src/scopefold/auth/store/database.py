"""The SQLite file that the projection is kept in: its tables, and how it is opened."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from urllib.parse import quote

import aiosqlite

SCHEMA_VERSION: Final = 12
PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = NORMAL",  # a power cut may undo the last batches, checkpoint and all: the log has them
    "cache_size = -131072",  # 128 MiB: users come in no order, so a rebuild touches pages all over the file
    "wal_autocheckpoint = 16384",  # 64 MiB: a page that changes often is written back once, not often
    "busy_timeout = 5000",
)
SCHEMA: Final = """
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), content BLOB NOT NULL) STRICT;
CREATE TABLE idps (idp TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE removed_idps (idp TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE grant_sets (
    id INTEGER PRIMARY KEY, idp TEXT NOT NULL, key TEXT NOT NULL, content BLOB NOT NULL,
    users INTEGER NOT NULL, status TEXT NOT NULL, judgement BLOB NOT NULL, UNIQUE (idp, key)
) STRICT;
CREATE TABLE grants (
    idp TEXT NOT NULL, user TEXT NOT NULL, grant_set INTEGER NOT NULL, held BLOB NOT NULL, idle_end REAL,
    stored INTEGER NOT NULL, dies REAL NOT NULL,
    PRIMARY KEY (idp, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_idle_end ON grants (idle_end) WHERE idle_end IS NOT NULL;
CREATE INDEX grants_by_set ON grants (grant_set, user);
CREATE INDEX grants_by_age ON grants (grant_set, stored);
CREATE INDEX grants_by_end ON grants (grant_set, dies, user);
CREATE TABLE standings (
    grant_set INTEGER NOT NULL, standing TEXT NOT NULL, users INTEGER NOT NULL, PRIMARY KEY (grant_set, standing)
) STRICT, WITHOUT ROWID;
CREATE TABLE moves (
    seq INTEGER NOT NULL, idp TEXT NOT NULL, user TEXT NOT NULL, entered INTEGER NOT NULL, gone INTEGER NOT NULL,
    at TEXT NOT NULL, event_id TEXT NOT NULL, PRIMARY KEY (seq, idp, user)
) STRICT, WITHOUT ROWID;
CREATE TABLE moves_kept (one INTEGER PRIMARY KEY CHECK (one = 1), since INTEGER NOT NULL) STRICT;
CREATE TABLE quarantine (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL
) STRICT;
"""
DUMP: Final = (
    "SELECT idp, content FROM idps ORDER BY idp",
    "SELECT idp, content FROM removed_idps ORDER BY idp",
    "SELECT idp, key, content, users, status, judgement FROM grant_sets ORDER BY idp, key",
    "SELECT g.idp, g.user, s.key, hex(g.held) FROM grants g LEFT JOIN grant_sets s ON s.id = g.grant_set"
    " ORDER BY g.idp, g.user",
    "SELECT s.idp, s.key, t.standing, t.users FROM standings t JOIN grant_sets s ON s.id = t.grant_set"
    " ORDER BY s.idp, s.key, t.standing",
    "SELECT seq, at, subject, reason FROM quarantine ORDER BY seq",
)
"""All that the fold says, in an order that is the same in every file. The numbers of grant sets are not."""

_OF_STATEMENTS: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)
_ROWS_AT_ONCE: Final = 64
_P = ParamSpec("_P")
_T = TypeVar("_T")


class StoreAway(Exception):
    """The file cannot be used now: it is locked, damaged or closed to be made anew, or the disk is full. It passes.

    What a wrong statement of ours makes is none, and stays the error that it is: trying again does not help.
    """

    def __init__(self, why: str, *, damaged: bool = False) -> None:
        super().__init__(why)
        self.damaged = damaged


@contextmanager
def _what_passes() -> Iterator[None]:
    """Of SQLite's errors, raises those that pass as `StoreAway`."""
    try:
        yield
    except sqlite3.Error as error:
        if _is_defect(error):
            raise
        # What is locked, or has no room, has a type of its own.
        raise StoreAway(str(error), damaged=type(error) is sqlite3.DatabaseError) from error


class Connection(aiosqlite.Connection):
    """A file that is open. All that is asked of it goes through these two, cursors' questions too."""

    damage: StoreAway | None = None
    """What somebody met who asked, since it was opened. It does not pass before the file is made anew."""

    @property
    def _conn(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreAway("the file is closed, to be made anew")
        return self._connection

    async def _execute(self, fn: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        _ = self._conn  # whatever is asked of a file that is closed
        try:
            with _what_passes():
                answer: _T = await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        except StoreAway as error:
            self.damage = error if error.damaged else self.damage
            raise
        return answer


async def open_database(path: Path) -> Connection:
    """Open the file, with its tables. Raises `StoreAway`, `sqlite3.Error` and `LookupError` where it is damaged or of
    another version, and leaves nothing open then.
    """
    database = await _connected(partial(sqlite3.connect, path, isolation_level=None))
    try:
        for pragma in PRAGMAS:
            await database.execute(f"PRAGMA {pragma}")
        if (version := await _told(database, "PRAGMA user_version")) == 0:
            await database.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise LookupError(f"the file has schema version {version}, this program {SCHEMA_VERSION}")
        if (verdict := await _told(database, "PRAGMA quick_check(1)")) != "ok":
            raise StoreAway(str(verdict), damaged=True)
    except BaseException:
        await database.close()
        raise
    return database


def _is_defect(error: sqlite3.Error) -> bool:
    """Is this what a wrong statement of ours makes?"""
    if (code := getattr(error, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in _OF_STATEMENTS  # its lower byte says of which kind it is
    return isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError) and "closed" not in str(error)


def discard(path: Path) -> None:
    """Remove a database, for a replay of the log to fill anew. Raises `OSError`."""
    for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        file.unlink(missing_ok=True)


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """A second connection to a file that is open already; it changes nothing. Raises `StoreAway`."""
    address = f"file:{quote(str(path))}?mode=ro"
    database = await _connected(partial(sqlite3.connect, address, isolation_level=None, uri=True))
    try:
        yield database
    finally:
        await database.close()


async def copied(path: Path, into: Path) -> None:
    """Copy a file that is open, as it stands. Raises `StoreAway`."""
    async with reading(path) as database:
        await database.execute("VACUUM INTO ?", (str(into),))


async def _connected(connect: Callable[[], sqlite3.Connection]) -> Connection:
    database = Connection(connect, _ROWS_AT_ONCE)
    with _what_passes():
        # aiosqlite leaves a thread behind where a file cannot be opened, so that is found out before it is asked.
        connect().close()
        await database
    return database


async def _told(database: aiosqlite.Connection, sql: str) -> object:
    async with database.execute(sql) as cursor:
        row = await cursor.fetchone()
    return row[0] if row else None
