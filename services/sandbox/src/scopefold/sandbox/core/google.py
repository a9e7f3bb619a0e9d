"""Google's OAuth 2.0 as it behaves: tick boxes, aliases in answers, refresh tokens that stay and seldom come.

Sources: developers.google.com/identity/protocols/oauth2 and its pages on web servers and granular permissions. Words of
error descriptions are from memory where no source is named. `now` is in seconds since 1970.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from scopefold.sandbox.core import codes, google_scopes, grants
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer, TokenRequest, refused
from scopefold.sandbox.core.people import USERS, User
from scopefold.sandbox.core.sign_in import Answered, Ask, Check, ErrorPage, Refusal, error_to_client, to_client
from scopefold.sandbox.core.state import AccessToken, App, Choice, Code, Mint, Transaction, keep

ACCESS_SECONDS: Final = 3599
REFRESH_IDLE_SECONDS: Final = 182 * 24 * 3600
DAY_SECONDS: Final = 24 * 3600
TESTING_SECONDS: Final = 7 * DAY_SECONDS
MOST_REFRESH_TOKENS: Final = 100
"""For one account and client; the oldest ends silently when there is one more (documented)."""
ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
EARLY: Final = True


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """What the project's owner or the user's organisation set, and what is not the same for every client."""

    granular_consent: Annotated[
        bool,
        Meta(
            title="Tick boxes",
            description="Where more than one is asked besides sign-in. Older ids must send enable_granular_consent.",
        ),
    ] = True
    unticked: Annotated[
        tuple[Annotated[str, Meta(max_length=255)], ...],
        Meta(title="Boxes that are unticked at first", description="A user who unticks them: one scope a line."),
    ] = ()
    issuer_without_scheme: Annotated[
        bool,
        Meta(title="Issuer without https://", description="Older id_tokens name the bare host."),
    ] = False
    publishing: Annotated[
        Literal["production", "testing"],
        Meta(title="Publishing status", description="Testing: refresh tokens end after 7 days."),
    ] = "production"
    time_based_access: Annotated[
        bool,
        Meta(
            title="Time-based access",
            description="The user gave access for a day: refresh_token_expires_in is in the answer.",
        ),
    ] = False
    session_control: Annotated[
        bool, Meta(title="Session length control", description="Refreshes fail with invalid_grant, invalid_rapt.")
    ] = False
    blocked: Annotated[
        Literal["no", "admin_policy_enforced", "org_internal", "access_not_configured", "disallowed_useragent"],
        Meta(
            title="The consent page is refused",
            description="An error on Google's own page; the client learns nothing.",
        ),
    ] = "no"


State = memory.State[Switches]

BAD_REFRESH_TOKEN: Final = refused(400, "invalid_grant", "Token has been expired or revoked.")
INVALID_RAPT: Final = refused(400, "invalid_grant", "reauth related error (invalid_rapt)", error_subtype="invalid_rapt")
BAD_CREDENTIALS: Final = refused(401, "invalid_request", "Invalid Credentials")
NO_TOKEN: Final = refused(400, "invalid_token", "Token expired or revoked")
NO_SUCH_TOKEN: Final = refused(400, "invalid_token", "Invalid Value")
BAD_CLIENTS: Final = {
    "client": refused(401, "invalid_client", "The OAuth client was not found."),
    "secret": refused(401, "invalid_client", "Unauthorized"),
}
BAD_CODES: Final[Mapping[codes.Wrong, Answer]] = {
    "unknown": refused(400, "invalid_grant", "Malformed auth code."),
    "redirect_uri": refused(400, "redirect_uri_mismatch", "Bad Request"),
    "no_verifier": refused(400, "invalid_grant", "Missing code verifier."),
    "verifier": refused(400, "invalid_grant", "Invalid code verifier."),
}
_BLOCKED: Final = {
    "admin_policy_enforced": (400, "Access to your account data is restricted by policies within your organization."),
    "org_internal": (403, "This client is restricted to users within its organization."),
    "access_not_configured": (400, "Your institution's admin needs to review this app."),
    "disallowed_useragent": (403, "This app's request is invalid: it uses an embedded browser."),
}


def preset(callbacks: Sequence[str], base: str = "") -> State:
    """A fresh state with the one preset client."""
    return memory.preset("google", callbacks, frozenset(google_scopes.WORDS), Switches(), base=base)


def metadata(state: State) -> dict[str, Any]:
    """What discovery says."""
    base = state.base
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/o/oauth2/v2/auth",
        "token_endpoint": f"{base}/token",
        "userinfo_endpoint": f"{base}/v1/userinfo",
        "revocation_endpoint": f"{base}/revoke",
        "jwks_uri": f"{base}/oauth2/v3/certs",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": [
            "aud",
            "email",
            "email_verified",
            "exp",
            "family_name",
            "given_name",
            "iat",
            "iss",
            "name",
        ],
        "code_challenge_methods_supported": ["plain", "S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
    }


def subject(user: User) -> str:
    """The user's id at Google: 21 digits."""
    return f"1000000000000000{user.number:05}"


def claims_of(user: User, scopes: Sequence[str]) -> dict[str, Any]:
    """The claims that these scopes open."""
    claims: dict[str, Any] = {"sub": subject(user)}
    if google_scopes.PROFILE in scopes:
        claims |= {"name": user.display_name, "given_name": user.given_name, "family_name": user.family_name}
        claims |= {"picture": f"https://pictures.example/{user.name}.png"}
    if google_scopes.EMAIL in scopes:
        claims |= {"email": user.email, "email_verified": True, "hd": "sandbox.example"}
    return claims


def ask(state: State, asked: Transaction, *, now: float, mint: Mint) -> Ask | Refusal:
    """The consent page, unless all of this was granted before and the client does not insist."""
    app = state.apps[asked.params["client_id"]]
    scopes = google_scopes.canonical(asked.scopes)
    beyond = [scope for scope in scopes if scope not in google_scopes.SIGN_IN]
    granular = state.switches.granular_consent or asked.params.get("enable_granular_consent") == "true"
    boxes = granular and len(beyond) > 1
    unticked = {google_scopes.ALIASES.get(scope, scope) for scope in state.switches.unticked}
    choices = tuple(
        Choice(scope, google_scopes.words_of(scope), boxes and scope in beyond, scope not in unticked)
        for scope in scopes
    )
    if "consent" not in asked.prompts and grants.holds(state, app.client_id, asked.user, scopes):
        return give(state, asked, Answered(True, choices), now=now, mint=mint)
    unverified = [scope for scope in beyond if scope not in app.permitted_scopes]
    notes = (f"Google hasn't verified this app. It asks for: {', '.join(unverified)}",) if unverified else ()
    return Ask(app, choices, notes=notes)


def give(state: State, asked: Transaction, answered: Answered, *, now: float, mint: Mint) -> Refusal:
    """What a user gives a project adds up; the token has this time's, or all with include_granted_scopes."""
    if not answered.accepted or not answered.scopes:
        return error_to_client(asked, "access_denied", "The user denied the request")
    grant = grants.record(state, asked.params["client_id"], asked.user, answered.scopes, mint=mint, adds=True)
    adds_up = asked.params.get("include_granted_scopes") == "true"
    scopes = google_scopes.canonical(grant.scopes if adds_up else answered.scopes)
    code = codes.issue(state, asked, grant, scopes, now=now, mint=mint)
    return to_client(asked, {"code": code, "scope": " ".join(scopes)})


def stray(reason: str) -> ErrorPage:
    """What a browser is shown that has no business here."""
    return ErrorPage("Something went wrong", ("Sorry, something went wrong there. Try again.",), reason)


def exchange(state: State, request: TokenRequest, *, now: float, mint: Mint) -> Answer:
    """The token endpoint."""
    app = memory.identify(state, *request.credentials)
    if not isinstance(app, App):
        return BAD_CLIENTS[app]
    match kind := request.body.get("grant_type", ""):
        case "authorization_code":
            return _redeem(state, app, request.body, now=now, mint=mint)
        case "refresh_token":
            return _refresh(state, app, request.body, now=now, mint=mint)
        case "":
            return refused(400, "invalid_request", "Missing required parameter: grant_type")
    return refused(400, "unsupported_grant_type", f"Invalid grant_type: {kind}")


def authorized(state: State, token: str, *, now: float) -> AccessToken | Answer:
    """What is behind an access token."""
    return grants.authorized(state, token, now=now) or BAD_CREDENTIALS


def userinfo(state: State, token: str, *, now: float) -> Answer:
    """Who the user is."""
    found = authorized(state, token, now=now)
    return found if isinstance(found, Answer) else Answer(claims_of(USERS[found.grant.user], found.scopes))


def tokeninfo(state: State, token: str, *, now: float) -> Answer:
    """What an access token is good for: its scopes as granted."""
    if (found := grants.authorized(state, token, now=now)) is None:
        return NO_SUCH_TOKEN
    user, left = USERS[found.grant.user], int(found.expires_at - now)
    about = {"azp": found.grant.client_id, "aud": found.grant.client_id, "sub": subject(user)}
    email = {"email": user.email, "email_verified": "true"} if google_scopes.EMAIL in found.scopes else {}
    access_type = "online" if found.family is None else "offline"
    times = {"exp": str(int(found.expires_at)), "expires_in": str(left), "access_type": access_type}
    return Answer({**about, "scope": " ".join(found.scopes), **times, **email})


def gmail_profile(state: State, token: str, *, now: float) -> Answer:
    """Gmail's users.getProfile: needs any one of several scopes, and the API switched on in the app's project."""
    found = authorized(state, token, now=now)
    if isinstance(found, Answer):
        return found
    if not google_scopes.GMAIL_PROFILE & state.apps[found.grant.client_id].permitted_scopes:
        message = "Gmail API has not been used in project sandbox before or it is disabled."
        return _forbidden(message, "accessNotConfigured", "SERVICE_DISABLED")
    if not google_scopes.GMAIL_PROFILE.intersection(found.scopes):
        message = "Request had insufficient authentication scopes."
        return _forbidden(message, "insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    return Answer({"emailAddress": USERS[found.grant.user].email, "messagesTotal": 0, "threadsTotal": 0})


def revoke(state: State, token: str) -> Answer:
    """Revocation: either kind of token takes the whole grant with it."""
    access = state.access_tokens.get(token)
    found = access or (family[1] if (family := grants.family_of(state, token)) else None)
    if found is None or grants.live(state, found.grant) is None:
        return NO_TOKEN
    grants.revoke(state, user=found.grant.user, client_id=found.grant.client_id)
    return Answer({})


def _redeem(state: State, app: App, body: Mapping[str, str], *, now: float, mint: Mint) -> Answer:
    if not body.get("code"):
        return refused(400, "invalid_request", "Missing required parameter: code")
    code = codes.redeem(state, app, body, now=now)
    if not isinstance(code, Code):
        return BAD_CODES.get(code, refused(400, "invalid_grant", "Bad Request"))
    family = _renewable(state, code, now=now, mint=mint)
    renewable: dict[str, Any] = {}
    if family is not None:
        renewable["refresh_token"] = grants.refresh_token(state, family, mint=mint)
        if state.switches.time_based_access:
            renewable["refresh_token_expires_in"] = DAY_SECONDS - 1
    token = AccessToken(code.grant, code.scopes, now + ACCESS_SECONDS, family)
    return _answer(state, token, renewable, code.asked.params, now=now, mint=mint)


def _renewable(state: State, code: Code, *, now: float, mint: Mint) -> str | None:
    """The family of a new refresh token: for offline access, at the first consent or where the client insists."""
    held = [name for name, family in state.families.items() if family.grant.id == code.grant.id]
    insists = "consent" in code.asked.prompts
    if code.asked.params.get("access_type") != "offline" or (held and not insists):
        return None
    for oldest in held[: max(0, len(held) + 1 - MOST_REFRESH_TOKENS)]:
        del state.families[oldest]
    return grants.begin_family(state, code.grant, code.scopes, now=now, mint=mint)


def _refresh(state: State, app: App, body: Mapping[str, str], *, now: float, mint: Mint) -> Answer:
    if state.switches.session_control:
        return INVALID_RAPT
    absolute = TESTING_SECONDS if state.switches.publishing == "testing" else float("inf")
    if state.switches.time_based_access:
        absolute = min(absolute, DAY_SECONDS)
    rotation = grants.Rotation(False, REFRESH_IDLE_SECONDS, absolute)
    name = grants.use_refresh_token(state, app, body.get("refresh_token", ""), rotation, now=now)
    if name is None:
        return BAD_REFRESH_TOKEN
    family = state.families[name]
    token = AccessToken(family.grant, family.scopes, now + ACCESS_SECONDS, name)
    return _answer(state, token, {}, {}, now=now, mint=mint)


def _answer(
    state: State, token: AccessToken, more: Mapping[str, Any], asked: Mapping[str, str], *, now: float, mint: Mint
) -> Answer:
    access_token = keep(state.access_tokens, mint(), token)
    body = {"access_token": access_token, "expires_in": ACCESS_SECONDS, **more}
    body |= {"scope": " ".join(token.scopes), "token_type": "Bearer"}
    if google_scopes.OPENID not in token.scopes:
        return Answer(body)
    issuer = state.base.partition("://")[2] if state.switches.issuer_without_scheme else state.base
    client_id = token.grant.client_id
    identity = {"iss": issuer, "azp": client_id, "aud": client_id, "iat": int(now), "exp": int(now) + 3600}
    nonce = {"nonce": asked["nonce"]} if "nonce" in asked else {}
    return Answer(body, identity={**identity, **nonce, **claims_of(USERS[token.grant.user], token.scopes)})


def _forbidden(message: str, reason: str, detail: str) -> Answer:
    """A refusal of the API (memory: google.rpc.ErrorInfo)."""
    error = {
        "code": 403,
        "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}],
        "status": "PERMISSION_DENIED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": detail, "domain": "googleapis.com"}
        ],
    }
    insufficient = 'Bearer realm="https://accounts.google.com/", error="insufficient_scope"'
    headers = {"www-authenticate": insufficient} if reason == "insufficientPermissions" else {}
    return Answer({"error": error}, 403, headers=headers)


def _blocked(error: str, text: str, reason: str, status: int = 400) -> ErrorPage:
    """An error on Google's own page. The client learns nothing."""
    return ErrorPage("Access blocked: Authorization Error", (text, f"Error {status}: {error}"), reason, status)


def _check_client(state: State, asked: Transaction) -> Refusal | None:
    if asked.params.get("client_id", "") in state.apps:
        return None
    return _blocked("invalid_client", "The OAuth client was not found.", "The client_id is not known.", 401)


def _check_callback(state: State, asked: Transaction) -> Refusal | None:
    if (given := asked.params.get("redirect_uri")) is None:
        return _blocked("invalid_request", "Missing required parameter: redirect_uri", "It must be sent.")
    if given in state.apps[asked.params["client_id"]].callbacks:
        return None
    text = "You can't sign in to this app because it doesn't comply with Google's OAuth 2.0 policy."
    return _blocked("redirect_uri_mismatch", text, f"Not among the client's redirect URIs: {given}.")


def _check_parameters(_: State, asked: Transaction) -> Refusal | None:
    params = asked.params
    if asked.repeated:
        text = f"OAuth 2 parameters can only have a single value: {asked.repeated[0]}"
        return _blocked("invalid_request", text, "A parameter was sent more than once.")
    for name in ("response_type", "scope"):
        if not params.get(name, "").strip():
            return _blocked("invalid_request", f"Missing required parameter: {name}", f"{name} must be sent.")
    if params["response_type"] != "code":
        text = f"Invalid response_type: {params['response_type']}"
        return _blocked("unsupported_response_type", text, "The stand-in has the code flow alone.")
    if params.get("code_challenge_method", "plain") not in ("plain", "S256"):
        text = "Invalid code_challenge_method"
        return _blocked("invalid_request", text, "code_challenge_method must be S256 or plain.")
    return None


def _check_scopes(_: State, asked: Transaction) -> Refusal | None:
    invalid = [scope for scope in asked.scopes if not google_scopes.is_known(scope)]
    valid = [scope for scope in asked.scopes if google_scopes.is_known(scope)]
    text = f"Some requested scopes were invalid. {{valid=[{', '.join(valid)}], invalid=[{', '.join(invalid)}]}}"
    return _blocked("invalid_scope", text, f"Google has no such scope: {', '.join(invalid)}.") if invalid else None


def _check_blocked(state: State, _: Transaction) -> Refusal | None:
    if (error := state.switches.blocked) == "no":
        return None
    status, text = _BLOCKED[error]
    return _blocked(error, text, "The switch blocked is set.", status)


def _check_prompt(_: State, asked: Transaction) -> Refusal | None:
    # Nobody stays logged in at a stand-in, so that nothing can be answered without a page.
    if "none" in asked.prompts:
        return error_to_client(asked, "interaction_required", "Interaction is required")
    return None


CHECKS: Final[Sequence[Check[Switches]]] = (
    _check_client,
    _check_callback,
    _check_parameters,
    _check_scopes,
    _check_blocked,
    _check_prompt,
)
