"""The way to an IdP: where a login sends the browser, and what it says there."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from msgspec import Struct

from scopefold.auth.core.login import authorize_parameters, requested_scopes
from scopefold.consent.idp_scopes import Idp
from scopefold.scopes.addresses import addresses
from scopefold.scopes.union import request_parameters


def endpoint(idp: Idp, name: str) -> str:
    """The address of an IdP's endpoint: the operator's where one is set, else the profile's."""
    assert idp.registration is not None
    own = getattr(idp.registration.event.endpoints, name)
    return str(own or getattr(addresses(idp.profile), name))


def needs_nonce(idp: Idp) -> bool:
    """Whether the ID token says who the user is, so that it must be the one for this login."""
    return idp.profile.identity.source == "id_token"


class Way(Struct, frozen=True):
    """What every login says to an IdP, made once for as long as the IdP stays as it is."""

    idp: Idp
    scopes: tuple[str, ...]
    """What is asked of it: the whole union."""
    address: str
    """Of its authorization endpoint, with all parameters that are always the same."""
    names: frozenset[str]
    """Of these parameters: nothing that a client asks for replaces one."""


def way_to(idp: Idp, redirect_uri: str) -> Way:
    """The way to an IdP: with the profile's own parameters and the operator's, and the whole union."""
    assert idp.registration is not None
    scopes = requested_scopes(idp)
    always = {
        **authorize_parameters(idp),
        **request_parameters(idp.profile, scopes),
        "response_type": "code",
        "client_id": idp.registration.event.client_id,
        "redirect_uri": redirect_uri,
        "code_challenge_method": "S256",
    }
    place = urlsplit(endpoint(idp, "authorize"))
    query = urlencode([*parse_qsl(place.query, keep_blank_values=True), *always.items()])
    return Way(idp, scopes, urlunsplit(place._replace(query=query)), frozenset(always))


def authorize_url(way: Way, *, state: str, verifier: str, more: Mapping[str, str], nonce: str | None = None) -> str:
    """Where the browser is sent: the way to the IdP, with what is this login's own and what the client asked for."""
    own = f"&state={state}&code_challenge={create_s256_code_challenge(verifier)}"  # base64url: nothing to quote
    if nonce is not None:
        own += f"&nonce={nonce}"
    asked = {name: value for name, value in more.items() if name not in way.names} if more else {}
    return f"{way.address}{own}&{urlencode(asked)}" if asked else way.address + own
