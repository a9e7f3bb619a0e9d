"""Who wants each scope of an IdP's union, and taking out what nobody wants any more."""

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.idps import Refused
from scopefold.auth.core.pruning import Prune, prune
from scopefold.auth.web.admin import idp_view, registered_idp
from scopefold.auth.web.moment import standing
from scopefold.auth.web.service import service_of
from scopefold.auth.web.settling import folded, refusal, settle
from scopefold.consent.attribution import Attributed, attributed
from scopefold.runtime.moment import MomentQuery
from scopefold.runtime.web import json_body, json_response, query


class ScopeViews(Struct, frozen=True):
    """Every scope of an IdP's union: who wants it, and which event brought it there."""

    idp: str
    items: tuple[Attributed, ...]


async def list_scopes(request: Request) -> Response:
    """`GET /v1/idps/{idp}/scopes`"""
    service, asked = service_of(request), query(request, MomentQuery)
    async with standing(service, asked.at) as (projection, _):
        idp = registered_idp(projection, request)
        return json_response(ScopeViews(idp.idp, attributed(idp)))


async def prune_scopes(request: Request) -> Response:
    """`POST /v1/idps/{idp}/pruned`. A connector that is provisioned meanwhile wins: what it wants is refused."""
    service, command = service_of(request), await json_body(request, Prune)
    if command.dry_run:
        await folded(service)
        if isinstance(decision := prune(idp := registered_idp(service.projection, request), command), Refused):
            raise refusal(decision)
        return json_response(idp_view(service, idp))
    changed = await settle(service, lambda: prune(registered_idp(service.projection, request), command))
    return json_response(idp_view(service, registered_idp(service.projection, request)), 201 if changed else 200)
