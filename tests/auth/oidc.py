"""What the tests of OpenID Connect need: an OpenID provider upstream, and a client that is told of logouts."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.auth.world import App, Person, World, query_of, with_callback
from tests.sandbox.visitor import transaction_in

LOGGED_OUT = "https://app.example/logged-out"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


async def oidc_idp(world: World, profile: str = "oidc", **changed: Any) -> str:
    """The sandbox's OpenID provider as a new IdP; its name."""
    idp, base = f"oidc-{secrets.token_hex(4)}", f"{world.sandbox.url}/oidc"
    endpoints = {"authorize": f"{base}/authorize", "token": f"{base}/token", "identity": f"{base}/userinfo"}
    body = {"idp": idp, "profile": profile, "client_id": "sandbox-oidc", "client_secret": "sandbox-oidc-secret"}
    scopes = ["openid", "profile", "email", "groups"]
    whole = {**body, "base_scopes": scopes, "endpoints": endpoints, **changed}
    answer = await world.admin("POST", "/v1/idps", json=whole)
    assert 201 == answer.status_code, answer.text
    console = "/oidc/console/apps/sandbox-oidc"
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        app = (await http.get(console)).json()
        callbacks = with_callback(app["callbacks"], f"{world.auth.url}/oauth2/callback/{idp}")
        kept = {key: app[key] for key in ("name", "permitted_scopes")}
        assert 200 == (await http.put(console, json={**kept, "callbacks": callbacks})).status_code
    return idp


async def through_oidc(person: Person, app: App, **changed: str | None) -> httpx.Response:
    """The whole way through the OpenID provider; the answer of our callback."""
    sandbox = f"{person.world.sandbox.url}/oidc"
    began = await person.browser.get(app.address(**changed))
    assert began.headers["location"].startswith(f"{sandbox}/authorize"), began.text
    page = await person.browser.get(began.headers["location"])
    fields = {"transaction": transaction_in(page), "user": person.name}
    answer = await person.browser.post(f"{sandbox}/login", data=fields)
    if answer.status_code == 200:
        fields = {"transaction": transaction_in(answer), "decision": "accept"}
        answer = await person.browser.post(f"{sandbox}/consent", data=fields)
    return await person.browser.get(answer.headers["location"])


async def tokens_of(app: App, answer: httpx.Response) -> dict[str, Any]:
    """The token answer for the code that this redirect carries."""
    assert 303 == answer.status_code, answer.text
    swapped = await app.swap(query_of(answer)["code"])
    assert 200 == swapped.status_code, swapped.text
    return dict(swapped.json())


async def sent_upstream(person: Person, app: App, **changed: str | None) -> dict[str, str]:
    """The parameters with which the browser is sent to the IdP."""
    answer = await person.browser.get(app.address(**changed))
    assert answer.headers["location"].startswith(person.world.sandbox.url), answer.text
    return query_of(answer)


async def userinfo(world: World, token: str, method: str = "GET", **rest: Any) -> httpx.Response:
    """One request to UserInfo with the token in the header."""
    async with httpx.AsyncClient(timeout=20) as http:
        rest.setdefault("headers", {"authorization": f"Bearer {token}"})
        return await http.request(method, f"{world.auth.url}/oauth2/userinfo", **rest)


async def signed_by_us(world: World, token: str) -> jwt.Token:
    """A JWT whose RS256 signature is ours."""
    async with httpx.AsyncClient(timeout=20) as http:
        keys = (await http.get(f"{world.auth.url}/oauth2/jwks")).json()
    return jwt.decode(token, KeySet.import_key_set(keys), algorithms=["RS256"])


class Receiver:
    """A client's back-channel logout endpoint. It answers with each of `statuses` in turn, the last one ever after;
    0 is never to answer.
    """

    def __init__(self, statuses: Sequence[int]) -> None:
        self._statuses = list(statuses)
        self.received: list[dict[str, str]] = []
        self.address = ""
        self._open: list[asyncio.StreamWriter] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
        self.received.append(dict(parse_qsl((await reader.readexactly(length)).decode())))
        status = self._statuses[0] if len(self._statuses) == 1 else self._statuses.pop(0)
        if status:
            writer.write(f"HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()

    async def close(self) -> None:
        """Hang up on whoever still waits."""
        for writer in self._open:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[Receiver]:
    """A running one, on a port of its own."""
    one = Receiver(statuses or (200,))
    server = await asyncio.start_server(one.answer, "127.0.0.1", 0)
    one.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/backchannel"
    try:
        yield one
    finally:
        server.close()
        await one.close()
