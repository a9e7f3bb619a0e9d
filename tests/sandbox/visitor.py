"""A person with a browser in front of the Atlassian stand-in, over plain HTTP."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from authlib.integrations.httpx_client import AsyncOAuth2Client

CLIENT_ID = "sandbox-atlassian"
CLIENT_SECRET = "sandbox-atlassian-secret"
VERIFIER = "v" * 50


def transaction_in(answer: httpx.Response) -> str:
    """The transaction that a page's form carries."""
    found = re.search(r'name="transaction" value="([^"]+)"', answer.text)
    assert found is not None, answer.text
    return found[1]


def query_of(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))


class Visitor:
    """One browser: its cookies, and the clicks that it makes."""

    def __init__(self, base: str, redirect_uri: str) -> None:
        self.http = httpx.AsyncClient(base_url=base, timeout=10)
        self.base = base
        self.redirect_uri = redirect_uri

    def client(self, **settings: Any) -> AsyncOAuth2Client:
        """An OAuth client that we did not write, set up as a developer sets it up for Atlassian."""
        chosen = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "code_challenge_method": "S256", **settings}
        return AsyncOAuth2Client(
            **chosen, redirect_uri=self.redirect_uri, token_endpoint_auth_method="client_secret_post"
        )

    async def log_in(self, address: str, user: str = "alice") -> httpx.Response:
        """Open the authorize address and choose an account."""
        login = await self.http.get(address)
        assert login.status_code == 200
        return await self.http.post("/atlassian/login", data={"transaction": transaction_in(login), "user": user})

    async def decide(self, consent: httpx.Response, decision: str = "accept") -> httpx.Response:
        """Press a button of the consent page, with the site that it offers."""
        site = re.search(r'<option value="([^"]+)"', consent.text)
        fields = {"transaction": transaction_in(consent), "decision": decision, "site": site[1] if site else ""}
        return await self.http.post("/atlassian/consent", data=fields)

    def authorize_address(self, asked: str, **changed: str | None) -> str:
        """An authorize request that is right, but for what is changed; None leaves a parameter out."""
        right = {
            "audience": "api.atlassian.com",
            "client_id": CLIENT_ID,
            "scope": asked,
            "redirect_uri": self.redirect_uri,
            "state": "the-state",
            "response_type": "code",
            "prompt": "consent",
        }
        wanted = {name: value for name, value in {**right, **changed}.items() if value is not None}
        return f"/atlassian/authorize?{httpx.QueryParams(wanted)}"

    async def code(self, scope: str, user: str = "alice", **changed: str | None) -> str:
        """Walk to the end and give the code."""
        answer = await self.decide(await self.log_in(self.authorize_address(scope, **changed), user))
        assert answer.status_code == 303, answer.text
        return query_of(answer.headers["location"])["code"]

    async def swap(self, body: Mapping[str, str], **as_what: Any) -> httpx.Response:
        """Post a token request with the client's own credentials, as JSON."""
        right = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": self.redirect_uri}
        return await self.http.post("/atlassian/oauth/token", json={**right, **body}, **as_what)

    async def tokens(self, scope: str, user: str = "alice") -> dict[str, Any]:
        """Walk to the end, swap the code, and give the token endpoint's answer."""
        code = await self.code(scope, user)
        answer = await self.swap({"grant_type": "authorization_code", "code": code})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def api(self, method: str, path: str, token: str, **rest: Any) -> httpx.Response:
        """Call the API gateway."""
        headers = {"authorization": f"Bearer {token}"}
        return await self.http.request(method, f"/atlassian{path}", headers=headers, **rest)
