"""The authorization endpoint: who is it, where must they go, and does what they granted already suffice?"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.authentication import Asked, fresh_since, must_log_in, upstream_parameters
from scopefold.auth.core.handout import grant_of
from scopefold.auth.core.login import (
    GoTo,
    LetChoose,
    NoIdp,
    asked_before,
    authorize_parameters,
    choose_idp,
    due,
    lacking,
    reasons,
    worth_asking,
)
from scopefold.auth.core.stored_token import StoredToken
from scopefold.auth.oauth.loaded import GrantedUser
from scopefold.auth.oauth.request import form_parameters, query_parameters
from scopefold.auth.oauth.resource import resources_of
from scopefold.auth.store.grants import registered_since
from scopefold.auth.store.records import Attempt, AuthorizeRequest, Session, attempt_key
from scopefold.auth.web.abandoned import note_abandoned
from scopefold.auth.web.asked import asked_in, refused
from scopefold.auth.web.browser import browser_of, mark_browser, random_texts, session_cookie
from scopefold.auth.web.consent import answered
from scopefold.auth.web.login_log import heal
from scopefold.auth.web.pages import page, redirect
from scopefold.auth.web.pushed import again, keep_for, resolved
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.unknown_app import unknown_app
from scopefold.auth.web.way import authorize_url, needs_nonce
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Lack
from scopefold.consent.ungiven import Ungiven
from scopefold.runtime.web import limited_body


async def authorize(request: Request) -> Response:
    """`GET` or `POST /authorize` (RFC 6749, section 3.1)."""
    service = service_of(request)
    service.limits.logins.take(service.limits.address(request))
    if request.method == "POST":
        sent = form_parameters(await limited_body(request))
    else:
        sent = query_parameters(request.scope["query_string"])
    parameters, pushed = await resolved(service, request, sent)
    known = await service.bus.sessions.find(session_cookie(request), now())
    loaded = service.loaded(await service.clients.get(parameters.get("client_id", "")))
    loaded.pushed = pushed
    service.valid_requests.check(loaded, parameters, _user(known))
    asked = asked_in(service, parameters)
    session = known if known is not None and _will_do(asked, known) else None
    if session is None and asked.silent:
        raise refused(parameters, "login_required", "The user must log in.")
    choice = choose_idp(
        service.scopes,
        resources=resources_of(parameters),
        hint=parameters.get("idp_hint"),
        session_idp=known.idps[-1] if known and known.idps and "select_account" not in asked.prompts else None,
        default=service.settings.default_idp,
    )
    match choice:
        case NoIdp():
            raise refused(parameters, "invalid_target" if "resource" in parameters else "server_error", choice.reason)
        case LetChoose():
            return await _chooser(service, request, parameters, choice.idps)
        case GoTo():
            return await _go(service, request, parameters, service.scopes.idps[choice.idp], session, asked=asked)


def _will_do(asked: Asked, session: Session) -> bool:
    """Is the user of this session whom the client wants, and authenticated lately enough?"""
    return asked.subject in (None, session.user) and not must_log_in(asked, session.authenticated_at, now())


def _must_be_seen(token: StoredToken, parameters: Mapping[str, str]) -> bool:
    """Does the IdP want to see the user, who comes for what a connector needs there?"""
    return bool(resources_of(parameters)) and token.wants_user(now()) > 0


def _user(session: Session | None) -> GrantedUser | None:
    return GrantedUser(session.user, session.idps[-1], session.authenticated_at, session.sid) if session else None


async def _go(
    service: Service,
    request: Request,
    parameters: Mapping[str, str],
    idp: Idp,
    session: Session | None,
    *,
    asked: Asked,
) -> Response:
    """Straight back with a code where the grant suffices, else to the IdP: at once, or after saying why."""
    lacks: tuple[Lack, ...] = ()
    ungiven: tuple[Ungiven, ...] = ()
    # prompt=consent: whatever was granted, the IdP must ask again (OpenID Connect Core 1.0, section 3.1.2.1).
    if session is not None and "consent" not in asked.prompts:
        found = await service.bus.vault.token(session.user, idp.idp)
        counts = found is not None and await heal(service, session.user, idp.idp, found[0])
        if found is not None and counts and not _must_be_seen(found[0], parameters):
            held = await service.projection.held(idp.idp, session.user)
            every = lacking(idp, grant_of(idp, found[0], held), resources_of(parameters))
            ungiven = held.ungiven if held else ()
            lacks = worth_asking(idp, every, ungiven)
            service.tell_in_vain(idp, [lack for lack in every if lack not in lacks])
            lacks = due(idp, lacks, resources_of(parameters), now=now(), window=service.consent_window)
            client_id = parameters["client_id"]
            if not lacks and await service.bus.sessions.note_client(session, client_id, service.issuer):
                since = registered_since(idp) or 0
                user = GrantedUser(session.user, idp.idp, session.authenticated_at, session.sid, idp_since=since)
                return await answered(service, request, parameters, user)
    if asked.silent:
        raise refused(parameters, "interaction_required", "The user must consent at the identity provider.")
    response, address = await _begin(service, request, parameters, idp, session, asked=asked)
    if not lacks:
        return response
    explained = page(
        "step_up",
        idp=idp,
        reasons=reasons(lacks),
        refused=asked_before(idp, lacks, ungiven),
        address=address,
        app=await unknown_app(service, parameters),
        title="More access is needed",
    )
    for cookie in response.headers.getlist("set-cookie"):
        explained.headers.append("set-cookie", cookie)
    return explained


async def _begin(
    service: Service,
    request: Request,
    parameters: Mapping[str, str],
    idp: Idp,
    session: Session | None,
    *,
    asked: Asked,
) -> tuple[Response, str]:
    """Remember the login under way, bound to this browser; the redirect upstream, and its address."""
    way = service.way_to(idp)
    state, verifier, name, once = random_texts(4)
    nonce = once if needs_nonce(idp) else None
    began_at = now()
    address = authorize_url(
        way,
        state=state,
        verifier=verifier,
        nonce=nonce,
        more=upstream_parameters(idp.profile, authorize_parameters(idp), asked),
    )
    response = redirect(address)
    browser = mark_browser(request, response)
    attempt = Attempt(
        attempt=f"a_{name[:22]}",
        idp=idp.idp,
        request=AuthorizeRequest(dict(parameters)),
        browser=browser,
        verifier=verifier,
        requested=way.scopes,
        user=session.user if session else None,
        began_at=began_at,
        nonce=nonce,
        fresh_since=fresh_since(asked, began_at),
        subject=asked.subject,
        issuer=service.issuer,
    )
    if browser_of(request) is not None:  # a browser that was not here has nothing before this
        await note_abandoned(service, attempt)
    await service.bus.buckets.flows.create(attempt_key(browser, idp.idp, state), attempt)
    await keep_for(service, parameters, browser)
    return response, address


async def _chooser(
    service: Service, request: Request, parameters: Mapping[str, str], idps: tuple[str, ...]
) -> Response:
    if "none" in parameters.get("prompt", "").split():
        raise refused(parameters, "interaction_required", "The user must choose an identity provider.")
    titles = {name: service.scopes.idps[name].profile.title for name in idps}
    choices = [(title, name, again(service, parameters, idp_hint=name)) for name, title in titles.items()]
    app = await unknown_app(service, parameters)
    chooser = page("choose", title="Choose where to log in", choices=choices, app=app)
    await keep_for(service, parameters, mark_browser(request, chooser))
    return chooser
