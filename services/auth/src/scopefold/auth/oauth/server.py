"""An authorization server for one request, and what a request is asked of it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError, OAuth2Error
from authlib.oauth2.rfc6749.util import extract_basic_authorization

from scopefold.auth.oauth.access_token import AccessToken
from scopefold.auth.oauth.client import AUTH_METHODS, RegisteredClient
from scopefold.auth.oauth.client_credentials import OwnGrant
from scopefold.auth.oauth.code import CodeGrant, RequireS256
from scopefold.auth.oauth.dpop import DPoP
from scopefold.auth.oauth.exchange import ExchangeGrant
from scopefold.auth.oauth.id_token import IdToken
from scopefold.auth.oauth.loaded import GrantedUser, Loaded
from scopefold.auth.oauth.plain_request import PlainRequests
from scopefold.auth.oauth.private_key_jwt import METHOD, PrivateKeyJwt
from scopefold.auth.oauth.refresh import RefreshGrant
from scopefold.auth.oauth.request import GrammarRequest, ShownError, told
from scopefold.auth.oauth.resource import ResourceIndicators
from scopefold.auth.oauth.token_status import Introspection, Revocation
from scopefold.auth.store.records import Code

NOT_PROVED: Final = "The client is not known, or did not prove itself as it is registered to."


def _of_request(extension: Callable[[Loaded], Any]) -> Callable[[Any], None]:
    """An extension that looks at what was loaded for the request, made where the request's grant is."""

    def extend(grant: Any) -> None:
        extension(grant.server.loaded)(grant)

    return extend


_COMMON: Final = (_of_request(ResourceIndicators), _of_request(DPoP))
_OF_CODES: Final = [RequireS256(required=True), *_COMMON, _of_request(IdToken)]
_OF_REFRESH: Final = [*_COMMON, _of_request(IdToken)]
_OF_OWN: Final = [*_COMMON]
_OF_EXCHANGE: Final = [_of_request(DPoP)]
"""Authlib's extensions of each grant. They are looked up for every request, and made for the one grant that it is."""


class Server(AuthorizationServer):  # type: ignore[misc]
    """An authorization server for one request: at the authorization endpoint, or at those for clients alone."""

    def __init__(self, loaded: Loaded, *, for_browsers: bool = False) -> None:
        super().__init__()
        self.loaded = loaded
        self.register_grant(CodeGrant, _OF_CODES)
        if for_browsers:  # what clients need there, none of it comes into question here
            self.register_extension(PlainRequests(loaded))
            return
        self.register_grant(RefreshGrant, _OF_REFRESH)
        self.register_grant(OwnGrant, _OF_OWN)
        self.register_grant(ExchangeGrant, _OF_EXCHANGE)

        def by_key(query_client: Any, request: GrammarRequest) -> Any:
            return PrivateKeyJwt(loaded)(query_client, request)

        self.register_client_auth_method(METHOD, by_key)

    def generate_token(self, *asked: Any, **named: Any) -> Any:
        """One generator for all grants, made where a token is."""
        return AccessToken(self.loaded)(*asked, **named)

    def query_client(self, client_id: str) -> RegisteredClient | None:
        client = self.loaded.client
        if client is None or client.client_id != client_id:
            return None
        return RegisteredClient(client, self.loaded.client_secret_key)

    def get_authorization_grant(self, request: GrammarRequest) -> Any:
        """The grant for a response type. Raises `ShownError` too: Authlib repeats a wrong type in its error, and fails
        over characters that an error may not hold.
        """
        try:
            return super().get_authorization_grant(request)
        except ValueError:
            raise ShownError("unsupported_response_type", "The response_type must be code.") from None

    def authenticate_client(self, request: GrammarRequest, methods: list[str], endpoint: str = "token") -> Any:
        """Authlib would list the methods that it tried. Which of the two it is, nobody is told who proved nothing."""
        try:
            return super().authenticate_client(request, methods, endpoint)
        except InvalidClientError as error:
            error.description = self._misplaced_secret(request) or NOT_PROVED
            raise

    def _misplaced_secret(self, request: GrammarRequest) -> str | None:
        """What to mend where the secret is right and was sent in the wrong way: only who holds it is told."""
        client = self.loaded.client
        secret = extract_basic_authorization(request.headers)[1] or request.form.get("client_secret")
        if client is None or client.secret_hash is None or not secret:
            return None
        if not RegisteredClient(client, self.loaded.client_secret_key).check_client_secret(secret):
            return None
        return f"The secret is right, but this client is registered to send it by {client.token_endpoint_auth_method}."

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Access tokens are self-contained: nothing is stored."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: GrammarRequest) -> GrammarRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, dict[str, str]]:
        return status, body, dict(headers)


def check_authorization_request(loaded: Loaded, parameters: Mapping[str, str], user: GrantedUser | None) -> str:
    """The scope that a valid authorization request is allowed. Raises `ShownError` or `RedirectedError`."""
    server = Server(loaded, for_browsers=True)
    try:
        grant = server.get_consent_grant(GrammarRequest("GET", parameters, {}), end_user=user)
    except OAuth2Error as error:
        raise told(error, parameters) from None
    return str(grant.request.scope or "")


def why_unproved(loaded: Loaded, parameters: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    """Why the client of a request has not proved itself, by any method of the token endpoint; None where it has."""
    try:
        Server(loaded).authenticate_client(GrammarRequest("POST", parameters, headers), list(AUTH_METHODS))
    except OAuth2Error as error:
        return str(error.description or NOT_PROVED)
    return None


def check_pushed_request(loaded: Loaded, parameters: Mapping[str, str]) -> None:
    """Raises `ShownError` or `RedirectedError` where a request that a client pushes is not valid. Who the user is will
    be seen when the browser comes, so nothing is judged here that depends on it.
    """
    loaded.pushed = True
    check_authorization_request(loaded, {k: v for k, v in parameters.items() if k != "prompt"}, None)


def issue_code(loaded: Loaded, parameters: Mapping[str, str], user: GrantedUser) -> tuple[str, Code]:
    """A code, and what to store under its hash."""
    server = Server(loaded, for_browsers=True)
    request = GrammarRequest("GET", parameters, {})
    try:
        request.user = user
        grant = server.get_authorization_grant(request)
        redirect_uri = grant.validate_authorization_request()
        grant.create_authorization_response(redirect_uri, user)
    except OAuth2Error as error:
        raise told(error, parameters) from None
    assert loaded.issued is not None
    return loaded.issued


Answer = tuple[int, Any, dict[str, str]]


def redeem(loaded: Loaded, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """The token endpoint's answer: status, body and headers. On status 200 the caller must first store `kept`."""
    answer: Answer = Server(loaded).create_token_response(GrammarRequest("POST", parameters, headers))
    return answer


def introspect(loaded: Loaded, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """The introspection endpoint's answer (RFC 7662)."""
    request = GrammarRequest("POST", parameters, headers)
    server = Server(loaded)
    server.register_endpoint(Introspection)
    answer: Answer = server.create_endpoint_response(Introspection.ENDPOINT_NAME, request)
    return answer


def revoke(loaded: Loaded, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """The revocation endpoint's answer (RFC 7009). The caller must first end what `revoke` names."""
    request = GrammarRequest("POST", parameters, headers)
    server = Server(loaded)
    server.register_endpoint(Revocation)
    answer: Answer = server.create_endpoint_response(Revocation.ENDPOINT_NAME, request)
    return answer
