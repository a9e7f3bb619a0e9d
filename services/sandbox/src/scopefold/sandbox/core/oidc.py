"""A generic OpenID provider: what the standards say, with a switch where they leave a choice.

Sources: RFC 6749, RFC 7636, RFC 9207, OpenID Connect Core 1.0 and Discovery 1.0. `now` is in seconds since 1970.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from scopefold.sandbox.core import codes, grants
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer, TokenRequest, refused
from scopefold.sandbox.core.people import USERS, User
from scopefold.sandbox.core.sign_in import (
    Answered,
    Ask,
    Check,
    ErrorPage,
    Refusal,
    ToClient,
    error_to_client,
    to_client,
)
from scopefold.sandbox.core.state import AccessToken, App, Choice, Code, Family, Mint, Transaction, keep

ACCESS_SECONDS: Final = 3600
REFRESH_IDLE_SECONDS: Final = 30 * 24 * 3600
REFRESH_LEEWAY_SECONDS: Final = 60
LOGOUT_SECONDS: Final = 120
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
EARLY: Final = True
SCOPES: Final[Mapping[str, str]] = {
    "openid": "Know who you are",
    "profile": "Know your name",
    "email": "Know your e-mail address",
    "groups": "Know your groups",
    "offline_access": "Keep this access while you are away",
    "api:read": "Read your data at the API",
    "api:write": "Change your data at the API",
}
CLAIMS: Final[Mapping[str, Sequence[str]]] = {
    "profile": ("name", "given_name", "family_name", "preferred_username"),
    "email": ("email", "email_verified"),
    "groups": ("groups",),
}


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """Where standards leave a choice, and providers made different ones."""

    echo_scope: Annotated[
        Literal["always", "if_different", "never"],
        Meta(
            title="Scope in the token answer",
            description="RFC 6749, section 5.1: optional if as asked. GitLab: not settled, its documents show none.",
        ),
    ] = "always"
    unpermitted_scope: Annotated[
        Literal["dropped", "invalid_scope"],
        Meta(
            title="A scope that the app lacks",
            description="RFC 6749, section 3.3: ignored or refused, as the server likes.",
        ),
    ] = "dropped"
    tick_boxes: Annotated[
        bool, Meta(title="The user may untick scopes", description="All but openid get a box, ticked at first.")
    ] = False
    refresh_tokens: Annotated[
        Literal["rotate", "stay"],
        Meta(title="Refresh tokens", description="Each use gives a new one and ends the old one, or the one stays."),
    ] = "rotate"
    require_pkce: Annotated[bool, Meta(title="PKCE is required", description="OAuth 2.1 wants it of everyone.")] = False
    client_authentication: Annotated[
        Literal["both", "client_secret_basic", "client_secret_post"],
        Meta(
            title="Client authentication",
            description="Not settled for Data Center's built-in OpenID client: which way it takes.",
        ),
    ] = "both"
    signing_algorithm: Annotated[
        Literal["RS256", "ES256"],
        Meta(
            title="Signature of the id_token",
            description="RS256 is the default of OpenID Connect. Not settled for Data Center: whether it takes ES256.",
        ),
    ] = "RS256"
    logout: Annotated[
        bool,
        Meta(
            title="Logout is offered, by the app and to it",
            description="Not settled for Data Center: by general knowledge it does not use it.",
        ),
    ] = True


State = memory.State[Switches]

BAD_CLIENT: Final = Answer(
    {"error": "invalid_client", "error_description": "Client authentication failed"},
    401,
    headers={"www-authenticate": 'Basic realm="sandbox"'},
)
BAD_TOKEN: Final = Answer(
    {"error": "invalid_token", "error_description": "The access token is unknown, expired or revoked"},
    401,
    headers={"www-authenticate": 'Bearer error="invalid_token"'},
)
NO_OPENID: Final = Answer(
    {"error": "insufficient_scope", "error_description": "The access token lacks the scope openid"},
    403,
    headers={"www-authenticate": 'Bearer error="insufficient_scope", scope="openid"'},
)
DEAD_REFRESH_TOKEN: Final = refused(400, "invalid_grant", "The refresh token is unknown, expired, used or revoked")
WIDENED: Final = refused(400, "invalid_scope", "A refresh cannot widen the scope")
BAD_CODES: Final[Mapping[codes.Wrong, str]] = {
    "redirect_uri": "redirect_uri is not the one of the authorization request",
    "no_verifier": "code_verifier is missing",
    "verifier": "code_verifier does not match the code_challenge",
}


def preset(callbacks: Sequence[str], base: str = "") -> State:
    """A fresh state with the one preset app."""
    return memory.preset("oidc", callbacks, frozenset(SCOPES), Switches(), base=base)


def metadata(state: State) -> dict[str, Any]:
    """What discovery says (OpenID Connect Discovery 1.0, section 3)."""
    base, switches = state.base, state.switches
    ways = ["client_secret_basic", "client_secret_post"]
    said = {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "userinfo_endpoint": f"{base}/userinfo",
        "revocation_endpoint": f"{base}/revoke",
        "jwks_uri": f"{base}/jwks",
        "scopes_supported": list(SCOPES),
        "claims_supported": ["sub", *(name for names in CLAIMS.values() for name in names)],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [switches.signing_algorithm],
        "token_endpoint_auth_methods_supported": [
            way for way in ways if switches.client_authentication in ("both", way)
        ],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    if switches.logout:
        said |= {"end_session_endpoint": f"{base}/logout", "backchannel_logout_supported": True}
    return said


def subject(user: User) -> str:
    """The user's id at this provider."""
    return f"sandbox-user-{user.number:04}"


def logout_claims(state: State, client_id: str, user: User, *, now: float, mint: Mint) -> dict[str, Any]:
    """What tells an app that a user has logged out everywhere (OpenID Connect Back-Channel Logout 1.0, section 2.4)."""
    times = {"iat": int(now), "exp": int(now) + LOGOUT_SECONDS}
    who = {"iss": state.base, "aud": client_id, "sub": subject(user)}
    return {**who, **times, "jti": mint(), "events": {LOGOUT_EVENT: {}}}


def claims_of(user: User, scopes: Sequence[str]) -> dict[str, Any]:
    """The claims about a user that these scopes open (OpenID Connect Core 1.0, section 5.4)."""
    known = {
        "name": user.display_name,
        "given_name": user.given_name,
        "family_name": user.family_name,
        "preferred_username": user.name,
        "email": user.email,
        "email_verified": True,
        "groups": list(user.groups),
    }
    opened = [name for scope, names in CLAIMS.items() if scope in scopes for name in names]
    return {"sub": subject(user), **{name: known[name] for name in opened}}


def ask(state: State, asked: Transaction, *, now: float, mint: Mint) -> Ask | Refusal:
    """The consent page, unless all of this was granted before and the client does not insist."""
    app = state.apps[asked.params["client_id"]]
    scopes = [scope for scope in asked.scopes if scope in app.permitted_scopes]
    boxes = state.switches.tick_boxes
    choices = tuple(Choice(scope, SCOPES.get(scope, scope), boxes and scope != "openid") for scope in scopes)
    if "consent" not in asked.prompts and grants.holds(state, app.client_id, asked.user, scopes):
        return give(state, asked, Answered(True, choices), now=now, mint=mint)
    return Ask(app, choices)


def give(state: State, asked: Transaction, answered: Answered, *, now: float, mint: Mint) -> Refusal:
    """The grant adds up over time; a code stands for what was asked this time."""
    if not answered.accepted:
        return _error(state, asked, "access_denied", "The user declined")
    client_id, given = asked.params["client_id"], answered.scopes
    grant = grants.record(state, client_id, asked.user, given, mint=mint, adds=True)
    code = codes.issue(state, asked, grant, given, now=now, mint=mint)
    return to_client(asked, {"code": code, "iss": state.base})


def stray(reason: str) -> ErrorPage:
    """What a browser is shown that has no business here."""
    return ErrorPage("Something went wrong", ("This sign-in cannot go on. Start again from the app.",), reason)


def exchange(state: State, request: TokenRequest, *, now: float, mint: Mint) -> Answer:
    """The token endpoint."""
    if (app := _client(state, request)) is None:
        return BAD_CLIENT
    match request.body.get("grant_type"):
        case "authorization_code":
            return _redeem(state, app, request, now, mint)
        case "refresh_token":
            return _refresh(state, app, request, now, mint)
        case None:
            return refused(400, "invalid_request", "grant_type is missing")
    return refused(400, "unsupported_grant_type", "Use authorization_code or refresh_token")


def userinfo(state: State, token: str, *, now: float) -> Answer:
    """Who the user is (OpenID Connect Core 1.0, section 5.3)."""
    if (found := grants.authorized(state, token, now=now)) is None:
        return BAD_TOKEN
    return Answer(claims_of(USERS[found.grant.user], found.scopes)) if "openid" in found.scopes else NO_OPENID


def revoke(state: State, request: TokenRequest) -> Answer:
    """Revocation (RFC 7009): a refresh token takes its family with it; an unknown token is no error."""
    if (app := _client(state, request)) is None:
        return BAD_CLIENT
    token = request.body.get("token", "")
    if (found := grants.family_of(state, token)) and found[1].grant.client_id == app.client_id:
        del state.families[found[0]]
    if (access := state.access_tokens.get(token)) and access.grant.client_id == app.client_id:
        del state.access_tokens[token]
    return Answer({})


def _client(state: State, request: TokenRequest) -> App | None:
    way = "client_secret_post" if request.basic is None else "client_secret_basic"
    if state.switches.client_authentication not in ("both", way):
        return None
    app = memory.identify(state, *request.credentials)
    return app if isinstance(app, App) else None


def _redeem(state: State, app: App, request: TokenRequest, now: float, mint: Mint) -> Answer:
    code = codes.redeem(state, app, request.body, now=now)
    if not isinstance(code, Code):
        return refused(400, "invalid_grant", BAD_CODES.get(code, "The code is unknown, expired or used"))
    family = None
    if "offline_access" in code.scopes:
        family = grants.begin_family(state, code.grant, code.scopes, now=now, mint=mint)
    answer = _tokens(state, code.grant, code.scopes, family, now=now, mint=mint)
    echo = state.switches.echo_scope
    if echo == "never" or (echo == "if_different" and set(code.scopes) == set(code.asked.scopes)):
        answer.pop("scope")
    renewable = {} if family is None else {"refresh_token": grants.refresh_token(state, family, mint=mint)}
    return _answer(state, {**answer, **renewable}, code, now=now)


def _refresh(state: State, app: App, request: TokenRequest, now: float, mint: Mint) -> Answer:
    rotates = state.switches.refresh_tokens == "rotate"
    wanted = tuple(request.body.get("scope", "").split())
    presented = request.body.get("refresh_token", "")
    found = grants.family_of(state, presented)
    if found is not None and not set(wanted) <= set(found[1].scopes):
        return WIDENED
    rotation = grants.Rotation(rotates, REFRESH_IDLE_SECONDS, leeway_seconds=REFRESH_LEEWAY_SECONDS)
    name = grants.use_refresh_token(state, app, presented, rotation, now=now)
    if name is None:
        return DEAD_REFRESH_TOKEN
    family = state.families[name]
    answer = _tokens(state, family.grant, wanted or family.scopes, name, now=now, mint=mint)
    if state.switches.echo_scope != "always":
        answer.pop("scope")
    renewed = {"refresh_token": grants.refresh_token(state, name, mint=mint)} if rotates else {}
    return _answer(state, {**answer, **renewed}, family, now=now)


def _tokens(
    state: State, grant: memory.Grant, scopes: tuple[str, ...], family: str | None, *, now: float, mint: Mint
) -> dict[str, Any]:
    token = keep(state.access_tokens, mint(), AccessToken(grant, scopes, now + ACCESS_SECONDS, family))
    return {"access_token": token, "token_type": "Bearer", "expires_in": ACCESS_SECONDS, "scope": " ".join(scopes)}


def _answer(state: State, body: Mapping[str, Any], of: Code | Family, *, now: float) -> Answer:
    """The token answer, with an id_token where openid was granted (OpenID Connect Core 1.0, section 2)."""
    if "openid" not in of.scopes:
        return Answer(body)
    user = claims_of(USERS[of.grant.user], of.scopes)
    login_at = of.issued_at if isinstance(of, Code) else of.begun_at
    nonce = {"nonce": of.asked.params["nonce"]} if isinstance(of, Code) and "nonce" in of.asked.params else {}
    times = {"iat": int(now), "exp": int(now) + ACCESS_SECONDS, "auth_time": int(login_at)}
    identity = {"iss": state.base, "aud": of.grant.client_id, **times, **nonce, **user}
    return Answer(body, identity=identity, algorithm=state.switches.signing_algorithm)


def _error(state: State, asked: Transaction, error: str, description: str) -> ToClient:
    return error_to_client(asked, error, description, iss=state.base)


def _check_client(state: State, asked: Transaction) -> Refusal | None:
    if asked.params.get("client_id", "") in state.apps:
        return None
    return ErrorPage("Something went wrong", ("This app is not known here.",), "The client_id is not known.")


def _check_callback(state: State, asked: Transaction) -> Refusal | None:
    given = asked.params.get("redirect_uri", "")
    if given in state.apps[asked.params["client_id"]].callbacks:
        return None
    lines = ("This app asked to send you to an address that it did not register.",)
    return ErrorPage("Something went wrong", lines, f"redirect_uri is not registered: {given or 'none was sent'}.")


def _check_parameters(state: State, asked: Transaction) -> Refusal | None:
    params = asked.params
    if asked.repeated:
        return _error(state, asked, "invalid_request", f"Sent more than once: {', '.join(asked.repeated)}")
    for name in ("request", "request_uri"):
        if name in params:
            return _error(state, asked, f"{name}_not_supported", f"The parameter {name} is not supported")
    if params.get("response_type") != "code":
        error = "unsupported_response_type" if params.get("response_type") else "invalid_request"
        return _error(state, asked, error, "response_type must be code")
    if not asked.scopes:
        return _error(state, asked, "invalid_scope", "scope is missing")
    if "code_challenge" not in params and state.switches.require_pkce:
        return _error(state, asked, "invalid_request", "code_challenge is missing")
    if "code_challenge" in params and params.get("code_challenge_method") != "S256":
        return _error(state, asked, "invalid_request", "code_challenge_method must be S256")
    return None


def _check_scopes(state: State, asked: Transaction) -> Refusal | None:
    permitted = state.apps[asked.params["client_id"]].permitted_scopes
    beyond = [scope for scope in asked.scopes if scope not in permitted]
    if not beyond or state.switches.unpermitted_scope == "dropped":
        return None
    return _error(state, asked, "invalid_scope", f"The app may not ask for: {' '.join(beyond)}")


def _check_prompt(state: State, asked: Transaction) -> Refusal | None:
    # Nobody stays logged in at a stand-in, so that nothing can be answered without a page.
    if "none" in asked.prompts:
        return _error(state, asked, "login_required", "The user is not logged in")
    return None


CHECKS: Final[Sequence[Check[Switches]]] = (
    _check_client,
    _check_callback,
    _check_parameters,
    _check_scopes,
    _check_prompt,
)
