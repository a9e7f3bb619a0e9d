"""`POST /v1/previews`: what would become of an IdP and its users if an event were appended. Nothing is appended."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.idps import Refused
from scopefold.auth.core.login import requested_scopes
from scopefold.auth.core.pruning import Prune, prune
from scopefold.auth.core.worklist import BadCursor, read_cursor, write_cursor
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.rows import GrantSet
from scopefold.auth.web.login_log import PUBLISHER
from scopefold.auth.web.service import Service, callback_address, now, service_of
from scopefold.auth.web.settling import caught_up, refusal
from scopefold.auth.web.way import authorize_url, needs_nonce, way_to
from scopefold.consent.attribution import new_findings
from scopefold.consent.chosen import Filters, Place
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.whatif import Counts, Foretold, Holding, Hypothetical, Verdict, WhatIf, what_if
from scopefold.consent.window import waiting_until
from scopefold.contracts.events import ScopesPruned
from scopefold.contracts.recorded import PUBLISHERS, Recorded
from scopefold.runtime.web import ProblemError, json_body, json_response
from scopefold.scopes.lint import Finding

RANDOM: Final = "x" * 43
"""As long as what is random in an authorization request."""


class PreviewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What if this event were appended now? Nothing is appended."""

    event: Hypothetical
    who: Annotated[
        Literal["asked", "freed"],
        Meta(description="Which users to list: who would be asked for more than now, or who would leave the worklist."),
    ] = "asked"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(max_length=500)] | None = None


class PreviewedUser(Struct, frozen=True):
    """A user, and the scopes that the event would ask of them, or would ask of them no longer."""

    user: str
    scopes: tuple[str, ...]


class Preview(Struct, frozen=True, kw_only=True):
    """What would become of an IdP and its users."""

    idp: str
    seq: Annotated[int, Meta(description="Up to which event of the log this holds.")]
    union: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    released: Annotated[tuple[str, ...], Meta(description="What would stay in the union, wanted by nobody any more.")]
    requested: Annotated[tuple[str, ...], Meta(description="What a login would really ask of this IdP.")]
    held: Annotated[
        dict[str, int],
        Meta(description="By each scope that is added, removed or released, how many users' grants carry it now."),
    ]
    users: Counts
    url_length: Annotated[int, Meta(description="How long the address would be to which a login sends the browser.")]
    url_limit: int
    findings: Annotated[tuple[Finding, ...], Meta(description="What would newly be wrong with all that is asked for.")]
    asked_from: Annotated[
        datetime | None,
        Meta(description="From when it would send users who are logged in to consent by itself; null: at once."),
    ]
    items: tuple[PreviewedUser, ...]
    next: Annotated[str | None, Meta(description="The cursor of the next users.")]


async def preview(request: Request) -> Response:
    """`POST /v1/previews`"""
    service, asked = service_of(request), await json_body(request, PreviewRequest)
    service.check_ready()
    try:
        after = read_cursor(asked.cursor, "idp", Filters(idp=asked.event.idp)) if asked.cursor else None
    except BadCursor as error:
        raise ProblemError(400, "invalid-query", "The body cannot be used", str(error)) from None
    await caught_up(service)
    _check(service, asked.event)
    return json_response(await foretell(service, asked.event, who=asked.who, after=after, limit=asked.limit))


async def foretell(
    service: Service, event: Foretold, *, who: Literal["asked", "freed"], after: Place | None, limit: int
) -> Preview:
    """What would become of an IdP and its users: the event was decided on what is folded."""
    projection = service.projection
    seq, state, held = await projection.sets(event.idp)
    sets = {one.key: one for one in held}
    holdings = [Holding(one.key, one.grant, one.users, one.judgement) for one in held]
    # In a thread: of an IdP with many thousands of grant sets this takes seconds, and logins go on meanwhile.
    found = await asyncio.to_thread(what_if, state, holdings, _recorded(service, event, seq + 1))
    told = [(sets[one.holding.key], scopes) for one in found.verdicts if (scopes := _scopes(one, who))]
    items, reached = await _users(projection, told, after, limit)
    return _preview(service, found, seq, items, reached)


def _check(service: Service, event: Hypothetical) -> None:
    """Raises `ProblemError` for what would not be appended."""
    idp = service.scopes.idps.get(event.idp)
    if idp is None or idp.registration is None:
        detail = f"No IdP was registered as {event.idp}."
        raise ProblemError(422, "unknown-idp", "There is no such identity provider", detail)
    if isinstance(event, ScopesPruned):
        if isinstance(decided := prune(idp, Prune(scopes=event.scopes)), Refused):
            raise refusal(decided)
    elif service.scopes.routes.get(event.resource_type, event.idp) != event.idp:
        detail = f"{event.resource_type} is routed to {service.scopes.routes[event.resource_type]}."
        raise ProblemError(422, "routed-elsewhere", "The resource type is served through another IdP", detail)


def _recorded(service: Service, event: Foretold, seq: int) -> Recorded:
    """The event as the log would have it."""
    publisher = PUBLISHERS[type(event)] or PUBLISHER
    return Recorded(seq, now(), service.settings.tenant, "hypothetical", publisher, event)


def _scopes(verdict: Verdict, who: Literal["asked", "freed"]) -> tuple[str, ...]:
    """What the users of a grant set would be asked for and are not now; or what they would be asked for no more."""
    if who == "asked":
        return tuple(lack.scope for lack in verdict.asked)
    return tuple(lack.scope for lack in verdict.before.lacks) if verdict.change == "no-longer" else ()


async def _users(
    projection: Projection, told: Sequence[tuple[GrantSet, tuple[str, ...]]], after: Place | None, limit: int
) -> tuple[tuple[PreviewedUser, ...], Place | None]:
    """One page of the users of these grant sets, which are in order; and its last place where there are more."""
    items: list[PreviewedUser] = []
    reached: Place = (0, 0, "", "", "")
    for one, scopes in told:
        place = (one.idp, one.key)
        if after is not None and place < after[2:4]:
            continue
        start = after[4] if after is not None and place == after[2:4] else ""
        async with projection.standing_still():
            left = (start, limit - len(items) + 1)
            found = await projection.grants_in(one, "AND user > ? ORDER BY user LIMIT ?", left)
        for held in found:
            if len(items) == limit:
                return tuple(items), reached
            reached = (0, 0, *place, held.user)
            items.append(PreviewedUser(held.user, scopes))
    return tuple(items), None


def _preview(
    service: Service, found: WhatIf, seq: int, items: tuple[PreviewedUser, ...], reached: Place | None
) -> Preview:
    idp, profile = found.after, found.after.profile
    asked = [lack for one in found.verdicts for lack in one.asked]
    return Preview(
        idp=idp.idp,
        seq=seq,
        union=idp.union,
        added=found.added,
        removed=found.removed,
        released=found.released,
        requested=requested_scopes(idp),
        held=found.holders,
        users=found.counts,
        url_length=_url_length(service, idp),
        url_limit=profile.limits.url_length,
        findings=new_findings(found.before, idp),
        asked_from=waiting_until(idp, asked, service.consent_window, now()),
        items=items,
        next=write_cursor(reached, "idp", Filters(idp=idp.idp)) if reached else None,
    )


def _url_length(service: Service, idp: Idp) -> int:
    way = way_to(idp, callback_address(service, idp.idp))
    nonce = RANDOM if needs_nonce(idp) else None
    return len(authorize_url(way, state=RANDOM, verifier=RANDOM, more={}, nonce=nonce))
