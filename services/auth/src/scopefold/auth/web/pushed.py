"""Pushed authorization requests (RFC 9126): pushed by the client, resolved when its user's browser comes, used once."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.dpop import judged
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.plain_request import REQUEST_URI_PREFIX
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.oauth.resource import resources_of
from scopefold.auth.oauth.server import check_pushed_request
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.records import Pushed
from scopefold.auth.web.browser import browser_of, random_text
from scopefold.auth.web.client_authentication import EndpointError, client_of, form_of, too_many_for_clients
from scopefold.auth.web.dpop import address_of, is_first_sight, nonce_headers, proof_in
from scopefold.auth.web.rate import TooManyError
from scopefold.auth.web.service import Service, now, service_of
from scopefold.runtime.web import json_response

PUSHED_SECONDS: Final = 90
_CREDENTIALS: Final = ("client_secret", "client_assertion", "client_assertion_type")


async def push(request: Request) -> Response:
    """`POST /oauth2/par`"""
    service = service_of(request)
    try:
        service.limits.logins.take(service.limits.address(request))
    except TooManyError as error:
        raise too_many_for_clients(error) from None
    sent = await form_of(request)
    loaded = await client_of(service, request, sent)
    assert loaded.client is not None
    if "request_uri" in sent:
        raise EndpointError(400, "invalid_request", "A request that is pushed cannot name another by request_uri.")
    client_id = loaded.client.client_id
    parameters = {name: value for name, value in sent.items() if name not in _CREDENTIALS} | {"client_id": client_id}
    headers = await _bind_to_key(service, request, loaded, parameters)
    try:
        check_pushed_request(loaded, parameters)
    except (ShownError, RedirectedError) as error:
        raise EndpointError(400, error.error, error.description) from None
    request_uri = f"{REQUEST_URI_PREFIX}{random_text()}"
    await service.bus.buckets.flows.create(_key(request_uri), Pushed(client_id, parameters, now()))
    return json_response({"request_uri": request_uri, "expires_in": PUSHED_SECONDS}, 201, headers)


async def _bind_to_key(
    service: Service, request: Request, loaded: Loaded, parameters: dict[str, str]
) -> dict[str, str]:
    """A proof that comes along stands for `dpop_jkt` (RFC 9449, section 10.1). The answer's headers."""
    headers = {"pragma": "no-cache"}
    if (text := proof_in(request)) is None:
        return headers
    loaded.url = address_of(service, request)
    headers |= nonce_headers(loaded)
    try:
        proof = judged(loaded, text, method="POST")
    except OAuth2Error as error:
        raise EndpointError(400, error.error, error.description, headers) from None
    if parameters.setdefault("dpop_jkt", proof.jkt) != proof.jkt:
        raise EndpointError(400, "invalid_dpop_proof", "The DPoP proof is of another key than dpop_jkt.", headers)
    if not await is_first_sight(service, proof):
        raise EndpointError(400, "invalid_dpop_proof", "The DPoP proof was used already.", headers)
    return headers


async def resolved(service: Service, request: Request, sent: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """The authorization request that a browser brings, and whether it was pushed. Raises `ShownError`.

    Of what stands beside a `request_uri`, only that counts which pages of ours add and which cannot loosen anything:
    the chosen IdP, where the client did not choose one, and the wish to log in anew.
    """
    request_uri = sent.get("request_uri", "")
    if not request_uri.startswith(REQUEST_URI_PREFIX):
        return dict(sent), False
    found = await service.bus.buckets.flows.get(_key(request_uri), Pushed)
    if found is None or found[0].client_id != sent.get("client_id") or _late(request, found[0]):
        raise ShownError("invalid_request_uri", "The request_uri is unknown, was used already, or took too long.")
    parameters = {**found[0].parameters, "request_uri": request_uri}
    if "idp_hint" in sent:
        parameters.setdefault("idp_hint", sent["idp_hint"])
    if sent.get("prompt") == "login":
        parameters["prompt"] = "login"
    return parameters, True


def _late(request: Request, pushed: Pushed) -> bool:
    if (now() - pushed.pushed_at).total_seconds() <= PUSHED_SECONDS:
        return False
    return pushed.browser is None or pushed.browser != browser_of(request)


async def keep_for(service: Service, parameters: Mapping[str, str], browser: str) -> None:
    """The browser that came in time may take the time that a login takes: people choose, read, and type passwords."""
    if "request_uri" not in parameters:
        return
    flows, key = service.bus.buckets.flows, _key(parameters["request_uri"])
    found = await flows.get(key, Pushed)
    if found is None or found[0].browser == browser:
        return
    before = found[0]
    try:
        kept = Pushed(before.client_id, before.parameters, before.pushed_at, browser)
        await flows.update(key, kept, revision=found[1])
    except Taken:
        return  # it was used up, or another window of the same person was faster


async def use_up(service: Service, parameters: Mapping[str, str]) -> None:
    """A pushed request ends in one code. Raises `RedirectedError` where it ended in one before."""
    if "request_uri" not in parameters:
        return
    key = _key(parameters["request_uri"])
    found = await service.bus.buckets.flows.get(key, Pushed)
    try:
        if found is None:
            raise Taken(key)
        await service.bus.buckets.flows.take(key, found[1])
    except Taken:
        description = "The request_uri was used already, or took too long."
        state = parameters.get("state")
        raise RedirectedError(parameters["redirect_uri"], "invalid_request_uri", description, state) from None


def again(parameters: Mapping[str, str], **changed: str) -> str:
    """The address that brings the same authorization request again. What was pushed stays out of it (A21)."""
    if "request_uri" in parameters:
        kept = {name: parameters[name] for name in ("client_id", "request_uri")}
        return f"/authorize?{urlencode({**kept, **changed})}"
    pairs = [(name, value) for name, value in {**parameters, **changed}.items() if name != "resource"]
    return f"/authorize?{urlencode([*pairs, *(('resource', one) for one in resources_of(parameters))])}"


def _key(request_uri: str) -> str:
    return f"pushed.{hashed(request_uri)}"
