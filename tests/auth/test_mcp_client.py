"""The OAuth client of the MCP Python SDK, as it comes: it finds us, registers or names itself, and logs somebody in."""

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.auth.world import App, Person, World, query_of

CALLBACK = "http://127.0.0.1:33418/callback"


class Kept(TokenStorage):
    """What the client would keep on disk."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Opened(App):
    """The address that the client opened in a browser."""

    def __init__(self, world: World, address: str) -> None:
        super().__init__(world, {"client_id": httpx2.URL(address).params["client_id"]})
        self._address = address

    def address(self, **changed: str | None) -> str:
        return f"{self._address}&{httpx2.QueryParams(changed)}"


def client_of(world: World, idp: str, person: Person, kept: Kept) -> OAuthClientProvider:
    came: list[AuthorizationCodeResult] = []

    async def open_browser(address: str) -> None:
        question = await person.asked(Opened(world, address), idp_hint=idp)
        assert "a program on this computer" in question.text
        answer = await person.decide(question)
        assert answer.headers["location"].startswith(CALLBACK)
        told = query_of(answer)
        came.append(AuthorizationCodeResult(code=told["code"], state=told["state"], iss=told["iss"]))

    async def come_back() -> AuthorizationCodeResult:
        return came.pop()

    metadata = OAuthClientMetadata(client_name="An MCP client", redirect_uris=[AnyUrl(CALLBACK)])
    return OAuthClientProvider(
        server_url=f"{world.auth.url}/v1/idps",
        client_metadata=metadata,
        storage=kept,
        redirect_handler=open_browser,
        callback_handler=come_back,
    )


async def test_it_discovers_registers_and_logs_in_without_being_told_anything(welcoming: World) -> None:
    idp, kept = await welcoming.idp_with_jira(), Kept()
    provider = client_of(welcoming, idp, Person(welcoming), kept)
    async with httpx2.AsyncClient(auth=provider, timeout=20) as http:
        await http.get(f"{welcoming.auth.url}/v1/idps")  # 401, and all the rest before this returns
    assert kept.client is not None
    assert kept.tokens is not None
    assert ("An MCP client", True) == (kept.client.client_name, kept.client.client_id.startswith("dc_"))
    assert ("Bearer", 3) == (kept.tokens.token_type, kept.tokens.access_token.count(".") + 1)
