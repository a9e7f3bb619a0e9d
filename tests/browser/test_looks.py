"""What is wrong with a page is found, and told by name."""

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
