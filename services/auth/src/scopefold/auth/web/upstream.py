"""The other side of a login: Scopefold as an OAuth client of an IdP. The grammar is Authlib's."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import httpx
import msgspec
from authlib.oauth2.auth import encode_client_secret_basic, encode_client_secret_post
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from msgspec import Struct

from scopefold.auth.core.login import authorize_parameters
from scopefold.auth.store.vault import Identity
from scopefold.consent.idp_scopes import Idp
from scopefold.scopes.addresses import addresses
from scopefold.scopes.grammar import member
from scopefold.scopes.union import request_parameters

Stage = Literal["authorize", "token", "identity"]
MAX_ANSWER_BYTES: Final = 256 * 1024
MAX_TIME: Final = 2**33
MAX_GROUPS: Final = 200
MAX_GROUP_LENGTH: Final = 200
_ERROR_CODE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class UpstreamFailed(Exception):
    """The IdP refused or did not answer. `error` is fit for the log: a code, never what the IdP sent along."""

    def __init__(self, stage: Stage, error: str) -> None:
        super().__init__(f"{stage}: {error}")
        self.stage = stage
        self.error = error_code(error)


class TokenAnswer(Struct, frozen=True):
    """What is used of a token answer (RFC 6749, section 5.1). `told` is all of it: a profile says where to look."""

    access_token: str
    refresh_token: str | None = None
    expires_in: int | float | None = None
    told: dict[str, Any] = {}

    @property
    def id_token(self) -> dict[str, Any]:
        """The claims of the ID token, where one came. It came straight from the IdP, over TLS, so its signature says
        nothing more (OpenID Connect Core 1.0, section 3.1.3.7, point 6).
        """
        text = self.told.get("id_token")
        try:
            payload = text.split(".")[1] if isinstance(text, str) else ""
            return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=dict)
        except (IndexError, ValueError, msgspec.MsgspecError, RecursionError):
            return {}

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user authenticated at the IdP, where it says so."""
        said = self.id_token.get("auth_time")
        if not isinstance(said, int | float) or isinstance(said, bool) or not 0 < said <= MAX_TIME:
            return None
        return datetime.fromtimestamp(said, UTC)


def error_code(text: str) -> str:
    """An error code as RFC 6749, section 5.2, allows it, at most 100 characters long."""
    return _ERROR_CODE.sub("?", text)[:100] or "unknown_error"


def endpoint(idp: Idp, name: str) -> str:
    """The address of an IdP's endpoint: the operator's where one is set, else the profile's."""
    assert idp.registration is not None
    own = getattr(idp.registration.event.endpoints, name)
    return str(own or getattr(addresses(idp.profile), name))


def authorize_url(
    idp: Idp, *, redirect_uri: str, scopes: tuple[str, ...], state: str, verifier: str, more: Mapping[str, str]
) -> str:
    """Where the browser is sent: the whole union, PKCE, the profile's own parameters, and what the client asked for."""
    assert idp.registration is not None
    challenge = {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
    return str(
        prepare_grant_uri(
            endpoint(idp, "authorize"),
            idp.registration.event.client_id,
            "code",
            redirect_uri=redirect_uri,
            state=state,
            **{**more, **authorize_parameters(idp), **request_parameters(idp.profile, scopes), **challenge},
        )
    )


async def exchange(
    http: httpx.AsyncClient, idp: Idp, *, client_secret: str, code: str, verifier: str, redirect_uri: str
) -> TokenAnswer:
    """Swap the code for tokens. Raises `UpstreamFailed`."""
    assert idp.registration is not None
    body = prepare_token_request("authorization_code", redirect_uri=redirect_uri, code=code, code_verifier=verifier)
    answer = await _ask_token(http, idp, client_secret, body)
    try:
        return msgspec.convert({**answer, "told": answer}, TokenAnswer, strict=False)
    except msgspec.ValidationError:
        raise UpstreamFailed("token", "malformed_token_answer") from None


class _App(Struct):
    """Our app at the IdP, as Authlib's encoders ask for it."""

    client_id: str
    client_secret: str


async def _ask_token(http: httpx.AsyncClient, idp: Idp, client_secret: str, body: str) -> Any:
    assert idp.registration is not None
    address = endpoint(idp, "token")
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    encode = {
        "client_secret_post": encode_client_secret_post,
        "client_secret_basic": encode_client_secret_basic,
    }[idp.profile.client_authentication]
    app = _App(idp.registration.event.client_id, client_secret)
    address, headers, body = encode(app, "POST", address, headers, body)
    content = body.encode()
    if idp.profile.token_format == "json":
        headers = {**headers, "content-type": "application/json"}
        headers.pop("Content-Length", None)
        content = msgspec.json.encode(dict(httpx.QueryParams(body)))
    try:
        response = await http.post(address, content=content, headers=headers)
    except httpx.HTTPError as error:
        raise UpstreamFailed("token", type(error).__name__) from None
    answer = _json(response, "token")
    if response.status_code != httpx.codes.OK or "error" in answer:
        raise UpstreamFailed("token", str(answer.get("error") or f"http_{response.status_code}"))
    return answer


async def identify(http: httpx.AsyncClient, idp: Idp, token: TokenAnswer) -> Identity:
    """Who the token belongs to. Raises `UpstreamFailed`."""
    names = idp.profile.identity
    answer = token.told if names.source == "token_answer" else await _ask_identity(http, idp, token.access_token)
    subject = _text(answer, names.subject)
    if not subject:
        raise UpstreamFailed("identity", "no_subject")
    return Identity(
        subject,
        _text(answer, names.email),
        _text(answer, names.name),
        given_name=_text(answer, names.given_name),
        family_name=_text(answer, names.family_name),
        preferred_username=_text(answer, names.preferred_username),
        email_verified=_flag(answer, names.email_verified),
        groups=_groups(idp, answer) or _groups(idp, token.id_token),
    )


def _groups(idp: Idp, answer: Mapping[str, object]) -> tuple[str, ...]:
    """The user's groups at the IdP, where the operator has named the claim that tells them."""
    assert idp.registration is not None
    path = idp.registration.event.groups_claim
    told = member(answer, path) if path else None
    if not isinstance(told, list):
        return ()
    return tuple(one for one in told if isinstance(one, str) and 0 < len(one) <= MAX_GROUP_LENGTH)[:MAX_GROUPS]


async def _ask_identity(http: httpx.AsyncClient, idp: Idp, access_token: str) -> dict[str, Any]:
    """What the identity endpoint says. HubSpot wants the token in the address, too."""
    asked = idp.profile.identity
    address = endpoint(idp, "identity").replace("{access_token}", quote(access_token, safe=""))
    headers = {"authorization": f"Bearer {access_token}", "accept": "application/json"}
    if asked.method == "POST":
        headers["content-type"] = "application/json"
    try:
        response = await http.request(asked.method, address, headers=headers, content=asked.body or None)
    except httpx.HTTPError as error:
        raise UpstreamFailed("identity", type(error).__name__) from None
    if response.status_code != httpx.codes.OK:
        raise UpstreamFailed("identity", f"http_{response.status_code}")
    return _json(response, "identity")


def _flag(answer: Mapping[str, object], path: str) -> bool | None:
    value = member(answer, path) if path else None
    return value if isinstance(value, bool) else None


def _text(answer: Mapping[str, object], path: str) -> str | None:
    """The member as text: some providers tell a user's id as a number. None where the profile names no member."""
    if not path:
        return None
    value = member(answer, path)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _json(response: httpx.Response, stage: Stage) -> dict[str, Any]:
    if len(response.content) > MAX_ANSWER_BYTES:
        raise UpstreamFailed(stage, "answer_too_large")
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamFailed(stage, f"http_{response.status_code}_not_json") from None
