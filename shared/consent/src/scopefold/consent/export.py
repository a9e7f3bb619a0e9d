"""The worklist as a flat table: a line for each scope that a user lacks and each connector that needs it."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct

from scopefold.consent.cells import harmless
from scopefold.consent.next_step import Step
from scopefold.consent.reconsent import Row
from scopefold.consent.ungiven import Why

Format = Literal["csv", "jsonl", "parquet"]


class Line(Struct, frozen=True, kw_only=True):
    """Who lacks what, for whom, since when, and what is next. Events are sequences of the log, times are in UTC."""

    user: str
    idp: str
    scope: str
    connector: str | None
    version: str | None
    resource_type: str | None
    needed_since_event: int
    needed_since: datetime
    since_event: int
    since: datetime
    why: str
    next_step: str
    known_by: str
    known_since_event: int
    reported_by: str | None
    cleared: str | None
    dies_at: datetime | None
    dies_by: str | None


COLUMNS: Final = Line.__struct_fields__


def lines(row: Row, why: Mapping[str, Why], steps: Mapping[str, Step]) -> Iterator[Line]:
    """The lines of one row of the worklist."""
    for lack in row.missing:
        reporters = sorted({report.publisher for report in row.reports if lack.scope in report.missing})
        for because in lack.because:
            yield Line(
                user=row.user,
                idp=row.idp,
                scope=lack.scope,
                connector=because.connector,
                version=because.version,
                resource_type=because.resource_type,
                needed_since_event=because.cause.seq,
                needed_since=because.cause.at.astimezone(UTC),
                since_event=row.since.seq,
                since=row.since.at.astimezone(UTC),
                why=why[lack.scope],
                next_step=steps[lack.scope],
                known_by=row.known_by,
                known_since_event=row.stored.seq,
                reported_by=" ".join(reporters) or None,
                cleared=row.cleared.reason if row.cleared else None,
                dies_at=row.dies.at.astimezone(UTC) if row.dies else None,
                dies_by=row.dies.by if row.dies else None,
            )


def csv_head() -> bytes:
    """The names of the columns (RFC 4180)."""
    return _csv([COLUMNS])


def csv_of(found: Iterable[Line]) -> bytes:
    """Lines as RFC 4180 has them: every cell in quotes, none that a spreadsheet would run."""
    return _csv([cell(getattr(line, name)) for name in COLUMNS] for line in found)


def cell(value: str | int | datetime | None) -> str:
    """A cell that stays what it is when a spreadsheet opens it: what would be a formula begins with an apostrophe."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return harmless(value)
    return "" if value is None else str(value)


def jsonl_of(found: Iterable[Line]) -> bytes:
    """Lines of JSON, an object each."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in found)


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
