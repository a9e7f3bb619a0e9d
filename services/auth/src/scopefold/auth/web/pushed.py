"""Pushed authorization requests (RFC 9126): kept, resolved when their user's browser comes, used once."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from msgspec.structs import replace
from starlette.requests import Request

from scopefold.auth.oauth.plain_request import REQUEST_URI_PREFIX
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.oauth.resource import resources_of
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.records import Pushed
from scopefold.auth.web.browser import browser_of, random_text
from scopefold.auth.web.service import Service, now

PUSHED_SECONDS: Final = 90


async def keep_pushed(service: Service, client_id: str, parameters: dict[str, str]) -> str:
    """Keep a valid request that a client pushed; the `request_uri` that leads to it."""
    request_uri = f"{REQUEST_URI_PREFIX}{random_text()}"
    pushed = Pushed(client_id, parameters, now(), issuer=service.issuer)
    await service.bus.buckets.flows.create(_key(request_uri), pushed)
    return request_uri


async def resolved(service: Service, request: Request, sent: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """The authorization request that a browser brings, and whether it was pushed. Raises `ShownError`.

    Of what stands beside a `request_uri`, only that counts which pages of ours add and which cannot loosen anything:
    the chosen IdP, where the client did not choose one, and the wish to log in anew.
    """
    request_uri = sent.get("request_uri", "")
    if not request_uri.startswith(REQUEST_URI_PREFIX):
        return dict(sent), False
    found = await service.bus.buckets.flows.get(_key(request_uri), Pushed)
    asked = (sent.get("client_id"), service.issuer)
    if found is None or (found[0].client_id, found[0].issuer) != asked or _late(request, found[0]):
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
        await flows.update(key, replace(before, browser=browser), revision=found[1])
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
        raise RedirectedError(parameters["redirect_uri"], "invalid_request_uri", description, parameters) from None


def again(service: Service, parameters: Mapping[str, str], **changed: str) -> str:
    """The address that brings the same authorization request again. What was pushed stays out of it (A21)."""
    if "request_uri" in parameters:
        kept = {name: parameters[name] for name in ("client_id", "request_uri")}
        return f"{service.path}/authorize?{urlencode({**kept, **changed})}"
    pairs = [(name, value) for name, value in {**parameters, **changed}.items() if name != "resource"]
    return f"{service.path}/authorize?{urlencode([*pairs, *(('resource', one) for one in resources_of(parameters))])}"


def _key(request_uri: str) -> str:
    return f"pushed.{hashed(request_uri)}"
