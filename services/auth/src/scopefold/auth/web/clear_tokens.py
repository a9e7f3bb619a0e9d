"""`POST /v1/tokens/clear`: an operator takes tokens out of use, a bounded part at a time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.clearing import ClearTokens, Wanted, wanted
from scopefold.auth.core.idps import Refused
from scopefold.auth.store.holders import counted, holders
from scopefold.auth.web.clearing import Cleared, clear_batch
from scopefold.auth.web.revoking import revoke
from scopefold.auth.web.service import Service, service_of
from scopefold.auth.web.settling import caught_up, refusal
from scopefold.auth.web.users import heard_of
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, json_body, json_response

AT_ONCE: Final = 500
REVOKED_AT_ONCE: Final = 20
"""So many providers are asked side by side that an answer comes while somebody waits for it."""
log = logger(__name__)


class TokenOf(Struct, frozen=True, kw_only=True):
    """A token, by whose it is and where."""

    user: str
    idp: str


class ClearedTokens(Struct, frozen=True, kw_only=True):
    """What was cleared by this request, or with `dry_run` would be by all that follow."""

    tokens: int
    users: int
    items: Annotated[tuple[TokenOf, ...], Meta(description="At most 500 of them.")]
    next: Annotated[
        str | None, Meta(description="Where to go on: send the same with this as `after`. Null: nothing is left.")
    ]
    revoked: Annotated[
        dict[str, int],
        Meta(
            description="With `revoke`: how many the IdPs ended (`revoked`), have no way to end (`no-way`), or did not "
            "confirm in time (`failed`)."
        ),
    ]
    unknown: Annotated[tuple[str, ...], Meta(description="Of the users who were named: whose id nobody has.")]


async def clear_tokens(request: Request) -> Response:
    """`POST /v1/tokens/clear`"""
    service, asked = service_of(request), await json_body(request, ClearTokens)
    service.check_ready()
    which = wanted(service.scopes.idps, asked)
    if isinstance(which, Refused):
        raise refusal(which)
    after = _place(asked.after)
    await caught_up(service)
    most = AT_ONCE if not asked.revoke or asked.dry_run else REVOKED_AT_ONCE
    page = await holders(service.projection, which, after=after, most=most)
    known = await heard_of(service, asked.users or ())
    unknown = tuple(user for user in dict.fromkeys(asked.users or ()) if user not in known)
    if asked.dry_run:
        count = await counted(service.projection, which)
        items = tuple(TokenOf(user=one.user, idp=one.idp) for one in page.held)
        told = ClearedTokens(
            tokens=count.tokens, users=count.users, items=items, next=None, revoked={}, unknown=unknown
        )
        return json_response(told)
    found = await clear_batch(service, page.held, why="operator", missing_scope=which.missing_scope)
    log.warning("an operator cleared tokens", tokens=len(found), reason=asked.reason, **_told(which))
    with suppress(LogUnavailable):  # who asks for the worklist next finds them on it, unless the fold is late
        await caught_up(service)
    outcomes = await _revoked(service, found) if asked.revoke else Counter[str]()
    return json_response(
        ClearedTokens(
            tokens=len(found),
            users=len({one.user for one in found}),
            items=tuple(TokenOf(user=one.user, idp=one.idp) for one in found),
            next=" ".join(page.next) if page.next else None,
            revoked=dict(outcomes),
            unknown=unknown,
        )
    )


async def _revoked(service: Service, found: Sequence[Cleared]) -> Counter[str]:
    """How many ended how. A token whose secrets were gone before is nobody's to give back."""
    held = [one.before is not None and revoke(service, one.idp, one.before) for one in found]
    return Counter(await asyncio.gather(*(one for one in held if one)))


def _place(text: str | None) -> tuple[str, str]:
    if text is None:
        return "", ""
    idp, _, user = text.partition(" ")
    if not user:
        raise ProblemError(422, "invalid-body", "The body breaks a rule of this API", "`after` is no place.")
    return idp, user


def _told(which: Wanted) -> dict[str, object]:
    return {"idps": which.idps, "missing_scope": which.missing_scope, "named_users": len(which.users or ())}
