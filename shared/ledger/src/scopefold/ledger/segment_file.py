"""The Parquet files of a segment: rows in, bytes out, and back.

Three files, by who reads them (ADR 0029): `facts` is all that folds need, in about ten bytes an event; `ids` holds the
random ids that only name and explain, which no compression makes smaller; `users` the ids of the users that the segment
meets first, in the order of their numbers, so that no user's id is stored twice along a chain.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from scopefold.contracts.columns import COLUMNS, EXPLAINING, Row, microseconds

ROW_GROUP: Final = 131_072
LEVELS: Final = {"facts": 3, "ids": 1, "users": 9}
"""Of zstd, by file: random ids get no smaller, and users only at a high level, which costs little for so few."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_TYPES: Final = {
    "u64": pa.uint64(),
    "u32": pa.uint32(),
    "i64": pa.int64(),
    "str": pa.string(),
    "timestamp(us, UTC)": pa.timestamp("us", tz="UTC"),
}


def _field(name: str) -> pa.Field:
    told = COLUMNS[name]
    return pa.field(name, _TYPES[told.rstrip("?")], nullable=told.endswith("?"))


LOGICAL: Final = pa.schema([_field(name) for name in COLUMNS])
"""The columns as every reader sees them; `user` may come dictionary-encoded."""

FACTS: Final = pa.schema(
    [pa.field("user", pa.uint32()) if name == "user" else _field(name) for name in COLUMNS if name not in EXPLAINING]
)
"""`user` is a number of the chain's users here."""
IDS: Final = pa.schema([_field("seq"), *(_field(name) for name in EXPLAINING)])
USERS: Final = pa.schema([pa.field("user", pa.string(), nullable=False)])

_DELTA: Final = "DELTA_BINARY_PACKED"
_ENCODINGS: Final = {
    "facts": dict.fromkeys(("seq", "at", "user", "access_after_us", "idle_after_us", "absolute_after_us"), _DELTA),
    "ids": {"seq": _DELTA, "event_id": "PLAIN", "fingerprint": "PLAIN", "predecessor": "PLAIN", "ref": "PLAIN"},
    "users": {"user": "PLAIN"},
}
_SCHEMAS: Final = {"facts": FACTS, "ids": IDS, "users": USERS}


class Users:
    """The users of a chain, numbered from 0 in the order in which the log met them."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.ids: list[str] = list(known)
        self._numbers = {user: number for number, user in enumerate(self.ids)}

    def number(self, user: str | None) -> int | None:
        """The user's number; a new one at first sight."""
        if user is None:
            return None
        if (number := self._numbers.get(user)) is None:
            number = self._numbers[user] = len(self.ids)
            self.ids.append(user)
        return number


class Written(Struct, frozen=True):
    """The files of one segment."""

    facts: bytes
    ids: bytes
    users: bytes


class SegmentWriter:
    """Takes the rows of one segment, in any number of parts, and gives its files. Numbers new users in `users`."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._users_before = len(users.ids)
        self._sinks = {part: io.BytesIO() for part in _SCHEMAS}
        self._writers = {part: self._writer(part) for part in _SCHEMAS}
        self._waiting: list[list[Any]] = [[] for _ in COLUMNS]
        self.types: set[str] = set()
        self.rows = 0

    def _writer(self, part: str) -> pq.ParquetWriter:
        schema = _SCHEMAS[part]
        plain = _ENCODINGS[part]
        return pq.ParquetWriter(
            self._sinks[part],
            schema,
            compression="zstd",
            compression_level=LEVELS[part],
            use_dictionary=[name for name in schema.names if name not in plain],
            column_encoding=plain,
            write_statistics=["seq", "at"] if part == "facts" else False,
            store_schema=False,
        )

    def add(self, rows: Sequence[Row]) -> None:
        """The next rows, in order. They are turned into columns at once, while few enough to be in a cache."""
        for column, values in zip(self._waiting, zip(*rows, strict=True), strict=bool(rows)):
            column.extend(values)
        self.rows += len(rows)
        while len(self._waiting[0]) >= ROW_GROUP:
            self._write([column[:ROW_GROUP] for column in self._waiting])
            for column in self._waiting:
                del column[:ROW_GROUP]

    def _write(self, values: Sequence[list[Any]]) -> None:
        columns = dict(zip(COLUMNS, values, strict=True))
        columns["user"] = list(map(self._users.number, columns["user"]))
        self.types |= set(columns["type"])
        for part in ("facts", "ids"):
            schema = _SCHEMAS[part]
            arrays = [_array(columns[name], schema.field(name).type) for name in schema.names]
            self._writers[part].write_table(pa.table(arrays, schema=schema), row_group_size=ROW_GROUP)

    def close(self) -> Written:
        """The files."""
        if self._waiting[0]:
            self._write(self._waiting)
        new = pa.table([pa.array(self._users.ids[self._users_before :], pa.string())], schema=USERS)
        self._writers["users"].write_table(new)
        for writer in self._writers.values():
            writer.close()
        return Written(*(self._sinks[part].getvalue() for part in ("facts", "ids", "users")))


def _array(values: list[Any], of: pa.DataType) -> pa.Array:
    """As `pa.array`, which asks the time zone of every single time for its offset in Python."""
    if pa.types.is_timestamp(of):
        return pa.array([microseconds(_EPOCH, at) for at in values], pa.int64()).cast(of)
    return pa.array(values, of)


def read_users(content: bytes) -> list[str]:
    """The ids in a `users` file."""
    found: list[str] = pq.read_table(pa.BufferReader(content)).column("user").to_pylist()
    return found


def read_columns(facts: bytes, ids: bytes | None, users: pa.Array) -> Iterator[pa.RecordBatch]:
    """The rows as columns of `LOGICAL`, a row group at a time; without `ids`, without the columns `EXPLAINING`.

    `users` are the ids of all users that the chain has met up to here; `user` is dictionary-encoded with them.
    """
    told = pq.ParquetFile(pa.BufferReader(facts))
    explained = pq.ParquetFile(pa.BufferReader(ids)) if ids is not None else None
    for group in range(told.num_row_groups):
        columns = dict(_columns(told.read_row_group(group)))
        columns["user"] = pa.DictionaryArray.from_arrays(columns["user"].cast(pa.int32()), users)
        if explained is not None:
            columns |= {name: one for name, one in _columns(explained.read_row_group(group)) if name != "seq"}
        names = [name for name in COLUMNS if name in columns]
        yield pa.record_batch([columns[name] for name in names], names=names)


def batch_of(rows: Sequence[Row]) -> pa.RecordBatch:
    """Rows that are in no file yet, as the columns of `LOGICAL`."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(LOGICAL)
    return pa.record_batch(
        [pa.array(it, field.type) for it, field in zip(columns, LOGICAL, strict=True)], schema=LOGICAL
    )


def _columns(table: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    for name in table.column_names:
        yield name, table.column(name).combine_chunks()


def rows_in(batch: pa.RecordBatch) -> Iterator[Row]:
    """The rows of a batch that has all columns."""
    columns = [_values(batch.column(name), name) for name in COLUMNS]
    return map(Row._make, zip(*columns, strict=True))


def _values(column: pa.Array, name: str) -> list[Any]:
    if name == "at":
        return [_EPOCH + timedelta(microseconds=at) for at in column.cast(pa.int64()).to_pylist()]
    if name == "user" and isinstance(column, pa.DictionaryArray) and len(column.dictionary) < len(column):
        known = column.dictionary.to_pylist()  # fewer texts to make than rows
        return [None if number is None else known[number] for number in column.indices.to_pylist()]
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    found: list[Any] = column.to_pylist()
    return found
