"""What has become of a token: introspection (RFC 7662) and revocation (RFC 7009)."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from scopefold.auth.core.families import Family, family_id, judge, read_refresh_token
from scopefold.auth.oauth.access_claims import AccessClaims, read_access_token
from scopefold.auth.oauth.loaded import Told
from scopefold.auth.oauth.server import introspect, revoke
from scopefold.auth.store.grants import Grants, ends, has_ended
from scopefold.auth.store.records import Client
from scopefold.auth.web.client_request import Answer, ClientRequest, client_endpoint, spend_assertion
from scopefold.auth.web.ending import end_family
from scopefold.auth.web.service import Service, now

SKEW_SECONDS: Final = 60


async def answer_introspection(asked: ClientRequest) -> Answer:
    """`POST /oauth2/introspect`"""
    asked.loaded.told = await _look_up(asked.service, asked.parameters.get("token", ""))
    answer = introspect(asked.loaded, asked.parameters, asked.headers)
    await spend_assertion(asked)
    return answer


async def answer_revocation(asked: ClientRequest) -> Answer:
    """`POST /oauth2/revoke`: a refresh token with all that came of its authorization, an access token alone."""
    asked.loaded.told = await _look_up(asked.service, asked.parameters.get("token", ""))
    answer = revoke(asked.loaded, asked.parameters, asked.headers)
    await spend_assertion(asked)
    ended = asked.loaded.revoke
    if ended is not None and ended.claims is not None:
        seconds = ended.claims.exp - int(asked.loaded.now.timestamp()) + SKEW_SECONDS
        await asked.service.bus.grants.end_token(ended.claims.jti, keep_seconds=seconds)
    elif ended is not None and ended.family_id is not None:
        await end_family(asked.service, ended.family_id, "client")
    return answer


introspection = client_endpoint(answer_introspection)
revocation = client_endpoint(answer_revocation)


async def is_live(service: Service, claims: AccessClaims) -> bool:
    """Is an access token of ours still good: did nothing end it, its family, its user's grants or its session?"""
    return await _holder(service, claims, service.bus.grants) is not None


async def _holder(service: Service, claims: AccessClaims, grants: Grants) -> Client | None:
    """The client that an access token was issued to; None where the token is not good any more."""
    # A token tells its time in whole seconds, rounded down.
    client = await service.clients.who_had(claims.client_id, claims.client_registration, claims.iat + 1)
    if client is None or await grants.token_ended(claims.jti):
        return None
    if claims.grant_id is None:
        return client
    found = await grants.family(claims.grant_id)
    if found is None or await has_ended(grants, found[0], service.scopes.idps):
        return None
    return client if await _began(service, found[0], client) else None


async def _began(service: Service, family: Family, holder: Client | None = None) -> bool:
    """Is there still the client that began this family? Of an exchanged token it is another than the token's holder."""
    at_seconds = family.issued_at.timestamp()
    if holder is not None and holder.client_id == family.client_id:
        return holder.had(family.registration, at_seconds)
    return await service.clients.who_had(family.client_id, family.registration, at_seconds) is not None


async def _look_up(service: Service, text: str) -> Told | None:
    return await _refresh_token(service, text) or await told_access_token(service, text)


async def told_access_token(service: Service, text: str) -> Told | None:
    """What has become of an access token; None where it is none of ours, or has expired."""
    claims = read_access_token(text, keys=service.bus.keys.verifying, issuer=service.issuer, now=now())
    return None if claims is None else await _told(service, claims, service.bus.grants)


async def told_of_late(service: Service, text: str, resource_type: str) -> Told | None:
    """The same as it was a moment ago: for the calls that come most often, and what they are for."""
    bus = service.bus
    claims = bus.recent.access_tokens.read(text, keys=bus.keys, issuer=service.issuer, now=now())
    if claims is None:
        return None
    if claims.grant_id is not None and bus.recent.grants.is_new(claims.grant_id):
        await _read_at_once(service, claims, resource_type)
    return await _told(service, claims, bus.recent.grants)


async def _read_at_once(service: Service, claims: AccessClaims, resource_type: str) -> None:
    """Have everything in memory that the call will ask for, which would be read one after the other. What goes wrong
    here is met again by whoever needs it.
    """
    late, user = service.bus.recent, claims.sub
    reads: list[Awaitable[object]] = [
        late.grants.token_ended(claims.jti),
        late.grants.family(claims.grant_id or ""),
        ends(late.grants, user, claims.sid),
    ]
    if (idp := service.scopes.routes.get(resource_type)) is not None:
        reads += [late.vault.knows(user), late.vault.token(user, idp), service.projection.held(idp, user)]
    await asyncio.gather(*reads, return_exceptions=True)


async def _told(service: Service, claims: AccessClaims, grants: Grants) -> Told:
    holder = await _holder(service, claims, grants)
    unknown = holder is not None and holder.is_unknown
    return Told(claims.client_id, holder is not None, claims.grant_id, claims, None, unknown)


async def _refresh_token(service: Service, text: str) -> Told | None:
    presented = read_refresh_token(text)
    name = family_id(presented.handle) if presented else None
    found = await service.bus.grants.family(name) if name else None
    if presented is None or found is None:
        return None
    family = found[0]
    if family.issuer not in ("", service.issuer):  # nobody's here (RFC 7009, section 2.1; RFC 7662, section 2.2)
        return None
    over = await has_ended(service.bus.grants, family, service.scopes.idps)
    over |= not await _began(service, family)
    live = not over and judge(family, presented, family.client_id, now()) == "good"
    return Told(family.client_id, live, name, None, family)
