"""`POST /v1/idps/{idp}/removed`: an IdP is removed, in steps that can be cut off anywhere and begun again.

First every token of it leaves the vault, each as an operator's clear takes it, and is given back while our app's secret
there is known; sessions that nothing but this IdP vouches for end. Then the secret goes, and the log is told last: with
it, whatever apps were granted there is over. A login that was on its way meanwhile may still have stored a token: rows
that were written during the walk come last in it, and it ends only after the event is folded.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.clearing import Wanted
from scopefold.auth.core.idps import is_idp_id
from scopefold.auth.core.removing import RemoveIdp, remove
from scopefold.auth.store.holders import counted
from scopefold.auth.web.admin import registered_idp
from scopefold.auth.web.clearing import AT_ONCE, clear_present
from scopefold.auth.web.ending import end_sessions
from scopefold.auth.web.login_log import heal
from scopefold.auth.web.revoking import Outcome, revoke
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.settling import caught_up, settle
from scopefold.consent.idp_scopes import Idp
from scopefold.runtime.crash import crash_point
from scopefold.runtime.logs import logger
from scopefold.runtime.web import Endpoint, Handler, json_body, json_response

WHY: Final = "idp-removed"
ROWS: Final = 200
ROWS_GIVEN_BACK: Final = 20
"""So many at a time that an answer comes while somebody waits for it."""
log = logger(__name__)


class RemovedIdp(Struct, frozen=True, kw_only=True):
    """What was done by this request, or with `dry_run` would be by all that follow."""

    idp: str
    removed: Annotated[bool, Meta(description="It is done: there is no such IdP any more.")]
    tokens: Annotated[int, Meta(description="How many users' tokens left the vault.")]
    sessions: Annotated[
        int | None,
        Meta(description="How many sessions ended, which nothing else vouched for. Null in a preview: not counted."),
    ]
    connectors: Annotated[tuple[str, ...], Meta(description="What is provisioned there, and would be no more.")]
    must_consent: Annotated[int, Meta(description="How many users are on the worklist there, and would be no more.")]
    revoked: Annotated[
        dict[str, int],
        Meta(
            description="With `revoke`: how many the IdP ended (`revoked`), has no way to end (`no-way`), or did not "
            "confirm in time (`failed`)."
        ),
    ]
    next: Annotated[
        int | None, Meta(description="Where to go on: send the same with this as `after`. Null: nothing is left.")
    ]


class _Taken(Struct, frozen=True):
    """What became of one user: did a token leave the vault, how many sessions ended, what did the IdP say?"""

    token: bool = False
    sessions: int = 0
    outcome: Outcome | None = None


class _Part(Struct, frozen=True):
    """What became of some users, the last row that was looked at, and whether there may be more."""

    taken: tuple[_Taken, ...]
    last: int
    more: bool


async def remove_idp(request: Request) -> Response:
    """`POST /v1/idps/{idp}/removed`"""
    service, asked = service_of(request), await json_body(request, RemoveIdp)
    service.check_ready()
    await caught_up(service)
    if asked.dry_run:
        return json_response(await _foretold(service, request))
    name: str = request.path_params["idp"]
    begun = is_idp_id(name) and await service.bus.vault.next_token(name, after=0) is not None
    if not begun:
        registered_idp(service.projection, request)  # else this finishes what was cut off
    connectors = _connectors(service.scopes.idps.get(name))
    part = await _emptied(service, name, asked.after, give_back=asked.revoke)
    done, removed = part.taken, not part.more
    crash_point("removing.emptied")
    if removed:
        await settle(
            service, lambda: remove(service.scopes.idps.get(name)), lambda: service.bus.vault.drop_idp_secret(name)
        )
        crash_point("removing.told")
        part = await _emptied(service, name, part.last, give_back=False)
        done = (*done, *part.taken)
        log.warning("an operator removed an identity provider", idp=name)
    return json_response(
        RemovedIdp(
            idp=name,
            removed=removed,
            tokens=sum(one.token for one in done),
            sessions=sum(one.sessions for one in done),
            connectors=connectors,
            must_consent=service.projection.count("missing", name),
            revoked=dict(Counter(one.outcome for one in done if one.outcome)),
            next=part.last if part.more else None,
        )
    )


def _connectors(idp: Idp | None) -> tuple[str, ...]:
    return tuple(one.connector for _, one in sorted(idp.connectors.items())) if idp is not None else ()


async def _foretold(service: Service, request: Request) -> RemovedIdp:
    idp = registered_idp(service.projection, request)
    held = await counted(service.projection, Wanted(users=None, idps=(idp.idp,), missing_scope=None))
    return RemovedIdp(
        idp=idp.idp,
        removed=False,
        tokens=held.tokens,
        sessions=None,  # each user's would have to be read from the bus
        connectors=_connectors(idp),
        must_consent=service.projection.count("missing", idp.idp),
        revoked={},
        next=None,
    )


async def _emptied(service: Service, idp: str, after: int, *, give_back: bool) -> _Part:
    """Take tokens out of the vault, in the order in which their rows were written: what comes meanwhile comes last."""
    users, last, most = list[str](), after, ROWS_GIVEN_BACK if give_back else ROWS
    while len(users) < most and (found := await service.bus.vault.next_token(idp, after=last)) is not None:
        user, last = found
        users.append(user)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(user: str) -> _Taken:
        async with turns:
            return await _taken(service, user, idp, give_back=give_back)

    taken = await asyncio.gather(*(one(user) for user in dict.fromkeys(users)))
    return _Part(tuple(taken), last, len(users) == most)


async def _taken(service: Service, user: str, idp: str, *, give_back: bool) -> _Taken:
    """A user's token leaves the vault, and sessions end that nothing but this IdP vouches for."""
    found = await service.bus.vault.token(user, idp)
    if found is None:  # or of who is being erased: nobody can read it any more
        return _Taken()
    before = None
    if found[0].cleared:
        await heal(service, user, idp, found[0])
    else:
        before = await clear_present(service, user, idp, WHY)
    others = service.scopes.idps.keys() - {idp}
    sessions = [one for one in await service.bus.sessions.all_of(user, now()) if others.isdisjoint(one.idps)]
    ended = await end_sessions(service, [(user, one.sid) for one in sessions])
    outcome = await revoke(service, idp, before) if before is not None and give_back else None
    return _Taken(before is not None, len(ended), outcome)


def endpoint(guard: Callable[[Handler], Handler]) -> Endpoint:
    """The route."""
    return Endpoint(
        method="POST",
        path="/v1/idps/{idp}/removed",
        summary="Remove an identity provider, its connectors and all tokens of it, or preview that",
        handler=guard(remove_idp),
        body=RemoveIdp,
        answers={200: RemovedIdp},
        problems=(400, 401, 404, 415, 422, 503),
    )
