"""What a bad disk does to a database that is open."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = 4096


def damage(file: Path) -> None:
    """Overwrite all but the first page of a projection, and have nothing in memory hold any more."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("UPDATE checkpoint SET content = content")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as pages:
        pages.seek(PAGE_BYTES)
        pages.write(b"damaged" * (file.stat().st_size // 7))
