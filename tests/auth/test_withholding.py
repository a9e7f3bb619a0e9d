"""What is asked for in vain is not asked for for ever, and what breaks logins can be left out of them."""

import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest

from scopefold.contracts.events import AuthorizationFailed, ScopesWithheld
from tests.auth.world import (
    APP_REDIRECT,
    JIRA_SCOPES,
    Person,
    World,
    auth,
    query_of,
    status_becomes,
    until,
)
from tests.support.logins import long_ago
from tests.support.logs import failed, provisioned, stored

WIKI = "write:confluence-content"


async def provision_wiki(world: World, idp: str) -> None:
    await world.publish(provisioned(f"wiki-{idp}", [WIKI], idp), by="provisioner")


async def came_without(world: World, idp: str, user: str, generation: int) -> None:
    """The user consented once more, and the wiki's scope was not among what came back."""
    told = stored(user, JIRA_SCOPES, generation=generation, idp=idp, cause="step-up", requested=(*JIRA_SCOPES, WIKI))
    await world.publish(told, by="auth")


async def three_fail(world: World, idp: str) -> None:
    tried = [failed(f"attempt-{secrets.token_hex(4)}", (*JIRA_SCOPES, WIKI), idp=idp) for _ in range(3)]
    await world.publish(*tried, by="auth")


async def asked_upstream(world: World, person: Person, app: Any, idp: str) -> list[str]:
    """The scopes that a login asks of the IdP."""
    answer = await person.browser.get(app.address(idp_hint=idp, prompt="login"))
    return query_of(answer)["scope"].split()


async def change(world: World, idp: str, what: str, *scopes: str) -> httpx.Response:
    return await world.admin("POST", f"/v1/idps/{idp}/{what}", json={"scopes": scopes})


async def shown(world: World, idp: str) -> Any:
    return (await world.admin("GET", f"/v1/idps/{idp}")).json()


async def test_nobody_is_sent_round_the_same_consent_a_third_time(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=idp)
    await provision_wiki(world, idp)
    page = await alice.browser.get(app.address(idp_hint=idp))
    assert (200, False) == (page.status_code, "You were asked for" in page.text)
    assert {WIKI: "never-asked"} == (await world.worklist(idp=idp))["items"][0]["why"]
    await came_without(world, idp, user, 2)
    page = await alice.browser.get(app.address(idp_hint=idp))
    assert (200, True) == (page.status_code, "You were asked for" in page.text)
    await came_without(world, idp, user, 3)
    for prompt in (None, "none"):
        answer = await alice.browser.get(app.address(idp_hint=idp, prompt=prompt))
        assert answer.headers["location"].startswith(APP_REDIRECT), prompt
        assert "code" in query_of(answer)
    assert "a scope is needed that asking for does not bring" in world.auth.said()
    (told,) = (await shown(world, idp))["in_vain"]
    assert {"scope": WIKI, "users_without": 1, "users_with": 0, "why": "not-given"} == told
    (row,) = (await world.worklist(idp=idp))["items"]
    assert [(WIKI, 2)] == [(one["scope"], one["times"]) for one in row["ungiven"]]
    assert {WIKI: "not-given"} == row["why"]
    assert 201 == (await change(world, idp, "restored")).status_code
    page = await alice.browser.get(app.address(idp_hint=idp))
    assert (200, True) == (page.status_code, WIKI in page.text)


async def test_what_logins_fail_with_is_the_suspect_and_can_be_left_out(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    await provision_wiki(world, idp)
    assert "nothing-suspect" in (await change(world, idp, "withheld")).text
    await three_fail(world, idp)
    (trial,) = (await shown(world, idp))["trials"]
    suspect = (trial["connector"], trial["scopes"], trial["failed"], trial["suspect"], trial["last_error"])
    assert (f"identos.wiki-{idp}", [WIKI], 3, True, "invalid_scope") == suspect
    await until(lambda: said(world, "logins fail since a connector was provisioned", idp))
    assert WIKI in await asked_upstream(world, Person(world), app, idp)

    answer = await change(world, idp, "withheld")
    assert (201, [WIKI]) == (answer.status_code, answer.json()["withheld"])
    assert 200 == (await change(world, idp, "withheld", WIKI)).status_code
    (event,) = await world.said(ScopesWithheld, idp)
    assert ("operator", trial["cause"]["event_id"]) == (event.by, event.suspect)
    assert WIKI not in await asked_upstream(world, Person(world), app, idp)
    straight = await alice.browser.get(app.address(idp_hint=idp))
    assert straight.headers["location"].startswith(APP_REDIRECT), "asking for it again would not bring it"
    assert 1 == (await world.worklist(idp=idp))["total"], "the need stands"

    answer = await change(world, idp, "restored")
    assert (201, [], False) == (
        answer.status_code,
        answer.json()["withheld"],
        answer.json()["trials"][0]["suspect"],
    )
    assert WIKI in await asked_upstream(world, Person(world), app, idp)
    assert 200 == (await change(world, idp, "restored")).status_code


async def said(world: World, *words: str) -> bool:
    return any(all(word in line for word in words) for line in world.auth.said().splitlines())


@pytest.mark.parametrize(
    ("what", "scopes", "status", "kind"),
    [
        ("withheld", ["write:everything"], 422, "unknown-scope"),
        ("restored", ["write:everything"], 422, "unknown-scope"),
        ("withheld", ["read:me"], 422, "identity-scope"),
        ("withheld", ['a"b'], 422, "invalid-body"),
        ("restored", ["x" * 256], 422, "invalid-body"),
    ],
)
async def test_what_cannot_be_left_out_or_asked_for(
    world: World, what: str, scopes: list[str], status: int, kind: str
) -> None:
    idp = await world.idp_with_jira()
    answer = await change(world, idp, what, *scopes)
    assert (status, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])
    assert 404 == (await change(world, "no-such-idp", what)).status_code


async def test_by_policy_it_is_left_out_at_once_and_an_operator_may_overrule_that(world: World, tmp_path: Path) -> None:
    idp = await world.idp_with_jira()
    app, alice = await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    await provision_wiki(world, idp)
    with auth(tmp_path / "other", **world.settings, on_suspect="withhold") as other:
        await status_becomes(other, 200)
        await three_fail(world, idp)
        await until(lambda: is_withheld(world, idp))
        (event,) = await world.said(ScopesWithheld, idp)
        assert ("policy", (WIKI,)) == (event.by, event.scopes)
        assert 201 == (await change(world, idp, "restored")).status_code
        await three_fail(world, idp)
        await until(lambda: is_suspect(world, idp))
        await provision_wiki(world, idp)  # the log has moved on, and with it the watch
    assert 1 == len(await world.said(ScopesWithheld, idp))


async def is_withheld(world: World, idp: str) -> bool:
    return bool((await shown(world, idp))["withheld"])


async def is_suspect(world: World, idp: str) -> bool:
    return bool((await shown(world, idp))["trials"][0]["suspect"])


async def test_who_never_came_back_and_tries_again_is_a_failure_in_the_log(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await provision_wiki(world, idp)
    await alice.browser.get(app.address(idp_hint=idp))
    await alice.browser.get(app.address(idp_hint=idp))
    assert [] == await world.said(AuthorizationFailed, idp), "a double click is no failure"
    async with world.log() as log:
        await long_ago(log, idp)
    await alice.browser.get(app.address(idp_hint=idp))
    (event,) = await world.said(AuthorizationFailed, idp)
    assert ("authorize", "no_return", True) == (event.stage, event.error, WIKI in event.requested)
    await alice.browser.get(app.address(idp_hint=idp))
    assert 1 == len(await world.said(AuthorizationFailed, idp))
    await alice.log_in(app, idp_hint=idp)
    async with world.log() as log:
        await long_ago(log, idp)
    await alice.browser.get(app.address(idp_hint=idp, prompt="login"))
    assert 1 == len(await world.said(AuthorizationFailed, idp)), "that login came back"
