"""A small service, to see over real HTTP what the web layer does: `python -m tests.runtime.served PORT`."""

import asyncio
import sys

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.contracts.words import IdpId, Scopes
from scopefold.runtime.leave import leave
from scopefold.runtime.logs import configure
from scopefold.runtime.secret import Secret
from scopefold.runtime.serve import PortTaken, serve
from scopefold.runtime.web import (
    Endpoint,
    ProblemError,
    application,
    json_body,
    json_response,
    limited_body,
    query,
    require_bearer,
)
from scopefold.runtime.web import route as route_of

CANARY = "canary-3f9a2c"
ADMIN = Secret("admin-" + CANARY)


class Body(Struct, kw_only=True):
    """What is posted."""

    idp: IdpId
    scopes: Scopes = ()
    count: int = 1


class Query(Struct, kw_only=True):
    """What is asked for."""

    idp: IdpId
    limit: int = 10


async def post(request: Request) -> Response:
    return json_response(await json_body(request, Body), 201)


async def get(request: Request) -> Response:
    return json_response(query(request, Query))


async def impatient(request: Request) -> Response:
    return json_response(len(await limited_body(request, seconds=0.3)))


async def fail(_: Request) -> Response:
    raise RuntimeError(f"the database said {CANARY}")


async def conflict(_: Request) -> Response:
    raise ProblemError(409, "conflict", "Somebody was faster", "Read again.", headers={"retry-after": "1"}, current=7)


async def done(_: Request) -> Response:
    return json_response({"done": True})


@require_bearer(ADMIN)
async def secured(_: Request) -> Response:
    return json_response({"secured": True})


@require_bearer(Secret(""))
async def misconfigured(_: Request) -> Response:
    return json_response({"secured": False})


ENDPOINTS = (
    Endpoint(
        method="POST", path="/things", summary="Post", handler=post, body=Body, answers={201: Body}, problems=(422,)
    ),
    Endpoint(method="GET", path="/things", summary="Get", handler=get, query=Query, answers={200: Query}),
    Endpoint(method="POST", path="/impatient", summary="Take what comes soon", handler=impatient, problems=(408,)),
    Endpoint(method="GET", path="/failure", summary="Fail", handler=fail, answers={204: None}),
    Endpoint(method="GET", path="/conflict/{name}", summary="Conflict", handler=conflict, problems=(409,)),
    Endpoint(method="DELETE", path="/v1/things", summary="Delete", handler=done, answers={200: None}),
    Endpoint(method="POST", path="/v1/things", summary="Do", handler=post, body=Body, answers={201: Body}),
    Endpoint(method="GET", path="/v1/things", summary="All", handler=done, answers={200: None}),
    Endpoint(method="GET", path="/secured", summary="Secured", handler=secured),
    Endpoint(method="GET", path="/misconfigured", summary="Misconfigured", handler=misconfigured),
)


def main() -> int:
    configure("served", "DEBUG")
    try:
        asyncio.run(serve(application([route_of(one) for one in ENDPOINTS]), "127.0.0.1", int(sys.argv[1])))
    except PortTaken as error:
        raise SystemExit(str(error)) from None
    return 0


if __name__ == "__main__":
    leave(main)
