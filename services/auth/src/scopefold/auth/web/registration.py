"""Where clients register themselves (RFC 7591) and manage that (RFC 7592), if an operator lets them."""

import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.keys import ALGORITHMS
from scopefold.auth.oauth.protected import AccessRefused
from scopefold.auth.oauth.registration import Work, answer
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.records import Client, InitialAccess
from scopefold.auth.web.browser import random_text
from scopefold.auth.web.clients import DYNAMIC_PREFIX
from scopefold.auth.web.protected import resource_metadata_address
from scopefold.auth.web.service import Service, now, service_of
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.web import ProblemError, json_body, json_response, limited_body, sent_once

TRIES: Final = 3
ONE_OBJECT: Final = "Send one JSON object, each name in it once: content-type application/json."
NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}


class IssueInitialAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give somebody leave to register clients."""

    uses: Annotated[int, Meta(ge=1, le=1000, description="How many clients may be registered with it.")] = 1
    expires_in: Annotated[int, Meta(ge=60, le=30 * 24 * 3600, description="Seconds.")] = 24 * 3600


class InitialAccessView(Struct, frozen=True, kw_only=True):
    """An initial access token (RFC 7591, section 3). It is shown this once."""

    initial_access_token: str
    uses: int
    expires_in: int


async def issue_initial_access(request: Request) -> Response:
    """`POST /api/v1/organizations/{org}/registration-tokens`"""
    service, asked = service_of(request), await json_body(request, IssueInitialAccess)
    token = f"iat_{random_text()}"
    access = InitialAccess(now() + timedelta(seconds=asked.expires_in), asked.uses)
    await service.bus.buckets.dynamic.create(_access_key(token), access, keep_seconds=asked.expires_in)
    return json_response(
        InitialAccessView(initial_access_token=token, uses=asked.uses, expires_in=asked.expires_in), 201
    )


async def register(request: Request) -> Response:
    """`POST /oauth2/register` (RFC 7591, section 3)."""
    service = service_of(request)
    _check_offered(service)
    members = await _members(request)
    if members is None:
        return _error(400, "invalid_client_metadata", ONE_OBJECT)
    presented = _bearer(request)
    found = await service.bus.buckets.dynamic.get(_access_key(presented), InitialAccess) if presented else None
    with_token = found is not None and found[0].expires_at > now()
    work = _work(service, None, allowed=with_token or service.settings.registration == "open")
    status, body, headers = answer(work, "POST", members, {})
    if work.stored is not None:
        if with_token:
            assert found is not None
            if not await _use_up(service, _access_key(presented), *found):
                return _error(401, "invalid_token", "The initial access token was used up just now.", service)
        elif wait := service.registrations.wait_seconds(service.limits.address(request)):
            told = _error(429, "temporarily_unavailable", "Too many clients were registered; try again later.")
            told.headers["retry-after"] = str(wait)
            return told
        await service.clients.add(work.stored)
    return _answered(service, status, body, headers)


async def configure(request: Request) -> Response:
    """`GET`, `PUT` or `DELETE /oauth2/register/{client_id}` (RFC 7592)."""
    service = service_of(request)
    _check_offered(service)
    client_id = request.path_params["client_id"]
    members = await _members(request) if request.method == "PUT" else {}
    if members is None:
        return _error(400, "invalid_client_metadata", ONE_OBJECT)
    found = await service.clients.present(client_id) if client_id.startswith(DYNAMIC_PREFIX) else None
    work = _work(service, found[0] if found else None)
    credential = {"Authorization": (sent_once(request, "authorization") or "")}
    method = "GET" if request.method == "HEAD" else request.method  # which differ in nothing but the body
    status, body, headers = answer(work, method, members, credential)
    try:
        if work.delete and found is not None:
            await service.clients.remove(client_id, found[1])
        elif work.stored is not None and found is not None:
            await service.clients.replace(work.stored, found[1])
    except Taken:
        return _error(401, "invalid_token", "The registration was changed just now, and with it its token.", service)
    return _answered(service, status, body, headers)


def _check_offered(service: Service) -> None:
    if service.settings.registration == "off":
        detail = "Clients are registered by the operators of this service; ask one of them."
        raise ProblemError(404, "registration-off", "Clients cannot register themselves here", detail)


def _work(service: Service, client: Client | None, *, allowed: bool = False) -> Work:
    return Work(
        loaded=service.loaded(client),
        algorithms=ALGORITHMS,
        reachable=service.egress.reachable,
        client_id=f"{DYNAMIC_PREFIX}{secrets.token_hex(16)}",
        secret=f"cs_{random_text()}",
        registration_token=f"rat_{random_text()}",
        allowed=allowed,
    )


async def _use_up(service: Service, key: str, access: InitialAccess, revision: int) -> bool:
    """Take one use of an initial access token. Of all who take the last one, one succeeds."""
    bucket = service.bus.buckets.dynamic
    for _ in range(TRIES):
        try:
            if access.uses <= 1:
                await bucket.take(key, revision)
            else:
                await bucket.update(key, replace(access, uses=access.uses - 1), revision=revision)
        except Taken:
            found = await bucket.get(key, InitialAccess)
            if found is None:
                return False
            access, revision = found
            continue
        return True
    raise LogUnavailable("others were faster at every try")


async def _members(request: Request) -> dict[str, Any] | None:
    """The JSON object in the body, if it is one."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return None
    try:
        content = await limited_body(request)
        json.loads(content, object_pairs_hook=_each_once)
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    """Raises `ValueError` where a name comes twice: which one counts differs from reader to reader (RFC 8259)."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError


def _bearer(request: Request) -> str:
    scheme, _, presented = (sent_once(request, "authorization") or "").partition(" ")
    return presented.strip() if scheme.lower() == "bearer" else ""


def _access_key(token: str) -> str:
    return f"initial.{hashed(token)}"


def _error(status: int, error: str, description: str, service: Service | None = None) -> Response:
    told = {"error": error, "error_description": description}
    headers = dict(NO_STORE)
    if service is not None:
        refused = AccessRefused(status, "Bearer", **told)
        headers["www-authenticate"] = refused.challenge(resource_metadata_address(service))
    return json_response(told, status, headers)


def _answered(service: Service, status: int, body: Any, headers: Mapping[str, str]) -> Response:
    if status == 401:
        return _error(401, body["error"], body["error_description"], service)
    if status == 204:
        return Response(status_code=204, headers=NO_STORE)
    return json_response(body, status, NO_STORE)
