"""The admin API: IdPs, clients, the worklist, and what was set aside. All of it needs the admin credential."""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.idps import Refused, RegisterIdp, decide, read_discovery, to_discover
from scopefold.auth.core.login import requested_scopes
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.moment import standing
from scopefold.auth.web.outgoing import NoAnswer
from scopefold.auth.web.service import Service, callback_address, logout_address, service_of
from scopefold.auth.web.settling import refusal, settle
from scopefold.consent.idp_scopes import Connector, Idp
from scopefold.consent.trials import Trial
from scopefold.consent.ungiven import nobody_gets
from scopefold.contracts.events import EndpointOverrides
from scopefold.contracts.recorded import Cause, Quarantined
from scopefold.runtime.moment import MomentQuery
from scopefold.runtime.web import ProblemError, json_body, json_response, query
from scopefold.scopes.addresses import Discovered


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
    groups_claim: str
    union: tuple[str, ...]
    requested: Annotated[tuple[str, ...], Meta(description="What a login really asks of this IdP.")]
    callback: Annotated[str, Meta(description="The callback address to register at the IdP, byte for byte.")]
    backchannel_logout: Annotated[
        str,
        Meta(description="The address to register at an IdP that tells of logouts; empty: it could not be believed."),
    ]
    connectors: tuple[ConnectorView, ...]
    withheld: Annotated[tuple[str, ...], Meta(description="What logins leave out for now.")]
    trials: Annotated[tuple[TrialView, ...], Meta(description="With what was newly asked for nobody has come through.")]
    in_vain: Annotated[tuple[InVain, ...], Meta(description="What users were asked for and did not give.")]
    cause: Cause


class IdpViews(Struct, frozen=True):
    """All registered IdPs."""

    items: tuple[IdpView, ...]


class QuarantineView(Struct, frozen=True):
    """Messages of the log that no fold may use."""

    items: tuple[Quarantined, ...]


async def register_idp(request: Request) -> Response:
    """`POST /v1/idps`"""
    service, command = service_of(request), await json_body(request, RegisterIdp)
    discovery = await discover(service, command)
    changed = await settle(
        service,
        lambda: decide(service.scopes, command, discovery),
        lambda: service.bus.vault.put_idp_secret(command.idp, command.client_secret),
    )
    location = {"location": f"/v1/idps/{command.idp}"} if changed else {}
    return json_response(idp_view(service, service.scopes.idps[command.idp]), 201 if changed else 200, location)


async def discover(service: Service, command: RegisterIdp) -> Discovered | None:
    """What the IdP's discovery document says, where it is needed. Raises `ProblemError`."""
    wanted = to_discover(command)
    if isinstance(wanted, Refused):
        raise refusal(wanted)
    if wanted is None:
        return None
    try:
        document = await service.documents.get(wanted.address, kept_seconds=0)
    except NoAnswer as error:
        detail = (
            f"{wanted.address[:200]}: {error.code}. Check the address, and that this service can reach it; or give "
        )
        detail += "endpoints.authorize, endpoints.token and endpoints.identity."
        raise ProblemError(422, "bad-discovery", "The discovery document cannot be read", detail) from None
    found = read_discovery(command, wanted, document)
    if isinstance(found, Refused):
        raise refusal(found)
    return found


async def list_idps(request: Request) -> Response:
    """`GET /v1/idps`"""
    service, asked = service_of(request), query(request, MomentQuery)
    async with standing(service, asked.at) as (projection, _):
        found = [idp for _, idp in sorted(projection.scopes.idps.items()) if idp.registration is not None]
        return json_response(IdpViews(tuple(idp_view(service, idp, projection) for idp in found)))


async def show_idp(request: Request) -> Response:
    """`GET /v1/idps/{idp}`"""
    service, asked = service_of(request), query(request, MomentQuery)
    async with standing(service, asked.at) as (projection, _):
        return json_response(idp_view(service, registered_idp(projection, request), projection))


def registered_idp(projection: Projection, request: Request) -> Idp:
    """The IdP that the request's path names. Raises `ProblemError`."""
    idp = projection.scopes.idps.get(request.path_params["idp"])
    if idp is None or idp.registration is None:
        known = ", ".join(sorted(projection.scopes.idps)) or "none"
        raise ProblemError(404, "unknown-idp", "There is no such identity provider", f"Registered are: {known}.")
    return idp


def idp_view(service: Service, idp: Idp, projection: Projection | None = None) -> IdpView:
    """An IdP as operators see it: in this projection, or now."""
    assert idp.registration is not None
    registered = idp.registration.event
    return IdpView(
        idp=idp.idp,
        profile=registered.profile,
        client_id=registered.client_id,
        base_scopes=registered.base_scopes,
        authorize_params=registered.authorize_params,
        endpoints=registered.endpoints,
        groups_claim=registered.groups_claim or "",
        union=idp.union,
        requested=requested_scopes(idp),
        callback=callback_address(service, idp.idp),
        backchannel_logout=logout_address(service, idp),
        connectors=tuple(_connector_view(connector) for connector in idp.connectors.values()),
        withheld=idp.withheld,
        trials=tuple(_trial_view(trial) for trial in idp.trials),
        in_vain=in_vain(projection or service.projection, idp),
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


def in_vain(projection: Projection, idp: Idp) -> tuple[InVain, ...]:
    """What users of an IdP were asked for and did not give, and why."""

    def told(scope: str, users: int) -> InVain:
        holders = projection.users_with(idp.idp, scope)
        nobody = nobody_gets(idp.profile, users_with=holders, users_without=users)
        return InVain(
            scope=scope, users_without=users, users_with=holders, why="not-given" if nobody else "not-allowed"
        )

    return tuple(told(scope, users) for scope, users in projection.ungiven(idp.idp).items())


def _connector_view(connector: Connector) -> ConnectorView:
    return ConnectorView(
        resource_type=connector.resource_type,
        connector=connector.connector,
        version=connector.version,
        title=connector.title,
        upstream_scopes=connector.upstream_scopes,
        cause=connector.cause,
    )


async def quarantine(request: Request) -> Response:
    """`GET /v1/quarantine`"""
    service, asked = service_of(request), query(request, MomentQuery)
    service.check_ready()
    async with standing(service, asked.at) as (projection, _):
        return json_response(QuarantineView(tuple(await projection.quarantine())))
