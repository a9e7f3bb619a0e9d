"""The admin API: IdPs, clients, the worklist, and what was set aside. All of it needs the admin credential."""

import secrets
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.families import MAX_SECONDS
from scopefold.auth.core.idps import Refused, RegisterIdp, decide
from scopefold.auth.core.login import requested_scopes
from scopefold.auth.core.seal import keyed_hash
from scopefold.auth.core.worklist import BadCursor, read_cursor, read_moment, write_cursor
from scopefold.auth.oauth.client import is_redirect_uri
from scopefold.auth.oauth.client_rules import why_unsound
from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.history import NoSuchMoment
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.records import Client, Jwks
from scopefold.auth.web.authorize import callback_address
from scopefold.auth.web.login_log import PUBLISHER
from scopefold.auth.web.service import Service, now, service_of
from scopefold.consent.idp_scopes import Connector, Idp
from scopefold.consent.reconsent import Row
from scopefold.consent.trials import Trial
from scopefold.consent.ungiven import nobody_gets
from scopefold.contracts.events import EndpointOverrides
from scopefold.contracts.recorded import Cause, Quarantined
from scopefold.contracts.subjects import idps_filter
from scopefold.contracts.words import ClientId, IdpId, Scopes, Tenant, Url
from scopefold.ledger.append import Conflict, Expected, NewEvent, append
from scopefold.ledger.log import LogUnavailable, last_seq_on
from scopefold.runtime.web import ProblemError, json_body, json_response, query

TRIES: Final = 8
FOLD_SECONDS: Final = 5.0


class ConnectorView(Struct, frozen=True, kw_only=True):
    """A connector that is provisioned at an IdP."""

    resource_type: str
    connector: str
    version: str
    title: str
    upstream_scopes: tuple[str, ...]
    cause: Cause


class TrialView(Struct, frozen=True, kw_only=True):
    """What a provisioning newly asked for, with which nobody has come through yet."""

    connector: str
    title: str
    scopes: tuple[str, ...]
    failed: Annotated[int, Meta(description="How many people failed with it; counted up to 50.")]
    suspect: Annotated[bool, Meta(description="So many failed that it is likely why.")]
    last_error: str
    cause: Cause


class InVain(Struct, frozen=True, kw_only=True):
    """A scope that users were asked for the last time they came, and did not give."""

    scope: str
    users_without: int
    users_with: int
    why: Annotated[
        Literal["not-allowed", "not-given"],
        Meta(description="The users did not allow it, or the provider gives it to nobody: its app lacks it."),
    ]


class IdpView(Struct, frozen=True, kw_only=True):
    """An IdP: how it is registered, what it must be asked for, and because of which connectors."""

    idp: str
    profile: str
    client_id: str
    base_scopes: tuple[str, ...]
    authorize_params: dict[str, str]
    endpoints: EndpointOverrides
    union: tuple[str, ...]
    requested: Annotated[tuple[str, ...], Meta(description="What a login really asks of this IdP.")]
    callback: Annotated[str, Meta(description="The callback address to register at the IdP, byte for byte.")]
    connectors: tuple[ConnectorView, ...]
    withheld: Annotated[tuple[str, ...], Meta(description="What logins leave out for now.")]
    trials: Annotated[tuple[TrialView, ...], Meta(description="With what was newly asked for nobody has come through.")]
    in_vain: Annotated[tuple[InVain, ...], Meta(description="What users were asked for and did not give.")]
    cause: Cause


class IdpViews(Struct, frozen=True):
    """All registered IdPs."""

    items: tuple[IdpView, ...]


class RegisterClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Register an app that logs its users in here."""

    client_id: ClientId
    client_name: Annotated[str, Meta(min_length=1, max_length=200)]
    redirect_uris: Annotated[tuple[Url, ...], Meta(min_length=1, max_length=20)]
    grant_types: tuple[Literal["authorization_code", "refresh_token", "client_credentials"], ...] = (
        "authorization_code",
    )
    scopes: Scopes = ("openid", "profile", "email")
    token_endpoint_auth_method: Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] = (
        "client_secret_basic"
    )
    jwks: Annotated[Jwks | None, Meta(description="Its public keys, for private_key_jwt.")] = None
    token_endpoint_auth_signing_alg: Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519"] | None = None
    resource_server: Annotated[bool, Meta(description="May it introspect tokens that are meant for it?")] = False
    resources: Annotated[
        tuple[Url, ...], Meta(max_length=20, description="The resource indicators that it answers to (RFC 8707).")
    ] = ()
    refresh_idle_seconds: Annotated[int, Meta(ge=60, le=MAX_SECONDS)] | None = None
    refresh_absolute_seconds: Annotated[int, Meta(ge=60, le=MAX_SECONDS)] | None = None


class ClientView(Struct, frozen=True, kw_only=True):
    """A registered client. The secret is in the answer to its registration, and never again."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    token_endpoint_auth_method: str
    jwks: Jwks | None = None
    token_endpoint_auth_signing_alg: str | None = None
    resource_server: bool = False
    resources: tuple[str, ...] = ()
    refresh_idle_seconds: int | None = None
    refresh_absolute_seconds: int | None = None
    client_secret: str | UnsetType = UNSET


class ClientViews(Struct, frozen=True):
    """All registered clients."""

    items: tuple[ClientView, ...]


class WorklistQuery(Struct, frozen=True, kw_only=True):
    """Which part of the worklist, and as of when."""

    idp: IdpId | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(max_length=500)] | None = None
    at: Annotated[str, Meta(max_length=40, description="An RFC 3339 time or a sequence of the log.")] | None = None


class AsOf(Struct, frozen=True):
    """The place in the log that an answer holds for."""

    seq: int
    at: datetime | None


class Worklist(Struct, frozen=True, kw_only=True):
    """Who must consent again, to what, since when and because of what."""

    as_of: AsOf
    total: Annotated[int, Meta(description="How many users must consent again.")]
    unknown: Annotated[int, Meta(description="How many users hold a grant of which the IdP did not say enough.")]
    items: tuple[Row, ...]
    next: Annotated[str | None, Meta(description="The cursor of the next part.")]


class QuarantineView(Struct, frozen=True):
    """Messages of the log that no fold may use."""

    items: tuple[Quarantined, ...]


async def register_idp(request: Request) -> Response:
    """`POST /v1/idps`"""
    service, command = service_of(request), await json_body(request, RegisterIdp)
    bus, tenant = service.bus, service.settings.tenant
    for _ in range(TRIES):
        last = await last_seq_on(bus.log, idps_filter(tenant))
        if not await service.projection.reached(last, FOLD_SECONDS):
            raise LogUnavailable("the log is still being read")
        decision = decide(service.scopes, command)
        if isinstance(decision, Refused):
            raise ProblemError(422, decision.kind, decision.title, decision.detail)
        try:
            await bus.vault.put_idp_secret(command.idp, command.client_secret)
            if decision is None:
                return json_response(idp_view(service, service.scopes.idps[command.idp]))
            new = NewEvent(f"idp-registered-{secrets.token_hex(16)}", decision)
            expected = Expected(idps_filter(tenant), last)
            await append(bus.log, [new], tenant=tenant, publisher=PUBLISHER, now=now(), expected=expected)
        except (Conflict, Taken):
            continue
        appended = await last_seq_on(bus.log, idps_filter(tenant))
        if not await service.projection.reached(appended, FOLD_SECONDS):
            raise LogUnavailable("the identity provider is registered, but the log is still being read")
        location = {"location": f"/v1/idps/{command.idp}"}
        return json_response(idp_view(service, service.scopes.idps[command.idp]), 201, location)
    raise LogUnavailable("others were faster at every try")


async def list_idps(request: Request) -> Response:
    """`GET /v1/idps`"""
    service = service_of(request)
    service.check_ready()
    found = [idp for _, idp in sorted(service.scopes.idps.items()) if idp.registration is not None]
    return json_response(IdpViews(tuple(idp_view(service, idp) for idp in found)))


async def show_idp(request: Request) -> Response:
    """`GET /v1/idps/{idp}`"""
    service = service_of(request)
    service.check_ready()
    return json_response(idp_view(service, registered_idp(service, request)))


def registered_idp(service: Service, request: Request) -> Idp:
    """The IdP that the request's path names. Raises `ProblemError`."""
    idp = service.scopes.idps.get(request.path_params["idp"])
    if idp is None or idp.registration is None:
        known = ", ".join(sorted(service.scopes.idps)) or "none"
        raise ProblemError(404, "unknown-idp", "There is no such identity provider", f"Registered are: {known}.")
    return idp


def idp_view(service: Service, idp: Idp) -> IdpView:
    """An IdP as operators see it."""
    assert idp.registration is not None
    registered = idp.registration.event
    return IdpView(
        idp=idp.idp,
        profile=registered.profile,
        client_id=registered.client_id,
        base_scopes=registered.base_scopes,
        authorize_params=registered.authorize_params,
        endpoints=registered.endpoints,
        union=idp.union,
        requested=requested_scopes(idp),
        callback=callback_address(service, idp.idp),
        connectors=tuple(_connector_view(connector) for connector in idp.connectors.values()),
        withheld=idp.withheld,
        trials=tuple(_trial_view(trial) for trial in idp.trials),
        in_vain=tuple(
            _in_vain(service, idp, scope, users) for scope, users in service.projection.ungiven(idp.idp).items()
        ),
        cause=idp.registration.cause,
    )


def _trial_view(trial: Trial) -> TrialView:
    return TrialView(
        connector=trial.connector,
        title=trial.title,
        scopes=trial.scopes,
        failed=len(trial.failed),
        suspect=trial.suspect,
        last_error=trial.last_error,
        cause=trial.cause,
    )


def _in_vain(service: Service, idp: Idp, scope: str, users: int) -> InVain:
    holders = service.projection.users_with(idp.idp, scope)
    return InVain(
        scope=scope,
        users_without=users,
        users_with=holders,
        why="not-given" if nobody_gets(idp.profile, users_with=holders, users_without=users) else "not-allowed",
    )


def _connector_view(connector: Connector) -> ConnectorView:
    return ConnectorView(
        resource_type=connector.resource_type,
        connector=connector.connector,
        version=connector.version,
        title=connector.title,
        upstream_scopes=connector.upstream_scopes,
        cause=connector.cause,
    )


async def register_client(request: Request) -> Response:
    """`POST /api/v1/organizations/{org}/clients`"""
    service = service_of(request)
    _check_organisation(service, request)
    asked = await json_body(request, RegisterClient)
    if refused := [address for address in asked.redirect_uris if not is_redirect_uri(address)]:
        detail = f"No browser can be sent to {refused[0][:200]}: name a host, and leave out #fragment and user@."
        raise ProblemError(422, "invalid-redirect-uri", "A redirect address cannot be used", detail)
    with_secret = asked.token_endpoint_auth_method in ("client_secret_basic", "client_secret_post")
    secret = f"cs_{secrets.token_urlsafe(32)}" if with_secret else None
    secret_hash = keyed_hash(service.bus.vault.client_secret_key, secret) if secret else None
    client = replace(msgspec.convert(asked, Client, from_attributes=True), secret_hash=secret_hash)
    if (why := why_unsound(client)) is not None:
        raise ProblemError(422, "invalid-client-metadata", "The client cannot be registered so", why)
    existing = await service.clients.add(client)
    if existing is None:
        return json_response(_client_view(client, secret), 201)
    if _client_view(existing) == _client_view(client):
        return json_response(_client_view(existing))
    raise ProblemError(
        409,
        "client-exists",
        "There is a client of this id already",
        "It is registered otherwise. Choose another client_id, or send exactly what is registered.",
    )


async def list_clients(request: Request) -> Response:
    """`GET /api/v1/organizations/{org}/clients`"""
    service = service_of(request)
    _check_organisation(service, request)
    return json_response(ClientViews(tuple(_client_view(client) for client in await service.clients.all())))


def _check_organisation(service: Service, request: Request) -> None:
    try:
        organisation = msgspec.convert(request.path_params["org"], Tenant)
    except msgspec.ValidationError:
        organisation = ""
    if organisation != service.settings.tenant:
        detail = f"This service serves the organisation {service.settings.tenant}."
        raise ProblemError(404, "unknown-organisation", "There is no such organisation", detail)


def _client_view(client: Client, secret: str | None = None) -> ClientView:
    return replace(msgspec.convert(client, ClientView, from_attributes=True), client_secret=secret or UNSET)


async def reconsent(request: Request) -> Response:
    """`GET /v1/reconsent`"""
    service, asked = service_of(request), query(request, WorklistQuery)
    bus = service.bus
    try:
        after = read_cursor(asked.cursor) if asked.cursor else None
        moment = read_moment(asked.at) if asked.at else None
    except BadCursor as error:
        raise ProblemError(400, "invalid-query", "The query cannot be read", str(error)) from None
    if moment is None:
        return await _worklist(service.projection, asked, after, None)
    try:
        async with service.history.at(bus.log, moment) as (projection, at):
            return await _worklist(projection, asked, after, at)
    except NoSuchMoment as error:
        raise ProblemError(400, "no-such-moment", "The log does not reach there", str(error)) from None


async def _worklist(
    projection: Projection, asked: WorklistQuery, after: tuple[str, str, str] | None, at: datetime | None
) -> Response:
    page = await projection.page(idp=asked.idp, after=after, limit=asked.limit)
    return json_response(
        Worklist(
            as_of=AsOf(projection.checkpoint.seq if projection.checkpoint else 0, at),
            total=projection.count("missing", asked.idp),
            unknown=projection.count("unknown", asked.idp),
            items=page.rows,
            next=write_cursor(page.next) if page.next else None,
        )
    )


async def quarantine(request: Request) -> Response:
    """`GET /v1/quarantine`"""
    service = service_of(request)
    service.check_ready()
    return json_response(QuarantineView(tuple(await service.projection.quarantine())))
