"""Lines of the worklist as a file that is made part by part, in any format.

Whoever asks for Parquet needs pyarrow; nobody else does.
"""

import io
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from scopefold.consent.export import Format, Line, csv_head, csv_of, jsonl_of

TEXT: Final = ("user", "idp", "scope", "why", "next_step", "known_by")
TEXT_OR_NOTHING: Final = ("connector", "version", "resource_type", "reported_by", "cleared", "dies_by")
EVENTS: Final = ("needed_since_event", "since_event", "known_since_event")
TIMES: Final = ("needed_since", "since")


class NoParquet(RuntimeError):
    """pyarrow is not installed here."""


def stream_of(wanted: Format) -> "TextStream | ParquetStream":
    """What makes a file of this format. Raises `NoParquet`."""
    return ParquetStream() if wanted == "parquet" else TextStream(wanted)


class TextStream(Struct, frozen=True):
    """CSV, or JSON Lines. What it gives, joined, is the file."""

    wanted: Literal["csv", "jsonl"]

    def begin(self) -> bytes:
        """With what the file begins."""
        return csv_head() if self.wanted == "csv" else b""

    def of(self, found: Iterable[Line]) -> bytes:
        """What these lines add to the file."""
        return csv_of(found) if self.wanted == "csv" else jsonl_of(found)

    def end(self) -> bytes:
        """What ends the file."""
        return b""


class ParquetStream:
    """Writes one file, a row group for each batch of lines; what is written is taken as it comes."""

    def __init__(self) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise NoParquet("pyarrow is not installed") from None
        text, number, time = pyarrow.string(), pyarrow.int64(), pyarrow.timestamp("us", tz="UTC")
        kinds = {
            **{name: pyarrow.field(name, text, nullable=False) for name in TEXT},
            **{name: pyarrow.field(name, text) for name in TEXT_OR_NOTHING},
            **{name: pyarrow.field(name, number, nullable=False) for name in EVENTS},
            **{name: pyarrow.field(name, time, nullable=False) for name in TIMES},
            "dies_at": pyarrow.field("dies_at", time),
        }
        self._schema = pyarrow.schema([kinds[name] for name in Line.__struct_fields__])
        self._table: Any = pyarrow.Table
        self._buffer = _Taken()
        self._writer: Any = parquet.ParquetWriter(pyarrow.PythonFile(self._buffer, mode="w"), self._schema)

    def begin(self) -> bytes:
        """With what the file begins."""
        return self._buffer.take()

    def of(self, found: Iterable[Line]) -> bytes:
        """What these lines add to the file."""
        rows = [msgspec.structs.asdict(line) for line in found]
        if rows:
            self._writer.write_table(self._table.from_pylist(rows, schema=self._schema))
        return self._buffer.take()

    def end(self) -> bytes:
        """What ends the file."""
        self._writer.close()
        return self._buffer.take()


class _Taken(io.RawIOBase):
    """A file that gives away what is written to it, and knows how much that was."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._waiting += content
        self._written += len(content)
        return len(content)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        """What was written since it was asked last."""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken
