"""What the log says, from segments alone: events, differences and stories as they are told from the bus."""

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from scopefold.cli.extra import analysis_part
from scopefold.cli.failure import usage
from scopefold.cli.names import names_told
from scopefold.cli.sealed import chain_at, moment_of, now
from scopefold.cli.where import Where
from scopefold.consent.difference import Diff
from scopefold.consent.named import look_up_in_either, no_such_user
from scopefold.consent.story import Story, tell
from scopefold.contracts.recorded import AsOf

if TYPE_CHECKING:
    from scopefold.ledger.segments import Segments


def sealed_diff(place: str, where: Where, first: str, second: str | None, *, idp: str | None, limit: int) -> Diff:
    """What changed between two moments; None: the segments' end. Raises `Failure`."""
    return asyncio.run(_diff(place, where, first, second, idp=idp, limit=limit))


async def _diff(place: str, where: Where, first: str, second: str | None, *, idp: str | None, limit: int) -> Diff:
    with analysis_part():
        from scopefold.ledger.segment_events import events_of_idps_in
        from scopefold.runtime.past import compared, folded
    async with chain_at(place, where) as chain:
        begin, end = await _place(chain, first), await _place(chain, second)
        in_order(begin, end)
        before = await folded(chain, tenant=where.tenant, until=begin.seq)
        after = await folded(chain, tenant=where.tenant, until=end.seq, earlier=before)
        with names_told():
            look_up_in_either(before.bulk.scopes, after.bulk.scopes, end, idp)
        between = await events_of_idps_in(chain, after=begin.seq, until=end.seq)
        found = await compared(before, after, between, idp=idp, limit=limit)
    return Diff(first=begin, second=end, **asdict(found))


def in_order(begin: AsOf, end: AsOf) -> None:
    """Raises `Failure` where the second of two moments is the earlier one."""
    if end.seq < begin.seq:
        raise usage("The second moment is before the first", f"It is event {end.seq}, and the first {begin.seq}")


def sealed_story(place: str, where: Where, user: str, idp: str, at: str | None) -> tuple[AsOf, Story]:
    """The story of one user's grant, and up to where. Raises `Failure`."""
    return asyncio.run(_story(place, where, user, idp, at))


async def _story(place: str, where: Where, user: str, idp: str, at: str | None) -> tuple[AsOf, Story]:
    with analysis_part():
        from scopefold.ledger.segment_events import events_of_user_in, names_user_in
    async with chain_at(place, where) as chain:
        until = await _place(chain, at)
        found = await events_of_user_in(chain, user, idp, until=until.seq)
        with names_told():
            if not any(one.names(user) for one in found) and not await names_user_in(chain, user):
                raise no_such_user(user)
        return until, tell(user, idp, found)


async def _place(chain: "Segments", text: str | None) -> AsOf:
    from scopefold.ledger.segment_moments import as_of_in, resolve_in

    return await as_of_in(chain, await resolve_in(chain, moment_of(text), now()))
