"""The browser's two cookies: its session, and which browser began a login."""

import re
import secrets
from base64 import urlsafe_b64encode
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.store.buckets import hashed
from scopefold.auth.store.declared import FLOW_SECONDS, SESSION_SECONDS

SESSION_COOKIE: Final = "__Host-scopefold-session"
BROWSER_COOKIE: Final = "__Host-scopefold-browser"
MAX_COOKIE: Final = 200
_MARK: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def random_text() -> str:
    """256 random bits, for what must not be guessed."""
    return random_texts(1)[0]


def random_texts(count: int) -> list[str]:
    """As many of them, with one question to the system for randomness."""
    bits = secrets.token_bytes(32 * count)
    return [urlsafe_b64encode(bits[at : at + 32])[:-1].decode() for at in range(0, 32 * count, 32)]


def _cookie(request: Request, name: str) -> str | None:
    value = request.cookies.get(name)
    return value if value and len(value) <= MAX_COOKIE else None


def session_cookie(request: Request) -> str | None:
    """What the browser shows as its session."""
    return _cookie(request, SESSION_COOKIE)


def give_session(response: Response, cookie: str) -> None:
    """Let the browser keep its session."""
    _set(response, SESSION_COOKIE, cookie, SESSION_SECONDS)


def take_session(response: Response) -> None:
    """Let the browser forget its session."""
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def browser_of(request: Request) -> str | None:
    """The hash of what tells this browser from all others, if it has begun a login here."""
    value = _cookie(request, BROWSER_COOKIE)
    return hashed(value) if value else None


def mark_browser(request: Request, response: Response) -> str:
    """Make sure that the browser can be told from all others while a login is under way; the hash of its mark."""
    value = _cookie(request, BROWSER_COOKIE) or ""
    if _MARK.fullmatch(value) is None:  # it goes back as it came
        value = random_text()
    _set(response, BROWSER_COOKIE, value, FLOW_SECONDS)
    return hashed(value)


def _set(response: Response, name: str, value: str, seconds: int) -> None:
    """By hand, since the library's way is slow and the value needs no quoting: it is made of base64url and dots."""
    cookie = f"{name}={value}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=lax"
    response.headers.append("set-cookie", cookie)
