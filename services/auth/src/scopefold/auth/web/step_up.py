"""Where a person goes who must consent again: a link that needs no app, and ends on a page that says what came of it.

It is a login of this server's own client. The code that comes of it is never redeemed: nobody keeps its verifier.
"""

from collections.abc import Collection
from typing import Annotated, Final
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.store.records import Client
from scopefold.auth.web.browser import random_text
from scopefold.auth.web.pages import error_page, redirect
from scopefold.auth.web.service import Service, service_of
from scopefold.runtime.web import query

ACCOUNT: Final = "scopefold-account"
CONNECT: Final = "/account/connect"
CONNECTED: Final = "/account/connected"


class ConnectQuery(Struct, frozen=True, kw_only=True):
    """What the link is for."""

    resource: Annotated[str, Meta(max_length=600, description="A connector's resource type.")]
    choose: Annotated[
        bool, Meta(description="The user must choose at the identity provider, whatever was granted before.")
    ] = False


def own_client(issuers: Collection[str]) -> Client:
    """This server's own client. It is registered nowhere, and nobody else can have its name."""
    return Client(
        client_id=ACCOUNT,
        client_name="Scopefold",
        redirect_uris=tuple(f"{issuer}{CONNECTED}" for issuer in issuers),
        grant_types=("authorization_code",),
        scopes=("openid",),
        token_endpoint_auth_method="none",
    )


def step_up_address(service: Service, resource_type: str, *, choose: bool = False) -> str:
    """The link for everything that a resource type's connector needs. It names no person: it is anybody's own.

    `choose`: to the identity provider whatever was granted, as where another site is to be chosen.
    """
    asked = {"resource": resource_type, **({"choose": "true"} if choose else {})}
    return f"{service.issuer}{CONNECT}?{urlencode(asked)}"


def own_login(service: Service, **asked: str) -> str:
    """Where a login of this server's own client begins. `asked` are further parameters of the request."""
    parameters = {
        "response_type": "code",
        "client_id": ACCOUNT,
        "redirect_uri": f"{service.issuer}{CONNECTED}",
        "scope": "openid",
        "code_challenge": create_s256_code_challenge(random_text()),
        "code_challenge_method": "S256",
        **asked,
    }
    return f"{service.issuer}/authorize?{urlencode(parameters)}"


async def connect(request: Request) -> Response:
    """`GET /account/connect`"""
    service, asked = service_of(request), query(request, ConnectQuery)
    service.check_ready()
    if asked.resource not in service.scopes.routes:
        return error_page(
            404,
            "There is no such connector",
            "Nothing is connected under the name in this link. Ask whoever sent it to you for a new one.",
            code="unknown_resource",
        )
    prompt = {"prompt": "consent"} if asked.choose else {}
    return redirect(own_login(service, resource=asked.resource, state=asked.resource, **prompt))
