"""The data directory of `scopefold up`: its secrets, its lock, and what else lies in it."""

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scopefold.cli.bus_directory import BusDirectory
from scopefold.cli.failure import usage

TENANT: Final = "default"


class DataDirectory:
    """One Scopefold's files. Only their owner may read them."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.admin_token = self.path / "admin-token"
        self.kek = self.path / "kek"
        self.logs = self.path / "logs"
        self.nats = self.path / "nats"
        self.bus = BusDirectory(self.path / "bus")
        self.auth = self.path / "auth"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make what is missing and keep every other `scopefold up` out. Raises `Failure` (usage)."""
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise usage("The data directory cannot be used", f"{self.path}: {error.strerror}") from None
        try:
            try:
                # The kernel drops the lock with its process, however that ends: no stale lock is ever left.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                detail = f"Another `scopefold up` runs on {self.path}. Stop it, or give another --data"
                raise usage("The data directory is in use", detail) from None
            try:
                self._make()
            except OSError as error:
                raise usage("The data directory cannot be used", f"{error.filename}: {error.strerror}") from None
            yield
        finally:
            os.close(lock)

    def is_held(self) -> bool:
        """Does a `scopefold up` run on it?"""
        try:
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    def _make(self) -> None:
        for folder in (self.logs, self.nats, self.auth):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.bus.make(TENANT)
        _make_once(self.admin_token, secrets.token_urlsafe(32))
        _make_once(self.kek, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())


def _make_once(path: Path, text: str) -> None:
    """Write a secret, unless it is there. It appears whole: a key cut short by a crash would lock all tokens away."""
    if path.exists():
        return
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text + "\n")
    fresh.replace(path)
