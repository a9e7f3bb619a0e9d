"""`response_mode=form_post` (OAuth 2.0 Form Post Response Mode): the browser posts code or error to the client."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import httpx
import pytest
from playwright.async_api import async_playwright, expect

from scopefold.auth.web.way_back import SUBMIT
from tests.auth.world import APP_REDIRECT, Person, World, query_of
from tests.support.browsing import Window
from tests.support.chromium import QUIET, find

MARKUP = "\"'><script>alert(1)</script>"
FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


def posted(page: httpx.Response) -> tuple[str, dict[str, str]]:
    """Where the page's one form leads, and what it takes along."""
    (action,) = re.findall(r'<form method="post" action="([^"]*)"', page.text)
    return html.unescape(action), {html.unescape(name): html.unescape(told) for name, told in FIELD.findall(page.text)}


async def test_a_code_and_an_error_are_posted_and_stand_in_no_address(world: World) -> None:
    idp, alice, app = await world.idp_with_jira(), Person(world), await world.register_client()
    page = await alice.come_back(app, idp_hint=idp, response_mode="form_post")
    address, told = posted(page)
    assert (200, APP_REDIRECT, "no-store") == (page.status_code, address, page.headers["cache-control"])
    assert {"code", "state", "iss"} == set(told)
    assert ("the-state", world.auth.url) == (told["state"], told["iss"])
    assert 200 == (await app.swap(told["code"])).status_code
    again = await alice.browser.get(app.address(idp_hint=idp, response_mode="form_post"))
    assert "code" in posted(again)[1], "a session does as well"
    refused = await Window(world.auth.url).get(app.address(prompt="none", response_mode="form_post"))
    assert (APP_REDIRECT, "login_required") == (posted(refused)[0], posted(refused)[1]["error"])
    declined = await Person(world, "bob").come_back(app, decision="cancel", idp_hint=idp, response_mode="form_post")
    assert "access_denied" == posted(declined)[1]["error"]


async def test_the_query_of_the_address_stays_and_a_request_may_be_pushed(world: World) -> None:
    idp, alice, own = await world.idp_with_jira(), Person(world), f"{APP_REDIRECT}?tenant=1"
    app = await world.register_client(redirect_uris=[own])
    request = app.request(redirect_uri=own, response_mode="form_post", idp_hint=idp)
    pushed = (await Window(world.auth.url).post("/oauth2/par", data=request)).json()["request_uri"]
    alice.address = f"/authorize?{httpx.QueryParams(client_id=app.id, request_uri=pushed)}"
    address, told = posted(await alice.come_back(app))
    assert (own, {"code", "state", "iss"}) == (address, set(told))


async def test_A17_A22_A23_the_page_runs_one_script_that_we_wrote_and_repeats_text_alone(world: World) -> None:
    app = await world.register_client()
    page = await Window(world.auth.url).get(app.address(prompt="none", response_mode="form_post", state=MARKUP))
    assert MARKUP == posted(page)[1]["state"]
    assert [SUBMIT] == re.findall(r"<script>(.*?)</script>", page.text)
    rules = dict(rule.strip().partition(" ")[::2] for rule in page.headers["content-security-policy"].split(";"))
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", rules.pop("script-src"))
    nothing = dict.fromkeys(("default-src", "base-uri", "frame-ancestors"), "'none'")
    assert {**nothing, "style-src": "'self'", "form-action": "https:"} == rules
    assert ["DENY", "no-referrer"] == [page.headers[name] for name in ("x-frame-options", "referrer-policy")]


async def test_A01_A29_no_form_leads_to_an_address_that_is_not_registered_or_is_no_web_site(world: World) -> None:
    app = await world.register_client(redirect_uris=["com.example.app:/back"], application_type="native")
    evil = app.address(response_mode="form_post", redirect_uri="https://evil.example", prompt="none")
    page = await Window(world.auth.url).get(evil)
    assert (400, False) == (page.status_code, "<form" in page.text)
    own = app.address(response_mode="form_post", redirect_uri="com.example.app:/back")
    assert "invalid_request" == query_of(await Window(world.auth.url).get(own))["error"]


async def test_B26_A24_a_failed_login_leads_back_by_a_form_too(world: World) -> None:
    idp, alice, app = await world.idp_with_jira(), Person(world), await world.register_client()
    back = httpx.URL(await alice.press(await alice.at_consent(app, idp_hint=idp, response_mode="form_post")))
    wrong = back.copy_remove_param("code").copy_merge_params({"error": "server_error"})
    page = await alice.browser.get(wrong)
    address, told = posted(page)
    assert (502, APP_REDIRECT, "the-state") == (page.status_code, address, told["state"])
    policy = page.headers["content-security-policy"]
    assert ("script-src" in policy, "form-action https:;" in policy) == (False, True), "she presses the button herself"


class Site:
    """A client's site: takes posts at one address, and leads on to another origin, as apps do."""

    def __init__(self) -> None:
        self.received: list[dict[str, str]] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("POST /callback "):
            length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0])
            self.received.append(dict(parse_qsl((await reader.readexactly(length)).decode())))
            writer.write(f"HTTP/1.1 302 X\r\nlocation: http://localhost:{self.port}/done\r\n".encode())
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n")
        writer.write(b"content-length: 4\r\nconnection: close\r\n\r\ndone")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    one = Site()
    server = await asyncio.start_server(one.answer, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [True, False])
async def test_a_browser_posts_it_by_itself_and_without_scripts_at_a_press(world: World, scripts: bool) -> None:
    async with site() as client, async_playwright() as playwright:
        address = f"http://127.0.0.1:{client.port}/callback"
        app = await world.register_client(redirect_uris=[address])
        asked = app.address(redirect_uri=address, response_mode="form_post", prompt="none")
        path = find()
        assert path is not None, "no Chromium: run `just browser-ready`"
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *QUIET])
        page = await (await browser.new_context(java_script_enabled=scripts)).new_page()
        await page.goto(f"{world.auth.url}{asked}", wait_until="commit")
        if not scripts:
            await page.locator("#back").click()
        await page.wait_for_url(f"http://localhost:{client.port}/done")
        await expect(page.locator("body")).to_have_text("done")
        await browser.close()
        assert [("login_required", "the-state", world.auth.url)] == [
            (told["error"], told["state"], told["iss"]) for told in client.received
        ]
