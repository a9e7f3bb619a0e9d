"""A person with a browser in front of a stand-in, and the app that sent them there, over plain HTTP."""

import html
import re
from base64 import b64encode
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from authlib.integrations.httpx_client import AsyncOAuth2Client
from msgspec import Struct

VERIFIER = "v" * 50
STATE = "the-state"
TICK_BOX = re.compile(
    r'<input type="checkbox" name="(tick-\d+)"[^>]*?( checked)?>\s*<label[^>]*>.*?<code>([^<]+)</code>', re.S
)


class Place(Struct, frozen=True):
    """Where a stand-in is and how its clients show who they are."""

    name: str
    authorize: str
    token: str
    way: str = "client_secret_post"
    scope: str = ""
    params: Mapping[str, str] = {}

    @property
    def client_id(self) -> str:
        return f"sandbox-{self.name}"

    @property
    def secret(self) -> str:
        return f"sandbox-{self.name}-secret"


def transaction_in(answer: httpx.Response) -> str:
    """The transaction that a page's form carries."""
    found = re.search(r'name="transaction" value="([^"]+)"', answer.text)
    assert found is not None, (answer.status_code, answer.headers.get("location"), answer.text)
    return found[1]


def query_of(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))


def text_of(page: httpx.Response) -> str:
    """What a page says."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


class Walk:
    """One browser's cookies, the clicks that it makes, and the app's own calls."""

    def __init__(self, base: str, redirect_uri: str, place: Place) -> None:
        self.http = httpx.AsyncClient(base_url=base, timeout=20)
        self.base = base
        self.redirect_uri = redirect_uri
        self.place = place
        self.prefix = f"/{place.name}"

    def url(self, path: str) -> str:
        """An address of the stand-in."""
        return f"{self.base}{self.prefix}{path}"

    def client(self, **settings: Any) -> AsyncOAuth2Client:
        """An OAuth client that we did not write, set up as a developer sets it up for this provider."""
        chosen = {
            "client_id": self.place.client_id,
            "client_secret": self.place.secret,
            "token_endpoint_auth_method": self.place.way,
            "code_challenge_method": "S256",
            **settings,
        }
        return AsyncOAuth2Client(**chosen, redirect_uri=self.redirect_uri, timeout=20)

    def authorize_address(self, asked: str, **changed: str | None) -> str:
        """An authorize request that is right, but for what is changed; None leaves a parameter out."""
        right: dict[str, str | None] = {
            "client_id": self.place.client_id,
            "scope": asked or None,
            "redirect_uri": self.redirect_uri,
            "state": STATE,
            "response_type": "code",
            **self.place.params,
        }
        wanted = {name: value for name, value in {**right, **changed}.items() if value is not None}
        return f"{self.prefix}{self.place.authorize}?{httpx.QueryParams(wanted)}"

    async def log_in(self, address: str, user: str = "alice") -> httpx.Response:
        """Open the authorize address and choose an account; what is shown instead of the login page, if anything is."""
        login = await self.http.get(address)
        if 'name="user"' not in login.text:
            return login
        return await self.http.post(f"{self.prefix}/login", data={"transaction": transaction_in(login), "user": user})

    async def decide(
        self, consent: httpx.Response, decision: str = "accept", untick: Collection[str] = ()
    ) -> httpx.Response:
        """Press a button of the consent page, with the site that it offers and the boxes as they stand, less some."""
        site = re.search(r'<option value="([^"]+)"', consent.text)
        boxes = {name: "on" for name, ticked, scope in TICK_BOX.findall(consent.text) if ticked and scope not in untick}
        fields = {
            "transaction": transaction_in(consent),
            "decision": decision,
            "site": site[1] if site else "",
            **boxes,
        }
        return await self.http.post(f"{self.prefix}/consent", data=fields)

    async def through(
        self, address: str, user: str = "alice", decision: str = "accept", untick: Collection[str] = ()
    ) -> httpx.Response:
        """Go to the end: over the consent page, if there is one, to the redirect that leaves the stand-in."""
        answer = await self.log_in(address, user)
        if "/consent" in answer.text:
            answer = await self.decide(answer, decision, untick)
        return answer

    async def code(self, scope: str, user: str = "alice", untick: Collection[str] = (), **changed: str | None) -> str:
        """Walk to the end and give the code."""
        answer = await self.through(self.authorize_address(scope, **changed), user, untick=untick)
        assert answer.status_code == 303, text_of(answer)
        return query_of(answer.headers["location"])["code"]

    async def swap(self, body: Mapping[str, str], **rest: Any) -> httpx.Response:
        """Post a token request with the client's own credentials, where the body names no others."""
        sent = {"redirect_uri": self.redirect_uri, **body}
        headers = {"accept": "application/json"}
        if self.place.way == "client_secret_basic":
            known = (sent.pop("client_id", self.place.client_id), sent.pop("client_secret", self.place.secret))
            headers["authorization"] = f"Basic {b64encode(':'.join(known).encode()).decode()}"
        else:
            sent = {"client_id": self.place.client_id, "client_secret": self.place.secret, **sent}
        return await self.http.post(f"{self.prefix}{self.place.token}", data=sent, headers=headers, **rest)

    async def tokens(
        self, scope: str, user: str = "alice", untick: Collection[str] = (), **changed: str | None
    ) -> dict[str, Any]:
        """Walk to the end, swap the code, and give the token endpoint's answer."""
        code = await self.code(scope, user, untick, **changed)
        return json_of(await self.swap({"grant_type": "authorization_code", "code": code}))

    async def renewed(self, token: str, **more: str) -> httpx.Response:
        """Use a refresh token."""
        return await self.swap({"grant_type": "refresh_token", "refresh_token": token, **more})

    async def api(self, method: str, path: str, token: str, **rest: Any) -> httpx.Response:
        """Call an API of the stand-in."""
        headers = {"authorization": f"Bearer {token}"}
        return await self.http.request(method, f"{self.prefix}{path}", headers=headers, **rest)

    async def set(self, part: str, **values: Any) -> None:
        """Set the stand-in's switches, faults or app; what is left out goes back to its first value."""
        answer = await self.http.put("/switches", json={self.place.name: {part: values}})
        assert answer.status_code == 200, answer.text

    async def settings(self) -> dict[str, Any]:
        """What can be set of the stand-in."""
        found: dict[str, Any] = (await self.http.get("/switches")).json()[self.place.name]
        return found

    async def lack(self, *scopes: str) -> None:
        """Take scopes out of what the app's console permits."""
        app = (await self.settings())["app"]
        del app["client_id"]
        await self.set(
            "app", **{**app, "permitted_scopes": [one for one in app["permitted_scopes"] if one not in scopes]}
        )

    async def revoke(self, user: str) -> None:
        """Revoke a user's grant."""
        wanted = {"user": user, "client_id": self.place.client_id}
        answer = await self.http.post(f"{self.prefix}/console/revoke", json=wanted)
        assert answer.json() == {"revoked": True}


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON of an answer that is good."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
