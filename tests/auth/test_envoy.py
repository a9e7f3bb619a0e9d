"""The example gateway for Envoy: a real one in front of the stand-in's Jira API, as `examples/gateways` has it."""

import base64
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from scopefold.cli.ports import free_port
from tests.auth.gateways import Gateway, access_token
from tests.auth.test_caddy import MYSELF, site_of
from tests.auth.world import JIRA_SCOPES, Person, World
from tests.support.logs import CONFLUENCE, provisioned
from tests.support.served import serving

CONFIGURATION: Final = Path(__file__).parents[2] / "examples" / "gateways" / "envoy.yaml"
ENVOY: Final = Path(sysconfig.get_path("scripts")) / "envoy"


@contextmanager
def gate(world: World, gateway: Gateway, directory: Path) -> Iterator[str]:
    """A running Envoy with the example's configuration and this world's addresses; its own address."""
    if not ENVOY.exists():
        pytest.skip("no Envoy is installed here: it is packaged for Linux")
    credentials = base64.b64encode(f"{gateway.app.id}:{gateway.app.secret}".encode()).decode()
    port = free_port()
    text = CONFIGURATION.read_text()
    ours = {
        "port_value: 8443": f"port_value: {port}",
        "http://127.0.0.1:8080": world.auth.url,
        "port_value: 8080": f"port_value: {world.auth.url.rpartition(':')[2]}",
        "port_value: 8090": f"port_value: {world.sandbox.url.rpartition(':')[2]}",
        "Basic REPLACE": f"Basic {credentials}",
        "urn:connector:identos:jira-user": gateway.resource,
    }
    for theirs, here in ours.items():
        assert theirs in text, theirs
        text = text.replace(theirs, here)
    (directory / "envoy.yaml").write_text(text)
    options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
    command = [str(ENVOY), "-c", str(directory / "envoy.yaml"), *options]
    address = f"http://127.0.0.1:{port}"
    with serving(command, directory, address, directory / "envoy.stderr", HOME=str(directory)):
        yield address


async def test_callers_bring_our_token_and_jira_gets_the_users_own(world: World, tmp_path: Path) -> None:
    idp = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, idp)
    token = await access_token(Person(world), app, idp_hint=idp)
    upstream = (await gateway.exchange(token)).json()["access_token"]
    path = MYSELF.format(site=await site_of(world, upstream))
    mine = {"authorization": f"Bearer {token}"}
    with gate(world, gateway, tmp_path) as address:
        async with httpx.AsyncClient(base_url=address) as http:
            answer = await http.get(f"{path}?resource=urn:connector:identos:other", headers=mine)
            assert (200, "alice@sandbox.example") == (answer.status_code, answer.json().get("emailAddress"))
            for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": f"Bearer {upstream}"}):
                refused = await http.get(path, headers=wrong)
                assert (401, True) == (refused.status_code, "www-authenticate" in refused.headers)
            await world.publish(
                provisioned(f"jira-{idp}", (*JIRA_SCOPES, CONFLUENCE[0]), idp, "2.0.0"), by="provisioner"
            )
            short = await http.get(path, headers={**mine, "x-gateway-scope": JIRA_SCOPES[0]})
    assert (403, CONFLUENCE[0]) == (short.status_code, short.json()["scope"]), "what the user sent counts for nothing"
    assert "step_up_uri=" in short.headers["www-authenticate"]
