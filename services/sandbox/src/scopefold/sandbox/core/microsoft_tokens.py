"""Microsoft's identity platform v2, from the code on: one resource a token, answers that say more than was asked.

Sources: MicrosoftDocs/entra-docs v2-oauth2-auth-code-flow. Observed: AADSTS28000 for several resources, offline_access
never echoed, answers with earlier consents in them. `now` is in seconds since 1970.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final

from scopefold.sandbox.core import codes, grants
from scopefold.sandbox.core import microsoft_scopes as scopes_of
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer, TokenRequest
from scopefold.sandbox.core.microsoft import (
    State,
    cloud_of,
    graph_of,
    home_of,
    object_id,
    read_scope,
    resource_is_there,
    tenant_exists,
)
from scopefold.sandbox.core.microsoft_errors import refused
from scopefold.sandbox.core.people import USERS, User
from scopefold.sandbox.core.state import AccessToken, App, Code, Family, Mint, keep

ACCESS_SECONDS: Final = 3599
REFRESH_IDLE_SECONDS: Final = 90 * 24 * 3600
Refuse = Callable[..., Answer]
_WRONG: Final[Mapping[codes.Wrong, int]] = {
    "used": 54005,
    "expired": 70008,
    "grant": 50173,
    "redirect_uri": 500112,
    "no_verifier": 501481,
    "verifier": 501481,
}


def exchange(state: State, tenant: str, request: TokenRequest, *, now: float, mint: Mint) -> Answer:
    """The token endpoint of a tenant."""
    refuse = partial(refused, base=state.base, now=now, mint=mint)
    app = _client(state, tenant, request, refuse)
    if isinstance(app, Answer):
        return app
    match kind := request.body.get("grant_type", ""):
        case "authorization_code":
            return _redeem(state, app, tenant, request.body, refuse, now=now, mint=mint)
        case "refresh_token":
            return _refresh(state, app, request.body, refuse, now=now, mint=mint)
        case "":
            return refuse(900144, name="grant_type")
    return refuse(70003, kind=kind)


def me(state: State, token: str, *, now: float) -> Answer:
    """Graph: the user."""
    found = _graph_token(state, token, "User.Read", now)
    if isinstance(found, Answer):
        return found
    user = USERS[found.grant.user]
    return Answer(
        {
            "@odata.context": f"https://{graph_of(state)}/v1.0/$metadata#users/$entity",
            "id": object_id(user),
            "displayName": user.display_name,
            "givenName": user.given_name,
            "surname": user.family_name,
            "mail": user.email,
            "userPrincipalName": user.email,
        }
    )


def messages(state: State, token: str, *, now: float) -> Answer:
    """Graph: the user's mail. There is none."""
    found = _graph_token(state, token, "Mail.Read", now)
    return found if isinstance(found, Answer) else Answer({"value": []})


def userinfo(state: State, token: str, *, now: float) -> Answer:
    """OpenID Connect's userinfo, at Graph."""
    found = _graph_token(state, token, None, now)
    if isinstance(found, Answer):
        return found
    user = USERS[found.grant.user]
    names = {"name": user.display_name, "given_name": user.given_name, "family_name": user.family_name}
    return Answer({"sub": _subject(user, found.grant.client_id), **names, "email": user.email})


def _client(state: State, tenant: str, request: TokenRequest, refuse: Refuse) -> App | Answer:
    client_id, secret = request.credentials
    if not tenant_exists(state, tenant):
        return refuse(90002, tenant=tenant)
    if not client_id:
        return refuse(900144, name="client_id")
    app = memory.identify(state, client_id, secret)
    if app == "client":
        return refuse(700016, app=client_id, tenant=tenant)
    if not secret:
        return refuse(7000218)
    if app == "secret":
        return refuse(7000215, app=client_id)
    return refuse(7000222, app=client_id) if state.switches.secret_expired else app


def _redeem(
    state: State, app: App, tenant: str, body: Mapping[str, str], refuse: Refuse, *, now: float, mint: Mint
) -> Answer:
    if not body.get("code"):
        return refuse(900144, name="code")
    code = codes.redeem(state, app, body, now=now)
    if not isinstance(code, Code):
        return refuse(_WRONG.get(code, 70000), uri=body.get("redirect_uri", ""))
    if tenant not in (code.asked.tenant, home_of(USERS[code.grant.user])):
        return refuse(700005)
    if "scope" in body and not body["scope"].strip():
        return refuse(28003)
    wanted = read_scope(state, body.get("scope", code.asked.params["scope"]))
    if "scope" in body and len(wanted.resources) > 1:
        return refuse(28000, scope=body["scope"])
    resource = _resource(state, wanted)
    if (refusal := _consented(state, code.grant, wanted, resource, refuse)) is not None:
        return refusal
    family = None
    if "offline_access" in code.scopes:
        family = grants.begin_family(state, code.grant, code.scopes, now=now, mint=mint)
    return _issue(state, code, resource, family, now=now, mint=mint)


def _refresh(state: State, app: App, body: Mapping[str, str], refuse: Refuse, *, now: float, mint: Mint) -> Answer:
    presented = body.get("refresh_token", "")
    if not presented:
        return refuse(900144, name="refresh_token")
    found = grants.family_of(state, presented)
    if found is None or found[1].grant.client_id != app.client_id:
        return refuse(70000)
    if grants.live(state, found[1].grant) is None:
        return refuse(50173)
    if state.switches.refresh_needs != "nothing":
        return refuse(int(state.switches.refresh_needs), app=app.client_id)
    wanted = read_scope(state, body.get("scope") or " ".join(found[1].scopes))
    if len(wanted.resources) > 1 and "scope" in body and state.switches.multi_resource_refresh == "refused":
        return refuse(28000, scope=body["scope"])
    resource = _resource(state, wanted)
    if (refusal := _consented(state, found[1].grant, wanted, resource, refuse)) is not None:
        return refusal
    # A new one is given with each use, and the old one is not revoked (documented).
    family = grants.use_refresh_token(state, app, presented, grants.Rotation(False, REFRESH_IDLE_SECONDS), now=now)
    if family is None:
        issued = datetime.fromtimestamp(found[1].used_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
        return refuse(700082, issued=issued)
    return _issue(state, state.families[family], resource, family, now=now, mint=mint)


def _resource(state: State, wanted: scopes_of.Asked) -> str:
    """The one resource that a token is for: the first; Graph where only OpenID's scopes are asked for."""
    return wanted.resources[0] if wanted.resources else f"https://{graph_of(state)}"


def _consented(
    state: State, grant: memory.Grant, wanted: scopes_of.Asked, resource: str, refuse: Refuse
) -> Answer | None:
    held = set((grants.live(state, grant) or grant).scopes)
    for one in wanted.named:
        if one.resource != resource or one.name == scopes_of.DEFAULT:
            continue
        if not resource_is_there(state, resource) or one.qualified not in held:
            return refuse(65001, app=grant.client_id)
    return None


def _issue(state: State, of: Code | Family, resource: str, family: str | None, *, now: float, mint: Mint) -> Answer:
    """A token for one resource, with everything that was ever consented to there."""
    grant = grants.live(state, of.grant) or of.grant
    scopes = scopes_of.of_resource(grant.scopes, resource)
    token = AccessToken(grant, scopes, now + ACCESS_SECONDS, family, audience=resource)
    body: dict[str, Any] = {
        "token_type": "Bearer",
        "scope": " ".join(_shown(state, scopes, resource)),
        "expires_in": ACCESS_SECONDS,
        "ext_expires_in": ACCESS_SECONDS,
        "access_token": keep(state.access_tokens, mint(), token),
    }
    if family is not None:
        body["refresh_token"] = grants.refresh_token(state, family, mint=mint)
    if "openid" not in of.scopes:
        return Answer(body)
    nonce = of.asked.params.get("nonce") if isinstance(of, Code) else None
    return Answer(body, identity=_identity(state, of, nonce, now))


def _shown(state: State, scopes: tuple[str, ...], resource: str) -> tuple[str, ...]:
    """The scopes as answered: Graph's bare, with OpenID's beside them; those of others qualified, and nothing else."""
    if resource.removeprefix("https://") not in cloud_of(state).graphs:
        return scopes
    if state.switches.answer_form == "qualified":
        return tuple(scope.lower() for scope in scopes)
    return (*(scope.rpartition("/")[2] for scope in scopes), "openid", "profile", "email")


def _identity(state: State, of: Code | Family, nonce: str | None, now: float) -> dict[str, Any]:
    user, client_id = USERS[of.grant.user], of.grant.client_id
    tid = home_of(user)
    claims = {
        "aud": client_id,
        "iss": f"{state.base}/{tid}/v2.0",
        "iat": int(now),
        "nbf": int(now),
        "exp": int(now) + ACCESS_SECONDS,
        "name": user.display_name,
        "oid": object_id(user),
        "preferred_username": user.email,
        "sub": _subject(user, client_id),
        "tid": tid,
        "ver": "2.0",
    }
    email = {"email": user.email} if "email" in of.scopes else {}
    return {**claims, **email, **({"nonce": nonce} if nonce is not None else {})}


def _subject(user: User, client_id: str) -> str:
    """The user's id for one app: pairwise."""
    return urlsafe_b64encode(sha256(f"{client_id} {user.name}".encode()).digest()).rstrip(b"=").decode()


def _graph_token(state: State, token: str, scope: str | None, now: float) -> AccessToken | Answer:
    """What is behind a token for this cloud's Graph with the scope, or with the one that writes too (memory)."""
    if (found := grants.authorized(state, token, now=now)) is None:
        return _graph_refused(401, "InvalidAuthenticationToken", "Access token is empty, malformed or expired.")
    if found.audience.removeprefix("https://") not in cloud_of(state).graphs:
        return _graph_refused(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.")
    if scope is None or {f"{found.audience}/{scope}", f"{found.audience}/{scope}Write"} & set(found.scopes):
        return found
    if scope.startswith("User."):
        return _graph_refused(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    return _graph_refused(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def _graph_refused(status: int, code: str, message: str) -> Answer:
    return Answer({"error": {"code": code, "message": message}}, status)
