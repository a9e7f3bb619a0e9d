"""What is told over HTTP before something happens is what then happens, and telling it changes nothing."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from scopefold.consent.whatif import Hypothetical
from scopefold.contracts.events import ConnectorProvisioned, ScopesPruned
from scopefold.ledger.log import status
from tests.auth.world import JIRA_SCOPES, World
from tests.support.logs import deprovisioned, provisioned, pruned, stored

WIKI, SEARCH = "write:confluence-content", "search:confluence"
USERS = [f"u_many{n:04}" for n in range(9)]


async def crowded(world: World) -> str:
    """An IdP with nine users: three have Jira's scopes, three the wiki's too, three nothing."""
    idp = await world.idp_with_jira()
    grants = [JIRA_SCOPES, (*JIRA_SCOPES, WIKI), ()]
    events = [stored(user, grants[n % 3], idp=idp) for n, user in enumerate(USERS)]
    await world.publish(*events, by="auth")
    return idp


async def last_seq(world: World) -> int:
    async with world.log() as log:
        return (await status(log)).last_seq


async def previewed(world: World, event: Hypothetical, **rest: Any) -> httpx.Response:
    return await world.admin("POST", "/v1/previews", json={"event": msgspec.to_builtins(event), **rest})


async def foretold(world: World, event: Hypothetical, **rest: Any) -> Any:
    """What is told, page by page, of an event; nothing is appended for it."""
    before = await last_seq(world)
    told = (await previewed(world, event, limit=2, **rest)).json()
    items, cursor = told["items"], told["next"]
    for _ in USERS:
        if cursor is not None:
            page = (await previewed(world, event, limit=2, cursor=cursor, **rest)).json()
            items, cursor = [*items, *page["items"]], page["next"]
    assert (None, before) == (cursor, await last_seq(world))
    return {**told, "items": items}


async def listed(world: World, idp: str) -> dict[str, set[str]]:
    rows = (await world.worklist(idp=idp, limit=1000))["items"]
    return {row["user"]: {lack["scope"] for lack in row["missing"]} for row in rows}


@pytest.mark.parametrize(
    ("scopes", "alternatives"),
    [
        ((WIKI,), ()),
        ((WIKI, SEARCH), ()),
        ((SEARCH,), [(WIKI,)]),
        (JIRA_SCOPES[:1], ()),
        ((SEARCH,), [JIRA_SCOPES[:1]]),
    ],
    ids=["one", "two", "any-of", "nothing-new", "any-of-that-many-have"],
)
async def test_a_preview_of_provisioning_is_what_provisioning_does(
    world: World, scopes: tuple[str, ...], alternatives: list[tuple[str, ...]]
) -> None:
    idp = await crowded(world)
    event = provisioned(f"wiki-{idp}", scopes, idp, alternatives=alternatives)
    told, before = await foretold(world, event), await listed(world, idp)
    await world.publish(event, by="provisioner")
    after, shown = await listed(world, idp), (await world.admin("GET", f"/v1/idps/{idp}")).json()
    assert (shown["union"], shown["requested"]) == (told["union"], told["requested"])
    assert {user: new for user in after if (new := after[user] - before.get(user, set()))} == {
        one["user"]: set(one["scopes"]) for one in told["items"]
    }
    assert (len(after), len(after.keys() - before.keys())) == (told["users"]["must_consent"], told["users"]["newly"])
    assert len(USERS) == told["users"]["users"]


async def test_a_preview_tells_who_has_it_already_how_long_the_address_is_and_what_is_doubtful(world: World) -> None:
    idp = await crowded(world)
    told = await foretold(world, provisioned(f"wiki-{idp}", (WIKI,), idp))
    counts = {"users": 9, "must_consent": 6, "newly": 3, "more": 3, "no_longer": 0, "unknown": 0, "serves": 3}
    assert counts == told["users"]
    assert ([WIKI], {WIKI: 3}) == (told["added"], told["held"])
    assert [] == told["findings"], "what is doubtful already is not told again"
    before = await foretold(world, provisioned(f"wiki-{idp}", JIRA_SCOPES, idp))
    assert (len(f"+{WIKI}".replace(":", "%3A")), 8000) == (
        told["url_length"] - before["url_length"],
        told["url_limit"],
    )


async def test_replacing_what_a_connector_needs_shows_the_trade_and_the_old_can_then_be_pruned(world: World) -> None:
    idp, granular = await crowded(world), ("read:issue:jira", "write:issue:jira")
    event = provisioned(f"jira-{idp}", granular, idp, version="2.0.0")
    told, before = await foretold(world, event), await listed(world, idp)
    assert (list(granular), list(JIRA_SCOPES)) == (told["added"], told["released"])
    assert {*USERS} == {one["user"] for one in told["items"]}
    await world.publish(event, by="provisioner")
    after = await listed(world, idp)
    assert ({*USERS}, {*USERS[2::3]}) == (set(after), set(before))

    told = await foretold(world, pruned(*JIRA_SCOPES, idp=idp))
    assert (list(JIRA_SCOPES), [], 9) == (told["removed"], told["items"], told["users"]["must_consent"])
    answer = await world.admin("POST", f"/v1/idps/{idp}/pruned", json={})
    assert (201, told["union"]) == (answer.status_code, answer.json()["union"])
    assert [ScopesPruned(idp=idp, scopes=JIRA_SCOPES, by="operator")] == await world.said(ScopesPruned, idp)
    assert after == await listed(world, idp)
    assert 200 == (await world.admin("POST", f"/v1/idps/{idp}/pruned", json={})).status_code
    await world.publish(provisioned(f"jira-{idp}", JIRA_SCOPES, idp, version="3.0.0"), by="provisioner")
    assert {*JIRA_SCOPES} < {*(await world.admin("GET", f"/v1/idps/{idp}")).json()["union"]}


async def test_a_preview_of_deprovisioning_tells_who_leaves_the_worklist(world: World) -> None:
    idp = await crowded(world)
    before = await listed(world, idp)
    told = await foretold(world, deprovisioned(f"jira-{idp}", idp), who="freed")
    await world.publish(deprovisioned(f"jira-{idp}", idp), by="provisioner")
    gone = before.keys() - (await listed(world, idp)).keys()
    assert (gone, len(gone), list(JIRA_SCOPES)) == (
        {one["user"] for one in told["items"]},
        told["users"]["no_longer"],
        told["released"],
    )


async def test_who_wants_a_scope_is_told_and_what_somebody_wants_is_not_pruned(world: World) -> None:
    idp = await world.idp_with_jira()
    await world.publish(
        provisioned(f"search-{idp}", (SEARCH,), idp),
        provisioned(f"wiki-{idp}", (WIKI,), idp, alternatives=[(SEARCH,)]),
        deprovisioned(f"search-{idp}", idp),
        by="provisioner",
    )
    told = (await world.admin("GET", f"/v1/idps/{idp}/scopes")).json()["items"]
    by = {one["scope"]: [(want["connector"], want["how"]) for want in one["wanted_by"]] for one in told}
    assert [(f"identos.wiki-{idp}", "any-of")] == by[WIKI] == by[SEARCH]
    assert [(f"identos.jira-{idp}", "needs")] == by[JIRA_SCOPES[0]]
    for event in (pruned(SEARCH, idp=idp), pruned(WIKI, idp=idp), pruned(JIRA_SCOPES[0], idp=idp)):
        orders = (
            await previewed(world, event),
            await world.admin("POST", f"/v1/idps/{idp}/pruned", json={"scopes": event.scopes}),
        )
        for order in orders:
            assert (422, "urn:scopefold:problem:still-wanted") == (order.status_code, order.json()["type"])
    assert [] == await world.said(ScopesPruned, idp)


async def test_a_connector_that_is_provisioned_meanwhile_wins(world: World) -> None:
    idp = await world.idp_with_jira()
    for n in range(8):
        wiki = provisioned(f"wiki-{idp}", (WIKI,), idp, version=f"1.0.{n}")
        await world.publish(wiki, deprovisioned(f"wiki-{idp}", idp), by="provisioner")
        order = world.admin("POST", f"/v1/idps/{idp}/pruned", json={"scopes": [WIKI]})
        await asyncio.gather(order, world.publish(wiki, by="provisioner"))
        assert WIKI in (await world.admin("GET", f"/v1/idps/{idp}")).json()["union"]
        wanted = False
        for one in await world.events():
            if isinstance(one.event, ConnectorProvisioned) and one.event.connector == wiki.connector:
                wanted = True
            elif one.event == deprovisioned(f"wiki-{idp}", idp):
                wanted = False
            assert not (wanted and isinstance(one.event, ScopesPruned) and one.event.idp == idp)
        await world.publish(deprovisioned(f"wiki-{idp}", idp), by="provisioner")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (provisioned("wiki", (WIKI,), "no-such-idp"), "unknown-idp"),
        (pruned(WIKI), "unknown-idp"),
        (
            {"type": "token-cleared.v1", "user": "u_user0001", "idp": "x", "generation": 1, "reason": "user"},
            "invalid-body",
        ),
        ({"type": "scopes-pruned.v1", "idp": "x", "scopes": [], "by": "operator"}, "invalid-body"),
    ],
    ids=["provision", "prune", "another-event", "nothing"],
)
async def test_what_cannot_be_previewed(world: World, event: Any, kind: str) -> None:
    answer = await previewed(world, event)
    assert (422, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])


async def test_a_resource_type_that_another_idp_serves_and_a_strange_cursor_are_refused(world: World) -> None:
    idp, other = await world.idp_with_jira(), await world.idp_with_jira()
    answer = await previewed(world, provisioned(f"jira-{idp}", (WIKI,), other))
    assert (422, "urn:scopefold:problem:routed-elsewhere") == (answer.status_code, answer.json()["type"])
    answer = await previewed(world, provisioned(f"wiki-{idp}", (WIKI,), idp), cursor="none")
    assert (400, "urn:scopefold:problem:invalid-query") == (answer.status_code, answer.json()["type"])
