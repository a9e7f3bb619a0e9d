"""Giving tokens back to the IdP that they came from, after our own copy has gone: tried, within bounds, and told.

It may fail for good: the secrets are nowhere else then, and the provider ends them in its own time or the user does.
"""

import asyncio
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from authlib.oauth2.auth import encode_client_secret_basic, encode_client_secret_post
from msgspec import Struct

from scopefold.auth.core.idps import revocation_address
from scopefold.auth.core.revocation import ToEnd, Verdict, to_end, verdict
from scopefold.auth.core.stored_token import StoredToken
from scopefold.auth.web.outgoing import Answer, NoAnswer
from scopefold.auth.web.service import Service
from scopefold.auth.web.turns import about
from scopefold.auth.web.upstream import UpstreamFailed, discovery
from scopefold.consent.idp_scopes import Idp
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.logs import logger
from scopefold.scopes.addresses import is_private_way

Outcome = Literal["revoked", "no-way", "failed"]
"""The IdP ended it, or knows it no more; it has no way for that; it did not say so in time."""
ALL_SECONDS: Final = 8.0
TRIES: Final = 2
PAUSE_SECONDS: Final = 0.3
log = logger(__name__)


class _App(Struct):
    """Our app at the IdP, as Authlib's encoders ask for it."""

    client_id: str
    client_secret: str


async def revoke(service: Service, idp_id: str, row: StoredToken) -> Outcome:
    """Ask the IdP to end the tokens that this row held. It raises nothing: what was ours is gone by now."""
    idp = service.scopes.idps.get(idp_id)
    if idp is None or idp.registration is None:
        return "failed"
    tokens = to_end(idp.profile, row)
    try:
        async with asyncio.timeout(ALL_SECONDS):
            address = await _address(service, idp) if tokens else ""
            if not address:
                return "no-way"
            secret = await service.bus.vault.idp_secret(idp.idp) or ""
            outcome = await _all(service, idp, address, _App(idp.registration.event.client_id, secret), tokens)
    except (TimeoutError, UpstreamFailed, NoAnswer, LogUnavailable) as error:
        log.warning("tokens were not revoked at their provider", idp=idp_id, reason=str(error) or "timeout")
        return "failed"
    log.info("tokens were given back to their provider", idp=idp_id, outcome=outcome)
    return outcome


async def _address(service: Service, idp: Idp) -> str:
    """Where tokens are given back; empty where there is no way. Raises `NoAnswer` and `UpstreamFailed`."""
    assert idp.registration is not None
    own = idp.registration.event.endpoints
    if idp.profile.revocation.how == "none" and own.revocation is None:
        return ""
    address = revocation_address(idp.profile, own)
    if not address:
        try:
            address = (await discovery(service.documents, idp)).revocation
        except UpstreamFailed as error:
            if error.error == "no_discovery":
                return ""
            raise
    return address if is_private_way(address) else ""


async def _all(service: Service, idp: Idp, address: str, app: _App, tokens: tuple[ToEnd, ...]) -> Outcome:
    found = set()
    for one in tokens:
        told = await _patiently(service, idp, address, app, one)
        found.add(told)
        if told == "ended" and idp.profile.revocation.ends == "grant":
            return "revoked"
    return "revoked" if found <= {"ended", "gone"} else "failed"


async def _patiently(service: Service, idp: Idp, address: str, app: _App, one: ToEnd) -> Verdict:
    """Once more where the answer may be another then. Ending a token twice is no error (RFC 7009, section 2.2)."""
    told: Verdict = "perhaps-later"
    for turn in range(TRIES):
        if turn:
            await asyncio.sleep(about(PAUSE_SECONDS))
        method, to, headers, content = _request(idp, address, app, one)
        try:
            answer = await service.upstream.ask(method, to, headers=headers, content=content)
        except NoAnswer as error:
            log.info("a token was not given back yet", idp=idp.idp, reason=error.code)
            continue
        told = verdict(idp.profile, answer.status, _error_in(answer))
        if told != "perhaps-later":
            return told
    return told


def _request(idp: Idp, address: str, app: _App, one: ToEnd) -> tuple[str, str, dict[str, str], bytes | None]:
    """A request as RFC 7009, section 2.1, has it, but for what the profile says."""
    how, headers = idp.profile.revocation, {"accept": "application/json"}
    to = address.replace("{client_id}", quote(app.client_id, safe="")).replace(f"{{{one.kind}}}", quote(one.token, ""))
    said = {how.member: one.token, **({"token_type_hint": one.kind} if how.how != "api" else {})}
    body = urlencode(said) if how.body == "form" else ""
    if how.authentication == "bearer":
        headers["authorization"] = f"Bearer {one.token}"
    elif how.authentication != "none":
        basic = how.authentication == "basic" or idp.profile.client_authentication == "client_secret_basic"
        encode = encode_client_secret_basic if basic else encode_client_secret_post
        to, headers, body = encode(app, how.method, to, headers, body)
    if how.body == "json":
        headers["content-type"] = "application/json"
        return how.method, to, headers, msgspec.json.encode(said)
    headers.pop("Content-Length", None)
    if body:
        headers["content-type"] = "application/x-www-form-urlencoded"
    return how.method, to, headers, body.encode() or None


def _error_in(answer: Answer) -> str | None:
    """The code of an error, where the answer tells one. Most providers answer with no body at all."""
    try:
        told: dict[str, Any] = answer.members()
    except NoAnswer:
        return None
    if told.get("ok") is False or "error" in told:
        return str(told.get("error", "error"))
    return None
