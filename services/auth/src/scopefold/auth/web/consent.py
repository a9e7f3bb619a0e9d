"""A person's consent to a client that nobody here vouches for, once for each of its addresses and wider scopes.

Without it, whoever registers a client could send a logged-in person through a login that shows nothing, and have the
code ("confused deputy"). Clients that an operator registered need no consent.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.authentication import read
from scopefold.auth.core.redirects import shown_place
from scopefold.auth.oauth.claims import opening, permitted
from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.loaded import GrantedUser
from scopefold.auth.oauth.request import RedirectedError, form_parameters
from scopefold.auth.oauth.resource import is_connectors, resources_of
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.records import AuthorizeRequest, Client, Consent, PendingConsent
from scopefold.auth.web.answers import with_code, with_error
from scopefold.auth.web.browser import browser_of, mark_browser, random_text
from scopefold.auth.web.pages import PAGE_HEADERS, error_page, page
from scopefold.auth.web.service import Service, go_on_as, now, service_of, session_of
from scopefold.auth.web.unknown_app import app_told, consent_key, place_of
from scopefold.auth.web.way_back import send_back
from scopefold.runtime.web import limited_body

MEANING = {
    "openid": "know that it is you",
    "profile": "see your name",
    "email": "see your e-mail address",
    "groups": "see the groups that you are in",
}


async def answered(service: Service, request: Request, parameters: Mapping[str, str], user: GrantedUser) -> Response:
    """Back to the client with a code, or the question whether the person wants that. Raises `RedirectedError`."""
    client = await service.clients.get(parameters.get("client_id", ""))
    if client is None or not client.is_unknown:
        return await with_code(service, client, parameters, user)
    wanted = _wanted(service, client, parameters)
    prompt = parameters.get("prompt", "").split()
    found = await service.bus.buckets.consents.get(consent_key(user.user, client.client_id), Consent)
    known = found is not None and wanted.is_within(found[0])
    if known and "consent" not in prompt:
        await service.clients.seen(client, now())
        return await with_code(service, client, parameters, user)
    if "none" in prompt:
        description = "The user has not allowed this app yet."
        raise RedirectedError(parameters["redirect_uri"], "consent_required", description, parameters)
    return await _question(service, request, parameters, user, client)


async def consent(request: Request) -> Response:
    """`POST /consent`: what a person pressed. Once, in the browser that was asked, as the user who was."""
    service = service_of(request)
    fields = form_parameters(await limited_body(request))
    pending = await _claim(service, request, fields.get("ticket", ""))
    session = await session_of(request)
    if pending is None or session is None or session.user != pending.user:
        text = "This question was answered already, took too long, or was asked of somebody else. Go back to the app."
        return error_page(403, "This answer does not count", text, code="invalid_ticket")
    service = go_on_as(request, pending.issuer)
    parameters = pending.request.parameters
    client = await service.clients.get(parameters["client_id"])
    if fields.get("decision") != "allow" or client is None:
        description = "The user did not allow this app."
        refused = RedirectedError(parameters["redirect_uri"], "access_denied", description, parameters)
        return send_back(with_error(service, refused))  # the page said where to
    user = GrantedUser(session.user, pending.idp, session.authenticated_at, session.sid, idp_since=pending.idp_since)
    wanted = _wanted(service, client, parameters)
    if not wanted.is_within(pending.shown):  # the app has changed since the page was shown
        return await _question(service, request, parameters, user, client)
    await _remember(service, client, pending)
    await service.clients.seen(client, now())
    return await with_code(service, client, parameters, user)


async def _question(
    service: Service, request: Request, parameters: Mapping[str, str], user: GrantedUser, client: Client
) -> Response:
    wanted = _wanted(service, client, parameters)
    ticket, address = random_text(), parameters["redirect_uri"]
    response = page(
        "consent",
        title="An app asks to log you in",
        app=app_told(client, address),
        leads_to=shown_place(address),
        meanings=[MEANING.get(scope, scope) for scope in wanted.scopes],
        connectors=_titles(service, wanted.resources),
        action=f"{service.path}/consent",
        ticket=ticket,
    )
    # The answer redirects to the app, and browsers hold a form to this policy all the way.
    allowed = f"form-action 'self' {_source(address)}"
    response.headers["content-security-policy"] = PAGE_HEADERS["content-security-policy"].replace(
        "form-action 'none'", allowed
    )
    pending = PendingConsent(
        issuer=service.issuer,
        request=AuthorizeRequest(dict(parameters)),
        shown=wanted,
        user=user.user,
        idp=user.idp,
        browser=mark_browser(request, response),
        idp_since=user.idp_since,
    )
    await service.bus.buckets.flows.create(f"consent.{hashed(ticket)}", pending)
    return response


async def _claim(service: Service, request: Request, ticket: str) -> PendingConsent | None:
    """What was asked under this ticket in this browser; the ticket is void then."""
    key = f"consent.{hashed(ticket)}"
    found = await service.bus.buckets.flows.get(key, PendingConsent) if ticket else None
    if found is None or found[0].browser != browser_of(request):
        return None
    try:
        await service.bus.buckets.flows.take(key, found[1])
    except Taken:
        return None
    return found[0]


async def _remember(service: Service, client: Client, pending: PendingConsent) -> None:
    """Add what was allowed to what was before. Where a parallel answer was faster, the person is asked once more."""
    consents, key = service.bus.buckets.consents, consent_key(pending.user, client.client_id)
    found = await consents.get(key, Consent)
    allowed = pending.shown.joined_to(found[0] if found else None, now())
    try:
        await consents.update(key, allowed, revision=found[1] if found else 0)
    except Taken:
        return


def _wanted(service: Service, client: Client, parameters: Mapping[str, str]) -> Consent:
    """All that the code would be good for: also what is asked for by the name of a claim, and what it may be used for
    beyond this server.
    """
    known = RegisteredClient(client, service.bus.vault.client_secret_key)
    scopes = known.get_allowed_scope(parameters.get("scope")).split()
    named = opening(permitted(read(parameters).claims, client.scopes), client.scopes)
    return Consent(
        scopes=tuple(dict.fromkeys((*scopes, *named))),
        places=(place_of(parameters["redirect_uri"]),),
        resources=tuple(one for one in resources_of(parameters) if is_connectors(one)),
        at=now(),
    )


def _titles(service: Service, resources: Iterable[str]) -> list[str]:
    """The names of connectors, as people know them."""
    found = {one: idp.connectors[one].title for idp in service.scopes.idps.values() for one in idp.connectors}
    return [found.get(one, one) for one in resources]


def _source(address: str) -> str:
    """An address as a content security policy names it; it has no words for IPv6 addresses."""
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or "[" in parts.netloc:
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}"
