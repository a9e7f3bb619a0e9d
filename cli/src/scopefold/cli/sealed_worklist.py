"""The worklist from segments alone: the service's answer, without the service and without the bus."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scopefold.cli.answers import ListedRow, Worklist
from scopefold.cli.extra import analysis_part
from scopefold.cli.reach import ANALYST
from scopefold.cli.sealed import moment_of, now, store_at, told_plainly
from scopefold.cli.where import Where
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.next_step import next_steps
from scopefold.consent.reasons import Reasons
from scopefold.consent.reconsent import Row
from scopefold.consent.ungiven import Why
from scopefold.contracts.recorded import AsOf


def sealed_worklist(
    place: str, where: Where, *, idp: str | None = None, at: str | None = None, limit: int | None = None
) -> Worklist:
    """The first part of the worklist, or all of it, as of a moment or of the segments' end. Raises `Failure`."""
    return asyncio.run(_listed(place, where, idp, at, limit))


async def _listed(place: str, where: Where, idp: str | None, at: str | None, limit: int | None) -> Worklist:
    with analysis_part():
        from scopefold.cli.bulk import folded
        from scopefold.ledger.segment_moments import resolve_in
        from scopefold.ledger.segments import open_segments
    moment = moment_of(at)
    with told_plainly():
        async with store_at(place, where, ANALYST) as store:
            chain = await open_segments(store, tenant=where.tenant)
            upto = await resolve_in(chain, moment, now())
            past = await folded(chain, tenant=where.tenant, until=upto)
            rows = await past.listed(idp=idp, limit=limit)
            # As the service does: it tells the time of a moment only where one was asked for.
            last_at = (await past.causes(frozenset({upto})))[upto].at if moment is not None and upto else None
    idps = past.bulk.scopes.idps
    why = Reasons(idps, users_with=past.worklist.users_with, ungiven=past.worklist.ungiven)
    # A later moment of the same segments is asked for from the start: there is no cursor to hand on.
    return Worklist(
        as_of=AsOf(upto, last_at),
        total=past.worklist.count("missing", idp),
        unknown=past.worklist.count("unknown", idp),
        items=tuple(_listed_row(row, idps, why.of(row), last_at or now()) for row in rows),
        next=None,
    )


def _listed_row(row: Row, idps: Mapping[str, Idp], why: Mapping[str, Why], when: datetime) -> ListedRow:
    """The row, why its scopes lack, and what is to be done."""
    told: dict[str, Any] = {name: getattr(row, name) for name in Row.__struct_fields__}
    steps = next_steps(idps.get(row.idp) or Idp(row.idp), row, why, when)
    return ListedRow(**told, why=dict(why), next_steps=dict(steps))
