"""What the Atlassian stand-in does where sources disagree: each switch, both ways."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.sandbox.conftest import WalkAt
from tests.sandbox.visitor import ATLASSIAN, Visitor
from tests.sandbox.walk import json_of, query_of, text_of


@pytest.fixture
async def atlassian(visitor: Visitor) -> AsyncIterator[Visitor]:
    yield visitor
    await visitor.set("switches")


REFUSALS: list[tuple[str, Any, str, dict[str, str | None], str]] = [
    ("missing_audience", "incomplete", "read:me", {"audience": None}, "request was incomplete or invalid"),
    ("callback_mismatch", "older", "read:me", {"redirect_uri": "http://x/"}, "Callback URL mismatch. http://x/ is not"),
    ("unknown_scope", "invalid_scope", "read:me read:opsgenie", {}, "invalid_scope"),
    ("site_admin_blocks", True, "read:jira-work", {}, "Your site admin must authorize this app for the site"),
    ("user_without_site", True, "read:jira-work", {}, "Access denied"),
]


@pytest.mark.parametrize("row", REFUSALS, ids=[row[0] for row in REFUSALS])
async def test_a_refusal_reads_otherwise_with_its_switch(
    atlassian: Visitor, row: tuple[str, Any, str, dict[str, str | None], str]
) -> None:
    switch, value, scope, changed, words = row

    async def shown() -> str:
        answer = await atlassian.log_in(atlassian.authorize_address(scope, **changed))
        if answer.status_code == 303:
            answer = await atlassian.http.get(answer.headers["location"])
        return text_of(answer)

    assert words not in await shown()
    await atlassian.set("switches", **{switch: value})
    assert words in await shown()


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        ("read:me read:jira-work read:page:confluence", True),
        ("read:me read:page:confluence offline_access", False),
        ("read:me read:jira-work readonly:content.attachment:confluence", False),
    ],
)
async def test_classic_beside_granular_scopes_are_refused_only_with_the_switch(
    atlassian: Visitor, scope: str, refused: bool
) -> None:
    settings = (await atlassian.settings())["app"]
    del settings["client_id"]
    permitted = [*settings["permitted_scopes"], "read:page:confluence"]
    await atlassian.set("app", **{**settings, "permitted_scopes": permitted})
    try:
        assert 200 == (await atlassian.log_in(atlassian.authorize_address(scope))).status_code
        await atlassian.set("switches", mixed_families="reject")
        answer = await atlassian.log_in(atlassian.authorize_address(scope))
        assert refused is ("invalid_scope" in answer.text and answer.status_code == 400)
    finally:
        await atlassian.set("app", **settings)


async def test_too_many_scopes_are_too_large(atlassian: Visitor) -> None:
    many = " ".join(f"read:thing-{number}:jira" for number in range(80))
    assert "Request header is too large" in text_of(await atlassian.log_in(atlassian.authorize_address(many)))


async def test_the_token_endpoints_switches_hold(atlassian: Visitor) -> None:
    scope = "write:jira-work read:jira-user read:me offline_access"
    await atlassian.set("switches", scope_order="sorted", refresh_ends_access=True, bad_code="other_words")
    token = await atlassian.tokens(scope)
    assert "read:jira-user read:me write:jira-work" == token["scope"]
    assert 200 == (await atlassian.api("GET", "/me", token["access_token"])).status_code
    renewed = json_of(await atlassian.renewed(token["refresh_token"]))
    ends = [(await atlassian.api("GET", "/me", one["access_token"])).status_code for one in (token, renewed)]
    assert [401, 200] == ends
    bad = await atlassian.swap({"grant_type": "authorization_code", "code": "guess"})
    assert (403, "The code cannot be used") == (bad.status_code, bad.json()["error_description"])


async def test_a_dead_refresh_token_is_refused_as_documented_with_the_switch(atlassian: Visitor) -> None:
    await atlassian.set("switches", dead_refresh_token="documented")
    answer = await atlassian.renewed("guess")
    expected = {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}
    assert (403, expected) == (answer.status_code, answer.json())


async def test_accessible_resources_may_list_the_whole_tokens_scopes(atlassian: Visitor) -> None:
    await atlassian.set("switches", resource_scopes="token")
    token = (await atlassian.tokens("read:me read:jira-work"))["access_token"]
    found = (await atlassian.api("GET", "/oauth/token/accessible-resources", token)).json()
    assert [["read:me", "read:jira-work"]] == [one["scopes"] for one in found]


async def test_a_scope_taken_out_of_the_console_blocks_the_login(walk_at: WalkAt) -> None:
    walk = await walk_at(ATLASSIAN)
    await walk.lack("read:jira-work")
    answer = await walk.log_in(walk.authorize_address("read:me read:jira-work"))
    assert "add the following scopes to the Jira API: read:jira-work." in text_of(answer)
    assert "error" not in query_of(answer.headers.get("location", ""))
