"""Authlib, on the client's side: the example app, run as its recipe says, and its client for httpx."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from scopefold.cli.ports import free_port
from tests.auth.world import App, World
from tests.clients.recipes import register
from tests.clients.visitor import Visitor
from tests.support.served import serving

EXAMPLE: Final = Path(__file__).parents[2] / "examples/python"


@contextmanager
def example(app: App, port: int, tmp_path: Path) -> Iterator[str]:
    """The example, started with its three settings."""
    settings = {"ISSUER": app.world.auth.url, "CLIENT_ID": app.id, "CLIENT_SECRET": str(app.secret)}
    command = [sys.executable, "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with serving(command, EXAMPLE, address, tmp_path / "app.stderr", **settings):
        yield address


async def test_the_example_app_logs_people_in(world: World, tmp_path: Path) -> None:
    port, alice = free_port(), Visitor(world)
    app = await register(world, "python.md", "python-app", {"127.0.0.1:8000": f"127.0.0.1:{port}"})
    with example(app, port, tmp_path) as address:
        back = await alice.sent_back(address, f"{address}/callback")
        home = await alice.browser.get(back)
        assert (307, f"{address}/") == (home.status_code, home.headers["location"]), home.text
        told = (await alice.browser.get(address)).json()
    assert ("Alice Arden", "alice@sandbox.example", world.auth.url) == (told["name"], told["email"], told["iss"])


async def test_the_example_app_refuses_an_answer_that_it_did_not_ask_for(world: World, tmp_path: Path) -> None:
    port, alice, mallory = free_port(), Visitor(world), Visitor(world, "bob")
    redirects = [f"http://127.0.0.1:{port}/callback"]
    app = await world.register_client(redirect_uris=redirects, token_endpoint_auth_method="client_secret_basic")
    with example(app, port, tmp_path) as address:
        back = await mallory.sent_back(address, f"{address}/callback")
        answer = await alice.browser.get(back)
    assert (403, "mismatching_state") == (answer.status_code, answer.json()["error"])


async def test_its_client_for_httpx_asks_refreshes_and_gives_back(world: World) -> None:
    redirect, verifier = "https://authlib.example/callback", "v" * 64
    app = await world.register_client(
        redirect_uris=[redirect],
        scopes=["openid", "profile", "email", "offline_access"],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="client_secret_basic",
    )
    async with httpx.AsyncClient() as http:
        metadata: dict[str, Any] = (await http.get(f"{world.auth.url}/.well-known/openid-configuration")).json()
    client = AsyncOAuth2Client(
        app.id,
        app.secret,
        scope="openid profile email offline_access",
        redirect_uri=redirect,
        code_challenge_method="S256",
    )
    async with client:
        address, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
        back = await Visitor(world).sent_back(address, redirect)
        token_endpoint = metadata["token_endpoint"]
        await client.fetch_token(token_endpoint, authorization_response=back, code_verifier=verifier, state=state)
        who = (await client.get(metadata["userinfo_endpoint"])).json()
        first = dict(client.token)
        await client.refresh_token(token_endpoint)
        again = (await client.get(metadata["userinfo_endpoint"])).json()
        await client.revoke_token(metadata["revocation_endpoint"], token=client.token["refresh_token"])
        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(token_endpoint)
    assert ("alice@sandbox.example", who) == (who["email"], again)
    assert first["refresh_token"] != client.token["refresh_token"]
