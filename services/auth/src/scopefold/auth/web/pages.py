"""What people see: pages without a script (but for one, of `way_back.py`), without anything from elsewhere, that no
site can frame.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from scopefold.scopes.diagnosis import Diagnosis

_templates = Environment(
    loader=PackageLoader("scopefold.auth.web"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _commands(text: str) -> Markup:
    """The text, with what stands between backticks set as code."""
    parts = (
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(text.split("`"))
    )
    return Markup("").join(parts)


_templates.filters["commands"] = _commands
_STYLE: Final = files("scopefold.auth.web").joinpath("templates/scopefold.css").read_bytes()

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def page(
    template: str, status: int = 200, *, forms: bool = False, posts_to: str | None = None, **values: Any
) -> Response:
    """A page from its template. Only one that says so may send forms, and only to us; or, by the one form that it has,
    to an address of a client. Wherever that leads on to is held to the same policy, so this names the scheme alone.
    """
    html = _templates.get_template(f"{template}.html").render(**values)
    headers = dict(PAGE_HEADERS)
    if forms or posts_to is not None:
        policy, source = headers["content-security-policy"], f"{urlsplit(posts_to).scheme}:" if posts_to else "'self'"
        headers["content-security-policy"] = policy.replace("form-action 'none'", f"form-action {source}")
    return Response(html, status, headers, media_type="text/html")


def error_page(
    status: int,
    title: str,
    text: str,
    *,
    code: str,
    link: tuple[str, str] | None = None,
    diagnosis: Diagnosis | None = None,
) -> Response:
    """What went wrong, for the person in front of it, with one thing to do about it where there is one."""
    return page("error", status, title=title, text=text, code=code, link=link, diagnosis=diagnosis)


def wants_problem(request: Request) -> bool:
    """Does the caller ask for JSON, as programs do, and not for a page, as browsers do?"""
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "html" not in accepted


def wants_page(request: Request) -> bool:
    """Does the caller name HTML before anything else, as browsers do (RFC 9110, section 12.5.1)?"""
    first = request.headers.get("accept", "").partition(",")[0].partition(";")[0]
    return first.strip().lower() == "text/html"


def redirect(address: str) -> RedirectResponse:
    """On to another address, by GET whatever came (RFC 9700, section 4.12), leaving no trace of this one."""
    return RedirectResponse(address, 303, {"referrer-policy": "no-referrer", "cache-control": "no-store"})


async def style(_: Request) -> Response:
    """The one style sheet."""
    return Response(_STYLE, media_type="text/css", headers={"cache-control": "public, max-age=3600"})
