"""Forward authentication for gateways: may this request pass, and with which upstream token?

A gateway asks before it lets a user's request through (Caddy `forward_auth`, nginx `auth_request`, Traefik
`ForwardAuth`, Envoy `ext_authz` over HTTP), and sends the request's own headers along. The answer 200 has the
`Authorization` header for the upstream API. Every other answer is the refusal, and says what to do.
"""

import base64
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.handout import BadWish
from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.exchange import EXCHANGE, may_present
from scopefold.auth.oauth.protected import AccessRefused, Needs, check_key, check_login, is_bound, presented
from scopefold.auth.store.records import Client
from scopefold.auth.web.dpop import nonce_headers, proof_in
from scopefold.auth.web.exchange import refusal, site_of
from scopefold.auth.web.handout import Call, Handed, Insufficient, NotHanded, hand_out
from scopefold.auth.web.protected import resource_metadata_address, spend_proof
from scopefold.auth.web.rate import TooManyError
from scopefold.auth.web.renewal import NotRenewed
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.step_up import step_up_address
from scopefold.auth.web.token_status import told_of_late
from scopefold.runtime.web import ProblemError, problem_response, query, sent_once

GATEWAY: Final = "x-gateway-authorization"
NO_STORE: Final = {"cache-control": "no-store"}
BAD_GATEWAY: Final = 502


class ForwardAuthQuery(Struct, frozen=True, kw_only=True):
    """What a gateway wants to call, and how it wants to be told what is missing."""

    resource: Annotated[str, Meta(max_length=600, description="The connector's resource type.")]
    scope: Annotated[
        str, Meta(max_length=4000, description="Upstream scopes that the call needs, parted by spaces; none: all.")
    ] = ""
    site: Annotated[
        str, Meta(max_length=500, description="The one site that the call is for: its id, address or host.")
    ] = ""
    missing: Annotated[
        Literal["challenge", "bad-gateway"],
        Meta(description="challenge: 403 with a challenge (RFC 6750, RFC 9470). bad-gateway: 502, for users to read."),
    ] = "challenge"
    max_age: (
        Annotated[int, Meta(ge=0, description="Seconds: the user's login must not be older (RFC 9470).")] | None
    ) = None
    acr_values: Annotated[
        str, Meta(max_length=500, description="The user's login must be of one of these (RFC 9470), parted by spaces.")
    ] = ""

    @property
    def needs(self) -> Needs:
        """What is asked of the user's login."""
        return Needs(acr_values=tuple(self.acr_values.split()), max_age_seconds=self.max_age)


async def forward_auth(request: Request) -> Response:
    """`/forward-auth`, by any method; and `/forward-auth/...` for gateways that put the path of the request there"""
    service = service_of(request)
    service.check_ready()
    for name in [name for name in request.headers if name.startswith("x-gateway-")]:
        sent_once(request, name)
    asked = _asked(request)
    gateway = await _gateway(service, request)
    if asked.resource not in gateway.exchange_resources:
        detail = "Register the client with this resource type among its exchange_resources."
        raise ProblemError(403, "not-for-this-gateway", "This gateway may not ask for that resource type", detail)
    try:
        subject = await _subject(service, request, gateway, asked)
    except AccessRefused as refused:
        return _without_session(service, asked.resource, refused)
    call = Call(subject, asked.resource, tuple(asked.scope.split()), asked.site)
    try:
        handed = await hand_out(service, call)
    except NotHanded as refused:
        return _refused(service, call, refused, asked.missing)
    except BadWish as error:
        raise ProblemError(400, "invalid-scope", "The scopes cannot be asked for", str(error)) from None
    except NotRenewed as error:
        headers = {"retry-after": str(error.retry_after), **NO_STORE}
        title = "The token could not be renewed now"
        raise ProblemError(503, "not-renewed", title, str(error), headers=headers) from None
    return Response(status_code=200, headers={**_passed_on(handed, call), **NO_STORE})


def _asked(request: Request) -> ForwardAuthQuery:
    """What the gateway wants: of the query, or of its own headers where the path and the query are the user's."""
    if "path" not in request.path_params:
        return query(request, ForwardAuthQuery)
    names = ForwardAuthQuery.__struct_fields__
    told = {name: request.headers.get(f"x-gateway-{name.replace('_', '-')}") for name in names}
    told = {name: value for name, value in told.items() if value is not None}
    try:
        return msgspec.convert(told, ForwardAuthQuery, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(400, "invalid-headers", "The gateway's headers cannot be read", str(error)) from None


def _passed_on(handed: Handed, call: Call) -> dict[str, str]:
    return {
        "authorization": f"Bearer {handed.piece.access_token}",
        "x-scopefold-user": call.user,
        "x-scopefold-idp": handed.idp,
        **{f"x-scopefold-{name.replace('_', '-')}": value for name, value in site_of(handed).items()},
    }


def _refused(service: Service, call: Call, refused: NotHanded, form: str) -> Response:
    told, challenge = refusal(service, call, refused)
    bad_gateway = form == "bad-gateway" and isinstance(refused, Insufficient)
    return problem_response(
        ProblemError(
            BAD_GATEWAY if bad_gateway else 403,
            str(told.pop("error")).replace("_", "-"),
            "The user must consent again" if "idp" in told else "No connector serves this",
            str(told.pop("error_description")),
            headers={"www-authenticate": challenge, **NO_STORE},
            **told,
        )
    )


def _without_session(service: Service, resource: str, refused: AccessRefused) -> Response:
    """Nobody's token came, or none that is good. Where the user must log in follows from the resource all the same.

    Where the login is too old or too weak, only the app can ask for another: no link of ours makes its token newer.
    """
    told = {"resource": resource}
    if (idp := service.scopes.routes.get(resource)) is not None:
        told["idp"] = idp
        if not refused.told.keys() & {"max_age", "acr_values"}:
            told["step_up_uri"] = step_up_address(service, resource)
    refused.told |= told
    headers = {"www-authenticate": refused.challenge(resource_metadata_address(service)), **NO_STORE}
    if refused.scheme != "Bearer":
        headers |= nonce_headers(service.loaded(None))
    why = refused.told.get("error", "invalid_token")
    title = "The user must log in"
    members = {name: value for name, value in refused.told.items() if not name.startswith("error")}
    return problem_response(
        ProblemError(refused.status, why.replace("_", "-"), title, str(refused), headers=headers, **members)
    )


async def _gateway(service: Service, request: Request) -> Client:
    """The client that asks, by its id and secret. Raises `ProblemError`."""
    scheme, _, content = request.headers.get(GATEWAY, "").partition(" ")
    try:
        client_id, _, secret = base64.b64decode(content, validate=True).decode().partition(":")
    except ValueError:  # no base64, no UTF-8, or a header that is not ASCII
        client_id = secret = ""
    try:
        service.limits.check_client(request, client_id)
    except TooManyError as error:
        headers = {"retry-after": error.retry_after, **NO_STORE}
        raise ProblemError(429, "too-many", "Too many failed requests; wait", headers=headers) from None
    client = await service.clients.get(client_id) if scheme.lower() == "basic" and client_id else None
    known = client is not None and EXCHANGE in client.grant_types and client.secret_hash is not None
    if client is None or not known or not _proves(service, client, secret):
        service.limits.client_failed(request, client_id)
        detail = f"Send the gateway's client id and secret as `{GATEWAY.title()}: Basic ...`."
        raise ProblemError(401, "unknown-gateway", "The gateway did not prove itself", detail, headers=NO_STORE)
    return client


def _proves(service: Service, client: Client, secret: str) -> bool:
    return RegisteredClient(client, service.bus.vault.client_secret_key).check_client_secret(secret)


async def _subject(service: Service, request: Request, gateway: Client, asked: ForwardAuthQuery) -> str:
    """The user whose access token the request carries, and whose login will do. Raises `AccessRefused`."""
    scheme, token = presented(sent_once(request, "authorization"))
    told = await told_of_late(service, token, asked.resource)
    claims = told.claims if told is not None and told.live else None
    meant = told is not None and may_present(service.issuer, gateway, told, asked.resource)
    if claims is None or claims.grant_id is None or not meant:
        description = "The token is none of ours, is not for this gateway, is no user's, or has ended."
        raise AccessRefused(401, scheme, error="invalid_token", error_description=description)
    if is_bound(claims, scheme):
        loaded = service.loaded(None)
        loaded.url, method = _forwarded(request)
        held = check_key(loaded, claims, scheme, token=token, method=method, proof=proof_in(request))
        await spend_proof(service, held)
    check_login(claims, scheme, asked.needs, int(now().timestamp()))
    return claims.sub


def _forwarded(request: Request) -> tuple[str, str]:
    """The address and the method of the user's own request, as the gateway, which has proved itself, tells them.

    In one way only, and all of it: what the gateway does not tell, its user could. Raises `AccessRefused`.
    """
    told = {name: sent_once(request, f"x-forwarded-{name}") for name in ("proto", "host", "uri", "method")}
    if silent := [f"X-Forwarded-{name.title()}" for name, value in told.items() if not value]:
        description = f"The gateway does not tell what the proof must be for: {', '.join(silent)}."
        raise AccessRefused(401, "DPoP", error="invalid_dpop_proof", error_description=description)
    return f"{told['proto']}://{told['host']}{urlsplit(told['uri'] or '').path}", told["method"] or ""
