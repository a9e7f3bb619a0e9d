"""What a login writes: the token to the vault first, then its facts to the log, in one piece.

A crash between the two leaves a token that the log does not know of. The vault row carries all that its event says,
under an id that follows from the token alone, so whoever meets the row next appends it.
"""

from typing import Any, Final

import msgspec

from scopefold.auth.core.handout import has_ended
from scopefold.auth.core.login import attempt_event_id, token_cleared_id, token_stored_id
from scopefold.auth.core.stored_token import StoredToken
from scopefold.auth.web.service import Service, now
from scopefold.contracts.events import Event, TokenCleared, TokenStored, name_of, tag_of
from scopefold.ledger.append import NewEvent, append

PUBLISHER: Final = "auth"


def token_stored(user: str, idp: str, token: StoredToken) -> TokenStored:
    """The event that says what a vault row says, less its secrets."""
    said: dict[str, Any] = {
        name: getattr(token, name) for name in TokenStored.__struct_fields__ if name not in ("user", "idp")
    }
    return msgspec.convert({"type": tag_of(TokenStored), "user": user, "idp": idp, **said}, TokenStored)


async def write(service: Service, *events: NewEvent) -> None:
    """Append what happened, in one piece."""
    await append(service.bus.log, events, tenant=service.settings.tenant, publisher=PUBLISHER, now=now())


def stored_event(service: Service, user: str, idp: str, token: StoredToken) -> NewEvent:
    """The `TokenStored` of a vault row, under its own id."""
    event = token_stored(user, idp, token)
    return NewEvent(token_stored_id(service.settings.tenant, event), event)


async def heal(service: Service, user: str, idp: str, token: StoredToken) -> bool:
    """Append the event of a vault row that the log does not know of. Costs nothing where it does, and where the log
    knows of no token, and this is none any more. False: the token is gone.

    By the log, too: it may know more than a row that was brought back, as from a backup.
    """
    known = await service.projection.known(idp, user)
    if not token.opens or (known is not None and has_ended(known, token.generation) and not token.cleared):
        return False
    held = known if known is not None and known.present else None
    if held is None and token.cleared:
        return False
    is_told = held is not None and (held.cleared is not None or not token.cleared)
    if held is None or held.generation < token.generation or not is_told:
        event = cleared_event if token.cleared else stored_event
        await write(service, event(service, user, idp, token))
    return not token.cleared


def cleared_event(service: Service, user: str, idp: str, token: StoredToken) -> NewEvent:
    """The `TokenCleared` of a vault row that says so, under an id that follows from the token alone."""
    event = TokenCleared(user=user, idp=idp, generation=token.generation, reason=token.cleared)
    return NewEvent(token_cleared_id(service.settings.tenant, event), event)


def of_attempt(service: Service, attempt: str, event: Event) -> NewEvent:
    """An event that a login attempt gives rise to at most once, under the id that says so."""
    return NewEvent(attempt_event_id(name_of(type(event)), service.settings.tenant, attempt), event)
