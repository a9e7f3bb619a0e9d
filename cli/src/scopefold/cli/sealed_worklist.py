"""The worklist from segments alone: the service's answer, without the service and without the bus."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from scopefold.cli.answers import Counts, ListedRow, Worklist
from scopefold.cli.extra import analysis_part
from scopefold.cli.failure import Failure, usage
from scopefold.cli.reach import ANALYST
from scopefold.cli.sealed import moment_of, now, store_at, told_plainly
from scopefold.cli.where import Where
from scopefold.consent.chosen import Chosen, Filters, Order
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.next_step import next_steps
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


class _Asked(Struct, frozen=True):
    """What the segments say at the moment that is asked about, and which rows are wanted."""

    past: "Past"
    as_of: AsOf
    chosen: Chosen

    @property
    def reasons(self) -> Reasons:
        """Why grants lack scopes."""
        worklist = self.past.worklist
        return Reasons(self.past.bulk.scopes.idps, users_with=worklist.users_with, ungiven=worklist.ungiven)


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


async def _listed(place: str, where: Where, asked: Mapping[str, str], order: Order, limit: int | None) -> Worklist:
    async with _at(place, where, asked) as found:
        rows = await found.past.listed(found.chosen, order, limit)
    idps, why, when = found.past.bulk.scopes.idps, found.reasons, found.as_of.at or now()
    # A later moment of the same segments is asked for from the start: there is no cursor to hand on.
    return Worklist(
        as_of=found.as_of,
        total=found.past.worklist.count_of(found.chosen),
        unknown=found.past.worklist.count("unknown", asked.get("idp")),
        items=tuple(_listed_row(row, idps, why.of(row), when) for row in rows),
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
        from scopefold.ledger.segment_moments import resolve_in
        from scopefold.ledger.segments import open_segments
        from scopefold.runtime.past import folded
    moment = moment_of(asked.get("at"))
    ages = {name: moment_of(asked[name]) for name in ("since_after", "since_before") if name in asked}
    with told_plainly():
        async with store_at(place, where, ANALYST) as store:
            chain = await open_segments(store, tenant=where.tenant)
            upto = await resolve_in(chain, moment, now())
            since = {name: await resolve_in(chain, age, now()) for name, age in ages.items()}
            past = await folded(chain, tenant=where.tenant, until=upto)
            # As the service does: it tells the time of a moment only where one was asked for.
            last_at = (await past.causes(frozenset({upto})))[upto].at if moment is not None and upto else None
            chosen = Chosen(
                filters=Filters(**{name: text for name, text in asked.items() if name != "at"}),
                after=since.get("since_after"),
                before=since.get("since_before"),
                users=(asked["user"],) if "user" in asked else None,
            )
            yield _Asked(past, AsOf(upto, last_at), chosen)


def _listed_row(row: Row, idps: Mapping[str, Idp], why: Mapping[str, Why], when: datetime) -> ListedRow:
    """The row, why its scopes lack, and what is to be done."""
    told: dict[str, Any] = {name: getattr(row, name) for name in Row.__struct_fields__}
    steps = next_steps(idps.get(row.idp) or Idp(row.idp), row, why, when)
    return ListedRow(**told, why=dict(why), next_steps=dict(steps))
