"""The one place where an answer's projection comes from: the live one, or that of an earlier moment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scopefold.auth.store.projection import Projection
from scopefold.auth.web.service import Service
from scopefold.contracts.recorded import AsOf
from scopefold.ledger.moment import parse
from scopefold.runtime.moment import moments_told


@asynccontextmanager
async def standing(service: Service, at: str | None) -> AsyncIterator[tuple[Projection, AsOf]]:
    """The projection now, or as it was at the moment that a request named; and which moment that is.

    Raises `ProblemError` where there is no such moment, `LogUnavailable`.
    """
    log = service.bus.log
    if at is None:
        folded = service.projection.checkpoint
        yield service.projection, AsOf(folded.seq if folded else 0)
        return
    with moments_told():
        async with service.history.at(log, parse(at)) as stood:
            yield stood
