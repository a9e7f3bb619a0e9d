"""The logs of the bus's servers, read as they grow, to count what the bus refused."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from scopefold.auth.core.bus_log import KINDS, kind_of
from scopefold.runtime.logs import logger

LOOK_SECONDS: Final = 1.0
TURN_BYTES: Final = 1 << 20
HEAD_BYTES: Final = 256
TAIL_BYTES: Final = 64 << 10
"""More than the server writes behind the words that say what it refused: a protocol line has at most 4,096 bytes."""
log = logger(__name__)


class Tail:
    """One file. What it holds at the first look is over and done; what comes later is read once.

    A file that was renamed (nats-server does so beyond `logfile_size_limit`) is read to its end before the one that
    took its place; of several renamed between two looks, those in the middle are missed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._begun = False
        self._rest = b""

    def lines(self) -> list[bytes]:
        """The lines that were finished since, of at most 1 MiB a turn. Raises `OSError` where there is no such file."""
        begun, self._begun = self._begun, True
        if self._file is None:
            self._file = self.path.open("rb", buffering=0)
            self._rest = b""
            if not begun:
                self._file.seek(0, os.SEEK_END)
        replaced = not self._is_at_its_place(self._file)  # asked before reading: afterwards nothing more comes into it
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        read = self._file.read(TURN_BYTES)
        if replaced and len(read) < TURN_BYTES:
            self.close()
        *lines, rest = (self._rest + read).split(b"\n")
        # Of a line without end, the beginning says whether it is an error and the end which.
        self._rest = rest if len(rest) <= HEAD_BYTES + TAIL_BYTES else rest[:HEAD_BYTES] + rest[-TAIL_BYTES:]
        return lines

    def close(self) -> None:
        """Let go of the file. The next turn opens what is at its place then, and reads it from the start."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _is_at_its_place(self, file: BinaryIO) -> bool:
        with suppress(OSError):
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        return False


class BusLogs:
    """What the bus refused since this process began, by kind, from the logs of all its servers."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.refused: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.unread: set[Path] = set(paths)
        self._tails = [Tail(path) for path in paths]
        self._told: set[Path] = set()

    @property
    def are_told(self) -> bool:
        """Was this process told of any?"""
        return bool(self._tails)

    async def keep_reading(self) -> None:
        """Look at each once a second, for ever; at once over where there are none."""
        while self._tails:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """One turn at each. Says once that a file cannot be read, and once that it can again."""
        for tail in self._tails:
            try:
                lines = tail.lines()
            except OSError as error:
                self._cannot(tail.path, error)
                continue
            for line in lines:
                if (kind := kind_of(line)) is not None:
                    self.refused[kind] += 1
            self._can(tail.path)

    def close(self) -> None:
        """Let go of all files."""
        for tail in self._tails:
            tail.close()

    def _cannot(self, path: Path, error: OSError) -> None:
        self.unread.add(path)
        if path not in self._told:
            self._told.add(path)
            log.warning("cannot count what the bus refuses: its log is not read", file=str(path), why=error.strerror)

    def _can(self, path: Path) -> None:
        self.unread.discard(path)
        if path in self._told:
            self._told.discard(path)
            log.info("the log of the bus is read again", file=str(path))
