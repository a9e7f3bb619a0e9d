"""The browser's two cookies: its session, and which browser began a login."""

import contextlib
import secrets
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.store.buckets import FLOW_SECONDS, SESSION_SECONDS, Bucket, Taken, hashed
from scopefold.auth.store.records import Session

SESSION_COOKIE: Final = "__Host-scopefold-session"
BROWSER_COOKIE: Final = "__Host-scopefold-browser"
MAX_COOKIE: Final = 100


def random_text() -> str:
    """256 random bits, for what must not be guessed."""
    return secrets.token_urlsafe(32)


def _cookie(request: Request, name: str) -> str | None:
    value = request.cookies.get(name)
    return value if value and len(value) <= MAX_COOKIE else None


async def session_of(request: Request, sessions: Bucket) -> Session | None:
    """The session that the browser's cookie names, if there is one and it lives."""
    if (identifier := _cookie(request, SESSION_COOKIE)) is None:
        return None
    found = await sessions.get(hashed(identifier), Session)
    return found[0] if found else None


async def begin_session(
    request: Request, response: Response, sessions: Bucket, *, user: str, idp: str, now: datetime
) -> None:
    """Give the browser a new session, and end the one that it had: a login always changes the identifier."""
    idps: tuple[str, ...] = ()
    if (old := _cookie(request, SESSION_COOKIE)) is not None:
        found = await sessions.get(hashed(old), Session)
        if found is not None:
            if found[0].user == user:
                idps = tuple(one for one in found[0].idps if one != idp)
            with contextlib.suppress(Taken):  # another window's login ended it at the same moment
                await sessions.take(hashed(old), found[1])
    identifier = random_text()
    await sessions.create(hashed(identifier), Session(user, now, now, (*idps, idp)))
    _set(response, SESSION_COOKIE, identifier, SESSION_SECONDS)


def browser_of(request: Request) -> str | None:
    """The hash of what tells this browser from all others, if it has begun a login here."""
    value = _cookie(request, BROWSER_COOKIE)
    return hashed(value) if value else None


def mark_browser(request: Request, response: Response) -> str:
    """Make sure that the browser can be told from all others while a login is under way; the hash of its mark."""
    value = _cookie(request, BROWSER_COOKIE) or random_text()
    _set(response, BROWSER_COOKIE, value, FLOW_SECONDS)
    return hashed(value)


def _set(response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")
