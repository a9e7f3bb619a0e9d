"""Where clients push their authorization requests (RFC 9126)."""

from typing import Final

from authlib.oauth2.rfc6749 import OAuth2Error

from scopefold.auth.oauth.dpop import judged
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.oauth.server import check_pushed_request
from scopefold.auth.web.asked import asked_in
from scopefold.auth.web.client_request import (
    Answer,
    ClientRequest,
    RequestError,
    check_client,
    client_endpoint,
    spend_proof,
    too_many_for_clients,
)
from scopefold.auth.web.dpop import HEADER
from scopefold.auth.web.pushed import PUSHED_SECONDS, keep_pushed
from scopefold.auth.web.rate import TooManyError

_CREDENTIALS: Final = ("client_secret", "client_assertion", "client_assertion_type")


async def answer(asked: ClientRequest) -> Answer:
    """`POST /oauth2/par`"""
    service, loaded, sent = asked.service, asked.loaded, asked.parameters
    try:
        service.limits.logins.take(service.limits.address(asked.request))
    except TooManyError as error:
        raise too_many_for_clients(error) from None
    loaded.audiences = (*loaded.audiences, f"{service.issuer}/oauth2/par")
    client = await check_client(asked)
    if "request_uri" in sent:
        raise RequestError(400, "invalid_request", "A request that is pushed cannot name another by request_uri.")
    kept = {name: value for name, value in sent.items() if name not in _CREDENTIALS}
    parameters = {**kept, "client_id": client.client_id}
    await _bind_to_key(asked, parameters)
    try:
        check_pushed_request(loaded, parameters)
        asked_in(service, parameters)
    except (ShownError, RedirectedError) as error:
        raise RequestError(400, error.error, error.description) from None
    request_uri = await keep_pushed(service, client.client_id, parameters)
    return 201, {"request_uri": request_uri, "expires_in": PUSHED_SECONDS}, {}


push = client_endpoint(answer)


async def _bind_to_key(asked: ClientRequest, parameters: dict[str, str]) -> None:
    """A proof that comes along stands for `dpop_jkt` (RFC 9449, section 10.1). Raises `RequestError`."""
    if (text := asked.headers.get(HEADER)) is None:
        return
    try:
        asked.loaded.proof = proof = judged(asked.loaded, text, method="POST")
    except OAuth2Error as error:
        raise RequestError(400, error.error, error.description) from None
    if parameters.setdefault("dpop_jkt", proof.jkt) != proof.jkt:
        raise RequestError(400, "invalid_dpop_proof", "The DPoP proof is of another key than dpop_jkt.")
    await spend_proof(asked)
