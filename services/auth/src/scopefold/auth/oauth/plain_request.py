"""What an authorization request may not bring, whatever else is right with it, and in which form it must come."""

from typing import Any, Final

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc9101.errors import RequestNotSupportedError, RequestUriNotSupportedError

from scopefold.auth.oauth.loaded import Loaded

MAX_REQUEST: Final = 8192
"""Characters of a request, which is kept while its login is under way; browsers carry no longer address safely."""
FORM_POST: Final = "form_post"
RESPONSE_MODES: Final = ("query", FORM_POST)
REQUEST_URI_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"


def takes_forms(redirect_uri: str) -> bool:
    """May a browser post a form there? Not to a scheme of an app's own."""
    return redirect_uri.startswith(("https://", "http://"))


class PlainRequests:
    """Authlib's extension for the server. It never looks into a request object, and never fetches one.

    RFC 9101, section 10.4: an address in `request_uri` would turn this server against its own network. The one kind
    of `request_uri` there is was pushed here before (RFC 9126) and has been resolved by the caller.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def __call__(self, server: Any) -> None:
        server.register_hook("before_get_authorization_grant", self.check)

    def check(self, server: Any, request: Any) -> None:
        """Raises Authlib's errors; they are redirected where the redirect address is certain."""
        asked = request.payload.data
        address = self._certain_address(server, request)
        if sum(len(name) + len(value) for name, value in asked.items()) > MAX_REQUEST:
            raise InvalidRequestError("The request is too long.", redirect_uri=address)
        if "request" in asked:
            raise RequestNotSupportedError(redirect_uri=address)
        if "request_uri" in asked and not self._loaded.pushed:
            raise RequestUriNotSupportedError(redirect_uri=address)
        mode = asked.get("response_mode", "query")
        if mode not in RESPONSE_MODES or (mode == FORM_POST and not takes_forms(asked.get("redirect_uri", ""))):
            raise InvalidRequestError("'response_mode' must be query, or form_post to a site.", redirect_uri=address)
        client = self._loaded.client
        if client is not None and client.require_pushed_authorization_requests and not self._loaded.pushed:
            raise InvalidRequestError("This client must push its authorization requests.", redirect_uri=address)

    def _certain_address(self, server: Any, request: Any) -> str | None:
        client = server.query_client(request.payload.client_id)
        address = request.payload.redirect_uri
        return address if client is not None and address and client.check_redirect_uri(address) else None
