"""The token endpoint: a code, once, or a refresh token, once, or a client's own credentials, for tokens."""

import asyncio
from typing import Final

from scopefold.auth.core.families import Ended, Family, family_id, handle_of, read_refresh_token
from scopefold.auth.oauth import exchange
from scopefold.auth.oauth.server import redeem
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.grants import ends, has_ended, registered_since
from scopefold.auth.store.records import Client, Code
from scopefold.auth.web.client_request import Answer, ClientRequest, client_endpoint, spend_assertion, spend_proof
from scopefold.auth.web.ending import end_family
from scopefold.auth.web.exchange import exchanged
from scopefold.auth.web.token_status import told_of_late

_USED: Final[dict[Ended, str]] = {
    "code-reused": "The code was redeemed already.",
    "refresh-token-reused": "The refresh token was used already.",
}


async def answer(asked: ClientRequest) -> Answer:
    """`POST /oauth2/token` (RFC 6749, section 3.2)."""
    loaded, grants = asked.loaded, asked.service.bus.grants
    why: Ended = "code-reused" if asked.parameters.get("grant_type") == "authorization_code" else "refresh-token-reused"
    revision = await _load(asked)
    status, body, headers = redeem(loaded, asked.parameters, asked.headers)
    await spend_assertion(asked)
    if loaded.reused:
        await end_family(asked.service, family_id(loaded.handle), why)
    if status == 200:
        await spend_proof(asked)
    if status == 200 and loaded.exchange is not None:
        return await exchanged(asked.service, loaded.exchange, (status, body, headers))
    if status != 200 or loaded.kept is None:
        return status, body, headers
    try:
        await grants.keep(family_id(loaded.handle), loaded.kept, revision=revision, now=loaded.now)
    except Taken:  # of all who brought the same at the same moment, another was first
        if loaded.family is not None and loaded.kept.current == loaded.family.current and await _still_good(asked):
            return status, body, headers  # nothing was used up
        await end_family(asked.service, family_id(loaded.handle), why)
        return 400, {"error": "invalid_grant", "error_description": _USED[why]}, {}
    return status, body, headers


token = client_endpoint(answer)


async def _still_good(asked: ClientRequest) -> bool:
    """Is the family, which somebody else stored just now, not over?"""
    found = await asked.service.bus.grants.family(family_id(asked.loaded.handle))
    return found is not None and not await has_ended(asked.service.bus.grants, found[0], asked.service.scopes.idps)


async def _load(asked: ClientRequest) -> int:
    """Load the code or the family that the request is about; the family's revision, 0 where there is none."""
    match asked.parameters.get("grant_type"):
        case "authorization_code":
            return await _load_code(asked, asked.parameters.get("code", ""))
        case "refresh_token":
            return await _load_family(asked, asked.parameters.get("refresh_token", ""))
        case exchange.EXCHANGE:
            target = asked.parameters.get("resource") or asked.parameters.get("audience", "")
            asked.loaded.told = await told_of_late(asked.service, asked.parameters.get("subject_token", ""), target)
    return 0


async def _load_code(asked: ClientRequest, code: str) -> int:
    loaded, bus = asked.loaded, asked.service.bus
    loaded.handle = handle_of(code)
    found, family = await asyncio.gather(
        bus.buckets.flows.get(f"code.{hashed(code)}", Code), bus.grants.family(family_id(loaded.handle))
    )
    if family is not None:
        loaded.family = family[0]
        return family[1]
    if found is not None:
        loaded.code = found[0]
        await _load_user(asked, found[0].user, found[0].idp)
        user_end, session_ended = await ends(bus.grants, found[0].user, found[0].sid)
        loaded.user_ends = user_end.count if user_end else 0
        loaded.over = session_ended or (user_end is not None and user_end.at >= found[0].issued_at)
        loaded.over |= not _had(loaded.client, found[0])
    return 0


async def _load_family(asked: ClientRequest, text: str) -> int:
    loaded, grants = asked.loaded, asked.service.bus.grants
    presented = read_refresh_token(text)
    found = await grants.family(family_id(presented.handle)) if presented else None
    if presented is None or found is None:
        return 0
    family = found[0]
    loaded.handle, loaded.presented, loaded.family = presented.handle, presented, family
    await _load_user(asked, family.user, family.idp)
    loaded.over = await has_ended(grants, family, asked.service.scopes.idps)
    loaded.over |= not _had(loaded.client, family)
    return found[1]


def _had(client: Client | None, given: Code | Family) -> bool:
    return client is None or client.had(given.registration, given.issued_at.timestamp())


async def _load_user(asked: ClientRequest, user: str, idp: str) -> None:
    """Who the user is, while the IdP is registered and the vault holds what the user consented to there."""
    service = asked.service
    known = service.scopes.idps.get(idp)
    if known is None or known.registration is None:
        return
    asked.loaded.idp_since = registered_since(known) or 0
    stored, groups = await asyncio.gather(service.bus.vault.token(user, idp), service.bus.vault.groups(user))
    asked.loaded.identity = stored[0].identity if stored and not stored[0].cleared else None
    asked.loaded.groups = groups
