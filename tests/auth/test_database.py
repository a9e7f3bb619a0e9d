"""Which errors of SQLite pass by themselves, and which are ours to mend."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from scopefold.auth.store.database import is_defect

Ask = Callable[[sqlite3.Connection], object]

DEFECTS: list[Ask] = [
    lambda db: db.execute("SELECT nothing FROM kept"),
    lambda db: db.execute("SELECT * FROM nowhere"),
    lambda db: db.execute("SELEC 1"),
    lambda db: db.execute("SELECT ?"),
    lambda db: db.execute("SELECT ?", (object(),)),
    lambda db: db.execute("INSERT INTO kept VALUES (1)"),
    lambda db: db.execute("INSERT INTO kept VALUES ('x')"),
]


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A small database, with one row."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        db.execute("CREATE TABLE IF NOT EXISTS kept (one INTEGER PRIMARY KEY) STRICT")
        db.execute("INSERT OR IGNORE INTO kept VALUES (1)")
        yield db


@pytest.mark.parametrize("ask", DEFECTS)
def test_a_wrong_statement_does_not_pass(tmp_path: Path, ask: Ask) -> None:
    with opened(tmp_path / "a.db") as db, pytest.raises(sqlite3.Error) as raised:
        ask(db)
    assert is_defect(raised.value)


def test_a_lock_passes(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as db, opened(tmp_path / "a.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked") as raised:
            db.execute("SELECT * FROM kept")
    assert not is_defect(raised.value)


def test_a_full_disk_passes(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as db:
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError, match="full") as raised:
            db.execute("CREATE TABLE more (one INTEGER)")
    assert not is_defect(raised.value)


def test_a_damaged_or_closed_file_passes(tmp_path: Path) -> None:
    (tmp_path / "b.db").write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as raised, opened(tmp_path / "b.db"):
        pass
    assert not is_defect(raised.value)
    with opened(tmp_path / "a.db") as db:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed") as closed:
        db.execute("SELECT 1")
    assert not is_defect(closed.value)
    assert not is_defect(OSError("no space left"))
