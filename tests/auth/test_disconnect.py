"""Users end their own connections; what was theirs at the provider ends there as well, where the provider has a way."""

import re
from typing import Any

import httpx
import pytest

from scopefold.auth.core.idps import revocation_address
from scopefold.auth.core.revocation import ToEnd, to_end, verdict
from scopefold.auth.core.stored_token import StoredToken, TokenPart
from scopefold.contracts.events import EndpointOverrides, TokenCleared
from scopefold.ledger.log import last_seq_on
from scopefold.scopes.shipped import profiles
from tests.auth.gateways import access_token, at_stand_in, atlassian, faults, subject_of, visitors_token
from tests.auth.providers import Visitor, registered_at, row_of
from tests.auth.sealed import token
from tests.auth.test_clearing import clear, cleared
from tests.auth.world import Person, World
from tests.support.browsing import Window

GMAIL = "https://www.googleapis.com/auth/gmail.readonly"

PROVIDERS: list[tuple[str, tuple[str, ...], str, str, str]] = [
    # the stand-in, what the connector needs, who asks its API, what a dead token gets there, what the user is told
    ("google", (GMAIL,), "v1/userinfo", "401", "also revoked at Google"),
    ("github", ("repo",), "user", "401", "also revoked at GitHub"),
    (
        "slack",
        ("user:search:read", "chat:write"),
        "api/auth.test",
        "token_revoked|auth",
        "also revoked at Slack",
    ),
    ("oidc", ("api:read", "offline_access"), "userinfo", "401", "also revoked at OpenID"),
    ("atlassian", ("read:jira-work", "offline_access"), "me", "200", "id.atlassian.com/manage-profile/apps"),
    ("bitbucket", ("repository",), "2.0/user", "200", "bitbucket.org/account/settings/app-authorizations"),
    ("microsoft", ("https://graph.microsoft.com/Mail.Read",), "", "", "myapps.microsoft.com"),
]


async def disconnect(browser: Window, idp: str) -> httpx.Response:
    """Press the button beside this IdP on the page; the page that follows."""
    shown = await browser.get("/account/connections")
    found = re.search(rf'action="([^"]*/{idp}/disconnect)".*?name="form_token" value="([^"]+)"', shown.text, re.DOTALL)
    assert found is not None, shown.text
    return await browser.post(found[1], data={"form_token": found[2]})


def users_token(row: StoredToken) -> str:
    """The access token that is the user's own: at Slack not the bot's."""
    own = next((one.access_token for one in row.parts if one.part == "user"), None)
    return own or row.access_token


async def says(world: World, name: str, path: str, access: str) -> str:
    """What an API at the stand-in says to this token."""
    answer = await at_stand_in(world, name, path, access)
    return f"{answer.status_code} {answer.text}"


@pytest.mark.parametrize(("name", "scopes", "path", "dead", "told"), PROVIDERS, ids=[one[0] for one in PROVIDERS])
async def test_who_disconnects_has_no_live_token_left_where_the_provider_can_end_it(
    world: World, *, name: str, scopes: tuple[str, ...], path: str, dead: str, told: str
) -> None:
    idp = await registered_at(world, name, *scopes)
    person = Visitor(world, "dave")
    user = subject_of(await visitors_token(person, await world.register_client(), idp))
    before = await row_of(world, user, idp)
    if path:
        assert (await says(world, name, path, users_token(before))).startswith("200"), "it lives"
    page = await disconnect(person.browser, idp)
    assert 200 == page.status_code
    assert told in re.sub(r"\s+", " ", page.text)
    if path:
        assert re.search(dead, await says(world, name, path, users_token(before)))
    row = await row_of(world, user, idp)
    assert ("user", "", None, ()) == (row.cleared, row.access_token, row.refresh_token, row.parts)
    assert {user: "user"} == await cleared(world, idp)
    assert f"/{idp}/disconnect" not in page.text, "it is not listed any more"


async def test_slack_ends_the_users_token_and_not_the_workspaces_bot(world: World) -> None:
    idp = await registered_at(world, "slack", "user:search:read", "chat:write")
    person = Visitor(world, "dave")
    user = subject_of(await visitors_token(person, await world.register_client(), idp))
    before = await row_of(world, user, idp)
    bot = next(one.access_token for one in before.parts if one.part == "bot")
    await disconnect(person.browser, idp)
    assert '"ok":true' in (await says(world, "slack", "api/auth.test", bot)).replace(" ", "").removeprefix("200")


async def test_a_provider_that_does_not_answer_keeps_nobody_connected(world: World) -> None:
    idp = await registered_at(world, "google", GMAIL)
    person = Visitor(world, "carol")
    user = subject_of(await visitors_token(person, await world.register_client(), idp))
    try:
        await faults(world, "google", server_errors=5)
        page = await disconnect(person.browser, idp)
    finally:
        await faults(world, "google")
    assert "did not confirm" in page.text and "myaccount.google.com" in page.text
    assert "user" == (await row_of(world, user, idp)).cleared


async def test_G10_what_apps_hold_ends_with_the_connection_and_the_next_visit_asks_at_the_provider(
    world: World,
) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    token = await access_token(alice, app, idp_hint=idp)
    await disconnect(alice.browser, idp)
    async with httpx.AsyncClient(timeout=20) as http:
        asked = await http.get(f"{world.auth.url}/oauth2/userinfo", headers={"authorization": f"Bearer {token}"})
    assert 401 == asked.status_code
    onward = await alice.browser.get(app.address(idp_hint=idp))
    assert onward.headers["location"].startswith(f"{world.sandbox.url}/atlassian/authorize")
    assert subject_of(token) == await alice.user(app, idp_hint=idp)


async def test_the_page_says_with_whom_as_whom_and_what_for(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    async with world.log() as log:
        await world.folded(await last_seq_on(log, "ledger.>"))
    page = await alice.browser.get("/account/connections")
    for text in ("Atlassian", "since ", f"jira-{idp}", "alice"):
        assert text.lower() in page.text.lower(), text
    assert "/account/connections" in (await alice.browser.get("/account/sessions")).text


async def test_A22_only_a_click_on_the_page_disconnects(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=idp)
    bob, other = Person(world, "bob"), await world.idp_with_jira()
    await bob.log_in(app, idp_hint=other)
    shown = await bob.browser.get("/account/connections")
    foreign = re.search(r'name="form_token" value="([^"]+)"', shown.text)
    assert foreign is not None
    for form in ({}, {"form_token": "x"}, {"form_token": foreign[1]}):
        answer = await alice.browser.post(f"/account/connections/{idp}/disconnect", data=form)
        assert 403 == answer.status_code
    assert "" == (await row_of(world, user, idp)).cleared
    assert [] == await world.said(TokenCleared, idp)


async def test_operators_may_have_tokens_revoked_as_well(world: World) -> None:
    idp = await registered_at(world, "github", "repo")
    person = Visitor(world, "dave")
    user = subject_of(await visitors_token(person, await world.register_client(), idp))
    before = await row_of(world, user, idp)
    answer = await clear(world, idp=idp, revoke=True)
    assert {"revoked": 1} == answer.json()["revoked"]
    assert (await says(world, "github", "user", before.access_token)).startswith("401")


async def test_at_a_provider_without_a_way_the_operator_is_told_so(world: World) -> None:
    async with atlassian(world):
        idp = await world.idp_with_jira()
        await Person(world).log_in(await world.register_client(), idp_hint=idp)
        assert {"no-way": 1} == (await clear(world, idp=idp, revoke=True)).json()["revoked"]


@pytest.mark.parametrize("name", sorted(profiles()))
def test_tokens_of_another_host_are_never_sent_to_the_profiles_own(name: str) -> None:
    elsewhere = EndpointOverrides(token="https://sandbox.example/token", authorize="https://sandbox.example/authorize")
    assert "" == revocation_address(profiles()[name], elsewhere)


VERDICTS: list[tuple[str, int, str | None, str]] = [
    ("oidc", 200, None, "ended"),
    ("oidc", 503, None, "perhaps-later"),
    ("oidc", 429, None, "perhaps-later"),
    ("oidc", 401, "invalid_client", "refused"),
    ("oidc", 404, None, "refused"),
    ("google", 400, "invalid_token", "gone"),
    ("github", 204, None, "ended"),
    ("github", 404, None, "gone"),
    ("slack", 200, None, "ended"),
    ("slack", 200, "token_revoked", "gone"),
    ("slack", 200, "missing_scope", "refused"),
]


@pytest.mark.parametrize(("name", "status", "error", "expected"), VERDICTS)
def test_what_an_answer_says_of_the_token(name: str, status: int, error: str | None, expected: str) -> None:
    assert expected == verdict(profiles()[name], status, error)


def parts(**of: Any) -> StoredToken:
    whole = token("access")
    return StoredToken(**{name: getattr(whole, name) for name in StoredToken.__struct_fields__} | of)


def test_every_kind_of_token_is_given_back_once() -> None:
    both = parts(refresh_token="refresh")
    assert (ToEnd("refresh_token", "refresh"), ToEnd("access_token", "access")) == to_end(profiles()["oidc"], both)
    assert (ToEnd("access_token", "access"),) == to_end(profiles()["github"], both)
    assert (ToEnd("refresh_token", "refresh"),) == to_end(profiles()["hubspot"], both)
    split = parts(parts=(TokenPart("bot", "b"), TokenPart("user", "u")))
    assert (ToEnd("access_token", "u"),) == to_end(profiles()["slack"], split)
