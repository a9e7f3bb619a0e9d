"""Products that cannot be run here, played step by step: each as its documentation or source says, registered and
configured as its recipe says.
"""

import secrets
from typing import Any, Final

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from msgspec import Struct

from tests.auth.world import App, World, challenge_of
from tests.clients.recipes import RECIPES, register
from tests.clients.visitor import Visitor

ADDRESS: Final = "https://login.example.com"
CLAIMS: Final = {
    "preferred_username": "alice",
    "name": "Alice Arden",
    "given_name": "Alice",
    "family_name": "Arden",
    "email": "alice@sandbox.example",
    "email_verified": True,
    "groups": ["staff", "team-alice"],
}


class Product(Struct, frozen=True, kw_only=True):
    """What a product does: where its secret goes, what it adds to a request, and what it reads."""

    page: str
    client: str
    redirect: str
    secret_in: str
    pkce: bool = False
    adds: dict[str, str] = {}
    scope: str = "openid profile email groups"
    renews: bool = False


PRODUCTS: Final = [
    Product(
        page="jira-confluence.md",
        client="jira",
        redirect="https://jira.example.com/plugins/servlet/oidc/callback",
        secret_in="header",
    ),
    Product(
        page="jira-confluence.md",
        client="confluence",
        redirect="https://confluence.example.com/plugins/servlet/oidc/callback",
        secret_in="header",
    ),
    Product(
        page="jira-confluence.md",
        client="jira-miniorange",
        redirect="https://jira.example.com/plugins/servlet/oauth/callback",
        secret_in="body",
    ),
    Product(
        page="oauth2-proxy.md",
        client="oauth2-proxy",
        redirect="https://app.example.com/oauth2/callback",
        secret_in="header",
        pkce=True,
        adds={"approval_prompt": "force"},
        renews=True,
    ),
]


class Run:
    """One product at work."""

    def __init__(self, product: Product, app: App, http: httpx.AsyncClient) -> None:
        self.product = product
        self.app = app
        self.http = http
        self.metadata: dict[str, Any] = {}

    async def discover(self) -> None:
        """The metadata, which must be of the very issuer that the operator pasted."""
        issuer = self.app.world.auth.url
        self.metadata = (await self.http.get(f"{issuer}/.well-known/openid-configuration")).json()
        assert issuer == self.metadata["issuer"]

    async def log_in(self) -> dict[str, Any]:
        """The token answer."""
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        request = {
            "response_type": "code",
            "client_id": self.app.id,
            "redirect_uri": self.product.redirect,
            "scope": self.product.scope,
            "state": f"{state}:/a/page?x=1",
            "nonce": nonce,
            **self.product.adds,
        }
        if self.product.pkce:
            request |= {"code_challenge": challenge_of(verifier), "code_challenge_method": "S256"}
        address = str(httpx.URL(self.metadata["authorization_endpoint"]).copy_merge_params(request))
        back = httpx.URL(await Visitor(self.app.world).sent_back(address, self.product.redirect)).params
        assert request["state"] == back["state"]
        form = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": self.product.redirect}
        tokens = await self.token({**form, **({"code_verifier": verifier} if self.product.pkce else {})})
        assert nonce == (await self.checked(tokens["id_token"]))["nonce"]
        return tokens

    async def token(self, form: dict[str, str]) -> dict[str, Any]:
        """One request to the token endpoint that is granted."""
        answer = await self.asked(form)
        assert 200 == answer.status_code, answer.text
        return dict(answer.json())

    async def refused(self, form: dict[str, str]) -> dict[str, Any]:
        """One that is refused."""
        answer = await self.asked(form)
        assert 400 == answer.status_code, answer.text
        return dict(answer.json())

    async def asked(self, form: dict[str, str]) -> httpx.Response:
        """One request to the token endpoint."""
        endpoint, secret = self.metadata["token_endpoint"], str(self.app.secret)
        if self.product.secret_in == "header":
            return await self.http.post(endpoint, data=form, auth=(self.app.id, secret))
        return await self.http.post(endpoint, data={**form, "client_id": self.app.id, "client_secret": secret})

    async def checked(self, id_token: str) -> dict[str, Any]:
        """The claims of an ID token: RS256, from the issuer, for this client."""
        keys = KeySet.import_key_set((await self.http.get(self.metadata["jwks_uri"])).json())
        claims = jwt.decode(id_token, keys, algorithms=["RS256"]).claims
        assert (self.app.world.auth.url, self.app.id) == (claims["iss"], claims["aud"])
        return claims

    async def userinfo(self, token: str) -> dict[str, Any]:
        """What UserInfo says."""
        headers = {"authorization": f"Bearer {token}"}
        return dict((await self.http.get(self.metadata["userinfo_endpoint"], headers=headers)).json())


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.client)
async def test_people_log_in_and_every_claim_that_the_recipe_maps_is_there(world: World, product: Product) -> None:
    app = await register(world, product.page, product.client)
    async with httpx.AsyncClient(timeout=20) as http:
        run = Run(product, app, http)
        await run.discover()
        tokens = await run.log_in()
        claims = await run.checked(tokens["id_token"])
        told = await run.userinfo(tokens["access_token"])
        assert CLAIMS == {name: claims[name] for name in CLAIMS}
        assert {"sub": claims["sub"], **CLAIMS} == told
        if product.renews:
            form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
            renewed = await run.token(form)
            assert claims["sub"] == (await run.checked(renewed["id_token"]))["sub"]
            assert 200 == (await world.admin("DELETE", f"/v1/users/{claims['sub']}/sessions")).status_code
            assert "invalid_grant" == (await run.refused(form | {"refresh_token": renewed["refresh_token"]}))["error"]


def test_the_addresses_to_fill_in_by_hand_are_those_of_the_metadata(world: World) -> None:
    metadata = httpx.get(f"{world.auth.url}/.well-known/openid-configuration").json()
    ours = {str(value).replace(world.auth.url, ADDRESS) for value in metadata.values()}
    for page in {product.page for product in PRODUCTS}:
        text = (RECIPES / page).read_text(encoding="utf-8")
        named = {part for part in text.split("`") if part.startswith(f"{ADDRESS}/")}
        assert named <= ours, page
