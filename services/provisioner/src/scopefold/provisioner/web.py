"""The HTTP API of the provisioner. Each handler is thin: parse, handle, render."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from scopefold.contracts.commands import DeprovisionConnector, IdempotencyKey, ManagedResource, ProvisionConnector
from scopefold.contracts.words import ConnectorId, IdpId
from scopefold.ledger.moment import parse
from scopefold.provisioner.core.decide import Refused, not_provisioned, unknown_connector
from scopefold.provisioner.core.installed import State
from scopefold.provisioner.core.manifest import Manifest
from scopefold.provisioner.problems import FAILURES, granted, problem_of, refusal
from scopefold.provisioner.provisioning import Plan, Provisioning
from scopefold.runtime.moment import MomentQuery, moments_told
from scopefold.runtime.secret import Secret
from scopefold.runtime.web import (
    Endpoint,
    ProblemError,
    application,
    json_body,
    json_response,
    openapi,
    problem_response,
    query,
    require_bearer,
    route,
)

RESOURCES: Final = "/v1/managed-resources"
RESOURCE: Final = "/v1/managed-resources/{connector}"
PLANS: Final = "/v1/plans"


class ProvisionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a connector serve its resource type through an IdP. The header `Idempotency-Key` makes it safe to repeat."""

    connector: ConnectorId
    idp: IdpId
    auth_mode: Annotated[Literal["idp_passthrough"], Meta(description="Every call acts as the signed-in user.")] = (
        "idp_passthrough"
    )


class PlanRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would this command append? Nothing is appended."""

    command: ProvisionConnector | DeprovisionConnector


class ManagedResources(Struct, frozen=True):
    """Everything that is provisioned now."""

    items: tuple[ManagedResource, ...]


class Connectors(Struct, frozen=True):
    """Every connector that can be provisioned."""

    items: tuple[Manifest, ...]


class Health(Struct, frozen=True):
    """The process runs; or, at `/readyz`, the log can be read."""

    status: Literal["ok"] = "ok"


class Api:
    """The handlers, over one tenant's connectors."""

    def __init__(self, provisioning: Provisioning) -> None:
        self._provisioning = provisioning

    async def provision(self, request: Request) -> Response:
        asked = await json_body(request, ProvisionRequest)
        command = ProvisionConnector(
            connector=asked.connector, idp=asked.idp, auth_mode=asked.auth_mode, idempotency_key=_key_of(request)
        )
        answer = granted(await self._provisioning.handle(command))
        location = {"location": RESOURCE.format(connector=answer.resource.connector)} if answer.changed else {}
        return json_response(answer.resource, 201 if answer.changed else 200, location)

    async def resources(self, request: Request) -> Response:
        return json_response(ManagedResources((await self._standing(request)).resources))

    async def resource(self, request: Request) -> Response:
        connector = request.path_params["connector"]
        found = (await self._standing(request)).resource(connector)
        if found is None:
            raise refusal(not_provisioned(connector))
        return json_response(found)

    async def _standing(self, request: Request) -> State:
        """What is provisioned, now or at the moment that the request names. Raises `ProblemError`."""
        asked = query(request, MomentQuery)
        if asked.at is None:
            return await self._provisioning.current()
        with moments_told():
            return await self._provisioning.at(parse(asked.at))

    async def deprovision(self, request: Request) -> Response:
        command = DeprovisionConnector(connector=request.path_params["connector"], idempotency_key=_key_of(request))
        return json_response(granted(await self._provisioning.handle(command)).resource)

    async def plan(self, request: Request) -> Response:
        asked = await json_body(request, PlanRequest)
        plan = await self._provisioning.plan(asked.command)
        if isinstance(plan, Refused):
            raise refusal(plan)
        return json_response(plan)

    async def connectors(self, _: Request) -> Response:
        return json_response(Connectors(tuple(self._provisioning.manifests.values())))

    async def connector(self, request: Request) -> Response:
        connector = request.path_params["connector"]
        found = self._provisioning.manifests.get(connector)
        if found is None:
            raise refusal(unknown_connector(connector))
        return json_response(found)

    async def healthz(self, _: Request) -> Response:
        return json_response(Health())

    async def readyz(self, _: Request) -> Response:
        await self._provisioning.current()
        return json_response(Health())


def build(provisioning: Provisioning, admin_token: Secret, version: str) -> Starlette:
    """The application. Everything under /v1 needs the admin credential."""
    api = Api(provisioning)
    guarded = _guarded(api, admin_token)
    described: list[Endpoint] = []

    async def document(_: Request) -> Response:
        return json_response(_document(described, version))

    described += [
        *guarded,
        *_open(api),
        Endpoint(method="GET", path="/openapi.json", summary="This description", handler=document, answers={200: None}),
    ]
    return application(
        [route(endpoint) for endpoint in described], exception_handlers=dict.fromkeys(FAILURES, _log_failed)
    )


def _guarded(api: Api, admin_token: Secret) -> Sequence[Endpoint]:
    admin = require_bearer(admin_token)
    return (
        Endpoint(
            method="POST", path=RESOURCES, summary="Provision a connector", handler=admin(api.provision),
            body=ProvisionRequest, answers={201: ManagedResource, 200: ManagedResource},
            problems=(400, 401, 404, 409, 413, 415, 422, 503, 507),
        ),
        Endpoint(
            method="GET", path=RESOURCES, summary="List what is provisioned", handler=admin(api.resources),
            query=MomentQuery, answers={200: ManagedResources}, problems=(400, 401, 503),
        ),
        Endpoint(
            method="GET", path=RESOURCE, summary="Show one provisioned connector", handler=admin(api.resource),
            query=MomentQuery, answers={200: ManagedResource}, problems=(400, 401, 404, 503),
        ),
        Endpoint(
            method="DELETE", path=RESOURCE, summary="Deprovision a connector", handler=admin(api.deprovision),
            answers={200: ManagedResource}, problems=(401, 404, 422, 503, 507),
        ),
        Endpoint(
            method="POST", path=PLANS, summary="What a command would append, and what would then be wrong; a dry run",
            handler=admin(api.plan), body=PlanRequest, answers={200: Plan},
            problems=(400, 401, 404, 409, 413, 415, 422, 503),
        ),
        Endpoint(
            method="GET", path="/v1/connectors", summary="List the connectors that can be provisioned",
            handler=admin(api.connectors), answers={200: Connectors}, problems=(401,),
        ),
        Endpoint(
            method="GET", path="/v1/connectors/{connector}", summary="Show one connector's manifest",
            handler=admin(api.connector), answers={200: Manifest}, problems=(401, 404),
        ),
    )  # fmt: skip


def _open(api: Api) -> Sequence[Endpoint]:
    return (
        Endpoint(method="GET", path="/healthz", summary="Does the process run?", handler=api.healthz,
                 answers={200: Health}),
        Endpoint(method="GET", path="/readyz", summary="Can the log be read?", handler=api.readyz,
                 answers={200: Health}, problems=(503,)),
    )  # fmt: skip


def _document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    document = openapi("Scopefold provisioner", version, endpoints, secured=True)
    for endpoint in endpoints:
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        if not endpoint.path.startswith("/v1/"):
            operation["security"] = []
        elif endpoint.method in ("POST", "DELETE") and endpoint.path != PLANS:
            operation.setdefault("parameters", []).append(_KEY_PARAMETER)
    return document


_KEY_PARAMETER: Final = {
    "name": "Idempotency-Key", "in": "header", "required": False, "schema": msgspec.json.schema(IdempotencyKey)
}  # fmt: skip


def _key_of(request: Request) -> str | None:
    """The idempotency key, if the request has one. Raises `ProblemError` for one that is malformed."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    try:
        (key,) = msgspec.convert(given, tuple[IdempotencyKey])
    except msgspec.ValidationError:
        detail = "Send the header once, with 8 to 100 visible ASCII characters."
        raise ProblemError(422, "invalid-idempotency-key", "The Idempotency-Key cannot be used", detail) from None
    return key


async def _log_failed(_: Request, error: Exception) -> Response:
    return problem_response(problem_of(error))
