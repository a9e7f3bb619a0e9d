"""The client that the official suite is: confidential, without PKCE, with a nonce; and what it does again and again."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
from joserfc import jwt

from tests.auth.oidc import LOGGED_OUT, signed_by_us, through_oidc, tokens_of, userinfo
from tests.auth.world import APP_REDIRECT, App, Person, World, query_of

Warn = Callable[[str], None]
"""What a person must know of a result that is no failure; it stands in the table."""

EVERY_SCOPE = "openid profile email address phone"
OFFLINE = "openid offline_access"
CLIENT: dict[str, Any] = {
    "token_endpoint_auth_method": "client_secret_basic",
    "require_pkce": False,
    "grant_types": ["authorization_code", "refresh_token"],
    "scopes": [*EVERY_SCOPE.split(), "offline_access"],
    "post_logout_redirect_uris": [LOGGED_OUT],
}


class CertificationClient(App):
    """The suite's own client: PKCE is left out, and the secret goes into the header."""

    def request(self, **changed: str | None) -> dict[str, str]:
        plain = {"code_challenge": None, "code_challenge_method": None, "scope": "openid"}
        return super().request(**{**plain, **changed})

    async def token(self, **form: str) -> httpx.Response:
        """One request to the token endpoint."""
        async with httpx.AsyncClient(timeout=20) as http:
            return await http.post(f"{self.world.auth.url}/oauth2/token", data=form, auth=(self.id, str(self.secret)))

    async def swap(self, code: str | None, **changed: str | None) -> httpx.Response:
        return await self.token(**self.swap_form(code, **{"client_id": None, "code_verifier": None, **changed}))

    async def refresh(self, token: str) -> httpx.Response:
        """Use a refresh token."""
        return await self.token(grant_type="refresh_token", refresh_token=token)


async def certification_client(world: World, **changed: Any) -> CertificationClient:
    """A newly registered one."""
    made = await world.register_client(**{**CLIENT, **changed})
    return CertificationClient(world, {"client_id": made.id, "client_secret": made.secret})


class Login:
    """What a login brought: the answer of the authorization endpoint, the tokens, the checked claims."""

    def __init__(self, app: App, person: Person, answer: httpx.Response, tokens: dict[str, Any]) -> None:
        self.app = app
        self.person = person
        self.answer = answer
        self.tokens = tokens
        self.claims: dict[str, Any] = {}

    async def again(self, **changed: str | None) -> "Login":
        """The same person once more, who must not be asked anything."""
        return await got(self.app, self.person, await self.person.browser.get(self.app.address(**changed)))

    async def userinfo(self) -> dict[str, Any]:
        """What UserInfo tells, which must be of the same user."""
        answer = await userinfo(self.app.world, self.tokens["access_token"])
        assert 200 == answer.status_code, answer.text
        assert self.claims["sub"] == answer.json()["sub"]
        return dict(answer.json())


async def got(app: App, person: Person, answer: httpx.Response) -> Login:
    """Check the answer of the authorization endpoint, swap its code, and check the tokens, as every module does."""
    assert answer.headers["location"].startswith(f"{APP_REDIRECT}?"), answer.text
    told = query_of(answer)
    assert {"code", "state", "iss"} == told.keys()
    assert ("the-state", app.world.auth.url) == (told["state"], told["iss"])
    login = Login(app, person, answer, await tokens_of(app, answer))
    assert "bearer" == login.tokens["token_type"].lower()
    assert 0 < login.tokens["expires_in"]
    login.claims = await app.verified(login.tokens["id_token"])
    assert abs(time.time() - login.claims["iat"]) < 60
    assert login.claims["exp"] > time.time()
    assert len(login.claims["sub"]) <= 255
    return login


async def login(world: World, app: App | None = None, **changed: str | None) -> Login:
    """Somebody new at this browser logs in with one request."""
    app, person = app or await certification_client(world), Person(world)
    return await got(app, person, await through_oidc(person, app, **changed))


class Redeemed:
    """A login whose code was redeemed a while ago."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self._at = time.monotonic()

    def seconds(self) -> float:
        """How long ago."""
        return time.monotonic() - self._at


async def header_of(world: World, token: str) -> dict[str, Any]:
    """The header of a token whose RS256 signature is ours."""
    signed: jwt.Token = await signed_by_us(world, token)
    return dict(signed.header)


async def metadata(world: World) -> dict[str, Any]:
    """The discovery document."""
    async with httpx.AsyncClient(timeout=20) as http:
        answer = await http.get(f"{world.auth.url}/.well-known/openid-configuration")
    assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
    return dict(answer.json())


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A JWT that nobody signed."""
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join([*parts, ""])
