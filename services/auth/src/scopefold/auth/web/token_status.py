"""What has become of a token: introspection (RFC 7662) and revocation (RFC 7009)."""

from typing import Final

from scopefold.auth.core.families import family_id, judge, read_refresh_token
from scopefold.auth.oauth.access_claims import AccessClaims, read_access_token
from scopefold.auth.oauth.loaded import Told
from scopefold.auth.oauth.server import introspect, revoke
from scopefold.auth.store.grants import has_ended
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
    grants = service.bus.grants
    if await service.clients.get(claims.client_id) is None or await grants.token_ended(claims.jti):
        return False
    if claims.grant_id is None:
        return True
    found = await grants.family(claims.grant_id)
    return found is not None and not await has_ended(grants, found[0])


async def _look_up(service: Service, text: str) -> Told | None:
    return await _refresh_token(service, text) or await _access_token(service, text)


async def _access_token(service: Service, text: str) -> Told | None:
    claims = read_access_token(text, keys=service.bus.keys.verifying, issuer=service.issuer, now=now())
    if claims is None:
        return None
    return Told(claims.client_id, await is_live(service, claims), claims.grant_id, claims, None)


async def _refresh_token(service: Service, text: str) -> Told | None:
    presented = read_refresh_token(text)
    name = family_id(presented.handle) if presented else None
    found = await service.bus.grants.family(name) if name else None
    if presented is None or found is None:
        return None
    family = found[0]
    over = await has_ended(service.bus.grants, family)
    live = not over and judge(family, presented, family.client_id, now()) == "good"
    return Told(family.client_id, live, name, None, family)
