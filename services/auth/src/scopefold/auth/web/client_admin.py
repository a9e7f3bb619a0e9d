"""The admin API's part for clients: register, list, show, replace, remove, and a new secret."""

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.families import MAX_SECONDS
from scopefold.auth.core.keys import SigningAlgorithm
from scopefold.auth.core.redirects import ApplicationType
from scopefold.auth.core.seal import keyed_hash
from scopefold.auth.oauth.client_metadata import (
    WITH_SECRET,
    AssertionAlgorithm,
    AuthMethod,
    BadMetadata,
    GrantType,
    check,
)
from scopefold.auth.oauth.resource import RESOURCE_PATTERN
from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.records import Client, Origin
from scopefold.auth.web.browser import random_text
from scopefold.auth.web.clients import DYNAMIC_PREFIX
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.step_up import ACCOUNT
from scopefold.contracts.words import ClientId, Scopes
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.web import ProblemError, json_body, json_response

TRIES: Final = 5
RedirectUri = Annotated[str, Meta(min_length=1, max_length=2000, description="Compared byte for byte.")]
RedirectUris = Annotated[tuple[RedirectUri, ...], Meta(max_length=20)]


class DescribeClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client is to be (names as in RFC 7591). What is left out has its default, also where it was otherwise."""

    client_name: Annotated[str, Meta(min_length=1, max_length=200)]
    redirect_uris: RedirectUris = ()
    grant_types: tuple[GrantType, ...] = ("authorization_code",)
    scopes: Scopes = ("openid", "profile", "email")
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"
    application_type: Annotated[
        ApplicationType | None,
        Meta(description="Default: native where a redirect address is a loopback one or has a scheme of its own."),
    ] = None
    require_pkce: Annotated[
        bool,
        Meta(description="False only for a confidential OpenID Connect client, of which a nonce is demanded then."),
    ] = True
    require_nonce: Annotated[
        bool,
        Meta(
            description="False, with require_pkce false: neither is demanded. The client must prevent injected codes."
        ),
    ] = True
    post_logout_redirect_uris: RedirectUris = ()
    backchannel_logout_uri: RedirectUri | None = None
    backchannel_logout_session_required: bool = False
    jwks: dict[str, Any] | None = None
    jwks_uri: RedirectUri | None = None
    token_endpoint_auth_signing_alg: AssertionAlgorithm | None = None
    resource_server: Annotated[bool, Meta(description="May ask about tokens that are for others (RFC 7662).")] = False
    resources: Annotated[
        tuple[Annotated[str, Meta(pattern=RESOURCE_PATTERN)], ...],
        Meta(
            max_length=20, description="Resources of its own (RFC 8707): it may ask for tokens for them, and answers."
        ),
    ] = ()
    exchange_resources: Annotated[
        tuple[Annotated[str, Meta(pattern=RESOURCE_PATTERN)], ...],
        Meta(max_length=200, description="For what it may exchange users' access tokens (RFC 8693)."),
    ] = ()
    refresh_idle_seconds: Annotated[int, Meta(ge=60, le=MAX_SECONDS)] | None = None
    refresh_absolute_seconds: Annotated[int, Meta(ge=60, le=MAX_SECONDS)] | None = None
    require_pushed_authorization_requests: bool = False
    id_token_signed_response_alg: SigningAlgorithm = "RS256"
    dpop_bound_access_tokens: bool = False


class RegisterClient(DescribeClient, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Register an app that logs its users in here."""

    client_id: ClientId


class ClientView(Struct, frozen=True, kw_only=True):
    """A registered client. The secret is in the answer that made it, and never again."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    token_endpoint_auth_method: str
    application_type: ApplicationType
    require_pkce: bool
    require_nonce: bool
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    backchannel_logout_session_required: bool
    jwks: dict[str, Any] | None
    jwks_uri: str | None
    token_endpoint_auth_signing_alg: str | None
    resource_server: bool
    resources: tuple[str, ...]
    exchange_resources: tuple[str, ...]
    refresh_idle_seconds: int | None
    refresh_absolute_seconds: int | None
    require_pushed_authorization_requests: bool
    id_token_signed_response_alg: str
    dpop_bound_access_tokens: bool
    origin: Annotated[Origin, Meta(description="An operator registered it, or it registered itself.")]
    client_secret: str | UnsetType = UNSET


class ClientViews(Struct, frozen=True):
    """All registered clients."""

    items: tuple[ClientView, ...]


async def register_client(request: Request) -> Response:
    """`POST /api/v1/organizations/{org}/clients`"""
    service = service_of(request)
    asked = await json_body(request, RegisterClient)
    client, secret = _with_secret(service, _described(service, asked.client_id, asked))
    existing = await service.clients.add(client)
    if existing is None:
        return json_response(client_view(client, secret), 201)
    if client_view(existing) == client_view(client):
        return json_response(client_view(existing))
    raise ProblemError(
        409,
        "client-exists",
        "There is a client of this id already",
        "It is registered otherwise. Choose another client_id, send exactly what is registered, or replace it by PUT.",
    )


async def list_clients(request: Request) -> Response:
    """`GET /api/v1/organizations/{org}/clients`"""
    service = service_of(request)
    return json_response(ClientViews(tuple(client_view(client) for client in await service.clients.all())))


async def show_client(request: Request) -> Response:
    """`GET /api/v1/organizations/{org}/clients/{client_id}`"""
    service = service_of(request)
    return json_response(client_view((await _registered(service, request))[0]))


async def put_client(request: Request) -> Response:
    """`PUT /api/v1/organizations/{org}/clients/{client_id}`: made so whatever it was. Its secret stays if it may."""
    service, asked = service_of(request), await json_body(request, DescribeClient)
    wanted = _described(service, request.path_params["client_id"], asked)
    for _ in range(TRIES):
        found = await service.clients.present(wanted.client_id)
        if found is None:
            client, secret = _with_secret(service, wanted)
            if await service.clients.add(client) is None:
                return json_response(client_view(client, secret), 201)
            continue
        before, revision = found
        _check_operators(before)
        same = replace(wanted, registered_at=before.registered_at, registration=before.registration)
        kept = same.token_endpoint_auth_method in WITH_SECRET and before.secret_hash is not None
        client, secret = (replace(same, secret_hash=before.secret_hash), None) if kept else _with_secret(service, same)
        try:
            if client != before:
                await service.clients.replace(client, revision)
        except Taken:
            continue
        return json_response(client_view(client, secret))
    raise LogUnavailable("others were faster at every try")


async def remove_client(request: Request) -> Response:
    """`DELETE /api/v1/organizations/{org}/clients/{client_id}`"""
    service = service_of(request)
    client, revision = await _registered(service, request)
    try:
        await service.clients.remove(client.client_id, revision)
    except Taken:
        raise _changed_meanwhile() from None
    return Response(status_code=204)


async def rotate_secret(request: Request) -> Response:
    """`POST /api/v1/organizations/{org}/clients/{client_id}/secret`: a new one.

    The old one is void here at once, and 5 seconds later at the latest at other replicas.
    """
    service = service_of(request)
    before, revision = await _registered(service, request)
    if before.token_endpoint_auth_method not in WITH_SECRET:
        detail = f"It proves itself by {before.token_endpoint_auth_method}."
        raise ProblemError(422, "no-secret", "This client has no secret", detail)
    client, secret = _with_secret(service, before)
    try:
        await service.clients.replace(client, revision)
    except Taken:
        raise _changed_meanwhile() from None
    return json_response(client_view(client, secret))


def client_view(client: Client, secret: str | None = None) -> ClientView:
    """A client as operators see it."""
    shown = {name: getattr(client, name) for name in ClientView.__struct_fields__ if hasattr(client, name)}
    return ClientView(**{**shown, "application_type": client.kind}, client_secret=secret or UNSET)


async def _registered(service: Service, request: Request) -> tuple[Client, int]:
    """The client that the request's path names. Raises `ProblemError`."""
    found = await service.clients.present(request.path_params["client_id"])
    if found is None:
        raise ProblemError(404, "unknown-client", "There is no such client", "List them to see which there are.")
    return found


def _described(service: Service, client_id: str, asked: DescribeClient) -> Client:
    """The client as it is asked for, without a secret yet. Raises `ProblemError`."""
    if client_id == ACCOUNT:
        detail = f"{ACCOUNT} is this server's own client; choose another id."
        raise ProblemError(422, "reserved-client-id", "This id is not to be had", detail)
    if client_id.startswith(DYNAMIC_PREFIX):
        detail = f"Ids that begin with {DYNAMIC_PREFIX} are for clients that register themselves; choose another."
        raise ProblemError(422, "reserved-client-id", "This client id is reserved", detail)
    client = Client(
        client_id=client_id,
        client_name=asked.client_name,
        redirect_uris=asked.redirect_uris,
        grant_types=asked.grant_types,
        scopes=asked.scopes,
        token_endpoint_auth_method=asked.token_endpoint_auth_method,
        application_type=asked.application_type,
        require_pkce=asked.require_pkce,
        require_nonce=asked.require_nonce,
        post_logout_redirect_uris=asked.post_logout_redirect_uris,
        backchannel_logout_uri=asked.backchannel_logout_uri,
        backchannel_logout_session_required=asked.backchannel_logout_session_required,
        jwks=asked.jwks,
        jwks_uri=asked.jwks_uri,
        token_endpoint_auth_signing_alg=asked.token_endpoint_auth_signing_alg,
        resource_server=asked.resource_server,
        resources=asked.resources,
        exchange_resources=asked.exchange_resources,
        refresh_idle_seconds=asked.refresh_idle_seconds,
        refresh_absolute_seconds=asked.refresh_absolute_seconds,
        require_pushed_authorization_requests=asked.require_pushed_authorization_requests,
        id_token_signed_response_alg=asked.id_token_signed_response_alg,
        dpop_bound_access_tokens=asked.dpop_bound_access_tokens,
        registered_at=now(),
        registration=random_text()[:22],
    )
    try:
        check(client, service.egress.reachable)
    except BadMetadata as error:
        titles = {
            "invalid_redirect_uri": "A redirect address cannot be used",
            "invalid_client_metadata": "A client cannot be so",
        }
        raise ProblemError(422, error.error.replace("_", "-"), titles[error.error], str(error)) from None
    return client


def _with_secret(service: Service, client: Client) -> tuple[Client, str | None]:
    """The client with the hash of a new secret, and that; unchanged where it proves itself otherwise."""
    if client.token_endpoint_auth_method not in WITH_SECRET:
        return client, None
    secret = f"cs_{random_text()}"
    return replace(client, secret_hash=keyed_hash(service.bus.vault.client_secret_key, secret)), secret


def _check_operators(client: Client) -> None:
    if client.is_unknown:
        detail = "It registered itself, and manages that itself. Remove it, or register another one."
        raise ProblemError(409, "not-yours", "This client is not an operator's", detail)


def _changed_meanwhile() -> ProblemError:
    return ProblemError(409, "changed-meanwhile", "The client was changed meanwhile", "Look at it again, and repeat.")
