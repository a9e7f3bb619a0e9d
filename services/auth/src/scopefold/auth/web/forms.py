"""Forms of our own pages: each carries a token that only the browser's own session could have been shown.

The token is a keyed hash of the session's public id and of what only its cookie holds, so it is dead with the session
and after every change of the identifier, and no other session's fits (login and logout CSRF).
"""

import hmac

from starlette.requests import Request

from scopefold.auth.core.seal import keyed_hash
from scopefold.auth.oauth.request import ShownError, form_parameters
from scopefold.auth.store.records import Session
from scopefold.auth.web.service import Service, service_of, session_of
from scopefold.runtime.web import limited_body


class Forged(Exception):
    """The form was not sent from the page that this browser was shown."""


def form_token(service: Service, session: Session) -> str:
    """The token for the forms on a page that is shown to this session."""
    return keyed_hash(service.bus.vault.csrf_key, f"{session.user}.{session.sid}.{session.secret}")


async def own_form(request: Request) -> Session:
    """The session whose own page sent this form. Raises `Forged`."""
    session = await session_of(request)
    if session is None or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forged
    try:
        given = form_parameters(await limited_body(request)).get("form_token", "")
    except ShownError:
        raise Forged from None
    if not hmac.compare_digest(given.encode(), form_token(service_of(request), session).encode()):
        raise Forged
    return session
