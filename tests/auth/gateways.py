"""Gateways: clients that exchange users' access tokens, and what the stand-in saw of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from scopefold.auth.oauth.exchange import ACCESS_TOKEN, EXCHANGE
from scopefold.contracts.words import resource_type_of
from tests.auth.world import App, Person, World

CONNECTOR: Final = "identos.jira-{idp}"


def resource_of(idp: str) -> str:
    """The resource type of the Jira connector that `World.idp_with_jira` provisions."""
    return resource_type_of(CONNECTOR.format(idp=idp))


class Gateway:
    """A confidential client that may exchange tokens for one connector's resource type, and others that are named."""

    def __init__(self, app: App, resource: str) -> None:
        self.app = app
        self.resource = resource

    @classmethod
    async def registered(cls, world: World, idp: str, *others: str, **changed: Any) -> "Gateway":
        """A new one."""
        resource = resource_of(idp)
        asked: dict[str, Any] = {
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": [EXCHANGE],
            "exchange_resources": [resource, *others],
            "redirect_uris": [],
            "scopes": ["profile", "email"],
        }
        return cls(await world.register_client(**{**asked, **changed}), resource)

    async def exchange(self, token: str, *, at: str = "", headers: Any = None, **changed: str | None) -> httpx.Response:
        """Exchange a user's access token. `at`: another replica's address."""
        right: dict[str, str | None] = {
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


async def access_token(person: Person, app: App, **changed: str | None) -> str:
    """All the way, and the app's swap; the user's access token."""
    answer = await app.swap(await person.log_in(app, **changed))
    assert 200 == answer.status_code, answer.text
    return str(answer.json()["access_token"])


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
