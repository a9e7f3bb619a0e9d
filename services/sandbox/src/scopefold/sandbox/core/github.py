"""GitHub's OAuth apps as they behave: commas, normalised scopes, errors with status 200, tokens without an end.

Source, unless a line says otherwise: github/docs, content/apps/oauth-apps. `now` is in seconds since 1970.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from scopefold.sandbox.core import codes, grants
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer, TokenRequest
from scopefold.sandbox.core.github_scopes import IMPLIED, is_known, normalized, words_of
from scopefold.sandbox.core.implications import closure
from scopefold.sandbox.core.people import USERS, User
from scopefold.sandbox.core.sign_in import Answered, Ask, Check, ErrorPage, Refusal, ToClient, target_of, to_client
from scopefold.sandbox.core.state import AccessToken, App, Choice, Code, Mint, Transaction, keep

EARLY: Final = True
DOCS: Final = "https://docs.github.com/rest"
TROUBLE: Final = "/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/"
TOKEN_TROUBLE: Final = "/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/"
MISMATCH: Final = "The redirect_uri MUST match the registered callback URL for this application."


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """What is not established, and what a user may have."""

    echo_scope: Annotated[
        bool,
        Meta(title="Scope in the token answer", description="Off: the token's scope shows in X-OAuth-Scopes alone."),
    ] = True
    unknown_scope: Annotated[
        Literal["refused", "dropped"],
        Meta(title="A scope that GitHub does not have", description="From memory: invalid_scope, or left out."),
    ] = "refused"
    users_may_untick: Annotated[
        bool,
        Meta(
            title="Users may grant less",
            description="The documents tell apps to expect it; today's page has no boxes.",
        ),
    ] = False
    email_verified: Annotated[
        bool,
        Meta(title="The user's e-mail is verified", description="Off: unverified_user_email at the token endpoint."),
    ] = True


State = memory.State[Switches]

# That these come with status 200 is from memory; the bodies are documented.
BAD_CREDENTIALS: Final = Answer({"message": "Bad credentials", "documentation_url": DOCS, "status": "401"}, 401)
NO_CREDENTIALS: Final = Answer({"message": "Requires authentication", "documentation_url": DOCS, "status": "401"}, 401)
NOT_FOUND: Final = {"message": "Not Found", "documentation_url": DOCS, "status": "404"}
EMAIL_SCOPES: Final = ("user", "user:email")


def preset(callbacks: Sequence[str], base: str = "") -> State:
    """A fresh state with the one preset app. GitHub's apps list no scopes: they may ask for all."""
    return memory.preset("github", callbacks, frozenset(), Switches(), base=base)


def ask(state: State, asked: Transaction, *, now: float, mint: Mint) -> Ask | Refusal:
    """The consent page, unless all of this was authorised before."""
    app = state.apps[asked.params["client_id"]]
    before = state.grants.get((app.client_id, asked.user))
    held = before.scopes if before is not None else ()
    # Without a scope, everything that the user ever authorised for the app is used again, silently.
    scopes = normalized([scope for scope in _wanted(asked) if is_known(scope)]) or held
    boxes = state.switches.users_may_untick
    choices = tuple(Choice(scope, words_of(scope), boxes) for scope in scopes)
    if before is not None and closure(scopes, IMPLIED) <= closure(held, IMPLIED):
        return give(state, asked, Answered(True, choices), now=now, mint=mint)
    return Ask(app, choices)


def give(state: State, asked: Transaction, answered: Answered, *, now: float, mint: Mint) -> Refusal:
    """A token carries what was asked for this time; what was ever authorised is remembered."""
    target = target_of(state, asked)
    if not answered.accepted:
        return _error(target, asked, "access_denied", "The user has denied your application access.")
    scopes = normalized(answered.scopes)
    grant = grants.record(state, asked.params["client_id"], asked.user, scopes, mint=mint, adds=True)
    code = codes.issue(state, asked, grant, scopes, now=now, mint=mint)
    return to_client(asked, {"code": code}, redirect_uri=target)


def stray(reason: str) -> ErrorPage:
    """What a browser is shown that has no business here."""
    return ErrorPage("Something went wrong", ("This page is taking way too long to load.",), reason)


def exchange(state: State, request: TokenRequest, *, now: float, mint: Mint) -> Answer:
    """The token endpoint. Errors come with status 200 (memory)."""
    app = memory.identify(state, *request.credentials)
    if app == "client":
        return Answer({"error": "Not Found"}, 404)
    if app == "secret":
        words = "The client_id and/or client_secret passed are incorrect."
        return _refused("incorrect_client_credentials", words)
    if request.body.get("grant_type", "authorization_code") != "authorization_code":
        words = "The grant_type is not supported for this application."
        return _refused("unsupported_grant_type", words)
    code = codes.redeem(state, app, request.body, now=now, redirect_uri_optional=True)
    if code == "redirect_uri":
        return _refused("redirect_uri_mismatch", MISMATCH)
    if not isinstance(code, Code):
        return _refused("bad_verification_code", "The code passed is incorrect or expired.")
    if not state.switches.email_verified:
        return _refused("unverified_user_email", "The user must have a verified primary email.")
    token = AccessToken(code.grant, code.scopes, float("inf"))
    body = {"access_token": keep(state.access_tokens, f"gho_{mint()}", token), "token_type": "bearer"}
    return Answer({**body, **({"scope": ",".join(code.scopes)} if state.switches.echo_scope else {})})


def user(state: State, token: str, *, now: float) -> Answer:
    """The user. Any token may ask."""
    found = _authorized(state, token, (), now)
    if isinstance(found, Answer):
        return found
    one = USERS[found.grant.user]
    return Answer(
        {
            "login": one.name,
            "id": user_id(one),
            "node_id": f"U_{one.number}",
            "type": "User",
            "name": one.display_name,
            "email": None,
        },
        headers=_scopes_told(found, ()),
    )


def emails(state: State, token: str, *, now: float) -> Answer:
    """The user's addresses. Without the scope there is no such thing, and the answer is 404."""
    found = _authorized(state, token, EMAIL_SCOPES, now)
    if isinstance(found, Answer):
        return found
    address = {"email": USERS[found.grant.user].email, "primary": True, "verified": True, "visibility": "private"}
    return Answer([address], headers=_scopes_told(found, EMAIL_SCOPES))


def end(state: State, request: TokenRequest, token: str, *, whole_grant: bool) -> Answer:
    """DELETE /applications/{client_id}/token or /grant: HTTP Basic with the app's credentials."""
    app = memory.identify(state, *(request.basic or ("", "")))
    found = state.access_tokens.get(token)
    if not isinstance(app, App) or found is None or found.grant.client_id != app.client_id:
        return Answer(NOT_FOUND, 404)
    del state.access_tokens[token]
    if whole_grant:
        grants.revoke(state, user=found.grant.user, client_id=app.client_id)
    return Answer({}, 204)


def user_id(one: User) -> int:
    """The user's id at GitHub."""
    return 583_000_000 + one.number


def _wanted(asked: Transaction) -> list[str]:
    """The scopes asked for. Spaces part them by the documents; commas are taken too (memory)."""
    return asked.params.get("scope", "").replace(",", " ").split()


def _authorized(state: State, token: str, accepted: Sequence[str], now: float) -> AccessToken | Answer:
    if not token:
        return NO_CREDENTIALS
    if (found := grants.authorized(state, token, now=now)) is None:
        return BAD_CREDENTIALS
    if accepted and not closure(found.scopes, IMPLIED).intersection(accepted):
        return Answer(NOT_FOUND, 404, headers=_scopes_told(found, accepted))
    return found


def _scopes_told(found: AccessToken, accepted: Sequence[str]) -> Mapping[str, str]:
    return {"x-oauth-scopes": ", ".join(found.scopes), "x-accepted-oauth-scopes": ", ".join(accepted)}


def _refused(error: str, description: str) -> Answer:
    uri = f"{DOCS.removesuffix('/rest')}{TOKEN_TROUBLE}#{error.replace('_', '-')}"
    return Answer({"error": error, "error_description": description, "error_uri": uri})


def _error(target: str, asked: Transaction, error: str, description: str) -> ToClient:
    told = {"error": error, "error_description": description, "error_uri": f"{TROUBLE}#{error.replace('_', '-')}"}
    return to_client(asked, told, redirect_uri=target)


def _check_client(state: State, asked: Transaction) -> Refusal | None:
    app = state.apps.get(asked.params.get("client_id", ""))
    if app is not None and app.callbacks:
        return None
    lines = ("This is not the web page you are looking for.",)
    return ErrorPage("404", lines, "The client_id is not known, or the app has no callback.", 404)


def _check_callback(state: State, asked: Transaction) -> Refusal | None:
    # The documents: host and port must match the callback's, the path must be one below it (memory).
    callbacks = state.apps[asked.params["client_id"]].callbacks
    target = target_of(state, asked)
    if any(target == callback or target.startswith(f"{callback.rstrip('/')}/") for callback in callbacks):
        return None
    # The user is sent to the registered callback, never to the one that was asked for.
    return _error(callbacks[0], asked, "redirect_uri_mismatch", MISMATCH)


def _check_parameters(state: State, asked: Transaction) -> Refusal | None:
    target = target_of(state, asked)
    if asked.params.get("response_type", "code") != "code":
        return _error(target, asked, "unsupported_response_type", "response_type must be code.")
    if "code_challenge" in asked.params and asked.params.get("code_challenge_method") != "S256":
        return _error(target, asked, "invalid_request", "code_challenge_method must be S256.")
    unknown = [scope for scope in _wanted(asked) if not is_known(scope)]
    if unknown and state.switches.unknown_scope == "refused":
        return _error(target, asked, "invalid_scope", f"The scopes requested are invalid: {', '.join(unknown)}.")
    return None


CHECKS: Final[Sequence[Check[Switches]]] = (_check_client, _check_callback, _check_parameters)
