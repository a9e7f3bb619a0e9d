"""Gateways: clients that exchange users' access tokens, and what the stand-in saw of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import httpx
from msgspec.structs import replace

from scopefold.auth.core.stored_token import StoredToken
from scopefold.auth.oauth.exchange import ACCESS_TOKEN, EXCHANGE
from scopefold.auth.web.service import now
from scopefold.contracts.words import resource_type_of
from tests.auth.providers import Visitor, vault
from tests.auth.test_requests import claims_of
from tests.auth.world import App, Person, World, query_of

MOST_PATIENCE_SECONDS: Final = 60.0


def resource_of(idp: str, connector: str = "jira") -> str:
    """The resource type of a connector: `jira` as `World.idp_with_jira` provisions it, `api` as `registered_at`."""
    return resource_type_of(f"identos.{connector}-{idp}")


class Gateway:
    """A confidential client that may exchange tokens for one connector's resource type, and others that are named."""

    def __init__(self, app: App, resource: str) -> None:
        self.app = app
        self.resource = resource

    @classmethod
    async def registered(
        cls, world: World, idp: str, *others: str, connector: str = "jira", **changed: Any
    ) -> "Gateway":
        """A new one."""
        resource = resource_of(idp, connector)
        asked: dict[str, Any] = {
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": [EXCHANGE],
            "exchange_resources": [resource, *others],
            "redirect_uris": [],
            "scopes": ["profile", "email"],
        }
        return cls(await world.register_client(**{**asked, **changed}), resource)

    async def exchange(
        self, token: str, *, at: str = "", headers: Any = None, **changed: str | list[str] | None
    ) -> httpx.Response:
        """Exchange a user's access token. `at`: another replica's or issuer's address; a list is sent one by one."""
        right: dict[str, str | list[str] | None] = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "resource": self.resource,
        }
        form = {name: value for name, value in {**right, **changed}.items() if value is not None}
        async with httpx.AsyncClient(timeout=60) as http:
            return await http.post(
                f"{at or self.app.world.auth.url}/oauth2/token",
                data=form,
                auth=(self.app.id, self.app.secret or ""),
                headers=headers,
            )


async def asked_again(gateway: Gateway, token: str, *, at: str = "") -> httpx.Response:
    """Exchange, and where the answer is 503, again after as long as it says, as a client should; the last answer."""
    deadline = time.monotonic() + MOST_PATIENCE_SECONDS
    while (answer := await gateway.exchange(token, at=at)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(int(answer.headers["retry-after"]))
    return answer


async def access_token(person: Person, app: App, **changed: str | None) -> str:
    """All the way, and the app's swap; the user's access token. Auth has folded the login by then."""
    answer = await app.swap(await person.log_in(app, **changed))
    assert 200 == answer.status_code, answer.text
    await person.world.caught_up()
    return str(answer.json()["access_token"])


async def logged_in(world: World, idp: str, name: str = "alice") -> tuple[Gateway, str, str]:
    """A gateway, a person's access token, and their id."""
    token = await access_token(Person(world, name), await world.register_client(), idp_hint=idp)
    return await Gateway.registered(world, idp), token, subject_of(token)


async def visitors_token(person: Visitor, app: App, idp: str, **changed: Any) -> str:
    """The same at any stand-in."""
    answer = await person.browser.get(await person.callback(app, idp, **changed))
    assert 303 == answer.status_code, answer.text
    swapped = await app.swap(query_of(answer)["code"])
    assert 200 == swapped.status_code, swapped.text
    await person.world.caught_up()
    return str(swapped.json()["access_token"])


def subject_of(token: str) -> str:
    """The user that an access token is about."""
    return str(claims_of(token)["sub"])


async def at_its_end(world: World, user: str, idp: str, *, lives_seconds: float = -1) -> StoredToken:
    """The user's row, changed in the vault so that its access tokens live no longer than this."""
    at = now() + timedelta(seconds=lives_seconds)
    async with vault(world) as opened:
        found = await opened.token(user, idp)
        assert found is not None
        parts = tuple(replace(one, access_expires_at=at) for one in found[0].parts)
        row = replace(found[0], access_expires_at=at, parts=parts)
        await opened.put_token(user, idp, row, revision=found[1])
    return row


async def at_stand_in(world: World, name: str, path: str, token: str) -> httpx.Response:
    """A call of an API at a stand-in."""
    async with httpx.AsyncClient(base_url=f"{world.sandbox.url}/{name}/") as http:
        return await http.get(path, headers={"authorization": f"Bearer {token}"})


async def faults(world: World, name: str, **values: Any) -> None:
    """What goes wrong at a stand-in from now on; nothing where nothing is named."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        assert 200 == (await http.put("/switches", json={name: {"faults": values}})).status_code


async def atlassian_seen(world: World) -> dict[str, int]:
    """How refresh tokens were used at the stand-in, until now."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        found: dict[str, int] = (await http.get("/switches")).json()["atlassian"]["seen"]
    return found


@asynccontextmanager
async def atlassian(world: World, part: str = "switches", **values: Any) -> AsyncIterator[None]:
    """The stand-in with these switches or faults, and as it was at first afterwards."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        try:
            answer = await http.put("/switches", json={"atlassian": {part: values}})
            assert 200 == answer.status_code, answer.text
            yield
        finally:
            await http.put("/switches", json={"atlassian": {part: {}}})
