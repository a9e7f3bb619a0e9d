"""Dynamic client registration (RFC 7591) and its management (RFC 7592), on Authlib's endpoints."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from authlib.oauth2.rfc6749 import JsonPayload, JsonRequest
from authlib.oauth2.rfc6750 import InvalidTokenError
from authlib.oauth2.rfc7591 import (
    ClientMetadataClaims,
    ClientRegistrationEndpoint,
    InvalidClientMetadataError,
    InvalidRedirectURIError,
    InvalidSoftwareStatementError,
)
from authlib.oauth2.rfc7592 import ClientConfigurationEndpoint
from authlib.oidc.registration import ClientMetadataClaims as OpenIdClaims
from joserfc.errors import JoseError
from msgspec import Struct
from msgspec.structs import replace

from scopefold.auth.core.egress import Network
from scopefold.auth.core.seal import keyed_hash
from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.client_metadata import WITH_SECRET, BadMetadata, ClientMetadata, client_of, described
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.request import sayable
from scopefold.auth.oauth.server import Answer, Server
from scopefold.auth.store.records import Client

OURS_TO_JUDGE: Final = frozenset({"redirect_uris", "request_uris"})
"""Authlib takes `javascript:` for a redirect address and no private-use scheme; request objects are never fetched."""


class Work(Struct, kw_only=True):
    """What a registration request needs, and what is to be stored after it. Ids and secrets are made before."""

    loaded: Loaded
    algorithms: Sequence[str]
    """What ID tokens are signed with."""
    reachable: Sequence[Network]
    client_id: str
    secret: str
    registration_token: str
    allowed: bool = False
    """May the caller register a client?"""
    stored: Client | None = None
    """What to store: None where nothing changes."""
    delete: bool = False


class _Json(JsonPayload):  # type: ignore[misc]  # Authlib has no types
    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = dict(members)

    @property
    def data(self) -> dict[str, Any]:
        return self._members


def answer(work: Work, method: str, members: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """The answer to a request at a client's own address, or with POST at the registration endpoint."""
    server = Server(work.loaded)
    server.register_endpoint(Register(work) if method == "POST" else Configure(work))
    request = JsonRequest(method, "https://authorization-server.invalid/", headers)
    request.payload = _Json(members)
    name = Register.ENDPOINT_NAME if method == "POST" else Configure.ENDPOINT_NAME
    found: Answer = server.create_endpoint_response(name, request)
    return found


def _checked(work: Work, members: Mapping[str, Any], client_id: str) -> Client:
    """The client that this metadata describes. First its types, for Authlib looks at values only; then Authlib's rules,
    then ours.
    """
    if "software_statement" in members:
        raise InvalidSoftwareStatementError("No software statement is trusted here.")
    try:
        metadata = msgspec.convert(members, ClientMetadata)
    except msgspec.ValidationError as error:
        raise InvalidClientMetadataError(sayable(error)) from None
    claims = {name: value for name, value in members.items() if name not in OURS_TO_JUDGE}
    for kind in (ClientMetadataClaims, OpenIdClaims):
        offered = {
            "id_token_signing_alg_values_supported": list(work.algorithms),
            "subject_types_supported": ["public"],
        }
        found = kind(claims, {}, kind.get_claims_options(offered), offered)
        try:
            found.validate()
        except (JoseError, TypeError, AttributeError) as error:
            wrong = getattr(error, "description", None) or "A value is of a type that it cannot have."
            raise InvalidClientMetadataError(sayable(wrong)) from None
    try:
        return client_of(metadata, client_id=client_id, origin="dynamic", reachable=work.reachable)
    except BadMetadata as error:
        kinds = {"invalid_redirect_uri": InvalidRedirectURIError, "invalid_client_metadata": InvalidClientMetadataError}
        raise kinds[error.error](sayable(error)) from None


def _identified(client: Client, registered_at: datetime) -> dict[str, Any]:
    return {"client_id": client.client_id, "client_id_issued_at": int(registered_at.timestamp())}


def _managed(work: Work, client: Client, token: str) -> dict[str, str]:
    address = f"{work.loaded.issuer}/oauth2/register/{client.client_id}"
    return {"registration_client_uri": address, "registration_access_token": token}


class Register(ClientRegistrationEndpoint):  # type: ignore[misc]
    """The client registration endpoint."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    def create_endpoint_request(self, request: JsonRequest) -> JsonRequest:
        return request

    def authenticate_token(self, request: JsonRequest) -> Work:
        if not self._work.allowed:
            raise InvalidTokenError("An initial access token of an operator is needed, which has not expired.")
        return self._work

    def extract_client_metadata(self, request: JsonRequest) -> dict[str, Any]:
        work = self._work
        client = _checked(work, request.payload.data, work.client_id)
        with_secret = client.token_endpoint_auth_method in WITH_SECRET
        work.stored = replace(
            client,
            secret_hash=keyed_hash(work.loaded.client_secret_key, work.secret) if with_secret else None,
            registration_token_hash=keyed_hash(work.loaded.client_secret_key, work.registration_token),
            registered_at=work.loaded.now,
            registration=work.client_id,  # which is random, and given to nobody again
        )
        return described(work.stored)

    def generate_client_info(self, request: JsonRequest) -> dict[str, Any]:
        assert self._work.stored is not None
        info = _identified(self._work.stored, self._work.loaded.now)
        if self._work.stored.secret_hash is not None:
            info |= {"client_secret": self._work.secret, "client_secret_expires_at": 0}
        return info

    def save_client(self, client_info: Any, client_metadata: Any, request: JsonRequest) -> Client:
        assert self._work.stored is not None
        return self._work.stored

    def generate_client_registration_info(self, client: Client, request: JsonRequest) -> dict[str, str]:
        return _managed(self._work, client, self._work.registration_token)


class _RegistrationToken(Struct, frozen=True):
    client_id: str

    def check_client(self, client: RegisteredClient) -> bool:
        return client.get_client_id() == self.client_id


class Configure(ClientConfigurationEndpoint):  # type: ignore[misc]
    """The client configuration endpoint: a client reads, replaces or deletes its own registration.

    A secret is never told again. A replacement has a new registration access token; the old one is void.
    """

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._presented = ""

    def create_endpoint_request(self, request: JsonRequest) -> JsonRequest:
        return request

    def authenticate_token(self, request: JsonRequest) -> _RegistrationToken:
        client = self._work.loaded.client
        expected = (client.registration_token_hash if client else None) or ""
        scheme, _, self._presented = request.headers.get("Authorization", "").partition(" ")
        presented = keyed_hash(self._work.loaded.client_secret_key, self._presented)
        if client is None or scheme.lower() != "bearer" or not hmac.compare_digest(presented, expected):
            raise InvalidTokenError("This is no registration access token of this client, or there is no such client.")
        return _RegistrationToken(client.client_id)

    def authenticate_client(self, request: JsonRequest) -> RegisteredClient:
        assert self._work.loaded.client is not None
        return RegisteredClient(self._work.loaded.client, self._work.loaded.client_secret_key)

    def check_permission(self, client: RegisteredClient, request: JsonRequest) -> bool:
        return True

    def revoke_access_token(self, token: Any, request: JsonRequest) -> None:
        """A token is void with its client."""

    def extract_client_metadata(self, request: JsonRequest) -> dict[str, Any]:
        work, present = self._work, self._work.loaded.client
        assert present is not None
        client = _checked(work, request.payload.data, present.client_id)
        secret_hash = None
        if client.token_endpoint_auth_method in WITH_SECRET:
            secret_hash = present.secret_hash or keyed_hash(work.loaded.client_secret_key, work.secret)
        work.stored = replace(
            client,
            secret_hash=secret_hash,
            registration_token_hash=keyed_hash(work.loaded.client_secret_key, work.registration_token),
            registered_at=present.registered_at,
            registration=present.registration,
            used_at=present.used_at,
        )
        return described(work.stored)

    def update_client(self, client: RegisteredClient, client_metadata: Any, request: JsonRequest) -> RegisteredClient:
        assert self._work.stored is not None
        return RegisteredClient(self._work.stored, self._work.loaded.client_secret_key)

    def delete_client(self, client: RegisteredClient, request: JsonRequest) -> None:
        self._work.delete = True

    def introspect_client(self, client: RegisteredClient) -> dict[str, Any]:
        present, found = self._work.loaded.client, client.client
        assert present is not None
        body = _identified(found, found.registered_at or self._work.loaded.now) | described(found)
        if found.secret_hash is not None and present.secret_hash is None:
            body |= {"client_secret": self._work.secret, "client_secret_expires_at": 0}
        return body

    def generate_client_registration_info(self, client: RegisteredClient, request: JsonRequest) -> dict[str, str]:
        changed = self._work.stored is not None
        return _managed(self._work, client.client, self._work.registration_token if changed else self._presented)
