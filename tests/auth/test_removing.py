"""Operators remove an IdP: whole, after a look at what goes with it, whatever interrupts them; it may begin anew."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from scopefold.auth.web.removing import ROWS_GIVEN_BACK
from scopefold.contracts.events import IdpRemoved, TokenCleared, TokenStored
from tests.auth.gateways import Gateway, access_token
from tests.auth.providers import row_of, vault
from tests.auth.test_clearing import people
from tests.auth.test_forward_auth import ask
from tests.auth.test_registration import registered
from tests.auth.world import App, Person, World, auth, query_of, until_ready
from tests.support.logs import provisioned


async def remove(world: World, idp: str, **asked: Any) -> httpx.Response:
    """Ask for it, as an operator does."""
    return await world.admin("POST", f"/v1/idps/{idp}/removed", json=asked)


def numbers_of(told: dict[str, Any]) -> tuple[int, int, int]:
    return told["tokens"], told["sessions"], told["must_consent"]


async def removed(world: World, idp: str) -> int:
    return len(await world.said(IdpRemoved, idp))


async def on_the_list(world: World, idp: str) -> list[str]:
    """Who must consent there: an IdP that is gone cannot be asked about by its name."""
    return [one["user"] for one in (await world.worklist(limit=1000))["items"] if one["idp"] == idp]


async def test_a_preview_tells_what_would_go_and_changes_nothing(world: World) -> None:
    idp = await world.idp_with_jira()
    _, users, _ = await people(world, idp, "alice", "bob")
    await world.publish(provisioned(f"wiki-{idp}", ["write:confluence-content"], idp), by="provisioner")
    told = (await remove(world, idp, dry_run=True)).json()
    assert (2, 2, False, None) == (told["tokens"], told["must_consent"], told["removed"], told["next"])
    assert told["sessions"] is None, "nobody counted them"
    assert [f"identos.jira-{idp}", f"identos.wiki-{idp}"] == told["connectors"]
    assert 0 == await removed(world, idp)
    assert "" == (await row_of(world, users["alice"], idp)).cleared


async def test_with_an_idp_go_its_tokens_sessions_and_connectors_and_it_begins_anew(world: World) -> None:
    idp = await world.idp_with_jira()
    app, users, persons = await people(world, idp, "alice", "bob")
    await world.publish(provisioned(f"wiki-{idp}", ["write:confluence-content"], idp), by="provisioner")
    done = (await remove(world, idp)).json()
    assert (True, 2, 2, 0, None) == tuple(
        done[name] for name in ("removed", "tokens", "sessions", "must_consent", "next")
    )
    assert {"no-way": 2} == done["revoked"], "Atlassian has no way to end a token"
    row = await row_of(world, users["alice"], idp)
    assert ("", None, (), "idp-removed") == (row.access_token, row.refresh_token, row.parts, row.cleared)
    async with vault(world) as opened:
        assert await opened.idp_secret(idp) is None
    assert dict.fromkeys(users.values(), "idp-removed") == {
        one.user: one.reason for one in await world.said(TokenCleared, idp)
    }
    assert (404, 1) == ((await world.admin("GET", f"/v1/idps/{idp}")).status_code, await removed(world, idp))
    assert [] == await on_the_list(world, idp)
    told = (await world.admin("GET", "/v1/reconsent", params={"idp": idp})).json()
    assert (404, "This identity provider was removed") == (told["status"], told["title"])

    await world.register_idp(idp)
    shown = (await world.admin("GET", f"/v1/idps/{idp}")).json()
    assert ([], []) == (shown["connectors"], [one for one in shown["union"] if "confluence" in one])
    assert [] == (await world.worklist(idp=idp))["items"]
    assert users["alice"] == await persons["alice"].user(app, idp_hint=idp), "the same account is the same user"
    assert [1, 2] == [one.generation for one in await world.said(TokenStored, idp) if one.user == users["alice"]]
    assert 1 == (await remove(world, idp, dry_run=True)).json()["tokens"]


async def test_C07_no_token_of_a_removed_idp_is_handed_out(world: World) -> None:
    """Neither to who logged in there, nor to who logged in elsewhere."""
    idp, other = await world.idp_with_jira(), await world.idp_with_jira()
    app, alice, bob = await world.register_client(), Person(world), Person(world, "bob")
    there, elsewhere = await access_token(alice, app, idp_hint=idp), await access_token(bob, app, idp_hint=other)
    gateway = await Gateway.registered(world, idp)
    assert [200, 403] == [(await gateway.exchange(token)).status_code for token in (there, elsewhere)]
    await remove(world, idp)
    for token in (there, elsewhere):
        for refused in (await gateway.exchange(token), await ask(gateway, token)):
            assert refused.status_code in (400, 401, 403), refused.text
            assert "authorization" not in refused.headers
            assert "access_token" not in refused.text
    assert "invalid_target" == (await gateway.exchange(elsewhere)).json()["error"]


async def test_who_is_sent_to_a_removed_idp_is_refused_and_who_was_on_the_way_is_told(world: World) -> None:
    idp = await world.idp_with_jira()
    app, alice = await world.register_client(), Person(world)
    page = await alice.at_consent(app, idp_hint=idp)
    await remove(world, idp)
    way_back = await alice.browser.get(await alice.press(page))
    assert ("server_error", "The identity provider is not registered any more.") == (
        query_of(way_back)["error"],
        query_of(way_back)["error_description"],
    )
    assert (f"there is no identity provider {idp}") in query_of(await alice.browser.get(app.address(idp_hint=idp))).get(
        "error_description", ""
    )


async def test_a_session_goes_on_where_another_idp_vouches_for_it_too(world: World) -> None:
    first, second = await world.idp_with_jira(), await world.idp_with_jira()
    app, alice = await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=first)
    assert user == await alice.user(app, idp_hint=second)
    assert (1, 0, 0) == numbers_of((await remove(world, second)).json())
    straight = await alice.browser.get(app.address(idp_hint=first))
    assert straight.headers["location"].startswith("https://app.example/"), "without a login"
    assert (1, 1, 0) == numbers_of((await remove(world, first)).json())


async def begin_anew(world: World, app: App, idp: str) -> None:
    """Remove an IdP and register it under the same id, where alice logs in in another browser."""
    await remove(world, idp)
    await world.register_idp(idp)
    await Person(world).user(app, idp_hint=idp)


@pytest.mark.parametrize(("since", "status"), [("nothing", 200), ("removed", 400), ("registered anew", 400)])
async def test_C07_a_code_from_before_the_removal_is_worth_nothing_though_the_idp_began_anew(
    world: World, since: str, status: int
) -> None:
    """Its session goes on, since another IdP vouches for it, and so does the user."""
    first, second = await world.idp_with_jira(), await world.idp_with_jira()
    app, alice = await world.register_client(), Person(world)
    await alice.user(app, idp_hint=first)
    code = await alice.log_in(app, idp_hint=second)
    straight = query_of(await alice.browser.get(app.address(idp_hint=second)))["code"]
    if since == "removed":
        await remove(world, second)
    elif since == "registered anew":
        await begin_anew(world, app, second)
    answers = [await app.swap(one) for one in (code, straight)]
    assert [status, status] == [one.status_code for one in answers]
    assert [status == 200] * 2 == ["access_token" in one.json() for one in answers]


async def test_C07_a_question_from_before_the_removal_gives_no_code_that_is_worth_anything(guarded: World) -> None:
    first, second = await guarded.idp_with_jira(), await guarded.idp_with_jira()
    known, unknown = await guarded.register_client(), App(guarded, await registered(guarded))
    alice = Person(guarded)
    await alice.user(known, idp_hint=first)
    question = await alice.asked(unknown, idp_hint=second)
    await begin_anew(guarded, known, second)
    code = query_of(await alice.decide(question))["code"]
    assert "invalid_grant" == (await unknown.swap(code)).json()["error"]


@pytest.mark.parametrize("place", ["removing.emptied", "removing.told"])
async def test_what_a_crash_left_half_done_the_next_run_finishes(world: World, tmp_path: Path, place: str) -> None:
    idp = await world.idp_with_jira()
    app, users, persons = await people(world, idp, "alice", "bob")
    with auth(tmp_path / "dies", **world.settings, crash_at=place) as dying:
        await until_ready(dying)
        async with dying.client() as client:
            with pytest.raises(httpx.HTTPError):
                await client.post(f"/v1/idps/{idp}/removed", json={})
    assert "idp-removed" == (await row_of(world, users["alice"], idp)).cleared, "the vault came first"
    assert (place == "removing.told") == await removed(world, idp)
    if place == "removing.emptied":
        assert sorted(users.values()) == sorted(one["user"] for one in (await world.worklist(idp=idp))["items"])
        assert users["bob"] == await persons["bob"].user(app, idp_hint=idp), "until then it is an IdP like any other"
    assert (200, True) == ((again := await remove(world, idp)).status_code, again.json()["removed"])
    assert (place == "removing.emptied") == again.json()["tokens"]
    assert (1, []) == (await removed(world, idp), await on_the_list(world, idp))
    told = [(one.user, one.generation) for one in await world.said(TokenCleared, idp)]
    assert len(told) == len(set(told)), "one event for each token"


async def test_many_go_in_parts_and_a_token_that_a_login_stores_meanwhile_goes_too(world: World) -> None:
    idp = await world.idp_with_jira()
    _, users, _ = await people(world, idp, "alice")
    row = await row_of(world, users["alice"], idp)
    many = [f"u_{idp.replace('-', '')}x{number:04}" for number in range(ROWS_GIVEN_BACK)]
    async with vault(world) as opened:
        for user in many:
            await opened.put_token(user, idp, row, revision=0)
        first = (await remove(world, idp)).json()
        assert (False, ROWS_GIVEN_BACK) == (first["removed"], first["tokens"])
        assert 0 == await removed(world, idp)
        found = await opened.token(many[0], idp)
        assert found is not None
        late = replace(row, generation=2)
        await opened.put_token(many[0], idp, late, revision=found[1])
    tokens, told = 0, first
    for _ in range(9):
        told = (await remove(world, idp, after=told["next"])).json()
        tokens += told["tokens"]
        if told["next"] is None:
            break
    assert (True, None, 2, 1) == (told["removed"], told["next"], tokens, await removed(world, idp))
    for user in (many[0], many[-1], users["alice"]):
        assert "" == (await row_of(world, user, idp)).access_token


async def test_a_token_that_another_replica_stored_as_the_idp_went_is_taken_by_the_same_order_again(
    world: World,
) -> None:
    idp = await world.idp_with_jira()
    _, users, _ = await people(world, idp, "alice")
    before = await row_of(world, users["alice"], idp)
    await remove(world, idp)
    async with vault(world) as opened:
        found = await opened.token(users["alice"], idp)
        assert found is not None
        await opened.put_token(users["alice"], idp, replace(before, generation=2), revision=found[1])
    again = (await remove(world, idp)).json()
    assert (True, 1, 1) == (again["removed"], again["tokens"], await removed(world, idp))
    assert "" == (await row_of(world, users["alice"], idp)).access_token


@pytest.mark.parametrize("name", ["nowhere", "*", "%3E", "x.y"])
async def test_what_is_no_idp_is_not_removed(world: World, name: str) -> None:
    idp = await world.idp_with_jira()
    _, users, _ = await people(world, idp, "alice")
    for dry_run in (True, False):
        assert 404 == (await remove(world, name, dry_run=dry_run)).status_code
    assert "" == (await row_of(world, users["alice"], idp)).cleared
