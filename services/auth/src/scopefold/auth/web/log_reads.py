"""`GET /v1/log/…`: what is told of the log between two moments, and of one grant's story."""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.store.history import BackwardsError
from scopefold.auth.web.service import service_of
from scopefold.auth.web.worklist import look_up_user, names_told
from scopefold.consent.difference import Diff
from scopefold.consent.story import Explained, explained, tell
from scopefold.contracts.words import IdpId, UserId
from scopefold.ledger.events import events_of_user
from scopefold.ledger.log import status
from scopefold.ledger.moment import parse
from scopefold.ledger.moments import as_of
from scopefold.runtime.moment import At, MomentQuery, moments_told
from scopefold.runtime.web import Endpoint, Handler, ProblemError, json_response, query


class DiffQuery(Struct, frozen=True, kw_only=True, rename={"first": "from", "second": "to"}):
    """From which moment to which; without a second one: to the log's end."""

    first: At
    second: At | None = None
    idp: Annotated[IdpId, Meta(description="What changed at this identity provider alone.")] | None = None
    limit: Annotated[int, Meta(ge=0, le=1000, description="List at most so many of each kind; all are counted.")] = 100


class ExplainQuery(MomentQuery, frozen=True, kw_only=True):
    """Whose grant, at which IdP, as of when."""

    user: UserId
    idp: IdpId
    limit: Annotated[int, Meta(ge=1, le=1000, description="Tell at most so many lines, the latest.")] = 100


def endpoints(guard: Callable[[Handler], Handler]) -> list[Endpoint]:
    """The routes of this module, each for operators alone."""
    return [
        Endpoint(
            method="GET",
            path="/v1/log/diff",
            summary="What changed between two moments: the worklist, and what identity providers are asked for",
            handler=guard(diff),
            query=DiffQuery,
            answers={200: Diff},
            problems=(400, 401, 404, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/log/explain",
            summary="How a user's grant at an identity provider came to be what it is, event by event",
            handler=guard(explain),
            query=ExplainQuery,
            answers={200: Explained},
            problems=(400, 401, 404, 503),
        ),
    ]


async def diff(request: Request) -> Response:
    """`GET /v1/log/diff`"""
    service, asked = service_of(request), query(request, DiffQuery)
    try:
        with moments_told(), names_told():
            second = parse(asked.second) if asked.second is not None else None
            found = await service.history.difference(
                service.bus.log, parse(asked.first), second, idp=asked.idp, limit=asked.limit
            )
    except BackwardsError as error:
        raise ProblemError(400, "invalid-query", "The second moment is before the first", str(error)) from None
    return json_response(found)


async def explain(request: Request) -> Response:
    """`GET /v1/log/explain`"""
    service, asked = service_of(request), query(request, ExplainQuery)
    log = service.bus.log
    with moments_told():
        until = (await status(log)).last_seq if asked.at is None else await service.history.place(log, parse(asked.at))
    with names_told():
        await look_up_user(service, asked.user)
    events = await events_of_user(log, service.settings.tenant, asked.user, asked.idp, until=until)
    return json_response(explained(tell(asked.user, asked.idp, events), await as_of(log, until), asked.limit))
