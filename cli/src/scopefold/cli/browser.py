"""A browser for stories: it follows redirects, keeps cookies, and fills in the forms that it is shown."""

from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.request import Request

import httpx
from msgspec import Struct

MOST_HOPS: Final = 30
CALL_SECONDS: Final = 15.0
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Lost(RuntimeError):
    """The browser did not arrive where it was told to; the message says where it stands and what it sees there."""


class LoopbackIsSecure(DefaultCookiePolicy):
    """Sends Secure cookies over http to this machine, as browsers do (W3C Secure Contexts, section 3.1)."""

    def return_ok_secure(self, cookie: Cookie, request: Request) -> bool:
        """Whether the cookie's Secure attribute lets it be sent."""
        return (httpx.URL(request.full_url).host in LOOPBACK) or super().return_ok_secure(cookie, request)


class Form(Struct):
    """A form of a page: what it would send, but for the button that is pressed. A link drawn as a button is one too."""

    method: str
    action: str
    fields: dict[str, str]
    buttons: list[tuple[str, str]]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.text: list[str] = []
        self._select: str | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = True
            self.found.append(Form(given.get("method", "get").upper(), given.get("action", ""), {}, []))
        elif tag == "a" and "button" in given.get("class", "").split():
            self.found.append(Form("GET", given.get("href", ""), {}, [("", "")]))
        elif self._inside:
            form, name = self.found[-1], given.get("name", "")
            if tag == "button":
                form.buttons.append((name, given.get("value", "")))
            elif tag == "input" and name and given.get("type") not in ("submit", "checkbox", "radio"):
                form.fields[name] = given.get("value", "")
            elif tag == "select":
                self._select = name
            elif tag == "option" and self._select is not None:
                form.fields.setdefault(self._select, given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def forms_in(html: str) -> list[Form]:
    """The forms of a page, in their order."""
    parser = _Forms()
    parser.feed(html)
    return parser.found


def words_in(html: str) -> str:
    """What a page says, on one line."""
    parser = _Forms()
    parser.feed(html)
    return " ".join(" ".join(parser.text).split())


def new_cookies() -> CookieJar:
    """The cookies of a browser that has been nowhere."""
    return CookieJar(LoopbackIsSecure())


Choose = Callable[[Form], tuple[str, str] | None]
Seen = Callable[[str, str], None]


class Browser:
    """One window of a person's browser. Windows of one browser share its cookies."""

    def __init__(self, cookies: CookieJar) -> None:
        # httpx copies its cookies into a jar without their policy for every request: they are kept beside it.
        self._cookies = httpx.Cookies(cookies)
        none = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        self._http = httpx.AsyncClient(cookies=none, headers={"accept": "text/html"}, timeout=CALL_SECONDS)

    async def close(self) -> None:
        """Close the window. The cookies stay."""
        await self._http.aclose()

    async def go(self, address: str, *, until: str, choose: Choose, seen: Seen) -> str:
        """Go to an address, press on every page the button that `choose` names, and stop before `until` is fetched.

        Gives the address that it stopped at, which begins with `until`. `seen` is told each address on the way
        and what the page there says. Raises `Lost`.
        """
        answer = await self._fetch("GET", httpx.URL(address), {}, seen)
        for _ in range(MOST_HOPS):
            if answer.is_redirect:
                target = answer.url.join(answer.headers["location"])
                if str(target).startswith(until):
                    return str(target)
                answer = await self._fetch("GET", target, {}, seen)
                continue
            offered = [(form, choose(form)) for form in forms_in(answer.text)] if answer.is_success else []
            form, pressed = next(((form, pressed) for form, pressed in offered if pressed), (None, None))
            if form is None or pressed is None:
                raise Lost(f"{answer.url.copy_with(query=None)} ({answer.status_code}): {words_in(answer.text)[:400]}")
            fields = form.fields | ({pressed[0]: pressed[1]} if pressed[0] else {})
            answer = await self._fetch(form.method, answer.url.join(form.action), fields, seen)
        raise Lost(f"more than {MOST_HOPS} pages and redirects; now at {answer.url.copy_with(query=None)}")

    async def _fetch(self, method: str, address: httpx.URL, fields: Mapping[str, str], seen: Seen) -> httpx.Response:
        if method == "POST":
            request = self._http.build_request(method, address, data=dict(fields))
        else:
            request = self._http.build_request(method, address.copy_merge_params(fields))
        self._cookies.set_cookie_header(request)
        try:
            answer = await self._http.send(request)
        except httpx.HTTPError as error:
            raise Lost(f"{address.copy_with(query=None)} does not answer: {error!r}") from None
        self._cookies.extract_cookies(answer)
        seen(str(address), words_in(answer.text))
        return answer
