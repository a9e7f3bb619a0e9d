"""Atlassian Cloud OAuth 2.0 (3LO) as it behaves: logins, consent, codes, rotating refresh tokens.

Source, unless a line says otherwise: developer.atlassian.com/cloud/confluence/oauth-2-3lo-apps. "Observed" is a third
party's live report. The functions change the `State` that they are given and touch nothing else; `now` is in seconds
since 1970 and `mint` gives an unguessable text.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec.structs import replace

from scopefold.sandbox.core.atlassian_scopes import (
    CONFLUENCE,
    JIRA,
    JSM,
    OFFLINE_ACCESS,
    OPENID_SCOPES,
    PRESET,
    in_container,
    not_added,
)
from scopefold.sandbox.core.atlassian_state import (
    SITE,
    USERS,
    AccessToken,
    ApiRefused,
    App,
    Code,
    Consent,
    ErrorPage,
    ErrorRedirect,
    Family,
    Grant,
    State,
    ToClient,
    TokenRefused,
    Tokens,
    Transaction,
)

AUDIENCE: Final = "api.atlassian.com"
TRANSACTION_SECONDS: Final = 600
CODE_SECONDS: Final = 600
ACCESS_SECONDS: Final = 3600
REFRESH_IDLE_SECONDS: Final = 90 * 24 * 3600
REFRESH_LEEWAY_SECONDS: Final = 600
MOST_KEPT: Final = 100_000
"""Above this many of a kind, the oldest is forgotten: a stand-in left running must not fill the memory."""

Mint = Callable[[], str]
K = TypeVar("K")
V = TypeVar("V")


UNAUTHORIZED: Final = ApiRefused("Unauthorized")
SCOPE_MISMATCH: Final = ApiRefused("Unauthorized; scope does not match")
BAD_CLIENT: Final = TokenRefused(401, "access_denied", "Unauthorized")
BAD_CODE: Final = TokenRefused(403, "invalid_grant", "Invalid authorization code")
BAD_VERIFIER: Final = TokenRefused(403, "invalid_grant", "Failed to verify code verifier")
# Documented is invalid_grant "Unknown or invalid refresh token."; this is what was observed.
DEAD_REFRESH_TOKEN: Final = TokenRefused(403, "unauthorized_client", "refresh_token is invalid")


def preset(callbacks: Sequence[str]) -> State:
    """A fresh state with the one preset app."""
    app = App("sandbox-atlassian", "sandbox-atlassian-secret", "Scopefold Sandbox App", tuple(callbacks), PRESET)
    return State({app.client_id: app})


def begin(state: State, query: Sequence[tuple[str, str]], *, browser: str, now: float, mint: Mint) -> str:
    """Start an authorization and return its transaction. Nothing is judged before the login (observed)."""
    names = [name for name, _ in query]
    repeated = tuple(sorted({name for name in names if names.count(name) > 1}))
    waiting = Transaction("login", dict(query), repeated, browser, now + TRANSACTION_SECONDS)
    return _keep(state.transactions, mint(), waiting)


def log_in(
    state: State, transaction: str, user: str, *, browser: str, now: float, mint: Mint
) -> Consent | ErrorPage | ErrorRedirect:
    """The user chose an account: now judge the request, and show either the consent page or what is wrong."""
    begun = _claim(state, transaction, "login", browser, now)
    if begun is None or user not in USERS:
        return _incorrect("This page had expired, was sent twice, or belongs to another browser.")
    app = state.apps.get(begun.params.get("client_id", ""))
    if app is None:
        return ErrorPage("Something went wrong", ("failed to retrieve client",), "The client_id is not known.")
    for check in _CHECKS:
        if (refusal := check(app, begun)) is not None:
            return refusal
    asked = _scopes(begun.params)
    waiting = replace(begun, waits_for="consent", user=user, expires_at=now + TRANSACTION_SECONDS)
    return Consent(
        _keep(state.transactions, mint(), waiting), app, USERS[user], asked, bool(in_container(asked, _PRODUCTS))
    )


def decide(
    state: State, transaction: str, *, accepted: bool, site: str, browser: str, now: float, mint: Mint
) -> ToClient | ErrorRedirect:
    """The user accepted or cancelled. A new grant's scopes override those of the grant before it; sites add up."""
    begun = _claim(state, transaction, "consent", browser, now)
    if begun is None:
        return _incorrect("This page had expired, was sent twice, or belongs to another browser.")
    params = begun.params
    if not accepted:
        description = "User did not authorize the request"
        return _to_client(params, {"error": "access_denied", "error_description": description})
    asked = _scopes(params)
    needs_site = bool(in_container(asked, _PRODUCTS))
    if needs_site and site != SITE.id:
        return _incorrect("The site is not one of the user's.")
    key = (params["client_id"], begun.user)
    before = state.grants.get(key)
    sites = {*(before.sites if before else ()), *((site,) if needs_site else ())}
    grant = Grant(before.id if before else mint(), *key, asked, tuple(sorted(sites)))
    _keep(state.grants, key, grant)
    code = Code(grant, params["redirect_uri"], params.get("code_challenge"), now + CODE_SECONDS)
    return _to_client(params, {"code": _keep(state.codes, mint(), code)})


def exchange(state: State, body: Mapping[str, str], *, now: float, mint: Mint) -> Tokens | TokenRefused:
    """The token endpoint. The client's secret is in the body and is mandatory, with PKCE or without."""
    app = state.apps.get(body.get("client_id", ""))
    given = body.get("client_secret", "")
    if app is None or not hmac.compare_digest(given.encode(), app.client_secret.encode()):
        return BAD_CLIENT
    match body.get("grant_type"):
        case "authorization_code":
            return _redeem(state, app, body, now, mint)
        case "refresh_token":
            return _refresh(state, app, body, now, mint)
    return TokenRefused(400, "unsupported_grant_type", "Use authorization_code or refresh_token")


def authorized(state: State, token: str, scope: str | None, *, now: float) -> Grant | ApiRefused:
    """The grant behind an access token, as it is now, if it has this scope."""
    found = state.access_tokens.get(token)
    if found is None or now >= found.expires_at or (grant := _live(state, found.grant)) is None:
        return UNAUTHORIZED
    return SCOPE_MISMATCH if scope is not None and scope not in grant.scopes else grant


def revoke(state: State, *, user: str, client_id: str) -> bool:
    """Remove the grant, as the user or a site's admin can: its codes and tokens are dead. False if there was none."""
    return state.grants.pop((client_id, user), None) is not None


def accessible_resources(grant: Grant) -> list[dict[str, Any]]:
    """The sites of a grant. The same id stands twice where Jira and Confluence are both reached (documented).

    Each entry lists its own product's scopes, so that `read:me` and `offline_access` are in none (inference).
    """
    containers = [in_container(grant.scopes, apis) for apis in (_JIRA, _CONFLUENCE)]
    return [
        {"id": SITE.id, "name": SITE.name, "url": SITE.url, "scopes": scopes, "avatarUrl": f"{SITE.url}/avatar.png"}
        for scopes in containers
        if scopes and SITE.id in grant.sites
    ]


_JIRA: Final = frozenset({JIRA, JSM})
_CONFLUENCE: Final = frozenset({CONFLUENCE})
_PRODUCTS: Final = _JIRA | _CONFLUENCE


def _check_audience(_: App, begun: Transaction) -> ErrorRedirect | None:
    if begun.params.get("audience") == AUDIENCE:
        return None
    text = "There seems to be an issue with your identity provider"
    return ErrorRedirect("server_error", text, f"The parameter audience must be {AUDIENCE}.")


def _check_callback(app: App, begun: Transaction) -> ErrorRedirect | None:
    given = begun.params.get("redirect_uri", "")
    if given in app.callbacks:
        return None
    text = f"redirect_uri is not registered for client: {given}"
    return ErrorRedirect("unauthorized_client", text, "It must equal one of the app's callbacks, byte for byte.")


def _check_parameters(_: App, begun: Transaction) -> ErrorRedirect | None:
    params = begun.params
    if begun.repeated:
        return _incorrect(f"Sent more than once: {', '.join(begun.repeated)}.")
    for name, wanted in (("response_type", "code"), ("prompt", "consent")):
        if params.get(name) != wanted:
            return _incorrect(f"The parameter {name} must be {wanted}.")
    for name in ("scope", "state"):
        if not params.get(name, "").strip():
            return _incorrect(f"The parameter {name} is missing.")
    # PKCE is not documented for 3LO and is tolerated (observed); nothing else than S256 was ever seen to work.
    if "code_challenge" in params and params.get("code_challenge_method") != "S256":
        return _incorrect("The parameter code_challenge_method must be S256.")
    return None


def _check_openid(_: App, begun: Transaction) -> ErrorPage | None:
    if not (found := sorted(OPENID_SCOPES.intersection(_scopes(begun.params)))):
        return None
    reason = f"A 3LO request must not ask for {', '.join(found)}. Ask for read:me and call /me."
    return ErrorPage("Something went wrong", ("There's nothing here",), reason)


def _check_permitted(app: App, begun: Transaction) -> ErrorPage | None:
    # All or nothing: one scope too many blocks the whole authorization (observed, many reports).
    allowed = app.permitted_scopes | {OFFLINE_ACCESS}
    missing = [scope for scope in _scopes(begun.params) if scope not in allowed]
    reason = f"Not among the app's permitted scopes: {', '.join(missing)}."
    return ErrorPage("Something went wrong", tuple(not_added(missing)), reason) if missing else None


_CHECKS: Final[Sequence[Callable[[App, Transaction], ErrorPage | ErrorRedirect | None]]] = (
    _check_audience,
    _check_callback,
    _check_parameters,
    _check_openid,
    _check_permitted,
)


def _redeem(state: State, app: App, body: Mapping[str, str], now: float, mint: Mint) -> Tokens | TokenRefused:
    code = state.codes.pop(body.get("code", ""), None)
    if code is None or now >= code.expires_at or code.grant.client_id != app.client_id:
        return BAD_CODE
    if (grant := _live(state, code.grant)) is None or body.get("redirect_uri") != code.redirect_uri:
        return BAD_CODE
    if code.challenge is not None and not _proves(body.get("code_verifier", ""), code.challenge):
        return BAD_VERIFIER
    if OFFLINE_ACCESS not in code.grant.scopes:
        return _issue(state, grant, None, now, mint)
    family = _keep(state.families, mint(), Family(grant, 0, now, now))
    return _issue(state, grant, family, now, mint)


def _refresh(state: State, app: App, body: Mapping[str, str], now: float, mint: Mint) -> Tokens | TokenRefused:
    name, generation = state.refresh_tokens.get(body.get("refresh_token", ""), ("", 0))
    family = state.families.get(name)
    if family is None or family.grant.client_id != app.client_id or (grant := _live(state, family.grant)) is None:
        return DEAD_REFRESH_TOKEN
    if now - family.used_at > REFRESH_IDLE_SECONDS:
        return DEAD_REFRESH_TOKEN
    if generation == family.generation:
        state.families[name] = Family(grant, generation + 1, rotated_at=now, used_at=now)
    elif generation == family.generation - 1 and now - family.rotated_at <= REFRESH_LEEWAY_SECONDS:
        state.families[name] = replace(family, used_at=now)
    else:
        # Only the token used last may be exchanged again, and only within the leeway; anything older is a breach.
        del state.families[name]
        return DEAD_REFRESH_TOKEN
    return _issue(state, grant, name, now, mint)


def _issue(state: State, grant: Grant, family: str | None, now: float, mint: Mint) -> Tokens:
    access = _keep(state.access_tokens, mint(), AccessToken(grant, now + ACCESS_SECONDS))
    refresh = None
    if family is not None:
        refresh = _keep(state.refresh_tokens, mint(), (family, state.families[family].generation))
    shown = [scope for scope in grant.scopes if scope != OFFLINE_ACCESS or state.switches.echo_offline_access]
    return Tokens(access, " ".join(shown), ACCESS_SECONDS, "Bearer", refresh)


def _live(state: State, grant: Grant) -> Grant | None:
    """The grant as it is now, or None once it was revoked, even if the user has since given a new one."""
    current = state.grants.get((grant.client_id, grant.user))
    return current if current is not None and current.id == grant.id else None


def _proves(verifier: str, challenge: str) -> bool:
    """Whether this is the verifier of an S256 challenge (RFC 7636, section 4.6)."""
    digest = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(digest, challenge.encode())


def _claim(state: State, transaction: str, waits_for: str, browser: str, now: float) -> Transaction | None:
    """Take the transaction out, so that it serves once, if this browser began it and it waits for this step."""
    begun = state.transactions.get(transaction)
    if begun is None or begun.waits_for != waits_for or begun.browser != browser:
        return None
    del state.transactions[transaction]
    return begun if now < begun.expires_at else None


def _incorrect(reason: str) -> ErrorRedirect:
    return ErrorRedirect("invalid_request", "Incorrect request parameters", reason)


def _to_client(params: Mapping[str, str], answer: Mapping[str, str]) -> ToClient:
    parts = urlsplit(params["redirect_uri"])
    answered = [*parse_qsl(parts.query, keep_blank_values=True), *answer.items(), ("state", params["state"])]
    return ToClient(urlunsplit(parts._replace(query=urlencode(answered))))


def _scopes(params: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(params.get("scope", "").split()))


def _keep(store: dict[K, V], key: K, value: V) -> K:
    while len(store) >= MOST_KEPT and key not in store:
        del store[next(iter(store))]
    store[key] = value
    return key
