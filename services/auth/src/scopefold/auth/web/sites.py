"""Which sites a user's token reaches: asked at a login, kept with the token, asked again when in doubt."""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scopefold.auth.core.sites import Site, Sites, api_base, list_address, sites_in
from scopefold.auth.core.stored_token import StoredToken
from scopefold.auth.store.buckets import Taken
from scopefold.auth.web.outgoing import NoAnswer
from scopefold.auth.web.service import Service, now
from scopefold.auth.web.way import endpoint
from scopefold.consent.idp_scopes import Idp
from scopefold.runtime.logs import logger

READ_SECONDS: Final = 3.0
"""No longer: a login waits for it, and is good without."""
log = logger(__name__)


class AtSite(Struct, frozen=True):
    """The site that a call is for, and the address of its API; empty where its scopes are of several products."""

    site: Site
    api_base: str


class SitesUnknown(Exception):
    """The IdP does not tell now which sites there are."""


async def read_sites(service: Service, idp: Idp, access_token: str) -> Sites | None:
    """What the IdP says that this token reaches; None where it has no sites, or does not say now."""
    if idp.profile.sites is None:
        return None
    headers = {"authorization": f"Bearer {access_token}", "accept": "application/json"}
    try:
        address = list_address(idp.profile, endpoint(idp, "identity"))
        async with asyncio.timeout(READ_SECONDS):
            answer = await service.upstream.ask("GET", address, headers=headers)
        if answer.status != HTTPStatus.OK:
            raise NoAnswer(f"http_{answer.status}", answer.status)
        return Sites(sites_in(msgspec.json.decode(answer.body)), now())
    except (NoAnswer, TimeoutError, ValueError, RecursionError) as error:
        why = error.code if isinstance(error, NoAnswer) else type(error).__name__
        log.warning("the sites of a token are not known", idp=idp.idp, error=why)
        return None


async def sites_of(service: Service, idp: Idp, user: str, token: StoredToken, wanted: str) -> Sites:
    """The user's sites, read again where what is kept may not be what is. Raises `SitesUnknown`, `LogUnavailable`."""
    if token.sites is not None and not token.sites.stale(wanted, now()):
        return token.sites
    found = await read_sites(service, idp, token.access_token)
    if found is None:
        if token.sites is not None:
            return token.sites
        raise SitesUnknown(f"{idp.profile.title} does not tell now which sites the user's token reaches")
    await _keep(service, idp, user, token, found)
    return found


async def _keep(service: Service, idp: Idp, user: str, token: StoredToken, found: Sites) -> None:
    """Write them into the row, where it is still this one. Not while somebody renews the token, whose answer would then
    find no place: the refresh token in it is nowhere else.
    """
    row = await service.bus.vault.token(user, idp.idp)
    if row is None or row[0].renewing is not None or row[0].fingerprint != token.fingerprint:
        return
    with suppress(Taken):
        await service.bus.vault.put_token(user, idp.idp, replace(row[0], sites=found), revision=row[1])


def at_site(idp: Idp, site: Site, scopes: tuple[str, ...]) -> AtSite:
    """The site, with the address of its API for these scopes."""
    return AtSite(site, api_base(idp.profile, endpoint(idp, "identity"), site, scopes))
