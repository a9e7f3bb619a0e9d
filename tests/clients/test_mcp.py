"""The OAuth client of the MCP Python SDK, as it comes: it finds us, registers or names itself, and logs somebody in."""

from typing import Final

import httpx
import httpx2
import pytest
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.auth.canary import canary, json_page
from tests.auth.world import World
from tests.clients.recipes import register
from tests.clients.visitor import Visitor

FIXED: Final = "http://127.0.0.1:33418/callback"
"""The address that VS Code listens at."""


class Kept(TokenStorage):
    """What the client would keep on disk."""

    def __init__(self, client: OAuthClientInformationFull | None = None) -> None:
        self.tokens: OAuthToken | None = None
        self.client = client

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def provider_of(server: str, visitor: Visitor, kept: Kept, redirect: str) -> OAuthClientProvider:
    """The client of an MCP server, with a browser that its person sits at."""
    came: list[AuthorizationCodeResult] = []

    async def open_browser(address: str) -> None:
        back = httpx.URL(await visitor.sent_back(address, redirect)).params
        came.append(AuthorizationCodeResult(code=back["code"], state=back["state"], iss=back["iss"]))

    async def come_back() -> AuthorizationCodeResult:
        return came.pop()

    metadata = OAuthClientMetadata(client_name="An MCP client", redirect_uris=[AnyUrl(redirect)])
    return OAuthClientProvider(
        server_url=server,
        client_metadata=metadata,
        storage=kept,
        redirect_handler=open_browser,
        callback_handler=come_back,
    )


async def log_in(world: World, visitor: Visitor, kept: Kept, redirect: str, server: str = "") -> OAuthToken:
    """Ask for what nobody without a token may have: 401, and all the rest before this returns."""
    server = server or f"{world.auth.url}/v1/idps"
    async with httpx2.AsyncClient(auth=provider_of(server, visitor, kept, redirect), timeout=20) as http:
        await http.get(server)
    assert kept.tokens is not None
    return kept.tokens


@pytest.mark.parametrize("redirect", [FIXED, "http://localhost:52341/callback"])
async def test_it_discovers_registers_and_logs_in_without_being_told_anything(world: World, redirect: str) -> None:
    alice, kept = Visitor(world), Kept()
    tokens = await log_in(world, alice, kept, redirect)
    assert kept.client is not None
    assert ("An MCP client", True) == (kept.client.client_name, kept.client.client_id.startswith("dc_"))
    assert ("Bearer", 3) == (tokens.token_type, tokens.access_token.count(".") + 1)
    assert "a program on this computer" in alice.pages[-1].text, "she is asked, and told where it leads"


async def test_a_registered_client_comes_back_at_any_port_and_nobody_is_asked(world: World) -> None:
    """Registered as the recipe has it: without a port, for `localhost` and for the address. An MCP server that is not
    ours names us in its metadata, and gets a token that is for it alone.
    """
    async with canary() as server:
        resource = f"{server.url}/mcp"
        app = await register(world, "mcp.md", "claude-code", {"https://mcp.example.com/mcp": resource})
        metadata = {"resource": resource, "authorization_servers": [world.auth.url]}
        server.pages["/.well-known/oauth-protected-resource/mcp"] = json_page(metadata)
        named = f'Bearer resource_metadata="{server.url}/.well-known/oauth-protected-resource/mcp"'
        server.pages["/mcp"] = 401, {"www-authenticate": named}, b""
        for redirect in ("http://localhost:52341/callback", "http://127.0.0.1:49152/callback"):
            known = OAuthClientInformationFull(
                client_id=app.id, redirect_uris=[AnyUrl(redirect)], token_endpoint_auth_method="none"
            )
            alice = Visitor(world)
            tokens = await log_in(world, alice, Kept(known), redirect, resource)
            assert resource == (await app.access_token(tokens.access_token))["aud"]
            assert [] == [page.url for page in alice.pages if str(page.url).startswith(world.auth.url)]


async def test_it_renews_by_itself(world: World) -> None:
    alice, kept = Visitor(world), Kept()
    provider = provider_of(f"{world.auth.url}/v1/idps", alice, kept, FIXED)
    async with httpx2.AsyncClient(auth=provider, timeout=20) as http:
        await http.get(f"{world.auth.url}/v1/idps")
        assert kept.tokens is not None
        first, pages = kept.tokens, list(alice.pages)
        provider.context.token_expiry_time = 1.0  # long ago
        await http.get(f"{world.auth.url}/oauth2/userinfo")
    assert kept.tokens.refresh_token not in (None, first.refresh_token)
    assert pages == alice.pages, "nobody was sent to log in again"
