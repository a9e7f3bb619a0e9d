"""A user looks at what they are connected with, and disconnects, in a real browser."""

import re

import pytest
from playwright.sync_api import BrowserContext

from scopefold.cli import client
from scopefold.cli.story import provision_jira, register_atlassian
from scopefold.cli.story_world import World
from tests.browser.looks import complaints
from tests.browser.test_story import aside, consent, playground, signed_in, to_atlassian

pytestmark = pytest.mark.browser


def test_a_user_disconnects_and_is_told_what_is_left_to_do(world: World, alice: BrowserContext) -> None:
    aside(world, register_atlassian, provision_jira)
    world.auth.call("POST", client.PATH, body=playground(world))
    page = alice.new_page()
    to_atlassian(world, page)
    consent(page, "alice")
    signed_in(world, page)

    page.goto(f"{world.auth.url}/account/sessions")
    assert [] == complaints(page)
    page.get_by_role("link", name="What you are connected with").click()
    assert [] == complaints(page)
    page.get_by_role("button", name="Disconnect from Atlassian").click()
    page.get_by_role("status").wait_for()
    assert "You are disconnected from Atlassian" in page.get_by_role("status").inner_text()
    assert page.get_by_role("link", name="id.atlassian.com/manage-profile/apps").is_visible()
    assert 0 == page.get_by_role("button", name=re.compile("Disconnect")).count()
    assert [] == complaints(page)
