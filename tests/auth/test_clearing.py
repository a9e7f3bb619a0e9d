"""Operators clear tokens: whose, after a look at how many, once, whatever interrupts them; then people consent anew."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from scopefold.contracts.events import TokenCleared
from scopefold.ledger.read import read
from tests.auth.gateways import Gateway, access_token, subject_of
from tests.auth.providers import row_of
from tests.auth.world import JIRA_SCOPES, App, Person, World, auth, until_ready
from tests.support.logs import provisioned

TOLD = "Ticket 4711: the laptops of the third floor"


async def clear(world: World, **which: Any) -> httpx.Response:
    """Ask for it, as an operator does."""
    return await world.admin("POST", "/v1/tokens/clear", json={"reason": TOLD, **which})


async def people(world: World, idp: str, *names: str) -> tuple[App, dict[str, str], dict[str, Person]]:
    """Some who have logged in, by name: their ids, and themselves."""
    app = await world.register_client()
    persons = {name: Person(world, name) for name in names}
    return app, {name: await one.user(app, idp_hint=idp) for name, one in persons.items()}, persons


async def cleared(world: World, idp: str) -> dict[str, str]:
    """By user, why the log says the token is gone; each of them once."""
    found = await world.said(TokenCleared, idp)
    assert len(found) == len({one.user for one in found}), "one event for each user"
    return {one.user: one.reason for one in found}


async def test_a_preview_counts_and_changes_nothing(world: World) -> None:
    idp = await world.idp_with_jira()
    _, users, _ = await people(world, idp, "alice", "bob")
    told = (await clear(world, idp=idp, dry_run=True)).json()
    assert (2, 2, None) == (told["tokens"], told["users"], told["next"])
    assert sorted(users.values()) == sorted(one["user"] for one in told["items"])
    assert {} == await cleared(world, idp)
    assert "" == (await row_of(world, users["alice"], idp)).cleared


async def test_who_is_cleared_has_no_secret_left_and_consents_anew_at_the_next_visit(world: World) -> None:
    idp = await world.idp_with_jira()
    app, users, persons = await people(world, idp, "alice", "bob")
    answer = await clear(world, users=[users["alice"]], idp=idp)
    assert (200, 1, 1) == (answer.status_code, answer.json()["tokens"], answer.json()["users"]), answer.text
    row = await row_of(world, users["alice"], idp)
    assert ("", None, (), "operator") == (row.access_token, row.refresh_token, row.parts, row.cleared)
    assert {users["alice"]: "operator"} == await cleared(world, idp)
    (listed,) = (await world.worklist(idp=idp))["items"]
    assert (users["alice"], "operator") == (listed["user"], listed["cleared"]["reason"])
    straight = await persons["bob"].browser.get(app.address(idp_hint=idp))
    assert straight.headers["location"].startswith("https://app.example/"), "bob has his"
    assert users["alice"] == await persons["alice"].user(app, idp_hint=idp), "by way of the IdP, and as who she was"
    assert "" == (await row_of(world, users["alice"], idp)).cleared
    assert [] == (await world.worklist(idp=idp))["items"]


async def test_C07_a_cleared_token_is_handed_to_nobody(world: World) -> None:
    idp = await world.idp_with_jira()
    token = await access_token(Person(world), await world.register_client(), idp_hint=idp)
    gateway = await Gateway.registered(world, idp)
    assert 200 == (await gateway.exchange(token)).status_code
    await clear(world, users=[subject_of(token)])
    assert 403 == (await gateway.exchange(token)).status_code


async def test_by_connector_by_idp_and_by_a_scope_that_is_missing(world: World) -> None:
    idp = await world.idp_with_jira()
    app, users, persons = await people(world, idp, "alice", "bob")
    new = "write:confluence-content"
    await world.publish(provisioned(f"wiki-{idp}", [new], idp), by="provisioner")
    assert users["bob"] == await persons["bob"].user(app, idp_hint=idp), "bob has consented to the new one"

    async def told(**which: Any) -> list[str]:
        return sorted(one["user"] for one in (await clear(world, dry_run=True, **which)).json()["items"])

    both = sorted(users.values())
    assert both == await told(connector=f"identos.jira-{idp}")
    assert both == await told(idp=idp)
    assert [users["alice"]] == await told(missing_scope=new, idp=idp)
    assert [] == await told(missing_scope=JIRA_SCOPES[0], idp=idp)
    assert 1 == (await clear(world, missing_scope=new, connector=f"identos.jira-{idp}")).json()["tokens"]
    assert {users["alice"]: "operator"} == await cleared(world, idp)


async def test_users_whom_nobody_knows_are_told_and_keep_nobody_elses_token(world: World) -> None:
    idp = await world.idp_with_jira()
    _, users, _ = await people(world, idp, "alice", "bob")
    alice, erased, nobody = users["alice"], users["bob"], "u_nobody001"
    assert 200 == (await world.admin("DELETE", f"/v1/users/{erased}")).status_code
    for dry_run in (True, False):
        told = (await clear(world, users=[nobody, alice, erased], idp=idp, dry_run=dry_run)).json()
        assert (1, [nobody]) == (told["tokens"], told["unknown"])
    assert {alice: "operator"} == await cleared(world, idp)


async def test_a_scope_that_is_missing_clears_nothing_where_nobody_is_asked_for_it(world: World) -> None:
    """Everybody lacks it there, and another consent would not bring it."""
    asking, other = await world.idp_with_jira(), await world.idp_with_jira()
    _, lacks, _ = await people(world, asking, "alice")
    _, lacks_as_well, _ = await people(world, other, "bob")
    new = "read:servicedesk-request"
    await world.publish(provisioned(f"desk-{asking}", [new], asking), by="provisioner")
    told = (await clear(world, missing_scope=new, dry_run=True)).json()
    found = {(one["user"], one["idp"]) for one in told["items"]}
    assert ((lacks["alice"], asking) in found, (lacks_as_well["bob"], other) in found) == (True, False)


@pytest.mark.parametrize(
    ("which", "kind"),
    [
        ({}, "clears-everything"),
        ({"idp": "nowhere"}, "unknown-idp"),
        ({"connector": "identos.nothing"}, "unknown-connector"),
        ({"missing_scope": "read:jira-wrok"}, "unknown-scope"),  # which everybody lacks
        ({"idp": "nowhere", "reason": "two\nlines"}, "invalid-body"),
        ({"users": []}, "invalid-body"),
        ({"users": ["u_7Jt0m1mX2bq4nV9c"], "after": "nonsense"}, "invalid-body"),
    ],
)
async def test_what_does_not_say_which_tokens_clears_none(world: World, which: dict[str, Any], kind: str) -> None:
    answer = await clear(world, **which)
    assert (422, kind) == (answer.status_code, answer.json()["type"].rpartition("/")[2].rpartition(":")[2]), answer.text


async def test_H03_the_reason_is_in_the_services_log_and_not_in_the_event_log(world: World) -> None:
    idp = await world.idp_with_jira()
    await people(world, idp, "alice")
    await clear(world, idp=idp)
    assert TOLD in world.auth.said()
    async with world.log() as log:
        assert TOLD.encode() not in b"".join([one.payload async for page in read(log) for one in page])


async def test_what_a_crash_left_half_done_the_next_run_finishes(world: World, tmp_path: Path) -> None:
    idp = await world.idp_with_jira()
    _, users, _ = await people(world, idp, "alice", "bob")
    with auth(tmp_path / "dies", **world.settings, crash_at="clearing.emptied") as dying:
        await until_ready(dying)
        async with dying.client() as client:
            with pytest.raises(httpx.HTTPError):
                await client.post("/v1/tokens/clear", json={"reason": TOLD, "idp": idp})
    assert "operator" == (await row_of(world, users["alice"], idp)).cleared, "the vault came first"
    assert {} == await cleared(world, idp), "and the log does not know"
    assert 2 == (await clear(world, idp=idp)).json()["tokens"]
    assert dict.fromkeys(users.values(), "operator") == await cleared(world, idp)
    assert 0 == (await clear(world, idp=idp)).json()["tokens"], "and there it ends"


async def test_all_who_clear_at_once_write_one_event_for_each_user(world: World) -> None:
    idp = await world.idp_with_jira()
    _, users, _ = await people(world, idp, "alice", "bob", "carol")
    answers = await asyncio.gather(*(clear(world, idp=idp) for _ in range(4)))
    assert {200} == {one.status_code for one in answers}
    assert dict.fromkeys(users.values(), "operator") == await cleared(world, idp)
