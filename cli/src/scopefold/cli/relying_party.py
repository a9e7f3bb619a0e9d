"""The story's app: a public client that signs people in with Scopefold (OpenID Connect, code flow with PKCE)."""

import secrets
from typing import Any, Final, TypeVar

import httpx
import msgspec
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client, oauth2_client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization
from msgspec import Struct

from scopefold.cli import client
from scopefold.cli.browser import Browser, Choose, Seen

CALL_SECONDS: Final = 15.0
# Nothing listens there: the browser stops before it fetches this address, as if the app had been called.
CALLBACK: Final = "https://notes.example/callback"
APP: Final = client.Registration(client_id="notes", client_name="Notes", redirect_uris=(CALLBACK,))
T = TypeVar("T")


class SignInFailed(RuntimeError):
    """The app was not told who signed in; the message says why."""


class Metadata(Struct, frozen=True):
    """What the app needs of the issuer's metadata (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class Tokens(Struct, frozen=True):
    """What the app needs of the token endpoint's answer."""

    access_token: str
    id_token: str


class SignedIn(Struct, frozen=True):
    """Who signed in, verified, and the access token that the app got for calls on their behalf."""

    user: str
    access_token: str


class RelyingParty:
    """The app, which trusts one issuer."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    async def sign_in(self, browser: Browser, *, resource: str, choose: Choose, seen: Seen) -> SignedIn:
        """Send a browser through the whole flow. Raises `SignInFailed`, `Lost`."""
        metadata = await _fetched(f"{self.issuer}/.well-known/openid-configuration", Metadata)
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        async with AsyncOAuth2Client(
            client_id=APP.client_id,
            token_endpoint_auth_method="none",
            code_challenge_method="S256",
            scope=" ".join(APP.scopes),
            redirect_uri=CALLBACK,
            timeout=CALL_SECONDS,
        ) as app:
            address, state = app.create_authorization_url(
                metadata.authorization_endpoint, code_verifier=verifier, nonce=nonce, resource=resource
            )
            arrived = await browser.go(address, until=CALLBACK, choose=choose, seen=seen)
            try:
                answer: dict[str, Any] = await app.fetch_token(
                    metadata.token_endpoint, authorization_response=arrived, state=state, code_verifier=verifier
                )
            except OAuthError as error:
                raise SignInFailed(f"{error.error}: {error.description}") from None
            except oauth2_client.httpx2.HTTPError as error:  # Authlib's name for whichever client it asks by
                raise SignInFailed(f"{metadata.token_endpoint} does not answer: {error!r}") from None
        tokens = msgspec.convert(dict(answer), Tokens)
        return SignedIn(await self._verified(metadata, tokens.id_token, nonce), tokens.access_token)

    async def _verified(self, metadata: Metadata, id_token: str, nonce: str) -> str:
        """The subject of an id_token that passes OpenID Connect Core 1.0, section 3.1.3.7."""
        keys = await _fetched(metadata.jwks_uri, dict[str, Any])
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": APP.client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            found = jwt.decode(id_token, KeySet.import_key_set(_as_keys(keys)), algorithms=["RS256"])
            rules.validate(found.claims)
        except (JoseError, ValueError) as error:
            raise SignInFailed(f"the id_token cannot be trusted: {error}") from None
        return str(found.claims["sub"])


def _as_keys(keys: dict[str, Any]) -> KeySetSerialization:
    return {"keys": keys["keys"]}


async def _fetched(address: str, kind: type[T]) -> T:
    try:
        async with httpx.AsyncClient(timeout=CALL_SECONDS) as http:
            answer = await http.get(address)
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=kind)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise SignInFailed(f"{address} gave no usable answer: {error}") from None
