"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0): what a request asks for, by Authlib's endpoint."""

from collections.abc import Mapping
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from authlib.oidc.rpinitiated import EndSessionEndpoint
from msgspec import Struct

from scopefold.auth.core.redirects import with_query
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.own_tokens import Hint
from scopefold.auth.oauth.request import GrammarRequest, ShownError
from scopefold.auth.oauth.server import Server


class LogoutAsked(Struct, frozen=True):
    """A valid request to log out. Without a hint the user must confirm it, and is redirected nowhere."""

    hint: Hint | None
    redirect_uri: str | None
    """Where to go afterwards, `state` and all."""


def logout_asked(loaded: Loaded, parameters: Mapping[str, str], hint: Hint | None) -> LogoutAsked:
    """What is asked for. `loaded.client` is the client of `client_id`, else that of the hint. Raises `ShownError`.

    An address that is not registered is shown as an error, and nothing is logged out: the app is mistaken, or is none.
    """
    server = Server(loaded)
    server.register_endpoint(_EndSession(hint))
    plain = {name: value for name, value in parameters.items() if name != "state"}  # Authlib would respell the address
    try:
        found = server.validate_endpoint_request("end_session", GrammarRequest("GET", plain, {}))
    except OAuth2Error as error:
        raise ShownError("invalid_request", str(error.get_error_description() or error.error)) from None
    if hint is not None and parameters.get("post_logout_redirect_uri") and not found.redirect_uri:
        raise ShownError("invalid_request", "The post_logout_redirect_uri is not registered for this app.")
    address, state = found.redirect_uri, parameters.get("state")
    return LogoutAsked(hint, with_query(address, [("state", state)]) if address and state else address)


class _EndSession(EndSessionEndpoint):  # type: ignore[misc]  # Authlib has no types
    """Authlib would take anything that we signed for an ID token."""

    def __init__(self, hint: Hint | None) -> None:
        super().__init__()
        self._hint = hint

    def _validate_id_token_hint(self, id_token_hint: str) -> dict[str, Any]:
        if self._hint is None:
            raise InvalidRequestError("The id_token_hint is no ID token of this server.")
        return {"sub": self._hint.subject, "aud": list(self._hint.audience), "sid": self._hint.sid}

    def resolve_client_from_id_token_claims(self, id_token_claims: dict[str, Any]) -> Any:
        audience = id_token_claims["aud"]
        return self.server.query_client(audience[0]) if len(audience) == 1 else None

    def _is_valid_post_logout_redirect_uri(self, client: Any, post_logout_redirect_uri: str) -> bool:
        return post_logout_redirect_uri in client.client.post_logout_redirect_uris
