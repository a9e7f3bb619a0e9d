"""Client metadata (RFC 7591, section 2), and its rules: the same for operators, dynamic clients and documents."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from scopefold.auth.core.egress import BadTarget, Network, target
from scopefold.auth.core.keys import SigningAlgorithm
from scopefold.auth.core.redirects import ApplicationType, is_loopback, problem_with
from scopefold.auth.oauth.client import AUTH_METHODS
from scopefold.auth.oauth.client_keys import why_unusable
from scopefold.auth.store.records import Client, Origin
from scopefold.contracts.words import check_scopes

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
AssertionAlgorithm = Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
GrantType = Literal["authorization_code", "refresh_token", "client_credentials"]
WITH_SECRET: Final = ("client_secret_basic", "client_secret_post")
REGISTRABLE_METHODS: Final = tuple(dict.fromkeys((*AUTH_METHODS, "private_key_jwt")))
REGISTRABLE_SCOPES: Final = ("openid", "profile", "email", "groups")
"""What clients that nobody vouches for may ask for."""

UNSAFE_GRANTS: Final = frozenset({"implicit", "password", "client_credentials"})
"""Refused to clients that nobody vouches for. What else is not known is left out (RFC 7591, section 2)."""

KNOWN_GRANTS: Final = ("authorization_code", "refresh_token")
USER_PREFIX: Final = "u_"
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Address = Annotated[str, Meta(min_length=1, max_length=2000)]
Addresses = Annotated[tuple[Address, ...], Meta(max_length=20)]
Words = Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=20)]


class BadMetadata(ValueError):
    """A client cannot be registered so. `error` is `invalid_redirect_uri` or `invalid_client_metadata` (RFC 7591)."""

    def __init__(self, error: Literal["invalid_redirect_uri", "invalid_client_metadata"], description: str) -> None:
        super().__init__(description)
        self.error = error


class ClientMetadata(Struct, frozen=True, kw_only=True):
    """What a client says of itself. Members that are not used here, such as logos, are neither kept nor fetched."""

    redirect_uris: Addresses = ()
    client_name: Text | None = None
    token_endpoint_auth_method: str = "client_secret_basic"
    grant_types: Words = ("authorization_code",)
    response_types: Words = ("code",)
    scope: Annotated[str, Meta(max_length=4000)] | None = None
    application_type: ApplicationType | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: Address | None = None
    post_logout_redirect_uris: Addresses = ()
    backchannel_logout_uri: Address | None = None
    backchannel_logout_session_required: bool = False
    id_token_signed_response_alg: SigningAlgorithm = "RS256"
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False
    token_endpoint_auth_signing_alg: AssertionAlgorithm | None = None


def client_of(metadata: ClientMetadata, *, client_id: str, origin: Origin, reachable: Sequence[Network]) -> Client:
    """The client that an app which nobody vouches for describes. Raises `BadMetadata`.

    Scopes and grant types that such an app cannot have are left out, which the answer tells; the unsafe are refused.
    """
    if unsafe := UNSAFE_GRANTS & set(metadata.grant_types):
        raise _wrong(f"The grant type {min(unsafe)} is not for clients that register themselves.")
    if set(metadata.response_types) - {"code"}:
        raise _wrong("The only response type is code.")
    if metadata.token_endpoint_auth_method not in REGISTRABLE_METHODS:
        raise _wrong(f"token_endpoint_auth_method must be one of: {', '.join(REGISTRABLE_METHODS)}.")
    if origin == "document" and metadata.token_endpoint_auth_method in WITH_SECRET:
        raise _wrong("A client that is described by a document has no secret: none or private_key_jwt.")
    asked = set(REGISTRABLE_SCOPES if metadata.scope is None else metadata.scope.split())
    client = Client(
        client_id=client_id,
        client_name=metadata.client_name or client_id,
        redirect_uris=metadata.redirect_uris,
        grant_types=tuple(one for one in KNOWN_GRANTS if one in metadata.grant_types),
        scopes=tuple(one for one in REGISTRABLE_SCOPES if one in asked),
        token_endpoint_auth_method=metadata.token_endpoint_auth_method,
        application_type=metadata.application_type,
        jwks=metadata.jwks,
        jwks_uri=metadata.jwks_uri,
        post_logout_redirect_uris=metadata.post_logout_redirect_uris,
        backchannel_logout_uri=metadata.backchannel_logout_uri,
        backchannel_logout_session_required=metadata.backchannel_logout_session_required,
        id_token_signed_response_alg=metadata.id_token_signed_response_alg,
        require_pushed_authorization_requests=metadata.require_pushed_authorization_requests,
        dpop_bound_access_tokens=metadata.dpop_bound_access_tokens,
        token_endpoint_auth_signing_alg=metadata.token_endpoint_auth_signing_alg,
        origin=origin,
    )
    if "authorization_code" not in client.grant_types:
        raise _wrong("A client that registers itself needs the grant type authorization_code.")
    check(client, reachable)
    return client


def described(client: Client) -> dict[str, Any]:
    """A client's metadata as RFC 7591 names it: what is registered, which may be less than was asked for."""
    said: dict[str, Any] = {
        "client_name": client.client_name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"],
        "scope": " ".join(client.scopes),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "application_type": client.kind,
    }
    optional = {
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri,
        "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "backchannel_logout_session_required": client.backchannel_logout_session_required,
        "id_token_signed_response_alg": client.id_token_signed_response_alg,
        "require_pushed_authorization_requests": client.require_pushed_authorization_requests,
        "dpop_bound_access_tokens": client.dpop_bound_access_tokens,
        "token_endpoint_auth_signing_alg": client.token_endpoint_auth_signing_alg,
    }
    return said | {name: value for name, value in optional.items() if value}


def check(client: Client, reachable: Sequence[Network]) -> None:
    """The rules for every client, whoever registers it. Raises `BadMetadata`. Nothing is fetched."""
    _check_addresses(client, reachable)
    _check_keys(client, reachable)
    method = client.token_endpoint_auth_method
    if client.client_id.startswith(USER_PREFIX):  # RFC 9700, section 4.15: a subject must not be two things
        raise _wrong(f"A client_id may not begin with {USER_PREFIX}: as a subject it could be taken for a user.")
    if client.scopes:
        try:
            check_scopes(client.scopes)
        except ValueError as error:
            raise _wrong(str(error)) from None
    if "client_credentials" in client.grant_types and method == "none":
        raise _wrong("A public client has no credentials: client_credentials needs another token_endpoint_auth_method.")
    if client.resource_server and method == "none":
        raise _wrong("A resource server must authenticate: give it another token_endpoint_auth_method than none.")
    if not client.require_pkce and (method == "none" or "openid" not in client.scopes):
        raise _wrong("Only a confidential OpenID Connect client may do without PKCE (RFC 9700, section 2.1.1).")
    if client.require_pkce and not client.require_nonce:
        raise _wrong("require_nonce is for clients that need no PKCE: of others, no nonce is demanded.")
    if client.is_fapi and (not client.require_pkce or client.token_endpoint_auth_signing_alg == "RS256"):
        raise _wrong("A client of FAPI 2.0 cannot do without PKCE, nor sign with RS256.")


def _check_addresses(client: Client, reachable: Sequence[Network]) -> None:
    if "authorization_code" in client.grant_types and not client.redirect_uris:
        raise BadMetadata("invalid_redirect_uri", "The grant type authorization_code needs a redirect address.")
    for address in (*client.redirect_uris, *client.post_logout_redirect_uris):
        if (problem := problem_with(address, client.kind)) is not None:
            raise BadMetadata("invalid_redirect_uri", f"{address[:200]} cannot be a redirect address: {problem}.")
    backchannel = client.backchannel_logout_uri
    if backchannel is not None and not (client.origin == "operator" and is_loopback(backchannel)):
        _check_target("backchannel_logout_uri", backchannel, reachable)


def _check_keys(client: Client, reachable: Sequence[Network]) -> None:
    if client.jwks is not None and client.jwks_uri is not None:
        raise _wrong("Give jwks or jwks_uri, not both (RFC 7591, section 2).")
    if client.token_endpoint_auth_method == "private_key_jwt" and client.jwks is None and client.jwks_uri is None:
        raise _wrong("private_key_jwt needs the client's public keys: jwks or jwks_uri.")
    if client.jwks_uri is not None:
        _check_target("jwks_uri", client.jwks_uri, reachable)
    if client.jwks is not None and (why := why_unusable(client.jwks)) is not None:
        raise _wrong(why)


def _check_target(name: str, address: str, reachable: Sequence[Network]) -> None:
    try:
        target(address, reachable)
    except BadTarget as error:
        raise _wrong(f"{name} cannot be used: {error}.") from None


def _wrong(description: str) -> BadMetadata:
    return BadMetadata("invalid_client_metadata", description)
