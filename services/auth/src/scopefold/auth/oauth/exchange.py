"""Token exchange (RFC 8693): a client that was called with a user's access token gets one for what it calls itself.

Two kinds of target: a connector's resource type, for which the user's token at the IdP is handed out, and any other
resource, for which this server issues an access token of its own that says who acts for whom.
"""

from typing import Any, Final

from authlib.oauth2.rfc6749 import (
    BaseGrant,
    InvalidRequestError,
    InvalidScopeError,
    TokenEndpointMixin,
    UnauthorizedClientError,
    scope_to_list,
)
from authlib.oauth2.rfc6749.hooks import hooked

from scopefold.auth.oauth.access_claims import AccessClaims
from scopefold.auth.oauth.client import CONFIDENTIAL_METHODS
from scopefold.auth.oauth.loaded import Exchange, Loaded, Told
from scopefold.auth.oauth.resource import InvalidTargetError, is_connectors, resources_in
from scopefold.auth.store.records import Client

EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
MAX_SITE_CHARACTERS: Final = 500
NOT_TO_PASS_ON: Final = frozenset({"openid", "offline_access"})


class ExchangeGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # Authlib has no types
    """`Loaded.told` is the subject token, looked up before. What may be had for it is left in `Loaded.exchange`."""

    GRANT_TYPE = EXCHANGE
    TOKEN_ENDPOINT_AUTH_METHODS = list(CONFIDENTIAL_METHODS)

    @hooked  # type: ignore[untyped-decorator]
    def validate_token_request(self) -> None:
        """Section 2.1. Everything that is not allowed is refused, and so is what is not known."""
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError("This client may not exchange tokens.")
        self.request.client = client
        loaded: Loaded = self.server.loaded
        data = self.request.payload.data
        _check_types(data)
        subject = _subject(loaded)
        target = _target(loaded, data)
        _check_audience(loaded, target)
        scopes = tuple(dict.fromkeys(scope_to_list(data.get("scope")) or ()))
        if not is_connectors(target):
            scopes = _own_scopes(scopes, subject, client.client.scopes)
        loaded.exchange = Exchange(subject, target, scopes, _site(data, target))

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """For a connector's resource type the caller must put the IdP's token in place of what stands here."""
        loaded: Loaded = self.server.loaded
        asked = loaded.exchange
        assert asked is not None
        check_binding(loaded, asked.subject)
        told: dict[str, Any] = {"issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}
        if is_connectors(asked.target):
            return 200, told, self.TOKEN_RESPONSE_HEADER
        loaded.audience = (asked.target,)
        scope = " ".join(asked.scopes)
        token = self.generate_token(user=_Subject(asked.subject.sub), scope=scope, include_refresh_token=False)
        told["expires_in"] = min(token["expires_in"], asked.subject.exp - int(loaded.now.timestamp()))
        if loaded.proof is not None:
            told["token_type"] = "DPoP"
        return 200, {**token, **told}, self.TOKEN_RESPONSE_HEADER


def for_service(loaded: Loaded, target: str, scopes: tuple[str, ...], site: str = "") -> Exchange:
    """The same decision for a service on the bus, which the bus itself has authenticated as `Loaded.client`.

    Only for a connector's resource type; and a subject token that is bound to a key is refused, because a proof of it
    is made for a request over HTTP. Raises `OAuth2Error`.
    """
    client = loaded.client
    if client is None or EXCHANGE not in client.grant_types:
        raise UnauthorizedClientError("This service is not registered as a client that may exchange tokens.")
    if not is_connectors(target):
        raise InvalidTargetError("Over the bus only a connector's resource type can be the target.")
    subject = _subject(loaded)
    _check_target(loaded, target)
    _check_audience(loaded, target)
    if subject.cnf is not None:
        raise InvalidRequestError(
            "The subject token is bound to a key: exchange it over HTTP, with a proof of the key."
        )
    return Exchange(subject, target, scopes, site)


class _Subject:
    """The user, as Authlib asks about them."""

    def __init__(self, user: str) -> None:
        self._user = user

    def get_user_id(self) -> str:
        return self._user


def check_binding(loaded: Loaded, subject: AccessClaims) -> None:
    """A token that is bound to a key is good only in the hands of who proves that key (RFC 9449, section 7)."""
    bound = subject.key
    if bound is not None and (loaded.proof is None or loaded.proof.jkt != bound):
        raise InvalidRequestError("The subject token is bound to a key: prove that key, or send one that is not bound.")


def _check_types(data: dict[str, str]) -> None:
    if not data.get("subject_token"):
        raise InvalidRequestError("Missing 'subject_token' in request.")
    if data.get("subject_token_type") not in (ACCESS_TOKEN, JWT):
        raise InvalidRequestError(f"The subject_token_type must be {ACCESS_TOKEN}.")
    if data.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        raise InvalidRequestError(f"The requested_token_type can only be {ACCESS_TOKEN}.")
    if "actor_token" in data or "actor_token_type" in data:
        raise InvalidRequestError("An actor_token is not taken: who acts is the client that authenticates.")


def _subject(loaded: Loaded) -> AccessClaims:
    """What the subject token says: one of our access tokens, of a user, that is good now."""
    told = loaded.told
    if told is None or told.claims is None or not told.live:
        raise InvalidRequestError("The subject_token is no access token of this server that is good now.")
    if told.claims.grant_id is None:
        raise InvalidRequestError("The subject_token is a client's own: there is no user to act for.")
    return told.claims


def _target(loaded: Loaded, data: dict[str, str]) -> str:
    """The one target, as `resource` or as `audience`; it must be among those that this client is allowed."""
    asked = dict.fromkeys([*resources_in(loaded, data), *([data["audience"]] if "audience" in data else [])])
    if len(asked) != 1:
        raise InvalidTargetError("Name exactly one target, as resource or as audience.")
    (target,) = asked
    _check_target(loaded, target)
    return target


def _check_target(loaded: Loaded, target: str) -> None:
    assert loaded.client is not None
    if target not in loaded.client.exchange_resources:
        raise InvalidTargetError("This client may not exchange tokens for this target.")
    if is_connectors(target) and target not in loaded.connectors:
        raise InvalidTargetError("No connector is provisioned for this target.")


def _site(data: dict[str, str], target: str) -> str:
    """The one site of the user's that the call is for; empty where it names none."""
    site = data.get("site", "")
    if site and (not is_connectors(target) or len(site) > MAX_SITE_CHARACTERS):
        raise InvalidRequestError("A site is named by its id, address or host, for a connector's resource type alone.")
    return site


def may_present(issuer: str, client: Client, told: Told, target: str) -> bool:
    """Was a token meant for the client that presents it, for this server, or for the target itself? Any other was
    stolen, or lent for something else.

    One for this server says, in the hands of a client that nobody vouches for, who the user is, and no more: what it
    may use as the user it had to name, and the user was asked.
    """
    meant_for = {client.client_id, *client.resources, target, *(() if told.unknown else (issuer,))}
    return told.claims is not None and bool(meant_for & set(told.claims.audiences))


def _check_audience(loaded: Loaded, target: str) -> None:
    """Raises `InvalidRequestError`: it is told as a bad subject token (section 2.2.2)."""
    assert loaded.client is not None and loaded.told is not None
    if not may_present(loaded.issuer, loaded.client, loaded.told, target):
        raise InvalidRequestError("The subject token was issued for something else.")


def _own_scopes(asked: tuple[str, ...], subject: AccessClaims, registered: tuple[str, ...]) -> tuple[str, ...]:
    """What a token of our own may carry: what the user's does, as far as the client is registered for it."""
    common = [one for one in subject.scope.split() if one in registered and one not in NOT_TO_PASS_ON]
    if unknown := [one for one in asked if one not in common]:
        raise InvalidScopeError(f"The subject token, or this client, does not have the scope {unknown[0]}.")
    return asked or tuple(common)
