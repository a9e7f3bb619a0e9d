"""The example gateway: a real Caddy in front of the stand-in's Jira API, configured as `examples/gateways` has it."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from scopefold.cli import caddy
from tests.auth.gateways import Gateway, access_token
from tests.auth.world import JIRA_SCOPES, Person, World
from tests.support.logs import CONFLUENCE, provisioned

CADDYFILE: Final = Path(__file__).parents[2] / "examples" / "gateways" / "Caddyfile"
MYSELF: Final = "/atlassian/ex/jira/{site}/rest/api/3/myself"


@contextmanager
def caddy_before(world: World, gateway: Gateway, directory: Path, missing: str = "challenge") -> Iterator[str]:
    """A running Caddy in front of the sandbox; its address."""
    program = caddy.executable()
    assert program is not None, "there is no caddy here"
    credentials = base64.b64encode(f"{gateway.app.id}:{gateway.app.secret}".encode()).decode()
    settings = caddy.Gateway(
        auth=world.auth.url,
        credentials=f"Basic {credentials}",
        resource=gateway.resource,
        upstream=world.sandbox.url,
        missing=missing,
    )
    with caddy.running(program, settings, directory, CADDYFILE) as address:
        yield address


def test_the_demo_runs_the_example() -> None:
    assert CADDYFILE.read_bytes() == caddy.CADDYFILE.read_bytes()


async def site_of(world: World, token: str) -> str:
    """The site of a user's upstream token."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        answer = await http.get(
            "/atlassian/oauth/token/accessible-resources", headers={"authorization": f"Bearer {token}"}
        )
    return str(answer.json()[0]["id"])


async def test_callers_bring_our_token_and_jira_gets_the_users_own(world: World, tmp_path: Path) -> None:
    idp = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, idp)
    token = await access_token(Person(world), app, idp_hint=idp)
    upstream = (await gateway.exchange(token)).json()["access_token"]
    path = MYSELF.format(site=await site_of(world, upstream))
    with caddy_before(world, gateway, tmp_path) as address:
        async with httpx.AsyncClient(base_url=address) as http:
            answer = await http.get(path, headers={"authorization": f"Bearer {token}"})
            assert (200, "alice@sandbox.example") == (answer.status_code, answer.json().get("emailAddress")), (
                answer.text
            )
            for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": f"Bearer {upstream}"}):
                refused = await http.get(path, headers=wrong)
                assert (401, True) == (refused.status_code, "www-authenticate" in refused.headers)
            await world.publish(
                provisioned(f"jira-{idp}", (*JIRA_SCOPES, CONFLUENCE[0]), idp, "2.0.0"), by="provisioner"
            )
            short = await http.get(path, headers={"authorization": f"Bearer {token}"})
    assert (403, CONFLUENCE[0]) == (short.status_code, short.json()["scope"])
    assert "step_up_uri=" in short.headers["www-authenticate"]


async def test_a_gateway_that_wants_502_gets_the_sentence_for_users(world: World, tmp_path: Path) -> None:
    idp = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, idp)
    token = await access_token(Person(world), app, idp_hint=idp)
    await world.publish(provisioned(f"jira-{idp}", (*JIRA_SCOPES, CONFLUENCE[0]), idp, "2.0.0"), by="provisioner")
    with caddy_before(world, gateway, tmp_path, "bad-gateway") as address:
        async with httpx.AsyncClient(base_url=address) as http:
            answer = await http.get("/atlassian/me", headers={"authorization": f"Bearer {token}"})
    sentence = f"Stored IdP token missing required scopes: [{CONFLUENCE[0]}]. User must re-authenticate with step-up."
    assert (502, sentence) == (answer.status_code, answer.json()["detail"])
