"""What a request asks of the user's authentication, at the authorization endpoint and where it is pushed before."""

from collections.abc import Mapping

from msgspec.structs import replace

from scopefold.auth.core.authentication import Asked, BadRequest, read
from scopefold.auth.oauth.own_tokens import read_hint
from scopefold.auth.oauth.request import RedirectedError
from scopefold.auth.web.service import Service


def asked_in(service: Service, parameters: Mapping[str, str]) -> Asked:
    """What is asked of the authentication; an `id_token_hint` names the only user who will do.

    Raises `RedirectedError`: the redirect address is known to be registered.
    """
    try:
        asked = read(parameters)
    except BadRequest as error:
        raise refused(parameters, error.error, error.description) from None
    if (text := parameters.get("id_token_hint")) is None:
        return asked
    hint = read_hint(service.bus.keys, service.issuer, text)
    if hint is None or parameters["client_id"] not in hint.audience:
        raise refused(parameters, "invalid_request", "The id_token_hint is no ID token that this client got here.")
    if asked.subject not in (None, hint.subject):
        raise refused(parameters, "login_required", "No user is both of those whom the request names.")
    return replace(asked, subject=hint.subject)


def refused(parameters: Mapping[str, str], error: str, description: str) -> RedirectedError:
    """The client is told, at its redirect address."""
    return RedirectedError(parameters["redirect_uri"], error, description, parameters)
