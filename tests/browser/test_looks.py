"""What is wrong with a page is found, and told by name."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser

from tests.browser.looks import complaints

pytestmark = pytest.mark.browser

STYLE = "body { background: #fff; color: #222; font: 16px sans-serif } :focus-visible { outline: 3px solid }"


def document(body: str, *, head: str = "<title>Page</title>", lang: str = "en", style: str = "") -> str:
    return (
        f"<!doctype html><html lang='{lang}'><head>{head}<style>{STYLE}{style}</style></head><body>{body}</body></html>"
    )


def content(inside: str) -> str:
    return f"<main><h1>Page</h1>{inside}</main>"


@pytest.mark.parametrize(
    ("html", "told"),
    [
        (document(content("<p>Text</p><label>Name <input></label><a href='/'>On</a>")), ""),
        (document(content(""), lang=""), "no language"),
        (document(content(""), head=""), "no title"),
        (document("<main><h2>Page</h2></main>"), "headings: 2"),
        (document(content("<h1>Again</h1>")), "headings: 1,1"),
        (document(content("<h3>Deep</h3>")), "skip a level: 1,3"),
        (document("<h1>Page</h1>"), "no one main part"),
        (document(content("<input id='name'>")), "no label: <input #name>"),
        (document(content("<button></button>")), "nothing to read: <button>"),
        (document(content("<a>On</a>")), "a link to nowhere"),
        (document(content("<p id='x'>A</p><p id='x'>B</p>")), "two have the id x"),
        (document(content("<p style='color: #999'>Pale</p>")), "contrast 2.85: Pale"),
        (
            document(content("<p>Pale</p>"), style="@media (prefers-color-scheme: dark) { p { color: #999 } }"),
            "1280 px, dark: contrast 2.85",
        ),
        (document(content(f"<p>{'wide' * 30}</p>")), "390 px, light: wider than the screen"),
        (document(content("<a href='/'>On</a>"), style="a { outline: 0 !important }"), "focus cannot be seen: <a> On"),
    ],
)
def test_what_a_page_owes_to_its_readers(chromium: Browser, html: str, told: str) -> None:
    page = chromium.new_page()
    page.set_content(html)
    found = complaints(page)
    page.close()
    assert (told != "") == bool(found), found
    assert told in "\n".join(found)


LATE = "<script>setTimeout(() => fetch('/shown'), 500)</script><link rel='stylesheet' href='/late.css'>"


@pytest.fixture
def slow() -> Iterator[str]:
    """The address of a page whose stylesheet comes half a second after it."""
    text, shown = document(content("<a href='/'>On</a>")).replace("<head>", f"<head>{LATE}"), threading.Event()
    said = {"/": ("text/html", text.replace(STYLE, "")), "/late.css": ("text/css", STYLE)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/shown":
                shown.set()
            if self.path == "/late.css":
                shown.wait(30)
            kind, answer = said.get(self.path, ("text/plain", ""))
            self.send_response(200)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_page_is_looked_at_once_all_of_it_is_there(chromium: Browser, slow: str) -> None:
    page = chromium.new_page()
    page.goto(slow, wait_until="commit")
    found = complaints(page)
    page.close()
    assert [] == found
