"""Slack's OAuth v2 as it behaves: two lists of scopes, two tokens in one answer, refusals with status 200.

Source, unless a line says otherwise: docs.slack.dev, and the shapes of Slack's own SDK. Error names and words of pages
are from memory. `now` is in seconds since 1970.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from scopefold.sandbox.core import codes, grants
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer, TokenRequest
from scopefold.sandbox.core.people import USERS, User
from scopefold.sandbox.core.sign_in import Answered, Ask, Check, ErrorPage, Refusal, Site, target_of, to_client
from scopefold.sandbox.core.state import AccessToken, App, Choice, Code, Mint, Transaction, keep

ROTATED_SECONDS: Final = 12 * 3600
EARLY: Final = True
BOT: Final = "bot"
"""Whose grant the bot's is: the workspace's, so that every install adds to it."""

TEAM: Final = Site("T0SANDBOX", "Sandbox workspace", "https://sandbox-workspace.example")
PARTS: Final[Mapping[str, str]] = {"bot": "scope", "user": "user_scope"}
WORDS: Final[Mapping[str, str]] = {
    "app_mentions:read": "View messages that mention the app",
    "channels:history": "View messages in public channels",
    "channels:read": "View basic information about public channels",
    "chat:write": "Send messages",
    "commands": "Add shortcuts and slash commands",
    "files:read": "View files shared in channels and conversations",
    "files:write": "Upload, edit and delete files",
    "groups:read": "View basic information about private channels",
    "identity.basic": "Confirm your identity",
    "identity.email": "View your email address",
    "im:history": "View messages in direct messages",
    "reactions:read": "View emoji reactions",
    "search:read": "Search the workspace's content",
    "team:read": "View the workspace's name, email domain and icon",
    "users:read": "View people in the workspace",
    "users:read.email": "View email addresses of people in the workspace",
}


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """How the app is set up, and what is from memory only."""

    optional_scopes: Annotated[
        tuple[Annotated[str, Meta(max_length=255)], ...],
        Meta(
            title="Optional scopes",
            description="Flagged optional in the app (since 2026-03): the user may decline them. One scope a line.",
        ),
    ] = ()
    token_rotation: Annotated[
        bool,
        Meta(
            title="Token rotation",
            description="Opt-in for an app: tokens live 12 hours, refresh tokens serve once. Otherwise neither ends.",
        ),
    ] = False
    bot_scopes_add_up: Annotated[
        bool, Meta(title="The bot's scopes add up", description="From memory: each install adds to those before it.")
    ] = True


State = memory.State[Switches]


def preset(callbacks: Sequence[str], base: str = "") -> State:
    """A fresh state with the one preset app."""
    return memory.preset("slack", callbacks, frozenset(WORDS), Switches(), base=base)


def ask(state: State, asked: Transaction, *, now: float, mint: Mint) -> Ask | Refusal:
    """The consent page, shown at every install: both lists, for one workspace."""
    del now, mint
    optional = state.switches.optional_scopes
    choices = tuple(
        Choice(scope, f"{WORDS.get(scope, scope)} (as the {part})", scope in optional, part=part)
        for part in PARTS
        for scope in _wanted(asked, part)
    )
    return Ask(state.apps[asked.params["client_id"]], choices, (TEAM,))


def give(state: State, asked: Transaction, answered: Answered, *, now: float, mint: Mint) -> Refusal:
    """The bot's grant is the workspace's, the other one the user's."""
    target = target_of(state, asked)
    if not answered.accepted or answered.site != TEAM.id:
        return to_client(asked, {"error": "access_denied"}, redirect_uri=target)
    client_id = asked.params["client_id"]
    given = {part: tuple(one.scope for one in answered.choices if one.part == part) for part in PARTS}
    if given["bot"]:
        grants.record(state, client_id, BOT, given["bot"], mint=mint, adds=state.switches.bot_scopes_add_up)
    grant = grants.record(state, client_id, asked.user, given["user"], mint=mint, adds=True)
    scopes = grant.scopes if given["user"] else ()
    code = codes.issue(state, asked, grant, scopes, now=now, mint=mint)
    return to_client(asked, {"code": code}, redirect_uri=target)


def stray(reason: str) -> ErrorPage:
    """What a browser is shown that has no business here."""
    return _page("This link has expired", reason)


def exchange(state: State, request: TokenRequest, *, now: float, mint: Mint) -> Answer:
    """The method oauth.v2.access. Refusals come with status 200."""
    app = memory.identify(state, *request.credentials)
    if not isinstance(app, App):
        return _refused({"client": "invalid_client_id", "secret": "bad_client_secret"}[app])
    match request.body.get("grant_type", "authorization_code"):
        case "authorization_code":
            return _redeem(state, app, request.body, now=now, mint=mint)
        case "refresh_token":
            return _refresh(state, app, request.body, now=now, mint=mint)
    return _refused("invalid_grant_type")


def test(state: State, token: str, *, now: float) -> Answer:
    """The method auth.test: whose token this is. Any token may ask."""
    found = _authorized(state, token, None, now)
    if isinstance(found, Answer):
        return found
    owner = found.grant.user
    who = {"user": owner, "user_id": BOT_USER_ID if owner == BOT else user_id(USERS[owner])}
    about = {"ok": True, "url": f"{TEAM.url}/", "team": TEAM.name, "team_id": TEAM.id, **who}
    return Answer(about, headers=_scopes_told(found))


def identity(state: State, token: str, *, now: float) -> Answer:
    """The method users.identity: who the user is, for a user's token with identity.basic."""
    found = _authorized(state, token, "identity.basic", now)
    if isinstance(found, Answer):
        return found
    user = USERS[found.grant.user]
    email = {"email": user.email} if "identity.email" in found.scopes else {}
    body = {"ok": True, "user": {"name": user.display_name, "id": user_id(user), **email}, "team": {"id": TEAM.id}}
    return Answer(body, headers=_scopes_told(found))


def revoke(state: State, token: str, *, now: float) -> Answer:
    """The method auth.revoke: this token, and nothing else."""
    found = _authorized(state, token, None, now)
    if isinstance(found, Answer):
        return found
    del state.access_tokens[token]
    return Answer({"ok": True, "revoked": True})


def user_id(user: User) -> str:
    """The user's id in the workspace."""
    return f"U0SANDBOX{user.number}"


APP_ID: Final = "A0SANDBOX"
BOT_USER_ID: Final = "U0SANDBOXBOT"
_TEAM_TOLD: Final = {"team": {"id": TEAM.id, "name": TEAM.name}, "enterprise": None, "is_enterprise_install": False}


def _wanted(asked: Transaction, part: str) -> tuple[str, ...]:
    """One of the two lists. Commas part its scopes; spaces do too (memory)."""
    return tuple(dict.fromkeys(asked.params.get(PARTS[part], "").replace(",", " ").split()))


def _redeem(state: State, app: App, body: Mapping[str, str], *, now: float, mint: Mint) -> Answer:
    code = codes.redeem(state, app, body, now=now, redirect_uri_optional=True, pkce=False)
    if not isinstance(code, Code):
        return _refused({"used": "code_already_used", "redirect_uri": "bad_redirect_uri"}.get(code, "invalid_code"))
    bot = state.grants.get((app.client_id, BOT)) if _wanted(code.asked, "bot") else None
    authed: dict[str, Any] = {"id": user_id(USERS[code.grant.user])}
    if code.scopes:
        authed |= _issue(state, AccessToken(code.grant, code.scopes, 0.0), None, now=now, mint=mint)
    answer: dict[str, Any] = {"ok": True, "app_id": APP_ID, "authed_user": authed, **_TEAM_TOLD}
    if bot is not None:
        answer |= _issue(state, AccessToken(bot, bot.scopes, 0.0), None, now=now, mint=mint)
        answer |= {"bot_user_id": BOT_USER_ID}
    return Answer(answer)


def _refresh(state: State, app: App, body: Mapping[str, str], *, now: float, mint: Mint) -> Answer:
    rotation = grants.Rotation(True, breach_ends_family=False)
    name = grants.use_refresh_token(state, app, body.get("refresh_token", ""), rotation, now=now)
    if name is None:
        return _refused("invalid_refresh_token")
    family = state.families[name]
    renewed = _issue(state, AccessToken(family.grant, family.scopes, 0.0), name, now=now, mint=mint)
    return Answer({"ok": True, "app_id": APP_ID, **_TEAM_TOLD, **renewed})


def _issue(state: State, token: AccessToken, family: str | None, *, now: float, mint: Mint) -> dict[str, Any]:
    """One token of the answer, for the bot or for the user, with a refresh token where the app rotates."""
    kind = "bot" if token.grant.user == BOT else "user"
    rotates = state.switches.token_rotation or family is not None
    ends = now + ROTATED_SECONDS if rotates else float("inf")
    name = f"{'xoxe.' if rotates else ''}xox{kind[0] if kind == 'bot' else 'p'}-{mint()}"
    issued: dict[str, Any] = {
        "access_token": keep(state.access_tokens, name, AccessToken(token.grant, token.scopes, ends)),
        "token_type": kind,
        "scope": ",".join(token.scopes),
    }
    if rotates:
        family = family or grants.begin_family(state, token.grant, token.scopes, now=now, mint=mint)
        issued |= {"expires_in": ROTATED_SECONDS, "refresh_token": grants.refresh_token(state, family, mint=mint)}
    return issued


def _authorized(state: State, token: str, scope: str | None, now: float) -> AccessToken | Answer:
    if not token:
        return _refused("not_authed")
    if (known := state.access_tokens.get(token)) is None:
        return _refused("invalid_auth")
    if (found := grants.authorized(state, token, now=now)) is None:
        return _refused("token_expired" if now >= known.expires_at else "token_revoked")
    if scope is not None and scope not in found.scopes:
        return _refused("missing_scope", needed=scope, provided=",".join(found.scopes))
    return found


def _scopes_told(found: AccessToken) -> Mapping[str, str]:
    return {"x-oauth-scopes": ",".join(found.scopes)}


def _refused(error: str, **more: str) -> Answer:
    return Answer({"ok": False, "error": error, **more})


def _page(details: str, reason: str) -> ErrorPage:
    lines = (
        "Something went wrong when authorizing this app.",
        "Try going back and authorizing again. If problems persist, contact support.",
        f"Error details: {details}",
    )
    return ErrorPage("Oops!", lines, reason)


def _check_client(state: State, asked: Transaction) -> Refusal | None:
    if asked.params.get("client_id", "") in state.apps:
        return None
    return _page("Invalid client_id parameter", "The client_id is not known.")


def _check_callback(state: State, asked: Transaction) -> Refusal | None:
    target = target_of(state, asked)
    if target in state.apps[asked.params["client_id"]].callbacks:
        return None
    return _page(f"redirect_uri did not match any configured URIs. Passed URI: {target}", "bad_redirect_uri")


def _check_scopes(state: State, asked: Transaction) -> Refusal | None:
    wanted = [*_wanted(asked, "bot"), *_wanted(asked, "user")]
    if not wanted:
        return _page("no_scopes", "Neither scope nor user_scope names any.")
    permitted = state.apps[asked.params["client_id"]].permitted_scopes
    if beyond := [scope for scope in wanted if scope not in permitted]:
        # Sign in with Slack is another pair of endpoints, which cannot be mixed with this one (memory).
        return _page("invalid_scope", f"Not scopes of this app: {', '.join(beyond)}.")
    return None


CHECKS: Final[Sequence[Check[Switches]]] = (_check_client, _check_callback, _check_scopes)
