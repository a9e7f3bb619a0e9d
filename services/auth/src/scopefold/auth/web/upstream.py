"""The other side of a login: Scopefold as an OAuth client of an IdP. The grammar is Authlib's."""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Literal, TypeVar
from urllib.parse import parse_qsl, quote

import msgspec
from authlib.oauth2.auth import encode_client_secret_basic, encode_client_secret_post
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from msgspec import Struct

from scopefold.auth.core.id_token import BadIdToken, Expected, UnknownKey, verified
from scopefold.auth.core.idps import discovery_address, known_issuer
from scopefold.auth.core.login import Granted, read_grant
from scopefold.auth.core.stored_token import Identity
from scopefold.auth.core.tokens import BadTokenAnswer, Token, joined, request_scope, requests, tokens_in, without_scopes
from scopefold.auth.core.waiting import asked_wait
from scopefold.auth.web.outgoing import Answer, Documents, Http, NoAnswer
from scopefold.auth.web.way import endpoint
from scopefold.consent.idp_scopes import Idp
from scopefold.runtime.logs import logger
from scopefold.scopes.addresses import BadDiscovery, Discovered, discovered
from scopefold.scopes.grammar import BadScope, member
from scopefold.scopes.profile import Endpoints

log = logger(__name__)
T = TypeVar("T")
Stage = Literal["authorize", "token", "identity"]
MAX_TIME: Final = 2**33
MAX_SID_LENGTH: Final = 255
MAX_GROUPS: Final = 200
MAX_GROUP_LENGTH: Final = 200
_CODE_TOLD: Final = re.compile(r"(?!(?:\D*\d){7})(?:[a-z][a-z0-9_.-]{0,63}|[A-Z][A-Z0-9_]{0,63})", re.ASCII)
_ERROR_CODE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class UpstreamFailed(Exception):
    """The IdP refused or did not answer. `error` is fit for the log: a code, never what the IdP sent along.

    `description` and `status` are what the IdP said in words and its HTTP status: for a diagnosis in memory only.
    They may name people, so they go into no log and no log line, nor into the text of this error. `unread`: the IdP did
    what it was asked for, and nobody knows with what outcome. `wait_seconds`: it wants to be left alone for so long.
    """

    def __init__(
        self,
        stage: Stage,
        error: str,
        description: str = "",
        status: int | None = None,
        *,
        unread: bool = False,
        wait_seconds: float = 0.0,
    ) -> None:
        super().__init__(f"{stage}: {error}")
        self.stage = stage
        self.error = error_code(error)
        self.description = description
        self.status = status
        self.unread = unread
        self.wait_seconds = wait_seconds


class Brought(Struct, frozen=True):
    """What a login brought: the answer to its code, all tokens, the refresh token, and what was granted.

    `told` is all of the first answer: a profile says where to look.
    """

    tokens: tuple[Token, ...]
    refresh_token: str | None
    granted: Granted
    told: Mapping[str, object]

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

    @property
    def session(self) -> str | None:
        """What the IdP calls its own session of the user, where it says so (OpenID Connect Back-Channel Logout 1.0,
        section 2.1).
        """
        said = self.id_token.get("sid")
        return said if isinstance(said, str) and 0 < len(said) <= MAX_SID_LENGTH else None


def code_told(error: object) -> str:
    """The error code that somebody else says, where it is one by its looks. The log keeps it for ever, so what may be a
    sentence, an address or a token does not go there.
    """
    return error if isinstance(error, str) and _CODE_TOLD.fullmatch(error) else "unreadable_error"


def error_code(text: str) -> str:
    """An error code as RFC 6749, section 5.2, allows it, at most 100 characters long."""
    return _ERROR_CODE.sub("?", text)[:100] or "unknown_error"


async def exchange(
    http: Http,
    idp: Idp,
    *,
    client_secret: str,
    code: str,
    verifier: str,
    redirect_uri: str,
    requested: tuple[str, ...],
) -> Brought:
    """Swap the code for tokens: one request, or one for each resource, the others with the refresh token of the first.

    Where one of the others fails, what came is kept: a login that is good for most of what a user needs is better than
    none, and what is missing then shows as missing in the grant, so that the user is asked again where it is needed.
    Raises `UpstreamFailed` where the first fails.
    """
    first, *others = requests(idp.profile, requested)
    body = prepare_token_request(
        "authorization_code",
        redirect_uri=redirect_uri,
        code=code,
        code_verifier=verifier,
        scope=request_scope(idp.profile, first),
    )
    answer, found, granted = await _tokens(http, idp, client_secret, body, first)
    tokens, grants, refresh_token = [*found], [granted], found[0].refresh_token
    for scopes in others:
        if refresh_token is None:
            break
        scope = request_scope(idp.profile, scopes)
        body = prepare_token_request("refresh_token", refresh_token=refresh_token, scope=scope)
        try:
            _, more, granted = await _tokens(http, idp, client_secret, body, scopes)
        except UpstreamFailed as failure:
            log.warning("a token is missing", idp=idp.idp, scopes=scopes, error=failure.error)
            continue
        tokens += more
        grants.append(granted)
        refresh_token = more[0].refresh_token or refresh_token
    try:
        return Brought(tuple(tokens), refresh_token, joined(grants), answer)
    except BadScope:
        raise UpstreamFailed("token", "malformed_scope") from None


async def renew(
    http: Http,
    idp: Idp,
    *,
    client_secret: str,
    refresh_token: str,
    redirect_uri: str,
    scopes: tuple[str, ...],
) -> Brought:
    """Swap a refresh token for the next access token (RFC 6749, section 6). `scopes` are those that one token carries.

    What it brings has the old refresh token where the IdP gave no new one. What it says of scopes in a way that cannot
    be read it has not said: the tokens beside it are nowhere else. Raises `UpstreamFailed`.
    """
    scope = request_scope(idp.profile, scopes)
    repeated = {"redirect_uri": redirect_uri} if idp.profile.refresh.repeats_redirect_uri else {}
    body = prepare_token_request("refresh_token", refresh_token=refresh_token, scope=scope, **repeated)
    answer = await _ask_token(http, idp, client_secret, body)
    try:
        found, granted = _read(idp, scopes, answer)
    except UpstreamFailed:
        found, granted = _read(idp, scopes, without_scopes(idp.profile, answer))
    return Brought(found, found[0].refresh_token or refresh_token, granted, answer)


async def _tokens(
    http: Http, idp: Idp, client_secret: str, body: str, scopes: tuple[str, ...]
) -> tuple[Mapping[str, object], tuple[Token, ...], Granted]:
    answer = await _ask_token(http, idp, client_secret, body)
    return answer, *_read(idp, scopes, answer)


def _read(idp: Idp, scopes: tuple[str, ...], answer: Mapping[str, object]) -> tuple[tuple[Token, ...], Granted]:
    try:
        return tokens_in(idp.profile, scopes, answer), read_grant(idp.profile, answer)
    except BadTokenAnswer:
        raise UpstreamFailed("token", "malformed_token_answer", status=HTTPStatus.OK, unread=True) from None
    except BadScope:
        raise UpstreamFailed("token", "malformed_scope", status=HTTPStatus.OK, unread=True) from None


class _App(Struct):
    """Our app at the IdP, as Authlib's encoders ask for it."""

    client_id: str
    client_secret: str


async def _ask_token(http: Http, idp: Idp, client_secret: str, body: str) -> Any:
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
        content = msgspec.json.encode(dict(parse_qsl(body, keep_blank_values=True)))
    came = await _ask(http, "POST", address, headers, content, stage="token")
    wait_seconds = asked_wait(came.status, came.retry_after, datetime.now(UTC))
    answer = _members(came, "token", wait_seconds=wait_seconds)
    if came.status != HTTPStatus.OK or "error" in answer:
        description = answer.get("error_description")
        raise UpstreamFailed(
            "token",
            code_told(answer["error"]) if answer.get("error") else f"http_{came.status}",
            description if isinstance(description, str) else "",
            came.status,
            wait_seconds=wait_seconds,
        )
    return answer


async def identify(
    http: Http, documents: Documents, idp: Idp, brought: Brought, *, nonce: str | None, now: datetime
) -> Identity:
    """Who the tokens belong to. Raises `UpstreamFailed`."""
    names = idp.profile.identity
    answer: Mapping[str, object]
    match names.source:
        case "token_answer":
            answer = brought.told
        case "id_token":
            answer = await _verified(documents, idp, brought.told.get("id_token"), nonce, now)
        case "endpoint":
            answer = await _ask_identity(http, idp, brought.tokens[0].access_token)
    subject = _text(answer, names.subject)
    if not subject:
        raise UpstreamFailed("identity", "no_subject")
    if names.subject == "sub" and brought.id_token.get("sub", subject) != subject:
        raise UpstreamFailed("identity", "other_subject")  # OpenID Connect Core 1.0, section 5.3.2
    return Identity(
        subject,
        _text(answer, names.email),
        _text(answer, names.name),
        given_name=_text(answer, names.given_name),
        family_name=_text(answer, names.family_name),
        preferred_username=_text(answer, names.preferred_username),
        email_verified=_flag(answer, names.email_verified),
        groups=_groups(idp, answer) or _groups(idp, brought.id_token),
    )


def _groups(idp: Idp, answer: Mapping[str, object]) -> tuple[str, ...]:
    """The user's groups at the IdP, where the operator has named the claim that tells them."""
    assert idp.registration is not None
    path = idp.registration.event.groups_claim or ""
    told = member(answer, path) if path else None
    if not isinstance(told, list):
        return ()
    return tuple(one for one in told if isinstance(one, str) and 0 < len(one) <= MAX_GROUP_LENGTH)[:MAX_GROUPS]


async def _verified(
    documents: Documents, idp: Idp, token: object, nonce: str | None, now: datetime
) -> Mapping[str, object]:
    """The claims of the ID token."""
    assert idp.registration is not None
    client_id = idp.registration.event.client_id
    if not isinstance(token, str) or not token:
        raise UpstreamFailed("identity", "no_id_token")
    if nonce is None:
        raise UpstreamFailed("identity", "no_nonce")  # the login began before the IdP was known by its ID token
    return await by_keys_of(
        documents, idp, lambda keys, issuer: verified(token, keys, Expected(issuer, client_id, nonce), now)
    )


async def by_keys_of(
    documents: Documents,
    idp: Idp,
    read: Callable[[Mapping[str, object], str], T],
    *,
    again_after_seconds: float = 0.0,
) -> T:
    """What `read` makes of the keys that the IdP's discovery document leads to, and of the issuer's name.

    The keys are read again once where the token names one that is not among those kept: an IdP may have new ones. Those
    that were read `again_after_seconds` ago or less are new enough. Raises `UpstreamFailed`.
    """
    try:
        found = await discovery(documents, idp)
        if not found.jwks:
            raise UpstreamFailed("identity", "no_keys")
        try:
            return read(await documents.get(found.jwks), found.issuer)
        except UnknownKey:
            return read(await documents.get(found.jwks, kept_seconds=again_after_seconds), found.issuer)
    except BadIdToken as error:
        raise UpstreamFailed("identity", error.code) from None
    except NoAnswer as error:
        raise UpstreamFailed("identity", f"keys_{error.code}", status=error.status) from None


async def discovery(documents: Documents, idp: Idp) -> Discovered:
    """What the IdP's discovery document says now. Raises `NoAnswer` and `UpstreamFailed`."""
    assert idp.registration is not None
    own, profile = idp.registration.event.endpoints, idp.profile
    address, issuer = discovery_address(profile, own), known_issuer(profile, own)
    if not address or issuer is None:
        raise UpstreamFailed("identity", "no_discovery")
    document = await documents.get(address)
    known = Endpoints(authorize=endpoint(idp, "authorize"), token=endpoint(idp, "token"), identity=own.identity or "")
    try:
        return discovered(known, issuer, document, tenant_issuers=profile.identity.tenant_issuers)
    except BadDiscovery:
        raise UpstreamFailed("identity", "bad_discovery") from None


async def _ask_identity(http: Http, idp: Idp, access_token: str) -> dict[str, Any]:
    """What the identity endpoint says. HubSpot wants the token in the address, too."""
    asked = idp.profile.identity
    address = endpoint(idp, "identity").replace("{access_token}", quote(access_token, safe=""))
    headers = {"authorization": f"Bearer {access_token}", "accept": "application/json"}
    if asked.method == "POST":
        headers["content-type"] = "application/json"
    answer = await _ask(http, asked.method, address, headers, asked.body.encode() or None, stage="identity")
    if answer.status != HTTPStatus.OK:
        raise UpstreamFailed("identity", f"http_{answer.status}", status=answer.status)
    return _members(answer, "identity")


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


async def _ask(
    http: Http,
    method: str,
    address: str,
    headers: Mapping[str, str],
    content: bytes | None,
    *,
    stage: Stage,
) -> Answer:
    try:
        return await http.ask(method, address, headers=headers, content=content)
    except NoAnswer as error:
        raise UpstreamFailed(stage, error.code, status=error.status) from None


def _members(answer: Answer, stage: Stage, *, wait_seconds: float = 0.0) -> dict[str, Any]:
    try:
        return answer.members()
    except NoAnswer as error:
        unread = answer.status == HTTPStatus.OK
        raise UpstreamFailed(stage, error.code, status=error.status, unread=unread, wait_seconds=wait_seconds) from None
