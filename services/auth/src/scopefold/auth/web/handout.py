"""Handing out a user's upstream token for a call: found, judged, renewed where it must be; or what is in the way.

No request goes to the IdP for a token that lacks what the call needs.
"""

import asyncio
import uuid
from typing import Final

from msgspec import Struct

from scopefold.auth.core.handout import missing_scopes, must_renew, part_for, wanted_scopes
from scopefold.auth.core.login import EVENT_IDS
from scopefold.auth.core.stored_token import Piece, StoredToken
from scopefold.auth.web.clearing import put_aside
from scopefold.auth.web.login_log import heal, write
from scopefold.auth.web.renewal import NotRenewed, WantsUser, fresh
from scopefold.auth.web.service import Service, now
from scopefold.auth.web.sites import AtSite, SitesUnknown, at_site, sites_of
from scopefold.consent.idp_scopes import Idp
from scopefold.contracts.events import TokenInsufficient
from scopefold.ledger.append import NewEvent
from scopefold.scopes.canonical import canonical

PATIENCE_SECONDS: Final = 3.0
"""How long a call waits for the renewal of a token that still lives, before it gets the one that there is."""


class Call(Struct, frozen=True):
    """What somebody wants to do for a user. No scopes: all that the connector needs."""

    user: str
    resource_type: str
    scopes: tuple[str, ...] = ()
    site: str = ""
    """The id, address or host of the one site that it is for, where the IdP has sites."""


class Handed(Struct, frozen=True):
    """The upstream access token for a call. `scopes` is None where the IdP did not say what it carries."""

    idp: str
    generation: int
    piece: Piece
    scopes: tuple[str, ...] | None
    token: StoredToken
    at: AtSite | None = None
    """The site that the call is for, where it names one."""


class NotHanded(Exception):
    """No token is handed out for this call; the text is for people."""


class UnknownResource(NotHanded):
    """No connector serves this resource type."""


class NoSession(NotHanded):
    """The user has no usable token at the IdP: they must go through its consent."""

    def __init__(self, idp: str, title: str) -> None:
        super().__init__(f"No IdP session: the user must log in with {title} ({idp}) first.")
        self.idp = idp


class UserWanted(NoSession):
    """The IdP does not renew the user's token before it has seen the user. The token is not dead."""

    def __init__(self, idp: str, title: str) -> None:
        NotHanded.__init__(self, f"{title} ({idp}) wants to see the user again: the user must log in there.")
        self.idp = idp


class Insufficient(NotHanded):
    """The stored token lacks scopes that the call needs."""

    def __init__(self, idp: str, missing: tuple[str, ...]) -> None:
        named = ", ".join(missing)
        super().__init__(
            f"Stored IdP token missing required scopes: [{named}]. User must re-authenticate with step-up."
        )
        self.idp = idp
        self.missing = missing


class NoSites(NotHanded):
    """The call names a site, and the IdP has none."""


class SiteNotGranted(NoSession):
    """The user's token does not reach the site, or lacks there what the call needs: they must choose it at the IdP."""

    def __init__(self, idp: str, title: str, site: str, missing: tuple[str, ...] = ()) -> None:
        lacking = f" does not carry [{', '.join(missing)}] at" if missing else " does not reach"
        NotHanded.__init__(
            self,
            f"The user's token{lacking} the site {site}. The user must go to {title} ({idp}) and choose that site; "
            "where it is not offered, they have no access to it, or it does not have the product.",
        )
        self.idp = idp


async def hand_out(service: Service, call: Call) -> Handed:
    """The token for this call. Raises `NotHanded`, `BadWish`, `NotRenewed`, and `LogUnavailable`."""
    idp = _idp_of(service, call.resource_type)
    connector = idp.connectors[call.resource_type]
    scopes = wanted_scopes(connector, call.scopes)
    part = part_for(idp.profile, connector, scopes)
    found = await service.bus.recent.vault.token(call.user, idp.idp)
    token = found[0] if found is not None else None
    if token is None:
        await put_aside(service, call.user, idp.idp)
        raise NoSession(idp.idp, idp.profile.title)
    await _check(service, idp, call, scopes, token)
    if (piece := token.piece(part)) is None:
        raise NoSession(idp.idp, idp.profile.title)
    if must_renew(idp.profile, piece, now()):
        token, piece = await _renewed(service, idp, call, piece, token)
        await _check(service, idp, call, scopes, token)
    carried = next((one.scopes for one in token.parts if one.part == piece.part), token.granted)
    at = await _at_site(service, idp, call, token, scopes or connector.upstream_scopes) if call.site else None
    return Handed(idp.idp, token.generation, piece, carried, token, at)


def _idp_of(service: Service, resource_type: str) -> Idp:
    name = service.scopes.routes.get(resource_type)
    idp = service.scopes.idps.get(name) if name is not None else None
    if idp is None or idp.registration is None:
        raise UnknownResource(f"No connector is provisioned for {resource_type}.")
    return idp


async def _check(service: Service, idp: Idp, call: Call, scopes: tuple[str, ...], token: StoredToken) -> None:
    """Raises `NoSession`, and `Insufficient`, which the log hears of."""
    if not token.opens:
        await put_aside(service, call.user, idp.idp)
    if not await heal(service, call.user, idp.idp, token):
        raise NoSession(idp.idp, idp.profile.title)
    held = await service.projection.held(idp.idp, call.user)
    missing = missing_scopes(idp, call.resource_type, scopes, token, held)
    if missing:
        await _tell(service, idp, call, missing, token.generation)
        raise Insufficient(idp.idp, missing)


async def _at_site(service: Service, idp: Idp, call: Call, token: StoredToken, scopes: tuple[str, ...]) -> AtSite:
    """The site that a call is for. Raises `NoSites`, `SiteNotGranted`, and `NotRenewed` where nobody can tell now."""
    if idp.profile.sites is None:
        raise NoSites(f"{idp.profile.title} has no sites: name none.")
    try:
        known = await sites_of(service, idp, call.user, token, call.site)
    except SitesUnknown as error:
        raise NotRenewed(str(error), PATIENCE_SECONDS) from None
    site = known.find(call.site)
    if site is None:
        raise SiteNotGranted(idp.idp, idp.profile.title, call.site)
    held = await service.projection.held(idp.idp, call.user)
    if missing := missing_scopes(idp, call.resource_type, call.scopes, token, held, site=site):
        raise SiteNotGranted(idp.idp, idp.profile.title, call.site, missing)
    return at_site(idp, site, scopes)


async def _renewed(
    service: Service, idp: Idp, call: Call, piece: Piece, token: StoredToken
) -> tuple[StoredToken, Piece]:
    """The row and its token after a renewal; as they were, where it failed or lasts and the token still lives."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS if piece.lives(now()) else None):
            after = await fresh(service, call.user, idp, piece.part)
    except (NotRenewed, TimeoutError) as error:
        if piece.lives(now()):
            return token, piece
        if isinstance(error, WantsUser):
            raise UserWanted(idp.idp, idp.profile.title) from None
        if isinstance(error, NotRenewed):
            raise
        raise NotRenewed("it takes too long", PATIENCE_SECONDS) from None
    again = after.piece(piece.part) if after is not None and not after.cleared else None
    if after is None or again is None:
        raise NoSession(idp.idp, idp.profile.title)
    if not again.lives(now()):
        raise NotRenewed("somebody else's renewal brought nothing yet", PATIENCE_SECONDS)
    return after, again


async def _tell(service: Service, idp: Idp, call: Call, missing: tuple[str, ...], generation: int) -> None:
    """Append `TokenInsufficient`: once for a user, IdP, set of scopes and minute, whoever sees it."""
    at = now()
    named = " ".join(canonical(idp.profile, missing))
    told = f"{service.settings.tenant}:{call.user}:{idp.idp}:{named}:{int(at.timestamp()) // 60}"
    event_id = str(uuid.uuid5(EVENT_IDS, f"token-insufficient:{told}"))
    if service.told.has(event_id):
        return
    event = TokenInsufficient(
        user=call.user, idp=idp.idp, resource_type=call.resource_type, missing=missing, generation=generation
    )
    await write(service, NewEvent(event_id, event))
    service.told.note(event_id)
