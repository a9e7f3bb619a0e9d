"""Client authentication by a signed assertion: private_key_jwt (RFC 7523, section 2.2; OpenID Connect Core, section 9).

An assertion verifies for one use: its name is handed back, and the caller must find it unused.
"""

import base64
from typing import Any, Final, TypeVar

import msgspec
from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.client_keys import ALGORITHMS, FAPI_ALGORITHMS
from scopefold.auth.oauth.loaded import Assertion, Loaded
from scopefold.auth.store.buckets import hashed

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHOD: Final = "private_key_jwt"
MAX_CHARACTERS: Final = 8192
MAX_SECONDS: Final = 3600
"""How far ahead an assertion may expire. Clients that know no better say an hour."""
SKEW_SECONDS: Final = 60
T = TypeVar("T")


class PrivateKeyJwt(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib has no types
    """Stricter than Authlib's: the algorithms are listed, the lifetime is bounded, every audience must be ours."""

    CLIENT_AUTH_METHOD = METHOD

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(validate_jti=True, leeway=SKEW_SECONDS)
        self._loaded = loaded

    def get_audiences(self) -> list[str]:
        return list(self._loaded.audiences)

    def resolve_client_public_key(self, client: RegisteredClient) -> KeySet:
        if client.client.token_endpoint_auth_method != METHOD or self._loaded.client_keys is None:
            raise InvalidClientError(description="This client has no keys to authenticate with.")
        return self._loaded.client_keys

    def process_assertion_claims(self, assertion: str, resolve_key: KeySet) -> dict[str, Any]:
        client = self._loaded.client
        assert client is not None
        registered = client.token_endpoint_auth_signing_alg
        algorithms = (registered,) if registered else FAPI_ALGORITHMS if client.is_fapi else ALGORITHMS
        try:
            token = jwt.decode(assertion, resolve_key, algorithms=list(algorithms))
            self.verify_claims(token.claims)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            raise InvalidClientError(description="The client assertion does not verify.") from None
        return token.claims

    def verify_claims(self, claims: dict[str, Any]) -> None:
        now = int(self._loaded.now.timestamp())
        options: dict[str, jwt.ClaimsOption] = {
            name: {"essential": True} for name in ("iss", "sub", "aud", "exp", "jti")
        }
        jwt.JWTClaimsRegistry(now=now, leeway=SKEW_SECONDS, **options).validate(claims)
        if claims["iss"] != claims["sub"]:
            raise InvalidClientError(description="The issuer and the subject of the assertion must be the client.")
        if not self._is_for_us(claims["aud"]):
            raise InvalidClientError(description="The assertion is not for this server alone.")
        if claims["exp"] > now + MAX_SECONDS + SKEW_SECONDS:
            raise InvalidClientError(description=f"The assertion lives longer than {MAX_SECONDS} seconds.")
        name = f"assertion.{hashed(' '.join((claims['sub'], claims['jti'])))}"
        self._loaded.assertion = Assertion(name, int(claims["exp"]) + SKEW_SECONDS)

    def _is_for_us(self, audience: str | list[str]) -> bool:
        """A FAPI client names the issuer, as one string (FAPI 2.0 Security Profile, section 5.3.2.1, item 8).

        Others may also name the endpoint (OpenID Connect Core 1.0, section 9; RFC 9126, section 2), but nobody else.
        """
        if self._loaded.client is not None and self._loaded.client.is_fapi:
            return audience == self._loaded.issuer
        return set([audience] if isinstance(audience, str) else audience) <= set(self.get_audiences())


class _Subject(Struct):
    sub: str


class _Header(Struct):
    kid: str


def client_named_by(assertion: str) -> str | None:
    """Whose assertion it says it is: nothing is proved by that yet."""
    found = _part(assertion, 1, _Subject)
    return found.sub if found is not None else None


def key_named_by(assertion: str) -> str | None:
    """Which of its client's keys it says it was signed with."""
    found = _part(assertion, 0, _Header)
    return found.kid if found is not None else None


def _part(assertion: str, place: int, kind: type[T]) -> T | None:
    parts = assertion.split(".")
    if len(assertion) > MAX_CHARACTERS or len(parts) != 3:
        return None
    try:
        content = base64.urlsafe_b64decode(parts[place] + "=" * (-len(parts[place]) % 4))
        return msgspec.json.decode(content, type=kind)
    except (ValueError, RecursionError):
        return None
