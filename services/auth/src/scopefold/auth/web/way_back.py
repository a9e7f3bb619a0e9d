"""How a browser takes an answer back to a client: in the address, or in a form that it posts.

A client asks for the latter by `response_mode=form_post` (OAuth 2.0 Form Post Response Mode), as ASP.NET Core does
where nobody told it otherwise.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from starlette.responses import Response

from scopefold.auth.core.redirects import shown_place, with_query
from scopefold.auth.oauth.plain_request import FORM_POST, takes_forms
from scopefold.auth.web.pages import page, redirect

SUBMIT: Final = "document.forms[0].submit()"
_SCRIPT: Final = base64.b64encode(hashlib.sha256(SUBMIT.encode()).digest()).decode()


class WayBack(Struct, frozen=True):
    """What takes a person back to a client: a link, or a form that posts these fields."""

    address: str
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def posts_to(self) -> str | None:
        """Where the form leads; None for a link."""
        return self.address if self.fields else None


def way_back(redirect_uri: str, parameters: Mapping[str, str], told: Sequence[tuple[str, str]]) -> WayBack:
    """The way back to a registered address, with what the client is told, as its request has it."""
    if parameters.get("response_mode") == FORM_POST and takes_forms(redirect_uri):
        return WayBack(redirect_uri, tuple(told))
    return WayBack(with_query(redirect_uri, told))


def send_back(way: WayBack) -> Response:
    """Send the browser there at once. The one script of ours is named by its hash; without it a button is pressed."""
    if way.posts_to is None:
        return redirect(way.address)
    title, place = "Back to the app", shown_place(way.address)
    response = page("form_post", title=title, back=way, leads_to=place, script=SUBMIT, posts_to=way.posts_to)
    response.headers["content-security-policy"] += f"; script-src 'sha256-{_SCRIPT}'"
    return response
