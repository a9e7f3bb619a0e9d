"""`POST /v1/plans`: what registering an IdP would append, and what would become of its users. Nothing is appended.

What would be refused is refused here, too. The provisioner has the same of its commands under the same path.
"""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.idps import Refused, RegisterIdp, decide
from scopefold.auth.web.admin import discover
from scopefold.auth.web.previews import Preview, foretell
from scopefold.auth.web.service import service_of
from scopefold.auth.web.settling import caught_up, refusal
from scopefold.contracts.events import IdpRegistered
from scopefold.runtime.web import Endpoint, Handler, json_body, json_response


class PlanRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would this command append? Nothing is appended, and its secret is not kept."""

    command: RegisterIdp
    limit: Annotated[int, Meta(ge=1, le=1000, description="List at most so many users.")] = 100


class Plan(Struct, frozen=True):
    """The event, and what would become of the IdP and its users. Null: the IdP is registered just so, and at most its
    secret is another.
    """

    event: IdpRegistered | None
    preview: Preview | None


async def plan(request: Request) -> Response:
    """`POST /v1/plans`"""
    service, asked = service_of(request), await json_body(request, PlanRequest)
    service.check_ready()
    discovery = await discover(service, asked.command)
    await caught_up(service)
    decided = decide(service.scopes, asked.command, discovery)
    if isinstance(decided, Refused):
        raise refusal(decided)
    if decided is None:
        return json_response(Plan(None, None))
    preview = await foretell(service, decided, who="asked", after=None, limit=asked.limit)
    return json_response(Plan(decided, preview))


def endpoint(guard: Callable[[Handler], Handler]) -> Endpoint:
    """The route."""
    return Endpoint(
        method="POST",
        path="/v1/plans",
        summary="What registering an identity provider would append, and to whom it would matter; a dry run",
        handler=guard(plan),
        body=PlanRequest,
        answers={200: Plan},
        problems=(400, 401, 415, 422, 503),
    )
