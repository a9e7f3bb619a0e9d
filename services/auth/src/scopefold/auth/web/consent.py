"""A person's consent to a client that nobody here vouches for, once for each of its addresses and wider scopes.

Without it, whoever registers a client could send a logged-in person through a login that shows nothing, and have the
code ("confused deputy"). Clients that an operator registered need no consent.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.redirects import is_loopback, shown_place
from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.loaded import GrantedUser
from scopefold.auth.oauth.request import RedirectedError, form_parameters
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.records import AuthorizeRequest, Client, Consent, PendingConsent
from scopefold.auth.web.answers import with_code
from scopefold.auth.web.browser import browser_of, mark_browser, random_text
from scopefold.auth.web.pages import PAGE_HEADERS, error_page, page
from scopefold.auth.web.service import Service, go_on_as, now, service_of, session_of
from scopefold.runtime.web import limited_body

MEANING = {
    "openid": "know that it is you",
    "profile": "see your name",
    "email": "see your e-mail address",
    "groups": "see the groups that you are in",
}


class UnknownApp(Struct, frozen=True):
    """What a person is told of an app that nobody here vouches for: its own name for itself, and what is certain."""

    name: str
    place: str


async def unknown_app(service: Service, parameters: Mapping[str, str]) -> UnknownApp | None:
    """The app that asks, where nobody here vouches for it."""
    client = await service.clients.get(parameters.get("client_id", ""))
    if client is None or not client.is_unknown:
        return None
    return _told(client, parameters["redirect_uri"])


async def answered(service: Service, request: Request, parameters: Mapping[str, str], user: GrantedUser) -> Response:
    """Back to the client with a code, or the question whether the person wants that. Raises `RedirectedError`."""
    client = await service.clients.get(parameters.get("client_id", ""))
    if client is None or not client.is_unknown:
        return await with_code(service, parameters, user)
    wanted = _wanted(service, client, parameters)
    prompt = parameters.get("prompt", "").split()
    found = await service.bus.buckets.consents.get(_key(user.user, client), Consent)
    known = found is not None and set(wanted.scopes) <= set(found[0].scopes) and wanted.places[0] in found[0].places
    if known and "consent" not in prompt:
        await service.clients.seen(client, now())
        return await with_code(service, parameters, user)
    if "none" in prompt:
        description = "The user has not allowed this app yet."
        raise RedirectedError(parameters["redirect_uri"], "consent_required", description, parameters.get("state"))
    return await _question(service, request, parameters, user, wanted.scopes)


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
        raise RedirectedError(parameters["redirect_uri"], "access_denied", description, parameters.get("state"))
    await _remember(service, client, pending)
    await service.clients.seen(client, now())
    user = GrantedUser(session.user, pending.idp, session.authenticated_at, session.sid)
    return await with_code(service, parameters, user)


async def _question(
    service: Service, request: Request, parameters: Mapping[str, str], user: GrantedUser, scopes: tuple[str, ...]
) -> Response:
    client = await service.clients.get(parameters["client_id"])
    if client is None:  # removed at this moment: the grammar says so
        return await with_code(service, parameters, user)
    ticket, address = random_text(), parameters["redirect_uri"]
    response = page(
        "consent",
        title="An app asks to log you in",
        app=_told(client, address),
        leads_to=shown_place(address),
        meanings=[MEANING.get(scope, scope) for scope in scopes],
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
        scopes=scopes,
        user=user.user,
        idp=user.idp,
        browser=mark_browser(request, response),
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
    consents, key = service.bus.buckets.consents, _key(pending.user, client)
    place = _place(pending.request.parameters["redirect_uri"])
    found = await consents.get(key, Consent)
    scopes, places = (found[0].scopes, found[0].places) if found else ((), ())
    allowed = Consent(
        scopes=tuple(dict.fromkeys((*scopes, *pending.scopes))),
        places=tuple(dict.fromkeys((*places, place))),
        at=now(),
    )
    try:
        await consents.update(key, allowed, revision=found[1] if found else 0)
    except Taken:
        return


def _wanted(service: Service, client: Client, parameters: Mapping[str, str]) -> Consent:
    known = RegisteredClient(client, service.bus.vault.client_secret_key)
    scopes = known.get_allowed_scope(parameters.get("scope")).split()
    return Consent(scopes=tuple(scopes), places=(_place(parameters["redirect_uri"]),), at=now())


def _key(user: str, client: Client) -> str:
    return f"{user}.{hashed(client.client_id)}"


def _told(client: Client, redirect_uri: str) -> UnknownApp:
    """A document stands at an address of its app's; who registers a client can give it any name."""
    if client.origin == "document":
        return UnknownApp(client.client_name, urlsplit(client.client_id).hostname or "")
    return UnknownApp(client.client_name, shown_place(redirect_uri))


def _place(address: str) -> str:
    """Where an address leads, less what may differ from login to login: a loopback port, a path."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname or ''}" if is_loopback(address) else f"{parts.scheme}://{parts.netloc}"


def _source(address: str) -> str:
    """An address as a content security policy names it; it has no words for IPv6 addresses."""
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or "[" in parts.netloc:
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}"
