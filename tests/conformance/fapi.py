"""The client that the official suite is for FAPI 2.0: it signs its assertions, pushes its requests, and holds a key."""

import secrets
import time
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.auth.holders import Holder, ath_of
from tests.auth.oidc import through_oidc
from tests.auth.world import APP_REDIRECT, App, Person, World, query_of

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
REDIRECT_WITH_QUERY = f"{APP_REDIRECT}?dummy1=lorem&dummy2=ipsum"
SCOPES = ["openid", "profile", "email", "offline_access"]
CLIENT: dict[str, Any] = {
    "token_endpoint_auth_method": "private_key_jwt",
    "require_pushed_authorization_requests": True,
    "dpop_bound_access_tokens": True,
    "id_token_signed_response_alg": "ES256",
    "grant_types": ["authorization_code", "refresh_token"],
    "scopes": SCOPES,
}
ALGORITHMS = {"PS256", "ES256", "EdDSA", "Ed25519"}


class FapiClient(App):
    """A confidential client that does all that FAPI 2.0 asks of one."""

    def __init__(self, world: World, registered: dict[str, Any], key: ECKey | RSAKey, redirect_uri: str) -> None:
        super().__init__(world, registered)
        self.key = key
        self.alg = "PS256" if isinstance(key, RSAKey) else "ES256"
        self.redirect_uri = redirect_uri
        self.holder = Holder()

    def request(self, **changed: str | None) -> dict[str, str]:
        return super().request(**{"redirect_uri": self.redirect_uri, **changed})

    def address(self, **changed: str | None) -> str:
        """Where the browser goes with what was pushed: with `client_id` and `request_uri`, and nothing else."""
        asked = {"client_id": self.id, **changed}
        return f"/authorize?{httpx.QueryParams({name: value for name, value in asked.items() if value is not None})}"

    def assertion(self, *, alg: str | None = None, key: ECKey | RSAKey | None = None, **changed: Any) -> str:
        """A client assertion that is right, but for what is changed; None leaves a claim out."""
        now, alg = int(time.time()), alg or self.alg
        right = {"iss": self.id, "sub": self.id, "aud": self.world.auth.url, "iat": now, "exp": now + 60}
        claims = {**right, "jti": secrets.token_hex(16), **changed}
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": alg}, kept, key or self.key, algorithms=[alg])

    async def post(
        self, path: str, form: dict[str, str], *, proof: str | None, assertion: str | None
    ) -> httpx.Response:
        """One request to an endpoint for clients; no assertion: a right one, an empty one: none at all."""
        signed = self.assertion() if assertion is None else assertion
        proved = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed} if signed else {}
        headers = {"dpop": proof} if proof is not None else {}
        async with httpx.AsyncClient(base_url=self.world.auth.url, timeout=20) as http:
            return await http.post(path, data={**form, **proved}, headers=headers)

    async def push(
        self, *, proof: str | None = None, assertion: str | None = None, **changed: str | None
    ) -> httpx.Response:
        """Push a request that is right, but for what is changed."""
        return await self.post("/oauth2/par", self.request(**changed), proof=proof, assertion=assertion)

    async def pushed(self, *, proof: str | None = None, assertion: str | None = None, **changed: str | None) -> str:
        """The `request_uri` of such a request, once the answer is what RFC 9126, section 2.2, says."""
        answer = await self.push(proof=proof, assertion=assertion, **changed)
        assert (201, "application/json") == (answer.status_code, answer.headers["content-type"]), answer.text
        assert 0 < answer.json()["expires_in"] < 600
        assert len(answer.json()["request_uri"]) >= 22, "at least 128 bits"
        return str(answer.json()["request_uri"])

    def proof(self, path: str = "/oauth2/token", **changed: Any) -> str:
        """A proof of the client's key, for a request to this path by POST."""
        return self.holder.proof("POST", f"{self.world.auth.url}{path}", **changed)

    async def redeem(
        self, code: str, *, proof: str | None = None, assertion: str | None = None, **changed: str | None
    ) -> httpx.Response:
        """Swap a code; no proof: a right one, an empty one: none at all."""
        form = self.swap_form(code, **{"redirect_uri": self.redirect_uri, "client_id": None, **changed})
        shown = self.proof() if proof is None else proof or None
        return await self.post("/oauth2/token", form, proof=shown, assertion=assertion)

    async def refresh(self, token: str, *, proof: str | None = None, assertion: str | None = None) -> httpx.Response:
        """Use a refresh token, with a key that may be another than before."""
        form = {"grant_type": "refresh_token", "refresh_token": token}
        shown = self.proof() if proof is None else proof or None
        return await self.post("/oauth2/token", form, proof=shown, assertion=assertion)

    async def resource(self, token: str, proof: str | list[str] | None = None, scheme: str = "DPoP") -> httpx.Response:
        """Call a protected resource, UserInfo, with this token; no proof: a right one."""
        shown = self.resource_proof(token) if proof is None else proof
        proofs = [shown] if isinstance(shown, str) else shown
        headers = [("authorization", f"{scheme} {token}"), *(("dpop", one) for one in proofs)]
        async with httpx.AsyncClient(timeout=20) as http:
            return await http.get(f"{self.world.auth.url}/oauth2/userinfo", headers=headers)

    def resource_proof(self, token: str, **changed: Any) -> str:
        """A proof for that call."""
        url = f"{self.world.auth.url}/oauth2/userinfo"
        return self.holder.proof("GET", url, **{"ath": ath_of(token), **changed})

    async def claims(self, id_token: str, nonce: str | None = "the-nonce") -> dict[str, Any]:
        """The claims of an ID token, checked as OpenID Connect Core 1.0, section 3.1.3.7, has it."""
        async with httpx.AsyncClient(timeout=20) as http:
            keys = (await http.get(f"{self.world.auth.url}/oauth2/jwks")).json()
        token = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=sorted(ALGORITHMS))
        assert token.header["kid"]
        said = dict(token.claims)
        assert (self.world.auth.url, self.id) == (said["iss"], said["aud"])
        assert nonce == said.get("nonce")
        assert said["iat"] - 60 < time.time() < said["exp"]
        return said


async def fapi_client(
    world: World, *, rsa: bool = False, redirect_uri: str = APP_REDIRECT, **changed: Any
) -> FapiClient:
    """A newly registered one."""
    key = RSAKey.generate_key(2048) if rsa else ECKey.generate_key("P-256")
    jwks = {"keys": [key.as_dict(private=False)]}
    made = await world.register_client(**{**CLIENT, "jwks": jwks, "redirect_uris": [redirect_uri], **changed})
    return FapiClient(world, {"client_id": made.id}, key, redirect_uri)


class Granted:
    """A login with its tokens."""

    def __init__(self, client: FapiClient, person: Person, answer: httpx.Response, tokens: dict[str, Any]) -> None:
        self.client = client
        self.person = person
        self.code = query_of(answer)["code"]
        self.tokens = tokens
        self.access: str = tokens["access_token"]
        self.claims: dict[str, Any] = {}


async def authorized(client: FapiClient, person: Person | None = None, **asked: Any) -> httpx.Response:
    """Push, log in, and check the answer of the authorization endpoint, which carries a code."""
    answer = await through_oidc(person or Person(client.world), client, request_uri=await client.pushed(**asked))
    return checked(client, answer, state=asked.get("state", "the-state"))


def checked(client: FapiClient, answer: httpx.Response, state: str | None = "the-state") -> httpx.Response:
    """The answer, which leads to the client with a code, its state and who issued it (RFC 9207), and nothing else."""
    assert 303 == answer.status_code, answer.text
    assert answer.headers["location"].startswith(client.redirect_uri), answer.headers["location"]
    told = query_of(answer)
    dummies = {"dummy1", "dummy2"} if "dummy1" in client.redirect_uri else set()
    assert told.keys() == {"code", "iss"} | ({"state"} if state is not None else set()) | dummies
    assert (state, client.world.auth.url) == (told.get("state"), told["iss"])
    assert len(told["code"]) >= 22, "at least 128 bits"
    return answer


async def granted(client: FapiClient, person: Person | None = None, **asked: Any) -> Granted:
    """The whole flow: the tokens, checked as every module does, and one call of a resource with them."""
    person = person or Person(client.world)
    answer = await authorized(client, person, **asked)
    swapped = await client.redeem(query_of(answer)["code"])
    return await tokens_in(client, person, answer, swapped, nonce=asked.get("nonce", "the-nonce"))


async def tokens_in(
    client: FapiClient, person: Person, answer: httpx.Response, swapped: httpx.Response, nonce: str | None = "the-nonce"
) -> Granted:
    """The tokens of a right answer of the token endpoint."""
    assert (200, "no-store") == (swapped.status_code, swapped.headers["cache-control"]), swapped.text
    tokens = swapped.json()
    assert ("DPoP", True) == (tokens["token_type"], 0 < tokens["expires_in"])
    one = Granted(client, person, answer, tokens)
    one.claims = await client.claims(tokens["id_token"], nonce)
    found = await client.resource(one.access)
    assert (200, one.claims["sub"]) == (found.status_code, found.json()["sub"]), found.text
    assert "date" in found.headers
    return one


def is_refused(answer: httpx.Response, *errors: str) -> bool:
    """Was it refused in JSON, with one of these errors and the status that belongs to it (RFC 6749, section 5.2)?"""
    assert "application/json" == answer.headers["content-type"], answer.text
    status = {"invalid_client": (400, 401)}.get(answer.json()["error"], (400,))
    return answer.status_code in status and answer.json()["error"] in errors


def is_shown_here(answer: httpx.Response, error: str) -> bool:
    """Is it an error page, without a redirect?"""
    return (400, False, True) == (answer.status_code, "location" in answer.headers, error in answer.text)
