"""The page that sets everything, as a person and as a program use it; and Atlassian's own switches."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.sandbox.conftest import WalkAt
from tests.sandbox.visitor import ATLASSIAN, Visitor
from tests.sandbox.walk import Place, Walk, json_of, query_of, text_of

OIDC = Place("oidc", "/authorize", "/token", "client_secret_basic")
STAND_INS = [
    "atlassian", "bitbucket", "google", "microsoft", "microsoft-us", "microsoft-cn", "github", "slack", "oidc",
]  # fmt: skip
FORM = {
    "app.name": "Renamed",
    "app.callbacks": "http://127.0.0.1:1/a\r\nhttp://127.0.0.1:1/b\r\n",
    "app.permitted_scopes": "openid\n\n api:read \n",
    "switches.echo_scope": "never",
    "switches.unpermitted_scope": "dropped",
    "switches.tick_boxes": "on",
    "switches.refresh_tokens": "stay",
    "switches.client_authentication": "both",
    "switches.signing_algorithm": "RS256",
    "faults.at": "token",
    "faults.latency_ms": "7",
    "faults.server_errors": "0",
    "faults.server_error_status": "502",
    "faults.hangs": "0",
    "faults.dropped_refreshes": "0",
}


@pytest.fixture
async def oidc(walk_at: WalkAt) -> Walk:
    return await walk_at(OIDC)


async def test_every_stand_in_shows_its_app_switches_faults_and_grants(oidc: Walk) -> None:
    shown = json_of(await oidc.http.get("/switches"))
    assert STAND_INS == list(shown)
    assert [{"app", "switches", "faults", "grants"}] * len(STAND_INS) == [set(one) for one in shown.values()]
    assert "secret" not in {name for one in shown.values() for name in one["app"]}


async def test_the_page_labels_and_explains_every_switch(oidc: Walk) -> None:
    shown = json_of(await oidc.http.get("/switches"))
    page = await oidc.http.get("/switches", headers={"accept": "text/html"})
    for stand_in, settings in shown.items():
        for part in ("switches", "faults"):
            for name in settings[part]:
                spot = f'id="{stand_in}-{part}.{name}'
                assert (1, 1) == (page.text.count(f'{spot}"'), page.text.count(f'{spot}-why"')), spot
    assert "<small" in page.text
    for words in ("CONFLICT", "Not settled"):
        assert page.text.count(words) >= 3


async def test_a_form_sets_the_app_the_switches_and_the_faults(oidc: Walk) -> None:
    answer = await oidc.http.post("/switches/oidc", data=FORM)
    assert (303, "/switches?saved&open=oidc#oidc") == (answer.status_code, answer.headers["location"])
    found = await oidc.settings()
    expected = {
        "client_id": "sandbox-oidc",
        "name": "Renamed",
        "callbacks": ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"],
        "permitted_scopes": ["api:read", "openid"],
    }
    assert expected == found["app"]
    assert (True, False, "never") == tuple(
        found["switches"][name] for name in ("tick_boxes", "require_pkce", "echo_scope")
    )
    assert ("token", 7, 502) == tuple(found["faults"][name] for name in ("at", "latency_ms", "server_error_status"))
    page = await oidc.http.get(answer.headers["location"], headers={"accept": "text/html"})
    assert ("Saved." in page.text, "6 changed" in text_of(page)) == (True, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("switches.echo_scope", "sometimes"),
        ("faults.latency_ms", "30001"),
        ("faults.latency_ms", "soon"),
        ("faults.server_errors", "-1"),
        ("faults.server_error_status", "418"),
        ("app.name", ""),
        ("app.callbacks", "javascript:alert(1)"),
        ("app.permitted_scopes", 'a"b'),
    ],
)
async def test_a_form_with_a_wrong_value_changes_nothing(oidc: Walk, name: str, value: str) -> None:
    before = await oidc.settings()
    answer = await oidc.http.post("/switches/oidc", data={**FORM, name: value})
    assert (422, before) == (answer.status_code, await oidc.settings())


async def test_a_form_from_another_sites_page_is_refused(oidc: Walk) -> None:
    answer = await oidc.http.post("/switches/oidc", data=FORM, headers={"sec-fetch-site": "cross-site"})
    assert 403 == answer.status_code
    assert 404 == (await oidc.http.post("/switches/nobody", data=FORM)).status_code


@pytest.mark.parametrize(
    "body",
    [
        {"nobody": {}},
        {"oidc": {"switches": {"unheard_of": True}}},
        {"oidc": {"switches": {"echo_scope": "sometimes"}}},
        {"oidc": {"faults": {"hangs": -1}}},
        {"oidc": {"unheard_of": {}}},
        {"google": {"switches": {"granular_consent": False}}, "oidc": {"switches": {"echo_scope": 1}}},
    ],
)
async def test_json_with_something_wrong_changes_nothing(oidc: Walk, body: dict[str, Any]) -> None:
    before = json_of(await oidc.http.get("/switches"))
    assert 422 == (await oidc.http.put("/switches", json=body)).status_code
    assert before == json_of(await oidc.http.get("/switches"))


async def test_json_leaves_the_parts_that_it_does_not_name(oidc: Walk) -> None:
    await oidc.set("switches", tick_boxes=True, echo_scope="never")
    await oidc.set("faults", latency_ms=1)
    await oidc.set("switches", tick_boxes=True)
    found = await oidc.settings()
    assert (True, "always", 1) == (
        found["switches"]["tick_boxes"],
        found["switches"]["echo_scope"],
        found["faults"]["latency_ms"],
    )


async def test_the_page_revokes_a_grant(oidc: Walk) -> None:
    token = (await oidc.tokens("openid"))["access_token"]
    assert [{"client_id": "sandbox-oidc", "user": "alice", "scopes": ["openid"]}] == (await oidc.settings())["grants"]
    await oidc.http.post("/switches/oidc/revoke", data={"user": "alice", "client_id": "sandbox-oidc"})
    assert [] == (await oidc.settings())["grants"]
    assert 401 == (await oidc.api("GET", "/userinfo", token)).status_code


@pytest.fixture
async def atlassian(visitor: Visitor) -> AsyncIterator[Visitor]:
    yield visitor
    await visitor.set("switches")


AUTHORIZE = [
    ("missing_audience", "incomplete", "read:me", {"audience": None}, "The authorize request was incomplete or invalid"),
    ("callback_mismatch", "older", "read:me", {"redirect_uri": "http://x/"}, "Callback URL mismatch. http://x/ is not in"),
    ("unknown_scope", "invalid_scope", "read:me read:opsgenie", {}, "invalid_scope"),
    ("site_admin_blocks", True, "read:jira-work", {}, "Your site admin must authorize this app for the site"),
    ("user_without_site", True, "read:jira-work", {}, "Access denied"),
]  # fmt: skip


@pytest.mark.parametrize(("switch", "value", "scope", "changed", "words"), AUTHORIZE, ids=[row[0] for row in AUTHORIZE])
async def test_atlassian_refuses_in_the_other_way_with_its_switch(
    atlassian: Visitor, switch: str, value: Any, scope: str, changed: dict[str, str | None], words: str
) -> None:
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


async def test_atlassians_token_switches_hold(atlassian: Visitor) -> None:
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
