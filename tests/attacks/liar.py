"""An OpenID provider upstream whose token endpoint says whatever a test wants, byte by byte."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import httpx

from tests.auth.gateways import Gateway, subject_of
from tests.auth.oidc import oidc_idp
from tests.auth.world import App, World, query_of
from tests.support.browsing import Window
from tests.support.logs import provisioned

SCOPES: Final = ("openid", "email", "api:read")
GOOD: Final[dict[str, Any]] = {
    "access_token": "at-1",
    "refresh_token": "rt-1",
    "token_type": "Bearer",
    "expires_in": 3600,
    "scope": " ".join(SCOPES),
}


class Liar:
    """What it answers at its token endpoint, and what it was asked there."""

    def __init__(self) -> None:
        self.status = 200
        self.said: Any = GOOD
        """Bytes are sent as they are, anything else as JSON."""
        self.asked: list[dict[str, str]] = []
        self.address = ""
        self.subject = f"s-{secrets.token_hex(4)}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0] or 0)
            form = dict(parse_qsl((await reader.readexactly(length)).decode()))
            status, said = 200, cast("Any", {"sub": self.subject})
            if head.startswith("POST"):
                self.asked.append(form)
                status, said = self.status, self.said
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            told = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
            writer.write(f"HTTP/1.1 {status} Told\r\n{told}\r\n\r\n".encode() + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def liar() -> AsyncIterator[Liar]:
    """A running one."""
    made = Liar()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


async def idp_of(world: World, upstream: Liar) -> str:
    """It as a new IdP, with one connector; its name."""
    base = upstream.address
    endpoints = {"authorize": f"{base}/authorize", "token": f"{base}/token", "identity": f"{base}/userinfo"}
    idp = await oidc_idp(world, base_scopes=SCOPES[:2], endpoints=endpoints, client_id="us")
    await world.publish(provisioned(f"api-{idp}", SCOPES, idp), by="provisioner")
    return idp


async def come_back(world: World, idp: str, app: App) -> httpx.Response:
    """A login there; the answer of our callback."""
    browser = Window(world.auth.url)
    sent = query_of(await browser.get(app.address(idp_hint=idp)))
    back = httpx.QueryParams({"code": "c", "state": sent["state"]})
    return await browser.get(f"/oauth2/callback/{idp}?{back}")


async def logged_in(world: World, upstream: Liar) -> tuple[Gateway, str, str, str]:
    """A gateway, a user's access token, their id, and the IdP, which has told the truth so far."""
    idp, app = await idp_of(world, upstream), await world.register_client()
    swapped = await app.swap(query_of(await come_back(world, idp, app))["code"])
    token = str(swapped.json()["access_token"])
    await world.caught_up()
    upstream.asked.clear()
    return await Gateway.registered(world, idp, connector="api"), token, subject_of(token), idp
