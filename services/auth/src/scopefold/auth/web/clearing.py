"""Clearing upstream tokens: out of the vault for good, then into the log; one, or a batch.

The vault goes first, as everywhere: its row says what the log is yet to be told, so whoever comes after a crash, be it
the next login or the next run, appends the same event under the same id.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from scopefold.auth.core.clearing import still_lacks
from scopefold.auth.core.login import token_cleared_id
from scopefold.auth.core.seal import CannotOpen
from scopefold.auth.core.stored_token import StoredToken, stand_in
from scopefold.auth.store.buckets import Taken
from scopefold.auth.web.login_log import cleared_event, write
from scopefold.auth.web.service import Service
from scopefold.consent.reconsent import UserGrant
from scopefold.contracts.events import TokenCleared
from scopefold.ledger.append import NewEvent
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.crash import crash_point
from scopefold.runtime.logs import logger

TRIES: Final = 8
AT_ONCE: Final = 16
log = logger(__name__)


class Cleared(Struct, frozen=True):
    """Whose token left the vault, and the row as it was. `before` is None where its secrets were gone already."""

    user: str
    idp: str
    before: StoredToken | None


async def clear(service: Service, user: str, idp: str, found: tuple[StoredToken, int], why: str) -> StoredToken | None:
    """Take a token out of the vault for good, and tell the log; the row that says so.

    What was stored meanwhile stays, and is returned; None where the row went altogether.
    """
    row, revision = found
    gone = row.without_secrets(why, logged_generation=await service.projection.generation(idp, user))
    try:
        await service.bus.vault.put_token(user, idp, gone, revision=revision)
    except Taken:
        latest = await service.bus.vault.token(user, idp)
        return latest[0] if latest is not None else None
    log.warning("a token is gone: the user must consent again", idp=idp, why=why)
    await write(service, cleared_event(service, user, idp, gone))
    return gone


async def put_aside(service: Service, user: str, idp: str) -> None:
    """Where the log knows of a token whose row does not open, or is not there: put one that is gone in its place, and
    tell the log, for its user must consent again. Compare and set finds out whether a login was faster.
    """
    vault, known = service.bus.vault, await service.projection.held(idp, user)
    if known is None or known.cleared is not None:
        return
    found = await vault.token(user, idp)
    if found is not None and found[0].opens:
        return
    gone = stand_in("missing" if found is None else "unreadable", known.generation)
    # CannotOpen: nothing can be sealed for the user, either, and an operator must look.
    with suppress(Taken, CannotOpen):
        await vault.put_token(user, idp, gone, revision=found[1] if found else 0)
        await write(service, cleared_event(service, user, idp, gone))


async def clear_present(service: Service, user: str, idp: str, why: str) -> StoredToken | None:
    """Clear whatever token stands there, be it stored at this moment; the row as it was. None: there is none.

    Raises `LogUnavailable` where others change it at every try.
    """
    for _ in range(TRIES):
        found = await service.bus.vault.token(user, idp)
        if found is None:
            return None
        if not found[0].opens:
            await put_aside(service, user, idp)
            return None
        if found[0].cleared:  # perhaps by one who was cut off before the log knew
            await write(service, cleared_event(service, user, idp, found[0]))
            return None
        left = await clear(service, user, idp, found, why)
        if left is None or left.cleared:
            return found[0]
    raise LogUnavailable("others were faster at every try")


async def clear_batch(
    service: Service, held: Sequence[UserGrant], *, why: str, missing_scope: str | None
) -> list[Cleared]:
    """Clear all of these, and tell the log in one piece; those that were. At most as many as one append takes.

    Who has consented to the missing scope since the log was folded keeps the token.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(grant: UserGrant) -> tuple[Cleared, NewEvent] | None:
        async with turns:
            return await _emptied(service, grant, why, missing_scope)

    found = [came for came in await asyncio.gather(*(one(grant) for grant in held)) if came is not None]
    crash_point("clearing.emptied")
    if found:
        await write(service, *(event for _, event in found))
    return [cleared for cleared, _ in found]


async def _emptied(
    service: Service, grant: UserGrant, why: str, missing_scope: str | None
) -> tuple[Cleared, NewEvent] | None:
    """The vault's row without its secrets, and the event that says so."""
    user, idp = grant.user, service.scopes.idp(grant.idp)
    for _ in range(TRIES):
        found = await service.bus.vault.token(user, grant.idp)
        if found is None:  # as after a restored backup: the log still tells of a token that nobody has
            event = TokenCleared(user=user, idp=grant.idp, generation=grant.generation, reason=why)
            return Cleared(user, grant.idp, None), NewEvent(token_cleared_id(service.settings.tenant, event), event)
        row, revision = found
        if not row.opens:
            row = stand_in(why, grant.generation)
        elif row.cleared:
            return Cleared(user, grant.idp, None), cleared_event(service, user, grant.idp, row)
        if missing_scope is not None and row.generation > grant.generation and not still_lacks(idp, row, missing_scope):
            return None
        gone = row.without_secrets(why, logged_generation=grant.generation)
        try:
            await service.bus.vault.put_token(user, grant.idp, gone, revision=revision)
        except Taken:
            continue  # a renewal or a login was faster: what stands there now goes
        except CannotOpen:
            log.error("nothing can be sealed for a user", user=user, what_to_do="scopefold user erase")
        return Cleared(user, grant.idp, None if row.cleared else row), cleared_event(service, user, grant.idp, gone)
    raise LogUnavailable("others were faster at every try")
