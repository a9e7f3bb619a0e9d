"""The worklist from segments alone: the service's answer, without the service and without the bus."""

import asyncio
from datetime import datetime
from itertools import islice

from scopefold.cli.answers import AsOf, ListedRow, Worklist
from scopefold.cli.extra import analysis_part
from scopefold.cli.reach import ANALYST
from scopefold.cli.sealed import moment_of, now, store_at, told_plainly
from scopefold.cli.where import Where
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.next_step import next_steps
from scopefold.consent.reasons import Counts
from scopefold.consent.reconsent import EMPTY, Row, State, grant_key, judge, replay, worklist
from scopefold.consent.ungiven import Why
from scopefold.contracts.recorded import Recorded


def sealed_worklist(
    place: str, where: Where, *, idp: str | None = None, at: str | None = None, limit: int | None = None
) -> Worklist:
    """The first part of the worklist, or all of it, as of a moment or of the segments' end. Raises `Failure`."""
    as_of, state = asyncio.run(_state_at(place, where, at))
    judged: dict[tuple[str, str], str] = {}
    unknown = 0
    for held in state.grants.values():
        key = (held.idp, grant_key(held.grant))
        if key not in judged:
            judged[key] = judge(state.scopes.idps.get(held.idp) or Idp(held.idp), held.grant).status
        unknown += judged[key] == "unknown" and idp in (None, held.idp)
    rows = [row for row in worklist(state) if idp in (None, row.idp)]
    counts = Counts(state)
    items = [_listed(state, row, counts.reasons(row), as_of.at or now()) for row in islice(rows, limit)]
    # A later moment of the same segments is asked for from the start: there is no cursor to hand on.
    return Worklist(as_of=as_of, total=len(rows), unknown=unknown, items=tuple(items), next=None)


def _listed(state: State, row: Row, why: dict[str, Why], when: datetime) -> ListedRow:
    told = {name: getattr(row, name) for name in Row.__struct_fields__}
    steps = next_steps(state.scopes.idps.get(row.idp) or Idp(row.idp), row, why, when)
    return ListedRow(**told, why=dict(why), next_steps=dict(steps))


async def _state_at(place: str, where: Where, at: str | None) -> tuple[AsOf, State]:
    with analysis_part():
        from scopefold.ledger.segment_moments import resolve_in
        from scopefold.ledger.segments import open_segments
    moment = moment_of(at)
    with told_plainly():
        async with store_at(place, where, ANALYST) as store:
            chain = await open_segments(store, tenant=where.tenant)
            upto = await resolve_in(chain, moment, now())
            state, last_at = EMPTY, None
            async for page in chain.messages(until=upto):
                ours = [one for one in page if isinstance(one, Recorded) and one.tenant == where.tenant]
                state = replay(ours, state)
                last_at = page[-1].at if page else last_at
    # As the service does: it tells the time of a moment only where one was asked for.
    return AsOf(upto, last_at if moment is not None else None), state
