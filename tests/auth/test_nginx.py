"""The example gateway for nginx: a real one in front of the stand-in's Jira API, as `examples/gateways` has it."""

import base64
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
from tests.support import nginx
from tests.support.logs import CONFLUENCE, provisioned

CONFIGURATION: Final = Path(__file__).parents[2] / "examples" / "gateways" / "nginx.conf"


@contextmanager
def gate(world: World, gateway: Gateway, directory: Path) -> Iterator[str]:
    """A running nginx with the example's configuration and this world's addresses; its own address."""
    program = nginx.find()
    if program is None:
        pytest.skip(nginx.WHAT_TO_DO)
    credentials = base64.b64encode(f"{gateway.app.id}:{gateway.app.secret}".encode()).decode()
    place = f"127.0.0.1:{free_port()}"
    text = CONFIGURATION.read_text()
    ours = {
        "127.0.0.1:8443": place,
        "http://127.0.0.1:8080": world.auth.url,
        "http://127.0.0.1:8090": world.sandbox.url,
        "Basic REPLACE": f"Basic {credentials}",
        "urn:connector:identos:jira-user": gateway.resource,
    }
    for theirs, here in ours.items():
        assert theirs in text, theirs
        text = text.replace(theirs, here)
    with nginx.running(program, directory, f"http://{place}", text):
        yield f"http://{place}"


async def test_callers_bring_our_token_and_jira_gets_the_users_own(world: World, tmp_path: Path) -> None:
    idp = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, idp)
    token = await access_token(Person(world), app, idp_hint=idp)
    upstream = (await gateway.exchange(token)).json()["access_token"]
    path = MYSELF.format(site=await site_of(world, upstream))
    mine = {"authorization": f"Bearer {token}"}
    with gate(world, gateway, tmp_path) as address:
        async with httpx.AsyncClient(base_url=address) as http:
            answer = await http.get(path, headers=mine)
            assert (200, "alice@sandbox.example") == (answer.status_code, answer.json().get("emailAddress"))
            for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": f"Bearer {upstream}"}):
                refused = await http.get(path, headers=wrong)
                assert (401, True) == (refused.status_code, "www-authenticate" in refused.headers)
            assert 404 == (await http.get("/_scopefold", headers=mine)).status_code, "nobody asks it from outside"
            await world.publish(
                provisioned(f"jira-{idp}", (*JIRA_SCOPES, CONFLUENCE[0]), idp, "2.0.0"), by="provisioner"
            )
            short = await http.get(path, headers=mine)
    assert 403 == short.status_code
    assert f'scope="{CONFLUENCE[0]}"' in short.headers["www-authenticate"]
    assert "step_up_uri=" in short.headers["www-authenticate"]
