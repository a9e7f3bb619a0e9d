"""The log as tables of a database that nobody can reach out of: what `scopefold log sql` asks.

The folds are those of `scopefold.consent`; SQL sees their answers. Needs the analysis part.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

import duckdb
import pyarrow as pa
from msgspec import Struct

from scopefold.consent import tables
from scopefold.consent.reconsent import EMPTY, State, replay
from scopefold.consent.tables import GrantLine, UnionLine, WorklistLine
from scopefold.contracts.columns import ELSEWHERE, QUARANTINED, message_in
from scopefold.contracts.recorded import Recorded
from scopefold.ledger.moment import Moment, NoSuchMoment, no_event, parse
from scopefold.ledger.segment_file import rows_in

PAGE: Final = 50_000
_NATIVE: Final[Mapping[object, tuple[pa.DataType, str]]] = {
    str: (pa.string(), "VARCHAR"),
    int: (pa.int64(), "BIGINT"),
    bool: (pa.bool_(), "BOOLEAN"),
    datetime: (pa.timestamp("us", tz="UTC"), "TIMESTAMP WITH TIME ZONE"),
    tuple[str, ...]: (pa.list_(pa.string()), "VARCHAR[]"),
}
_EVENTS: Final = """CREATE TABLE events (
    seq UBIGINT, logged_at TIMESTAMP WITH TIME ZONE, event_id VARCHAR, type VARCHAR, idp VARCHAR, "user" VARCHAR,
    publisher VARCHAR, generation UINTEGER, fingerprint VARCHAR, predecessor VARCHAR, access_after_us BIGINT,
    idle_after_us BIGINT, absolute_after_us BIGINT, "ref" VARCHAR, detail JSON)"""
_ROWS: Final = """SELECT seq, logged_at AS "at", event_id, type, idp, "user", publisher, generation, fingerprint,
    predecessor, access_after_us, idle_after_us, absolute_after_us, "ref", detail::VARCHAR AS detail
    FROM events WHERE seq > {after} AND seq <= {upto} AND type NOT IN ('{elsewhere}', '{quarantined}') ORDER BY seq"""
# What is no text with an offset yet is one here: SQL's own times are UTC in this database.
_WORKLIST_AT: Final = """CREATE TEMP MACRO worklist_at(moment) AS TABLE SELECT unnest(worklist_rows(
    moment::VARCHAR || CASE typeof(moment) WHEN 'DATE' THEN ' 00:00:00+00' WHEN 'TIMESTAMP' THEN '+00' ELSE '' END
    ), recursive := true)"""


class Bounds(Struct, frozen=True, kw_only=True):
    """How much one query may use."""

    memory_mb: int
    seconds: float


class Extent(Struct, frozen=True, kw_only=True):
    """What was loaded: the log from its beginning to a sequence. `whole` where nothing came after, as far as known."""

    tenant: str
    created: datetime
    last_seq: int
    whole: bool


class TooLong(TimeoutError):
    """The query took longer than it may."""


def native(kind: type[Struct]) -> dict[str, tuple[pa.DataType, str]]:
    """By member of a line: its type in Arrow and in DuckDB."""
    found = {}
    for name, hint in get_type_hints(kind).items():
        some = [one for one in get_args(hint) if one is not type(None)] if isinstance(hint, UnionType) else [hint]
        found[name] = _NATIVE[some[0]]
    return found


class Database:
    """A temporary database of one log. First everything is loaded; then it is locked, and asked."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self._path = folder / "log.db"
        self._bounds = bounds
        self._deadline = time.monotonic() + bounds.seconds
        self._connection = duckdb.connect(self._path, config=self._config())
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute(_EVENTS)
        self._extent: Extent
        self._kept: tuple[int, State] = (0, EMPTY)

    def _config(self) -> dict[str, str | bool | int | float | list[str]]:
        return {
            "memory_limit": f"{self._bounds.memory_mb}MB",
            "threads": "2",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "python_enable_replacements": "false",  # a name in a query is never a variable of this program
        }

    def load(self, batch: pa.RecordBatch) -> None:
        """Add rows, which come in order. Raises `TooLong`."""
        self._check_time()
        self._connection.register("batch", pa.table(batch.columns, names=batch.schema.names))
        self._connection.execute("INSERT INTO events SELECT * FROM batch")
        self._connection.unregister("batch")

    def lock(self, extent: Extent) -> None:
        """Nothing more comes: fold, then let nothing out and nothing in but queries."""
        self._extent = extent
        state = self._state(extent.last_seq)
        self._fill("grants", GrantLine, tables.grants(state))
        self._fill("unions", UnionLine, tables.unions(state))
        self._fill("worklist", WorklistLine, tables.listed(state))
        self._connection.close()
        locked = {**self._config(), "enable_external_access": "false"}
        self._connection = duckdb.connect(self._path, read_only=True, config=locked)
        self._connection.execute("SET TimeZone = 'UTC'")
        members = ", ".join(f'"{name}" {sql}' for name, (_, sql) in native(WorklistLine).items())
        self._connection.create_function("worklist_rows", self._worklist_at, ["VARCHAR"], f"STRUCT({members})[]")
        self._connection.execute(_WORKLIST_AT)
        self._connection.execute("SET lock_configuration = true")

    def close(self) -> None:
        """The database is of no more use."""
        self._connection.close()

    def ask(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The answer, in parts. Raises `ValueError` for what is no single query, `duckdb.Error`, `TooLong`."""
        statements = duckdb.extract_statements(sql)
        if [one.type for one in statements] not in ([duckdb.StatementType.SELECT], [duckdb.StatementType.EXPLAIN]):
            raise ValueError("it must be one query: SELECT, WITH, FROM, DESCRIBE or EXPLAIN")
        timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._connection.interrupt)
        timer.start()
        try:
            yield from self._connection.sql(sql).to_arrow_reader(PAGE)
        except (duckdb.InterruptException, pa.ArrowException) as error:
            self._check_time()
            raise duckdb.Error(str(error)) from None
        finally:
            timer.cancel()

    def _fill(self, name: str, kind: type[Struct], lines: Iterable[Struct]) -> None:
        types = native(kind)
        members = ", ".join(f'"{member}" {sql}' for member, (_, sql) in types.items())
        self._connection.execute(f"CREATE TABLE {name} ({members})")
        schema = pa.schema([pa.field(member, arrow) for member, (arrow, _) in types.items()])
        for part in _parts(lines):
            self._connection.register("batch", pa.Table.from_pylist([_members(one) for one in part], schema=schema))
            self._connection.execute(f"INSERT INTO {name} SELECT * FROM batch")  # noqa: S608  # a name of ours
            self._connection.unregister("batch")

    def _state(self, upto: int) -> State:
        """The fold up to a sequence. Goes on from the one before, which is what a query over time asks for."""
        after, state = self._kept if self._kept[0] <= upto else (0, EMPTY)
        cursor = self._connection.cursor()
        rows = _ROWS.format(after=after, upto=upto, elsewhere=ELSEWHERE, quarantined=QUARANTINED)
        for batch in cursor.sql(rows).to_arrow_reader(PAGE):
            self._check_time()
            messages = (message_in(row, self._extent.tenant) for row in rows_in(batch))
            state = replay([one for one in messages if isinstance(one, Recorded)], state)
        cursor.close()
        self._kept = (upto, state)
        return state

    def _worklist_at(self, moment: str) -> list[dict[str, Any]]:
        return [_members(one) for one in tables.listed(self._state(self._seq_at(parse(moment))))]

    def _seq_at(self, moment: Moment) -> int:
        """As `moments.resolve`, among what was loaded. Raises `NoSuchMoment`."""
        last = self._extent.last_seq
        if isinstance(moment, int):
            if moment > last:
                raise NoSuchMoment(f"What was loaded ends at sequence {last}.")
            return moment
        cursor = self._connection.cursor()
        try:
            if isinstance(moment, str):
                found = cursor.execute("SELECT max(seq) FROM events WHERE event_id = ?", [moment]).fetchone()
                if found is None or found[0] is None:
                    raise no_event(moment, "what was loaded")
                return int(found[0])
            ((first, end),) = cursor.execute(
                "SELECT epoch_us(min(logged_at)), epoch_us(max(logged_at)) FROM events"
            ).fetchall()
            wanted, created = round(moment.timestamp() * 1e6), round(self._extent.created.timestamp() * 1e6)
            if wanted > (time.time() * 1e6 if self._extent.whole else end or 0):
                raise NoSuchMoment(f"{moment.isoformat()} is after what was loaded, which ends at sequence {last}.")
            if wanted < min(created, created if first is None else first):
                raise NoSuchMoment(f"The log began after {moment.isoformat()}.")
            upto = "SELECT coalesce(max(seq), 0) FROM events WHERE epoch_us(logged_at) <= ?"
            ((seq,),) = cursor.execute(upto, [wanted]).fetchall()
            return int(seq)
        finally:
            cursor.close()

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise TooLong(f"it took longer than {self._bounds.seconds:g} seconds")


def _members(line: Struct) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__struct_fields__}


def _parts(lines: Iterable[Struct]) -> Iterator[list[Struct]]:
    part: list[Struct] = []
    for line in lines:
        part.append(line)
        if len(part) >= PAGE:
            yield part
            part = []
    yield part
