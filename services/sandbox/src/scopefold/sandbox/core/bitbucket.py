"""Bitbucket Cloud OAuth 2.0 as it behaves: consumers whose ticks are the most that can be granted.

Source, unless a line says otherwise: developer.atlassian.com/cloud/bitbucket/rest/intro. "Observed" is a third party's
live report, "memory" general knowledge without a source. Only the code grant and its refresh are here; the implicit
grant, client credentials and JWT are not. `now` is in seconds since 1970.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from scopefold.sandbox.core import codes, grants
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer, TokenRequest, refused
from scopefold.sandbox.core.implications import closure
from scopefold.sandbox.core.sign_in import Answered, Ask, Check, ErrorPage, Refusal, target_of, to_client
from scopefold.sandbox.core.state import AccessToken, App, Choice, Code, Grant, Mint, Transaction, keep

EARLY: Final = False
SCOPES: Final[Mapping[str, str]] = {
    "account": "Read your account information",
    "account:write": "Read and modify your account information",
    "email": "Read your account's primary email address",
    "repository": "Read your repositories",
    "repository:write": "Read and modify your repositories",
    "repository:admin": "Administer your repositories",
    "repository:delete": "Delete your repositories",
    "project": "Read your workspace's project settings",
    "project:admin": "Administer your workspace's projects",
    "pullrequest": "Read your repositories and their pull requests",
    "pullrequest:write": "Read and modify your repositories and their pull requests",
    "issue": "Read your repositories' issues",
    "issue:write": "Read and modify your repositories' issues",
    "wiki": "Read and modify your repositories' wikis",
    "snippet": "Read your snippets",
    "snippet:write": "Read and modify your snippets",
    "webhook": "Read and modify your webhooks",
    "pipeline": "Access your repositories' build pipelines",
    "pipeline:write": "Access and rerun your repositories' build pipelines",
    "pipeline:variable": "Access your repositories' build pipelines' variables",
    "runner": "Access your workspaces' runners",
    "runner:write": "Access and edit your workspaces' runners",
}
IMPLIED: Final[Mapping[str, Sequence[str]]] = {
    "project": ("repository",),
    "repository:write": ("repository",),
    "pullrequest": ("repository",),
    "pullrequest:write": ("pullrequest", "repository:write"),
    "issue:write": ("issue",),
    "snippet:write": ("snippet",),
}


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """What sources disagree on, and what is not established."""

    scope_parameter: Annotated[
        Literal["honoured", "ignored"],
        Meta(
            title="The scope parameter",
            description="Not settled: ignored in 2016 (“defined on the consumer”), honoured today (observed).",
        ),
    ] = "honoured"
    beyond_the_ticks: Annotated[
        Literal["refused", "reduced"],
        Meta(
            title="A scope that the consumer lacks",
            description="Not settled: the ticks are the most; whether more is refused or left out is not known.",
        ),
    ] = "refused"
    lifetime: Annotated[
        Literal[7200, 3600],
        Meta(
            title="Access token's life, seconds",
            description="CONFLICT: the documents say one hour, live answers say 7200.",
        ),
    ] = 7200
    pkce: Annotated[
        Literal["ignored", "checked"],
        Meta(title="PKCE", description="Not settled: clients send it; support is not confirmed."),
    ] = "ignored"


State = memory.State[Switches]

# The words of all of these are from memory; the codes are as observed.
NO_CREDENTIALS: Final = refused(
    400,
    "unauthorized_client",
    "Client credentials missing; this request needs to be authenticated with the OAuth client id and secret",
)
BAD_CLIENT: Final = refused(400, "unauthorized_client", "Invalid OAuth client credentials")
BAD_CODE: Final = refused(400, "invalid_grant", "The specified code is not valid.")
BAD_VERIFIER: Final = refused(400, "invalid_grant", "The code_verifier is not valid.")
BAD_REFRESH_TOKEN: Final = refused(400, "invalid_grant", "Invalid refresh_token")
BAD_ACCESS_TOKEN: Final = Answer(
    {"type": "error", "error": {"message": "Token is invalid or not supported for this endpoint."}}, 401
)


def preset(callbacks: Sequence[str], base: str = "") -> State:
    """A fresh state with the one preset consumer, which has every tick but those to administer and delete."""
    ticked = frozenset(scope for scope in SCOPES if not scope.endswith((":admin", ":delete")))
    return memory.preset("bitbucket", callbacks, ticked, Switches(), base=base)


def ask(state: State, asked: Transaction, *, now: float, mint: Mint) -> Ask | Refusal:
    """The consent page, unless all of this was granted before."""
    app, scopes = _app(state, asked), _wanted(state, asked)
    choices = tuple(Choice(scope, SCOPES.get(scope, scope)) for scope in scopes)
    if grants.holds(state, app.client_id, asked.user, scopes):
        return give(state, asked, Answered(True, choices), now=now, mint=mint)
    return Ask(app, choices)


def give(state: State, asked: Transaction, answered: Answered, *, now: float, mint: Mint) -> Refusal:
    """Back to the redirect_uri, or to the consumer's callback where none was sent."""
    app, target = _app(state, asked), target_of(state, asked)
    if not answered.accepted:
        told = {"error": "access_denied", "error_description": "The user denied the request"}
        return to_client(asked, told, redirect_uri=target)
    grant = grants.record(state, app.client_id, asked.user, answered.scopes, mint=mint, adds=True)
    code = codes.issue(state, asked, grant, answered.scopes, now=now, mint=mint)
    return to_client(asked, {"code": code}, redirect_uri=target)


def stray(reason: str) -> ErrorPage:
    """What a browser is shown that has no business here."""
    return ErrorPage("Integration requesting access", ("This request has expired. Please try again.",), reason)


def exchange(state: State, request: TokenRequest, *, now: float, mint: Mint) -> Answer:
    """The token endpoint: HTTP Basic with the consumer's key and secret."""
    if request.basic is None:
        return NO_CREDENTIALS
    if not isinstance(app := memory.identify(state, *request.basic), App):
        return BAD_CLIENT
    match kind := request.body.get("grant_type", ""):
        case "authorization_code":
            pkce = state.switches.pkce == "checked"
            code = codes.redeem(state, app, request.body, now=now, redirect_uri_optional=True, pkce=pkce)
            if not isinstance(code, Code):
                return BAD_VERIFIER if code in ("no_verifier", "verifier") else BAD_CODE
            family = grants.begin_family(state, code.grant, code.scopes, now=now, mint=mint)
            refresh_token = grants.refresh_token(state, family, mint=mint)
        case "refresh_token":
            refresh_token = request.body.get("refresh_token", "")
            found = grants.use_refresh_token(state, app, refresh_token, grants.Rotation(False), now=now)
            if found is None:
                return BAD_REFRESH_TOKEN
            family = found
        case _:
            return refused(400, "unsupported_grant_type", f"Unsupported grant type: {kind}")
    return _issue(state, family, refresh_token, kind, now=now, mint=mint)


def authorized(state: State, token: str, required: str, *, now: float) -> Grant | Answer:
    """The grant behind a token that has this scope. The refusal names both sets: the only such API (observed)."""
    if (found := grants.authorized(state, token, now=now)) is None:
        return BAD_ACCESS_TOKEN
    if required in closure(found.scopes, IMPLIED):
        return found.grant
    message = "Your credentials lack one or more required privilege scopes."
    detail = {"required": [required], "granted": list(found.scopes)}
    return Answer({"type": "error", "error": {"message": message, "detail": detail}}, 403)


def _app(state: State, asked: Transaction) -> App:
    return state.apps[asked.params["client_id"]]


def _wanted(state: State, asked: Transaction) -> tuple[str, ...]:
    ticks = _app(state, asked).permitted_scopes
    if state.switches.scope_parameter == "ignored" or not asked.scopes:
        return tuple(sorted(ticks))
    return tuple(scope for scope in asked.scopes if scope in ticks)


def _issue(state: State, family: str, refresh_token: str, kind: str, *, now: float, mint: Mint) -> Answer:
    of, seconds = state.families[family], state.switches.lifetime
    token = keep(state.access_tokens, mint(), AccessToken(of.grant, of.scopes, now + seconds, family))
    return Answer(
        {
            "scopes": " ".join(of.scopes),
            "access_token": token,
            "expires_in": seconds,
            "token_type": "bearer",
            "state": kind,
            "refresh_token": refresh_token,
        }
    )


def _misconfigured(what: str, reason: str) -> ErrorPage:
    # The words are from memory.
    lines = (f"Invalid {what}. This integration is misconfigured. Contact the vendor for assistance.",)
    return ErrorPage("Integration requesting access", lines, reason)


def _check_client(state: State, asked: Transaction) -> Refusal | None:
    if asked.params.get("client_id", "") in state.apps:
        return None
    return _misconfigured("client_id", "The consumer's key is not known.")


def _check_callback(state: State, asked: Transaction) -> Refusal | None:
    if any(target_of(state, asked).startswith(callback) for callback in _app(state, asked).callbacks):
        return None
    return _misconfigured("redirect_uri", "It must begin with the consumer's callback URL.")


def _check_parameters(state: State, asked: Transaction) -> Refusal | None:
    target = target_of(state, asked)
    if asked.repeated:
        return _misconfigured("request", f"Sent more than once: {', '.join(asked.repeated)}.")
    if asked.params.get("response_type") != "code":
        told = {"error": "unsupported_response_type", "error_description": "response_type must be code"}
        return to_client(asked, told, redirect_uri=target)
    beyond = [scope for scope in asked.scopes if scope not in _app(state, asked).permitted_scopes]
    judged = state.switches.scope_parameter == "honoured" and state.switches.beyond_the_ticks == "refused"
    if beyond and judged:
        told = {"error": "invalid_scope", "error_description": f"The consumer lacks: {' '.join(beyond)}"}
        return to_client(asked, told, redirect_uri=target)
    return None


CHECKS: Final[Sequence[Check[Switches]]] = (_check_client, _check_callback, _check_parameters)
