"""The story, as the people in it see it: through real pages, in a real browser."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from scopefold.cli import client
from scopefold.cli.story import (
    CONFLUENCE,
    CONFLUENCE_ADDS,
    provision_again_and_deprovision,
    provision_confluence,
    provision_jira,
    register_atlassian,
    report_insufficient,
)
from scopefold.cli.story_world import World, expect_soon

pytestmark = pytest.mark.browser


def playground(world: World) -> client.Registration:
    """The sandbox's own app, as it is registered."""
    return client.Registration(
        client_id="playground",
        client_name="Playground",
        redirect_uris=(f"{world.sandbox}/playground/callback",),
        token_endpoint_auth_method="none",
    )


def aside(world: World, *steps: Callable[[World], None]) -> None:
    """Play steps in a thread of their own: Playwright has an event loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        for step in steps:
            thread.submit(step, world).result(60)


def to_atlassian(world: World, page: Page) -> None:
    """From the app's own page to the IdP's."""
    page.goto(f"{world.sandbox}/playground")
    page.get_by_role("link", name=re.compile("sign in with scopefold", re.IGNORECASE)).first.click()


def consent(page: Page, person: str) -> None:
    """Log in at the IdP and accept what is asked."""
    page.locator(f"#user-{person}").click()
    page.locator("#accept").click()


def signed_in(world: World, page: Page) -> str:
    """The user id that the app was told, once its callback page is there."""
    page.wait_for_url(f"{world.sandbox}/playground/callback**")
    return page.locator("tr", has=page.get_by_role("rowheader", name="sub", exact=True)).locator("td").inner_text()


def who(world: World) -> list[str]:
    return sorted(row.user for row in world.worklist().items)


def test_the_story_in_a_real_browser(world: World, alice: BrowserContext, bob: BrowserContext) -> None:
    complaints: list[str] = []
    hers, his = alice.new_page(), bob.new_page()
    hers.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    aside(world, register_atlassian, provision_jira)
    world.auth.call("POST", client.PATH, body=playground(world))

    for page, person in ((hers, "alice"), (his, "bob")):
        to_atlassian(world, page)
        assert "/atlassian/authorize" in page.url
        consent(page, person)
        world.users[person] = signed_in(world, page)
        expect(page.locator("body")).to_contain_text(f"{person}@sandbox.example")

    cookies = {str(cookie.get("name")): cookie for cookie in alice.cookies(world.where.auth)}
    session = cookies["__Host-scopefold-session"]
    assert (True, True, "Lax", "/") == (
        session.get("secure"),
        session.get("httpOnly"),
        session.get("sameSite"),
        session.get("path"),
    )

    to_atlassian(world, hers)
    assert world.users["alice"] == signed_in(world, hers), "a live session needs no visit to the IdP"

    aside(world, provision_confluence, report_insufficient)

    to_atlassian(world, hers)
    expect(hers.get_by_role("heading", name="More access is needed")).to_be_visible()
    for words in (*CONFLUENCE_ADDS, CONFLUENCE, "Confluence"):
        expect(hers.locator("main")).to_contain_text(words)
    hers.locator("#continue").click()
    asked = parse_qs(urlsplit(hers.url).query)["scope"][0].split()
    assert set(CONFLUENCE_ADDS) < set(asked), "a step-up asks for the whole union"
    consent(hers, "alice")
    assert world.users["alice"] == signed_in(world, hers)
    expect_soon("who must consent again", [world.users["bob"]], lambda: who(world))

    aside(world, provision_again_and_deprovision)
    assert [] == complaints, "a page broke its own content security policy, or failed"


def test_a_user_who_declines_comes_back_to_the_app_with_that_answer(world: World, alice: BrowserContext) -> None:
    page = alice.new_page()
    to_atlassian(world, page)
    page.locator("#user-carol").click()
    page.locator("#cancel").click()
    page.wait_for_url(f"{world.sandbox}/playground/callback**")
    assert ["access_denied"] == parse_qs(urlsplit(page.url).query)["error"]


def test_the_start_page_says_where_one_is(world: World, alice: BrowserContext) -> None:
    page = alice.new_page()
    page.goto(world.where.auth)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".state")).to_have_text("Ready")
