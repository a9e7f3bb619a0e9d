"""Logins through auth at any stand-in of the sandbox: registered as the sandbox itself says, walked as people do."""

import re
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import httpx

from scopefold.auth.core.seal import read_key
from scopefold.auth.core.stored_token import StoredToken
from scopefold.auth.store import buckets
from scopefold.auth.store.vault import Vault
from scopefold.contracts.events import TokenStored
from tests.auth.world import KEK, App, World, query_of, with_callback
from tests.sandbox.walk import TICK_BOX, transaction_in
from tests.support.browsing import Window
from tests.support.logs import provisioned


async def stand_in(world: World, name: str) -> dict[str, Any]:
    """What the sandbox says of a stand-in."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        items = (await http.get("/stand-ins.json")).json()["items"]
        return next(one for one in items if one["name"] == name)


async def switch(world: World, name: str, **switches: Any) -> None:
    """Set a stand-in's switches; what is left out goes back to its first value."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        answer = await http.put("/switches", json={name: {"switches": switches}})
        assert 200 == answer.status_code, answer.text


async def registered_at(world: World, name: str, *scopes: str, **changed: Any) -> str:
    """A new IdP at this stand-in, with one connector that needs these scopes; its name."""
    told, idp = await stand_in(world, name), f"{name}-{secrets.token_hex(4)}"
    body = {
        "idp": idp,
        "profile": told["profiles"][0],
        "client_id": told["client_id"],
        "client_secret": told["client_secret"],
        "endpoints": told["endpoints"],
    }
    answer = await world.admin("POST", "/v1/idps", json={**body, **changed})
    assert 201 == answer.status_code, answer.text
    async with httpx.AsyncClient() as http:
        app = (await http.get(told["app"])).json()
        del app["client_id"]
        app["callbacks"] = with_callback(app["callbacks"], answer.json()["callback"])
        assert 200 == (await http.put(told["app"], json=app)).status_code
    await world.publish(provisioned(f"api-{idp}", scopes, idp), by="provisioner")
    return idp


async def revoke_at(world: World, name: str, user: str) -> None:
    """What users do among the apps of their account at a stand-in: they take back everything."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        body = {"user": user, "client_id": f"sandbox-{name}"}
        assert 200 == (await http.post(f"/{name}/console/revoke", json=body)).status_code


class Visitor:
    """Somebody with a browser and an account at every stand-in."""

    def __init__(self, world: World, name: str = "alice") -> None:
        self.world = world
        self.name = name
        self.browser = Window(world.auth.url)
        self.sent: dict[str, str] = {}

    async def callback(self, app: App, idp: str, untick: Collection[str] = (), **changed: str | None) -> str:
        """From the app's address over all pages of the IdP; the address that it sends the browser back to."""
        answer = await self.browser.get(app.address(idp_hint=idp, **changed))
        if answer.status_code == 200:  # the page that explains a step-up
            found = re.search(r'id="continue" href="([^"]+)"', answer.text)
            assert found is not None, answer.text
            upstream = found[1].replace("&amp;", "&")
        else:
            assert 303 == answer.status_code, answer.text
            upstream = answer.headers["location"]
            self.sent = query_of(answer)
        base = re.sub(r"^(https?://[^/]+/[^/]+)/.*$", r"\1", upstream, flags=re.S)
        page = await self.browser.get(upstream)
        page = await self.browser.post(f"{base}/login", data={"transaction": transaction_in(page), "user": self.name})
        if page.status_code == 200:
            site = re.search(r'<option value="([^"]+)"', page.text)
            boxes = {
                name: "on" for name, ticked, scope in TICK_BOX.findall(page.text) if ticked and scope not in untick
            }
            fields = {"transaction": transaction_in(page), "decision": "accept", "site": site[1] if site else ""}
            page = await self.browser.post(f"{base}/consent", data={**fields, **boxes})
        assert 303 == page.status_code, page.text
        return str(page.headers["location"])

    async def user(self, app: App, idp: str, untick: Collection[str] = (), **changed: str | None) -> str:
        """All the way, and the app's swap; the user id."""
        answer = await self.browser.get(await self.callback(app, idp, untick, **changed))
        assert 303 == answer.status_code, answer.text
        told = query_of(answer)
        assert "code" in told, told
        swapped = await app.swap(told["code"])
        return str((await app.verified(swapped.json()["id_token"]))["sub"])


@asynccontextmanager
async def vault(world: World) -> AsyncIterator[Vault]:
    """The vault, opened as auth opens it."""
    async with world.keeper() as nc:
        opened = Vault((await buckets.connect(nc.jetstream())).vault, "default", read_key(KEK))
        await opened.open()
        yield opened


async def row_of(world: World, user: str, idp: str) -> StoredToken:
    """A user's row in the vault."""
    async with vault(world) as opened:
        found = await opened.token(user, idp)
    assert found is not None
    return found[0]


async def told_of(world: World, idp: str) -> TokenStored:
    """The one `TokenStored` of an IdP."""
    (event,) = await world.said(TokenStored, idp)
    assert isinstance(event, TokenStored)
    return event
