"""Atlassian Cloud OAuth 2.0 (3LO) as it behaves: consent to a whole list or nothing, rotating refresh tokens.

Source, unless a line says otherwise: developer.atlassian.com/cloud/confluence/oauth-2-3lo-apps. "Observed" is a third
party's live report. The functions change the `State` that they are given and touch nothing else; `now` is in seconds
since 1970 and `mint` gives an unguessable text.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from scopefold.sandbox.core import codes, grants
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer, TokenRequest, refused
from scopefold.sandbox.core.atlassian_scopes import (
    CONFLUENCE,
    JIRA,
    JSM,
    OFFLINE_ACCESS,
    OPENID_SCOPES,
    PRESET,
    UNKNOWN,
    api_of,
    in_container,
    is_granular,
    not_added,
    words_of,
)
from scopefold.sandbox.core.people import User
from scopefold.sandbox.core.sign_in import (
    Answered,
    Ask,
    Check,
    ErrorPage,
    ErrorRedirect,
    Refusal,
    Site,
    error_to_client,
    to_client,
)
from scopefold.sandbox.core.state import AccessToken, App, Choice, Code, Grant, Mint, Transaction, keep

AUDIENCE: Final = "api.atlassian.com"
ACCESS_SECONDS: Final = 3600
REFRESH_IDLE_SECONDS: Final = 90 * 24 * 3600
REFRESH_ABSOLUTE_SECONDS: Final = 365 * 24 * 3600
REFRESH_LEEWAY_SECONDS: Final = 600
MOST_SCOPES: Final = 80
"""From about here on the request line is more than the real server takes (observed)."""
SITE: Final = Site("5ca1ab1e-0000-4000-8000-00000000517e", "sandbox-site", "https://sandbox-site.example")
SECOND: Final = Site("5ca1ab1e-0000-4000-8000-0000000005ec", "second-site", "https://second-site.example")
"""It has Jira alone."""
EARLY: Final = False
"""Nothing is judged before the login (observed)."""


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """What sources disagree on, what is not established of the real service, and what a site's admin may have set."""

    mixed_families: Annotated[
        Literal["allow", "reject"],
        Meta(
            title="Classic beside granular scopes",
            description="CONFLICT: the documents never forbid it and real apps do it; one guide says it is refused.",
        ),
    ] = "allow"
    missing_audience: Annotated[
        Literal["identity_provider", "incomplete"],
        Meta(
            title="Request without audience",
            description="CONFLICT: “issue with your identity provider” (reported) or “incomplete or invalid” (live "
            "report of 2026).",
        ),
    ] = "identity_provider"
    callback_mismatch: Annotated[
        Literal["current", "older"],
        Meta(title="Words for an unknown callback", description="Two wordings were observed."),
    ] = "current"
    unknown_scope: Annotated[
        Literal["not_added", "invalid_scope"],
        Meta(
            title="A scope that nobody knows",
            description="Not settled: as one that the app lacks, or invalid_scope on the consent screen (one guide).",
        ),
    ] = "not_added"
    dead_refresh_token: Annotated[
        Literal["observed", "documented"],
        Meta(
            title="Refusal of a dead refresh token",
            description="Observed: unauthorized_client, “refresh_token is invalid”. Documented: invalid_grant, "
            "“Unknown or invalid refresh token.”",
        ),
    ] = "observed"
    bad_code: Annotated[
        Literal["invalid_authorization_code", "other_words"],
        Meta(
            title="Refusal of a bad code",
            description="Not settled: the words. The other ones are made up; a client must read the error code alone.",
        ),
    ] = "invalid_authorization_code"
    scope_order: Annotated[
        Literal["as_asked", "sorted"],
        Meta(title="Order of the scopes in answers", description="Not settled."),
    ] = "as_asked"
    echo_offline_access: Annotated[
        bool, Meta(title="offline_access is echoed", description="Not settled: whether it is in the token's scope.")
    ] = False
    refresh_ends_access: Annotated[
        bool,
        Meta(
            title="A refresh ends older access tokens",
            description="Not settled: by general knowledge they live on until they expire; one document says no.",
        ),
    ] = False
    access_seconds: Annotated[
        int, Meta(ge=1, le=86_400, title="Access tokens live, seconds", description="An hour at the real service.")
    ] = ACCESS_SECONDS
    refresh_leeway_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400,
            title="The refresh token used last serves again, seconds",
            description="Ten minutes at the real service. 0: each is good once, and the second use ends the family.",
        ),
    ] = REFRESH_LEEWAY_SECONDS
    absolute_expiry: Annotated[
        bool,
        Meta(
            title="Refresh tokens end after 365 days",
            description="Not settled: older documents had it, today's have only the 90 days without use.",
        ),
    ] = False
    resource_scopes: Annotated[
        Literal["container", "token"],
        Meta(
            title="Scopes in accessible-resources",
            description="Not settled: those of the site's product, or all of the token.",
        ),
    ] = "container"
    site_admin_blocks: Annotated[
        bool, Meta(title="The site's admin blocks apps of users", description="The user sees who must allow it.")
    ] = False
    second_site: Annotated[
        bool, Meta(title="The user has a second site", description="With Jira alone. One is chosen at each consent.")
    ] = False
    user_without_site: Annotated[
        bool, Meta(title="The user has no site", description="Neither Jira nor Confluence: the user is refused.")
    ] = False


State = memory.State[Switches]

UNAUTHORIZED: Final = Answer({"code": 401, "message": "Unauthorized"}, 401)
SCOPE_MISMATCH: Final = Answer({"code": 401, "message": "Unauthorized; scope does not match"}, 401)
BAD_CLIENT: Final = refused(401, "access_denied", "Unauthorized")
BAD_VERIFIER: Final = refused(403, "invalid_grant", "Failed to verify code verifier")
BAD_CODES: Final = {
    "invalid_authorization_code": refused(403, "invalid_grant", "Invalid authorization code"),
    "other_words": refused(403, "invalid_grant", "The code cannot be used"),
}
DEAD_REFRESH_TOKENS: Final = {
    "observed": refused(403, "unauthorized_client", "refresh_token is invalid"),
    "documented": refused(403, "invalid_grant", "Unknown or invalid refresh token."),
}


def preset(callbacks: Sequence[str], base: str = "") -> State:
    """A fresh state with the one preset app."""
    return memory.preset("atlassian", callbacks, PRESET, Switches(), base=base)


def account_id(user: User) -> str:
    """The user's id at Atlassian."""
    return _ACCOUNT_IDS[user.name]


def ask(state: State, asked: Transaction, *, now: float, mint: Mint) -> Ask | Refusal:
    """The consent page: always shown, all or nothing, for one site."""
    del now, mint
    if _needs_site(asked.scopes) and state.switches.user_without_site:
        lines = (
            "This app requires access to a Jira & Confluence & User identity site which you don't have or don't have "
            "the permission to access.",
        )
        return ErrorPage("Access denied", lines, "The switch user_without_site is on.")
    if _needs_site(asked.scopes) and state.switches.site_admin_blocks:
        lines = (
            f"Your site admin must authorize this app for the site {SITE.url.removeprefix('https://')} before the app "
            "can access your account.",
        )
        return ErrorPage("You can't use this app yet", lines, "The switch site_admin_blocks is on.")
    choices = tuple(Choice(scope, words_of(scope)) for scope in asked.scopes)
    return Ask(state.apps[asked.params["client_id"]], choices, sites_of(state) if _needs_site(asked.scopes) else ())


def give(state: State, asked: Transaction, answered: Answered, *, now: float, mint: Mint) -> Refusal:
    """A new grant's scopes override those of the grant before it; sites add up."""
    if not answered.accepted:
        return error_to_client(asked, "access_denied", "User did not authorize the request")
    needs_site = _needs_site(asked.scopes)
    if needs_site and answered.site not in {site.id for site in sites_of(state)}:
        return stray("The site is not one of the user's.")
    sites = (answered.site,) if needs_site else ()
    grant = grants.record(
        state, asked.params["client_id"], asked.user, asked.scopes, mint=mint, adds=False, sites=sites
    )
    return to_client(asked, {"code": codes.issue(state, asked, grant, asked.scopes, now=now, mint=mint)})


def stray(reason: str) -> ErrorRedirect:
    """What id.atlassian.com/error says of a flow that expired or is not right."""
    return ErrorRedirect("invalid_request", "Incorrect request parameters", reason)


def exchange(state: State, request: TokenRequest, *, now: float, mint: Mint) -> Answer:
    """The token endpoint. The client's secret is in the body and is mandatory, with PKCE or without."""
    body = request.body
    app = memory.identify(state, body.get("client_id", ""), body.get("client_secret", ""))
    if not isinstance(app, App):
        return BAD_CLIENT
    match body.get("grant_type"):
        case "authorization_code":
            return _redeem(state, app, request, now, mint)
        case "refresh_token":
            return _refresh(state, app, request, now, mint)
    return refused(400, "unsupported_grant_type", "Use authorization_code or refresh_token")


def authorized(state: State, token: str, scope: str | None, *, now: float) -> Grant | Answer:
    """The grant behind an access token, as it is now, if it has this scope."""
    if (found := grants.authorized(state, token, now=now)) is None:
        return UNAUTHORIZED
    return SCOPE_MISMATCH if scope is not None and scope not in found.grant.scopes else found.grant


def accessible_resources(state: State, grant: Grant) -> list[dict[str, Any]]:
    """The sites of a grant. The same id stands twice where Jira and Confluence are both reached (documented).

    Each entry lists its own product's scopes, so that `read:me` and `offline_access` are in none (inference; a switch).
    """
    jira, confluence = (in_container(grant.scopes, apis) for apis in (_JIRA, _CONFLUENCE))
    containers = [(SITE, jira), (SITE, confluence), (SECOND, jira)]
    if state.switches.resource_scopes == "token":
        containers = [(site, grant.scopes if scopes else ()) for site, scopes in containers]
    return [
        {"id": site.id, "name": site.name, "url": site.url, "scopes": scopes, "avatarUrl": f"{site.url}/avatar.png"}
        for site, scopes in containers
        if scopes and site.id in grant.sites
    ]


def sites_of(state: State) -> tuple[Site, ...]:
    """The sites that everybody has."""
    return (SITE, SECOND) if state.switches.second_site else (SITE,)


_JIRA: Final = frozenset({JIRA, JSM})
_CONFLUENCE: Final = frozenset({CONFLUENCE})
_PRODUCTS: Final = _JIRA | _CONFLUENCE
_ACCOUNT_IDS: Final = {
    "alice": "712020:a11ce000-0000-4000-8000-000000000001",
    "bob": "712020:b0b00000-0000-4000-8000-000000000002",
    "carol": "712020:ca401000-0000-4000-8000-000000000003",
    "dave": "712020:da4e0000-0000-4000-8000-000000000004",
}


def _needs_site(scopes: Sequence[str]) -> bool:
    return bool(in_container(scopes, _PRODUCTS))


def _check_client(state: State, asked: Transaction) -> Refusal | None:
    if asked.params.get("client_id", "") in state.apps:
        return None
    return ErrorPage("Something went wrong", ("failed to retrieve client",), "The client_id is not known.")


def _check_size(_: State, asked: Transaction) -> Refusal | None:
    if len(asked.scopes) < MOST_SCOPES:
        return None
    lines = ("Type Exception Report", "Message Request header is too large")
    return ErrorPage("HTTP Status 400 - Bad Request", lines, f"Observed from about {MOST_SCOPES} scopes on.")


def _check_audience(state: State, asked: Transaction) -> Refusal | None:
    if asked.params.get("audience") == AUDIENCE:
        return None
    reason = f"The parameter audience must be {AUDIENCE}."
    if state.switches.missing_audience == "incomplete":
        return ErrorRedirect("invalid_request", "The authorize request was incomplete or invalid", reason)
    return ErrorRedirect("server_error", "There seems to be an issue with your identity provider", reason)


def _check_callback(state: State, asked: Transaction) -> Refusal | None:
    given = asked.params.get("redirect_uri", "")
    if given in state.apps[asked.params["client_id"]].callbacks:
        return None
    text = f"redirect_uri is not registered for client: {given}"
    if state.switches.callback_mismatch == "older":
        text = f"Callback URL mismatch. {given} is not in the list of allowed callback URLs"
    return ErrorRedirect("unauthorized_client", text, "It must equal one of the app's callbacks, byte for byte.")


def _check_parameters(_: State, asked: Transaction) -> Refusal | None:
    params = asked.params
    if asked.repeated:
        return stray(f"Sent more than once: {', '.join(asked.repeated)}.")
    for name, wanted in (("response_type", "code"), ("prompt", "consent")):
        if params.get(name) != wanted:
            return stray(f"The parameter {name} must be {wanted}.")
    for name in ("scope", "state"):
        if not params.get(name, "").strip():
            return stray(f"The parameter {name} is missing.")
    # PKCE is not documented for 3LO and is tolerated (observed); nothing else than S256 was ever seen to work.
    if "code_challenge" in params and params.get("code_challenge_method") != "S256":
        return stray("The parameter code_challenge_method must be S256.")
    return None


def _check_openid(_: State, asked: Transaction) -> Refusal | None:
    if not (found := sorted(OPENID_SCOPES.intersection(asked.scopes))):
        return None
    reason = f"A 3LO request must not ask for {', '.join(found)}. Ask for read:me and call /me."
    return ErrorPage("Something went wrong", ("There's nothing here",), reason)


def _check_known(state: State, asked: Transaction) -> Refusal | None:
    if state.switches.unknown_scope == "not_added":
        return None
    unknown = [scope for scope in asked.scopes if api_of(scope) == UNKNOWN and scope != OFFLINE_ACCESS]
    reason = f"Nobody knows these scopes: {', '.join(unknown)}."
    return ErrorPage("Something went wrong", ("invalid_scope",), reason) if unknown else None


def _check_families(state: State, asked: Transaction) -> Refusal | None:
    families = {is_granular(scope) for scope in in_container(asked.scopes, _PRODUCTS)}
    if state.switches.mixed_families == "allow" or len(families) < 2:
        return None
    return ErrorPage("Something went wrong", ("invalid_scope",), "Classic and granular scopes stand side by side.")


def _check_permitted(state: State, asked: Transaction) -> Refusal | None:
    # All or nothing: one scope too many blocks the whole authorization (observed, many reports).
    allowed = state.apps[asked.params["client_id"]].permitted_scopes | {OFFLINE_ACCESS}
    missing = [scope for scope in asked.scopes if scope not in allowed]
    reason = f"Not among the app's permitted scopes: {', '.join(missing)}."
    return ErrorPage("Something went wrong", tuple(not_added(missing)), reason) if missing else None


CHECKS: Final[Sequence[Check[Switches]]] = (
    _check_client,
    _check_size,
    _check_audience,
    _check_callback,
    _check_parameters,
    _check_openid,
    _check_known,
    _check_families,
    _check_permitted,
)


def _redeem(state: State, app: App, request: TokenRequest, now: float, mint: Mint) -> Answer:
    code = codes.redeem(state, app, request.body, now=now)
    if not isinstance(code, Code):
        return BAD_VERIFIER if code in ("no_verifier", "verifier") else BAD_CODES[state.switches.bad_code]
    family = None
    if OFFLINE_ACCESS in code.scopes:
        family = grants.begin_family(state, code.grant, code.scopes, now=now, mint=mint)
    return _issue(state, code.grant, family, now, mint)


def _refresh(state: State, app: App, request: TokenRequest, now: float, mint: Mint) -> Answer:
    absolute = REFRESH_ABSOLUTE_SECONDS if state.switches.absolute_expiry else float("inf")
    rotation = grants.Rotation(True, REFRESH_IDLE_SECONDS, absolute, state.switches.refresh_leeway_seconds)
    family = grants.use_refresh_token(state, app, request.body.get("refresh_token", ""), rotation, now=now)
    if family is None:
        return DEAD_REFRESH_TOKENS[state.switches.dead_refresh_token]
    if state.switches.refresh_ends_access:
        for token in [token for token, found in state.access_tokens.items() if found.family == family]:
            del state.access_tokens[token]
    return _issue(state, state.families[family].grant, family, now, mint)


def _issue(state: State, grant: Grant, family: str | None, now: float, mint: Mint) -> Answer:
    seconds = state.switches.access_seconds
    token = AccessToken(grant, grant.scopes, now + seconds, family)
    shown = [scope for scope in grant.scopes if scope != OFFLINE_ACCESS or state.switches.echo_offline_access]
    body = {
        "access_token": keep(state.access_tokens, mint(), token),
        "scope": " ".join(sorted(shown) if state.switches.scope_order == "sorted" else shown),
        "expires_in": seconds,
        "token_type": "Bearer",
    }
    renewable = {} if family is None else {"refresh_token": grants.refresh_token(state, family, mint=mint)}
    return Answer({**body, **renewable})
