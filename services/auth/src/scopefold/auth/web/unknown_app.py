"""What a person is told of an app that nobody here vouches for, and when a browser is sent to it without asking."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.requests import Request

from scopefold.auth.core.redirects import is_loopback, shown_place
from scopefold.auth.store.buckets import hashed
from scopefold.auth.store.records import Client, Consent
from scopefold.auth.web.service import Service, session_of

FRAMES: Final = ("iframe", "frame")


class UnknownApp(Struct, frozen=True):
    """Its own name for itself, and what is certain."""

    name: str
    place: str


async def unknown_app(service: Service, parameters: Mapping[str, str]) -> UnknownApp | None:
    """The app that asks, where nobody here vouches for it."""
    client = await service.clients.get(parameters.get("client_id", ""))
    if client is None or not client.is_unknown:
        return None
    return app_told(client, parameters["redirect_uri"])


def app_told(client: Client, redirect_uri: str) -> UnknownApp:
    """A document stands at an address of its app's; who registers a client can give it any name."""
    if client.origin == "document":
        return UnknownApp(client.client_name, urlsplit(client.client_id).hostname or "")
    return UnknownApp(client.client_name, shown_place(redirect_uri))


async def stranger(service: Service, request: Request, parameters: Mapping[str, str]) -> UnknownApp | None:
    """The app that asks, where an error must not send the browser to it at once (RFC 9700, section 4.11.2): nobody
    vouches for it, neither an operator nor the person, who did not allow it at this address before. For one that was
    removed meanwhile nobody does any more, and nothing is known of it but its id.

    In a frame it may: the address of the page around stays, and a page of ours would not be shown there. What a request
    is for, browsers say themselves (Fetch Metadata, section 2.1), and no link can.
    """
    client, place = await service.clients.get(parameters["client_id"]), parameters["redirect_uri"]
    if (client is not None and not client.is_unknown) or request.headers.get("sec-fetch-dest") in FRAMES:
        return None
    app = app_told(client, place) if client is not None else UnknownApp(parameters["client_id"], shown_place(place))
    if (session := await session_of(request)) is None:
        return app
    key = consent_key(session.user, parameters["client_id"])
    found = await service.bus.buckets.consents.get(key, Consent)
    return None if found is not None and place_of(place) in found[0].places else app


def consent_key(user: str, client_id: str) -> str:
    """Where it is kept what a person allowed an app."""
    return f"{user}.{hashed(client_id)}"


def place_of(address: str) -> str:
    """Where an address leads, less what may differ from login to login: a loopback port, a path."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname or ''}" if is_loopback(address) else f"{parts.scheme}://{parts.netloc}"
