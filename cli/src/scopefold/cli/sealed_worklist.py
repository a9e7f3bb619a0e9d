"""The worklist from segments alone: the service's answer, without the service and without the bus."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from msgspec import Struct

from scopefold.cli.answers import Counts, ListedRow, Worklist
from scopefold.cli.extra import analysis_part
from scopefold.cli.failure import Failure, usage
from scopefold.cli.names import names_told
from scopefold.cli.sealed import chain_at, moment_of, now
from scopefold.cli.where import Where
from scopefold.consent.chosen import Chosen, Filters, Order
from scopefold.consent.export import Format, lines
from scopefold.consent.export_stream import stream_of
from scopefold.consent.named import look_up, look_up_scope, no_such_user
from scopefold.consent.next_step import Step, next_steps
from scopefold.consent.reasons import Reasons
from scopefold.consent.reconsent import Row
from scopefold.consent.tallies import By, tallies
from scopefold.consent.ungiven import Why
from scopefold.contracts.recorded import AsOf

if TYPE_CHECKING:
    from scopefold.runtime.past import Past

Groups = Literal["group"]
COUNTED: Final = frozenset({"idp", "connector", "scope", "at"})
"""What narrows counts that are parted: grant sets alone are looked at."""
TOGETHER: Final = 1000
"""So many rows go to the file at once: a group of rows, where that is Parquet."""
AT_ONCE: Final = 50_000
"""So many rows are in memory at a time, and all segments are read once for each so many."""


class _Asked(Struct, frozen=True):
    """What the segments say at the moment that is asked about, and which rows are wanted."""

    past: "Past"
    as_of: AsOf
    chosen: Chosen

    @property
    def reasons(self) -> Reasons:
        """Why grants lack scopes."""
        worklist = self.past.worklist
        return Reasons(self.past.bulk.scopes, users_with=worklist.users_with, ungiven=worklist.ungiven)


def sealed_worklist(
    place: str, where: Where, asked: Mapping[str, str], *, order: Order = "idp", limit: int | None = None
) -> Worklist:
    """The first part of the worklist, or all of it. `asked` is what a request would say. Raises `Failure`."""
    if "group" in asked:
        raise _no_groups()
    return asyncio.run(_listed(place, where, asked, order, limit))


def sealed_counts(place: str, where: Where, asked: Mapping[str, str], by: By | Groups) -> Counts:
    """The worklist, counted. Raises `Failure`."""
    if more := asked.keys() - COUNTED:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(more))
        raise usage(f"{flags} cannot be used with --by", "It can be narrowed by --idp, --connector and --scope")
    if by == "group":
        raise _no_groups()
    return asyncio.run(_counted(place, where, asked, by))


def _no_groups() -> Failure:
    return usage("Segments know no groups", "Who is in which group is not in the log. Ask the service instead")


def sealed_export(place: str, where: Where, asked: Mapping[str, str], wanted: Format, file: BinaryIO) -> None:
    """Write the worklist to a file: the lines that the service would give. Raises `Failure`."""
    if "group" in asked:
        raise _no_groups()
    asyncio.run(_exported(place, where, asked, wanted, file))


async def _exported(place: str, where: Where, asked: Mapping[str, str], wanted: Format, file: BinaryIO) -> None:
    async with _at(place, where, asked) as found:
        stream = stream_of(wanted)
        file.write(stream.begin())
        async for rows in found.past.all_rows(found.chosen, at_once=AT_ONCE):
            for start in range(0, len(rows), TOGETHER):
                told = _told(found, rows[start : start + TOGETHER])
                file.write(stream.of([line for one in told for line in lines(*one)]))
        file.write(stream.end())


async def _listed(place: str, where: Where, asked: Mapping[str, str], order: Order, limit: int | None) -> Worklist:
    async with _at(place, where, asked) as found:
        rows = await found.past.listed(found.chosen, order, limit)
    # A later moment of the same segments is asked for from the start: there is no cursor to hand on.
    return Worklist(
        as_of=found.as_of,
        total=found.past.worklist.count_of(found.chosen),
        unknown=found.past.worklist.unclear(found.chosen),
        items=tuple(_listed_row(*told) for told in _told(found, rows)),
        next=None,
    )


async def _counted(place: str, where: Where, asked: Mapping[str, str], by: By) -> Counts:
    async with _at(place, where, asked) as found:
        worklist = found.past.worklist
        items = tallies(worklist.chosen_sets(found.chosen.filters), by, found.reasons, worklist.standing)
        return Counts(as_of=found.as_of, total=worklist.count_of(found.chosen), items=tuple(items))


@asynccontextmanager
async def _at(place: str, where: Where, asked: Mapping[str, str]) -> AsyncIterator[_Asked]:
    """The fold of the segments at the moment that is asked about. Raises `Failure`."""
    with analysis_part():
        from scopefold.ledger.segment_events import names_user_in
        from scopefold.ledger.segment_moments import as_of_in, resolve_in
        from scopefold.runtime.past import folded
    moment = moment_of(asked.get("at"))
    ages = {name: moment_of(asked[name]) for name in ("since_after", "since_before") if name in asked}
    async with chain_at(place, where) as chain:
        upto = await resolve_in(chain, moment, now())
        since = {name: await resolve_in(chain, age, now()) for name, age in ages.items()}
        past = await folded(chain, tenant=where.tenant, until=upto)
        # As the service does: it tells the time of a moment only where one was asked for.
        as_of = AsOf(upto) if moment is None else await as_of_in(chain, upto)
        with names_told():
            scopes, idp = past.bulk.scopes, asked.get("idp")
            look_up(scopes, as_of, idp=idp, connector=asked.get("connector"))
            look_up_scope(scopes, as_of, asked.get("scope"), idp=idp, users_with=past.worklist.users_with)
            if "user" in asked and not await names_user_in(chain, asked["user"]):
                raise no_such_user(asked["user"])
        chosen = Chosen(
            filters=Filters(**{name: text for name, text in asked.items() if name != "at"}),
            after=since.get("since_after"),
            before=since.get("since_before"),
            users=(asked["user"],) if "user" in asked else None,
        )
        yield _Asked(past, as_of, chosen)


def _told(found: _Asked, rows: Sequence[Row]) -> Iterator[tuple[Row, Mapping[str, Why], Mapping[str, Step]]]:
    """Each row, why its scopes lack, and what is to be done."""
    scopes, reasons, when = found.past.bulk.scopes, found.reasons, found.as_of.at or now()
    for row in rows:
        why = reasons.of(row)
        yield row, why, next_steps(scopes.idp(row.idp), row, why, when)


def _listed_row(row: Row, why: Mapping[str, Why], steps: Mapping[str, Step]) -> ListedRow:
    told: dict[str, Any] = {name: getattr(row, name) for name in Row.__struct_fields__}
    return ListedRow(**told, why=dict(why), next_steps=dict(steps))
