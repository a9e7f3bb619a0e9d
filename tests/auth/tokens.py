"""What an app does with its tokens: refresh, ask about, give back."""

from typing import Any

import httpx

from tests.auth.world import APP_REDIRECT, App, Person, World

Answer = httpx.Response
OFFLINE = "openid profile email offline_access"
REFRESHING: dict[str, Any] = {
    "grant_types": ["authorization_code", "refresh_token"],
    "scopes": OFFLINE.split(),
    "token_endpoint_auth_method": "none",
}


async def call(world: World, path: str, form: dict[str, Any], **rest: Any) -> Answer:
    """One request to an endpoint for clients."""
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=30) as http:
        return await http.post(path, data={name: value for name, value in form.items() if value is not None}, **rest)


async def refresh(app: App, token: str, **more: Any) -> Answer:
    """A public app's refresh."""
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": app.id, **more}
    return await call(app.world, "/oauth2/token", form)


async def tokens_of(app: App, idp: str, *, scope: str = OFFLINE, person: Person | None = None) -> Any:
    """A login all the way to the tokens of a public app."""
    answer = await app.swap(await (person or Person(app.world)).log_in(app, idp_hint=idp, scope=scope))
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def resource_server(world: World, **changed: Any) -> App:
    """A client that may introspect what is meant for it."""
    kind = {"token_endpoint_auth_method": "client_secret_basic", "resource_server": True}
    return await world.register_client(**{**kind, "redirect_uris": [APP_REDIRECT], **changed})


async def introspected(server: App, token: str, **more: Any) -> Any:
    """What introspection says of a token."""
    form = {"token": token, **more}
    answer = await call(server.world, "/oauth2/introspect", form, auth=(server.id, str(server.secret)))
    assert (200, "no-store") == (answer.status_code, answer.headers["cache-control"]), answer.text
    return answer.json()
