"""The authorization server's grammar, by Authlib, without a socket.

Authlib's server is synchronous and asks for what it needs while it works. So everything is loaded first, a server
is made for this one request, and what it would have stored is handed back, for the caller to store.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Payload,
    OAuth2Request,
    scope_to_list,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oidc.core import OpenIDCode, UserInfo
from joserfc.jwk import ECKey, KeySet, KeySetSerialization, RSAKey
from msgspec import Struct

from scopefold.auth.core.seal import keyed_hash
from scopefold.auth.store.records import Client, Code
from scopefold.auth.store.vault import Identity

CODE_SECONDS: Final = 60
ACCESS_SECONDS: Final = 600
ID_TOKEN_SECONDS: Final = 600
AUTH_METHODS: Final = ("none", "client_secret_basic", "client_secret_post")


class Keys(Struct, frozen=True):
    """The signing keys, loaded once."""

    rs256: RSAKey
    es256: ECKey

    def public(self) -> KeySetSerialization:
        """The JWKS document (RFC 7517, section 5): public parts only."""
        return KeySet([self.rs256, self.es256]).as_dict(private=False)


class Loaded(Struct, kw_only=True):
    """What one request may need from the store, and what it wants stored. `code` is still to be claimed."""

    issuer: str
    keys: Keys
    client_secret_key: bytes
    now: datetime
    client: Client | None = None
    code: Code | None = None
    identity: Identity | None = None
    issued: tuple[str, Code] | None = None


class GrantedUser(Struct, frozen=True):
    """The user whom a code is issued for, and how they logged in."""

    user: str
    idp: str
    authenticated_at: datetime

    def get_user_id(self) -> str:
        """The subject, as Authlib asks for it."""
        return self.user


class RegisteredClient(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A client, as Authlib asks about it."""

    def __init__(self, client: Client, secret_key: bytes) -> None:
        self.client = client
        self._secret_key = secret_key

    def get_client_id(self) -> str:
        return self.client.client_id

    def get_default_redirect_uri(self) -> None:
        """None: every request must name its redirect_uri."""

    def get_allowed_scope(self, scope: str | None) -> str:
        allowed = set(self.client.scopes)
        return " ".join(one for one in scope_to_list(scope) or [] if one in allowed)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Byte for byte (RFC 9700, section 4.1.3)."""
        return redirect_uri in self.client.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        presented = keyed_hash(self._secret_key, client_secret)
        return hmac.compare_digest(presented, self.client.secret_hash or "")

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.client.token_endpoint_auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and "authorization_code" in self.client.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.client.grant_types


def is_redirect_uri(address: str) -> bool:
    """May a client register this redirect address? It has a host, no user info and no fragment (RFC 6749, section
    3.1.2).
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and "#" not in address and "@" not in parts.netloc


class Payload(OAuth2Payload):  # type: ignore[misc]
    """The parameters of a request, each given once."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._data = dict(parameters)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> dict[str, list[str]]:
        return {name: [value] for name, value in self._data.items()}


class _Request(OAuth2Request):  # type: ignore[misc]
    """Authlib checks the address it is given for https; that is a matter of the issuer's settings, checked there."""

    def __init__(self, method: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(method, "https://authorization-server.invalid/", headers=headers)
        self.payload = Payload(parameters)

    @property
    def args(self) -> dict[str, str]:
        return dict(self.payload.data)

    @property
    def form(self) -> dict[str, str]:
        return dict(self.payload.data) if self.method == "POST" else {}


class _CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = list(AUTH_METHODS)
    AUTHORIZATION_CODE_LENGTH = 43

    def save_authorization_code(self, code: str, request: Any) -> None:
        asked, user = request.payload.data, request.user
        self.server.loaded.issued = (
            code,
            Code(
                client_id=request.client.get_client_id(),
                redirect_uri=request.payload.redirect_uri,
                scope=request.scope or "",
                user=user.user,
                idp=user.idp,
                nonce=asked.get("nonce"),
                code_challenge=asked.get("code_challenge"),
                authenticated_at=user.authenticated_at,
                issued_at=self.server.loaded.now,
            ),
        )

    def query_authorization_code(self, code: str, client: RegisteredClient) -> "_StoredCode | None":
        found: Code | None = self.server.loaded.code
        if found is None or found.client_id != client.get_client_id():
            return None
        if (self.server.loaded.now - found.issued_at).total_seconds() > CODE_SECONDS:
            return None
        return _StoredCode(found)

    def delete_authorization_code(self, authorization_code: "_StoredCode") -> None:
        """The caller claims the code by compare-and-set before it answers."""

    def authenticate_user(self, authorization_code: "_StoredCode") -> GrantedUser:
        code = authorization_code.code
        return GrantedUser(code.user, code.idp, code.authenticated_at)


class _StoredCode:
    """An authorization code, as Authlib asks about it."""

    code_challenge_method = "S256"

    def __init__(self, code: Code) -> None:
        self.code = code
        self.code_challenge = code.code_challenge

    def get_redirect_uri(self) -> str:
        return self.code.redirect_uri

    def get_scope(self) -> str:
        return self.code.scope

    def get_nonce(self) -> str | None:
        return self.code.nonce

    def get_auth_time(self) -> int:
        return int(self.code.authenticated_at.timestamp())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class _RequireS256(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256, of every client (RFC 9700, section 2.1.1): Authlib alone would take `plain`, or none."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        asked = grant.request.payload.data
        if not asked.get("code_challenge"):
            raise InvalidRequestError("Missing 'code_challenge': this server requires PKCE.")
        if asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("'code_challenge_method' must be S256.")
        super().validate_code_challenge(grant, redirect_uri)


class _IdToken(OpenIDCode):  # type: ignore[misc]
    """OpenID Connect on top of the code grant."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(require_nonce=False)
        self._loaded = loaded

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        """Nonces are for the client to check; a code, which carries one, is redeemed once."""
        return False

    def get_client_algorithm(self, client: RegisteredClient) -> str:
        return "RS256"

    def get_encode_header(self, client: RegisteredClient) -> dict[str, str]:
        return {"alg": "RS256", "kid": self._loaded.keys.rs256.thumbprint()}

    def resolve_client_private_key(self, client: RegisteredClient) -> RSAKey:
        return self._loaded.keys.rs256

    def get_client_claims(self, client: RegisteredClient) -> dict[str, Any]:
        now = int(self._loaded.now.timestamp())
        audience = [client.get_client_id()]
        return {"iss": self._loaded.issuer, "aud": audience, "iat": now, "exp": now + ID_TOKEN_SECONDS}

    def get_compatible_claims(self, request: Any) -> dict[str, Any]:
        return self.get_client_claims(request.client)

    def generate_user_info(self, user: GrantedUser, scope: str) -> UserInfo:
        claims = UserInfo(sub=user.user)
        identity, scopes = self._loaded.identity, scope.split()
        if identity is not None and "profile" in scopes and identity.name is not None:
            claims["name"] = identity.name
            claims["preferred_username"] = identity.email or identity.name
        if identity is not None and "email" in scopes and identity.email is not None:
            claims["email"] = identity.email
        return claims


class _AccessToken(JWTBearerTokenGenerator):  # type: ignore[misc]
    """JWT access tokens (RFC 9068)."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(issuer=loaded.issuer, alg="ES256", expires_generator=lambda client, grant_type: ACCESS_SECONDS)
        self._keys = loaded.keys

    def get_jwks(self) -> KeySet:
        return KeySet([self._keys.es256])

    def get_audiences(self, client: RegisteredClient, user: Any, scope: str) -> str:
        return str(self.issuer)


class Server(AuthorizationServer):  # type: ignore[misc]
    """An authorization server for one request."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self.loaded = loaded
        self.register_grant(_CodeGrant, [_RequireS256(required=True), _IdToken(loaded)])
        self.register_token_generator("default", _AccessToken(loaded))

    def query_client(self, client_id: str) -> RegisteredClient | None:
        client = self.loaded.client
        if client is None or client.client_id != client_id:
            return None
        return RegisteredClient(client, self.loaded.client_secret_key)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Access tokens are self-contained: nothing is stored."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, dict[str, str]]:
        return status, body, dict(headers)


class ShownError(Exception):
    """A wrong request that must be shown here: there is no place that it could safely be redirected to."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class RedirectedError(Exception):
    """A wrong or refused request that the client is told of, at its registered redirect address."""

    def __init__(self, redirect_uri: str, error: str, description: str, state: str | None) -> None:
        super().__init__(description)
        self.redirect_uri = redirect_uri
        self.error = error
        self.description = description
        self.state = state


def single_parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name. Raises `ShownError` where one is given twice (RFC 6749, section 3.1)."""
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in parameters:
            raise ShownError("invalid_request", f"The parameter {name[:60]!r} is given more than once.")
        parameters[name] = value
    return parameters


def form_parameters(body: bytes) -> dict[str, str]:
    """The parameters of a form body. Raises `ShownError`."""
    try:
        return single_parameters(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except (UnicodeDecodeError, ValueError):
        raise ShownError("invalid_request", "The body is no form.") from None


def check_authorization_request(loaded: Loaded, parameters: Mapping[str, str], user: GrantedUser | None) -> str:
    """The scope that a valid authorization request is allowed. Raises `ShownError` or `RedirectedError`."""
    server = Server(loaded)
    try:
        grant = server.get_consent_grant(_Request("GET", parameters, {}), end_user=user)
    except OAuth2Error as error:
        raise _told(error, parameters) from None
    return str(grant.request.scope or "")


def issue_code(loaded: Loaded, parameters: Mapping[str, str], user: GrantedUser) -> tuple[str, str, Code]:
    """The address to send the browser to, the code in it, and what to store under the code's hash."""
    server = Server(loaded)
    request = _Request("GET", parameters, {})
    try:
        request.user = user
        grant = server.get_authorization_grant(request)
        redirect_uri = grant.validate_authorization_request()
        _, _, headers = grant.create_authorization_response(redirect_uri, user)
    except OAuth2Error as error:
        raise _told(error, parameters) from None
    assert loaded.issued is not None
    code, stored = loaded.issued
    return dict(headers)["Location"], code, stored


Answer = tuple[int, Any, dict[str, str]]


def redeem(loaded: Loaded, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """The token endpoint's answer: status, body and headers. On status 200 the caller must first claim the code."""
    answer: Answer = Server(loaded).create_token_response(_Request("POST", parameters, headers))
    return answer


def _told(error: Any, parameters: Mapping[str, str]) -> ShownError | RedirectedError:
    description = str(error.get_error_description() or error.error or "")
    if error.redirect_uri:
        return RedirectedError(error.redirect_uri, error.error, description, parameters.get("state"))
    return ShownError(error.error, description)
