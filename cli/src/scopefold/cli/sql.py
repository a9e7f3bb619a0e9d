"""`scopefold log sql`: ask the log, and what follows from it, in SQL; from segments, from the bus, or from both."""

import asyncio
import csv
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from scopefold.cli.connected import connected
from scopefold.cli.extra import analysis_part
from scopefold.cli.failure import refused, usage
from scopefold.cli.reach import ANALYST
from scopefold.cli.sealed import chain_at, moment_of, now, segments_option, told_plainly
from scopefold.cli.table import table
from scopefold.cli.where import Where, as_json, located
from scopefold.consent.cells import harmless
from scopefold.contracts.columns import row_of
from scopefold.contracts.recorded import examine
from scopefold.ledger.log import Log, status
from scopefold.ledger.moment import Moment
from scopefold.ledger.moments import resolve
from scopefold.ledger.read import read

if TYPE_CHECKING:
    from scopefold.cli.query import Database, Extent

SHOWN: Final = 1000


@click.command("sql")
@click.argument("query")
@segments_option("Sealed segments to read. With --data or --nats-url, what came after them is read from the bus.")
@click.option("--at", metavar="MOMENT", help="As it was then: a sequence, an RFC 3339 time, or an event's id.")
@click.option("--csv", "csv_wanted", is_flag=True, help="Print CSV; lists and objects as JSON, formulas as text.")
@click.option("--memory", "memory_mb", type=click.IntRange(64), default=1024, show_default=True, help="MB for SQL.")
@click.option("--seconds", type=click.FloatRange(1), default=300.0, show_default=True, help="How long it may take.")
@as_json
@located
def sql(
    *,
    where: Where,
    query: str,
    place: str | None,
    at: str | None,
    csv_wanted: bool,
    json_wanted: bool,
    memory_mb: int,
    seconds: float,
) -> None:
    """Ask in SQL (DuckDB's): the views events, grants, unions and worklist, and worklist_at(MOMENT).

    A query reads these and nothing else: no file, no address. With --json: JSON Lines. See docs/analysts.md.
    """
    with analysis_part():
        import duckdb

        from scopefold.cli.query import Bounds, Database, TooLong
    moment = moment_of(at)
    with tempfile.TemporaryDirectory(prefix="scopefold-sql-") as folder:
        database = Database(Path(folder), Bounds(memory_mb=memory_mb, seconds=seconds))
        try:
            with told_plainly():
                database.lock(asyncio.run(_filled(database, where, place, moment)))
            printed = _printer("json" if json_wanted else "csv" if csv_wanted else "table")
            for batch in database.ask(query):
                printed(batch.schema.names, batch.to_pylist())
            printed([], [])
        except TooLong as error:
            raise refused("The query was given up", f"{error}; see --seconds") from None
        except (duckdb.Error, ValueError) as error:
            raise usage("The query cannot be answered", _plainly(str(error))) from None
        finally:
            database.close()


async def _filled(database: "Database", where: Where, place: str | None, moment: Moment | None) -> "Extent":
    """Load the log up to a moment: from segments, and the rest from the bus where there is one to ask."""
    from scopefold.cli.query import Extent
    from scopefold.ledger.segment_moments import resolve_in
    from scopefold.ledger.segments import open_segments

    if place is None:
        async with connected(where.bus(ANALYST)) as log:
            return await _tail(database, log, where.tenant, moment, after=0)
    async with chain_at(place, where) as chain:
        if where.data is None and where.nats_url is None:
            upto = await resolve_in(chain, moment, now())
            async for batch in chain.batches(until=upto):
                database.load(batch)
            return Extent(tenant=where.tenant, created=chain.seals[-1].created, last_seq=upto, whole=False)
        async with connected(where.bus(ANALYST)) as log:
            stands = await status(log)
            await open_segments(chain.store, tenant=where.tenant, created=stands.created)
            if stands.last_seq < chain.last_seq:
                raise refused("The log is shorter than its segments", f"{stands.last_seq} instead of {chain.last_seq}")
            upto = await resolve(log, moment, now()) if moment is not None else stands.last_seq
            async for batch in chain.batches(until=upto):
                database.load(batch)
            return await _tail(database, log, where.tenant, moment, after=min(chain.last_seq, upto))


async def _tail(database: "Database", log: Log, tenant: str, moment: Moment | None, *, after: int) -> "Extent":
    from scopefold.cli.query import Extent
    from scopefold.ledger.segment_file import batch_of

    stands = await status(log)
    upto = await resolve(log, moment, now()) if moment is not None else stands.last_seq
    if after < upto:
        async for messages in read(log, after=after, until=upto):
            database.load(batch_of([row_of(examine(message), tenant) for message in messages]))
    return Extent(tenant=tenant, created=stands.created, last_seq=upto, whole=upto == stands.last_seq)


Printed = Callable[[list[str], list[dict[str, Any]]], None]


def _print_json(_: list[str], rows: list[dict[str, Any]]) -> None:
    for row in rows:
        click.echo(msgspec.json.encode({name: _number(value) for name, value in row.items()}))


def _printer(form: str) -> Printed:
    """Prints an answer's parts as they come; called with nothing at the end."""
    if form == "json":
        return _print_json
    seen: list[list[str]] = []
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")

        def write(names: list[str], rows: list[dict[str, Any]]) -> None:
            if names and not seen:
                writer.writerow(names)
                seen.append(names)
            writer.writerows([_in_spreadsheet(value) for value in row.values()] for row in rows)

        return write

    shown: list[list[str]] = []
    count = 0

    def show(names: list[str], rows: list[dict[str, Any]]) -> None:
        nonlocal count
        count += len(rows)
        shown.extend([_cell(value) for value in row.values()] for row in rows[: SHOWN - len(shown)])
        if names:
            seen[:] = [names]
        elif seen:
            click.echo(table(seen[0], shown))
            if count > len(shown):
                click.echo(f"\n{len(shown)} of {count} shown; --json and --csv print all.")
        else:
            click.echo("Nothing.")

    return show


def _number(value: object) -> object:
    """A sum of whole numbers comes as a decimal, which JSON would have as text."""
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


def _cell(value: object) -> str:
    """A value as people and spreadsheets read it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(_number(value)).decode().strip('"')


def _in_spreadsheet(value: object) -> str:
    """The same where a spreadsheet opens it: a scope that some service reported may look like a formula."""
    return harmless(value) if isinstance(value, str) else _cell(value)


def _plainly(text: str) -> str:
    """What DuckDB says, without how it came to say it; of a function of ours, what that said."""
    _, ours, told = text.rpartition("executing the UDF: ")
    said = told.split("\n\nLINE", 1)[0]
    return said.partition(": ")[2] if ours else said
