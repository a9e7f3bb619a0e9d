"""An app that lives in a browser alone, on another port: the example, with oidc-client-ts, in a real Chromium."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from scopefold.auth.web.browser import SESSION_COOKIE
from scopefold.cli.ports import free_port
from tests.auth.world import App, World
from tests.clients.recipes import register
from tests.support import node
from tests.support.chromium import QUIET, find
from tests.support.served import serving

pytestmark = pytest.mark.browser
EXAMPLE: Final = Path(__file__).parents[2] / "examples/spa"
PATIENCE_MS: Final = 15_000


@pytest.fixture(scope="module")
def spa(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the example, served by a server that knows nothing of it."""
    directory = node.installed(EXAMPLE, tmp_path_factory.mktemp("spa"))
    settings = directory / "settings.js"
    settings.write_text(settings.read_text().replace("http://127.0.0.1:8080", world.auth.url))
    port = free_port()
    asyncio.run(register(world, "spa.md", "spa", {"127.0.0.1:3000": f"127.0.0.1:{port}"}))
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with serving(command, directory, f"http://127.0.0.1:{port}", directory.parent / "spa.stderr"):
        yield f"http://127.0.0.1:{port}/"


@asynccontextmanager
async def chromium() -> AsyncIterator[BrowserContext]:
    """A browser of alice's own."""
    path = find()
    assert path is not None, "no Chromium: run `just browser-ready`"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *QUIET])
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        yield context
        await browser.close()


async def log_in(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Log in").click()
    await page.locator("#user-alice").click()
    accept, done = page.locator("#accept"), page.get_by_text("Logged in as Alice Arden.")
    await expect(accept.or_(done)).to_be_visible()
    if await accept.is_visible():  # the IdP asks her once
        await accept.click()
    await expect(done).to_be_visible()


async def told(page: Page, address: str, **options: Any) -> Any:
    """What a script of the page gets: the status, or the browser's refusal."""
    return await page.evaluate("([a, o]) => fetch(a, o).then((r) => r.status, (e) => e.name)", [address, options])


async def test_the_example_logs_in_asks_renews_and_logs_out(world: World, spa: str) -> None:
    complaints: list[str] = []
    async with chromium() as context:
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        await log_in(page, spa)
        assert spa == page.url, "no code is left in the address"
        await page.get_by_role("button", name="Ask who I am").click()
        await expect(page.get_by_role("status")).to_have_text("UserInfo answered 200.")
        await expect(page.locator("#told")).to_contain_text("alice@sandbox.example")
        await page.get_by_role("button", name="Renew").click()
        await expect(page.get_by_role("status")).to_have_text("Logged in as Alice Arden.")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("status")).to_have_text("Nobody is logged in.")
        assert spa == page.url.partition("?")[0]
        assert [] == complaints
        assert SESSION_COOKIE not in {cookie.get("name") for cookie in await context.cookies(world.auth.url)}


async def test_a_page_reads_what_became_of_its_token(world: World, spa: str) -> None:
    """A refusal must be readable: else an app takes a token that was revoked for a network that is down."""
    async with chromium() as context:
        page = await context.new_page()
        await log_in(page, spa)
        await page.evaluate("manager.revokeTokens(['refresh_token'])")
        await page.get_by_role("button", name="Ask who I am").click()
        await expect(page.get_by_role("status")).to_have_text("UserInfo answered 401.")
        await expect(page.locator("#told")).to_contain_text("invalid_token")


async def test_a_page_of_another_site_reads_no_more_than_that(world: World, spa: str) -> None:
    app = App(world, {"client_id": "spa"})
    async with chromium() as context:
        page = await context.new_page()
        await log_in(page, spa)
        auth, with_cookies = world.auth.url, {"credentials": "include"}
        assert 200 == await told(page, f"{auth}/oauth2/jwks")
        assert 200 == await told(page, f"{auth}/.well-known/oauth-authorization-server")
        for path, options in (
            ("/oauth2/jwks", with_cookies),
            ("/account/sessions", with_cookies),
            (app.address(redirect_uri=spa, prompt="none"), with_cookies),
            ("/v1/idps", {}),
            ("/v1/idps", {"headers": {"authorization": "Bearer x"}}),
            ("/oauth2/introspect", {"method": "POST", "body": "token=x"}),
        ):
            assert "TypeError" == await told(page, f"{auth}{path}", **options), path
