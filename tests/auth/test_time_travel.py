"""Whatever auth tells, it tells of an earlier moment too: by a sequence, a time or an event's id."""

from typing import Any

import pytest

from scopefold.contracts.events import ConnectorProvisioned, IdpRegistered
from scopefold.contracts.recorded import Recorded
from tests.auth.world import Person, World
from tests.support.logs import deprovisioned, provisioned


async def at(world: World, path: str, moment: object) -> Any:
    answer = await world.admin("GET", path, params={"at": str(moment)})
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def of(world: World, idp: str, kind: type) -> list[Recorded]:
    return [one for one in await world.events() if isinstance(one.event, kind) and one.event.idp == idp]


async def test_a_moment_by_sequence_time_and_id_is_one_moment_everywhere(world: World) -> None:
    idp = await world.idp_with_jira()
    await Person(world, "alice").log_in(await world.register_client(), resource=f"urn:connector:identos:jira-{idp}")
    await world.publish(provisioned(f"wiki-{idp}", ["read:confluence-user"], idp), by="provisioner")
    await world.publish(deprovisioned(f"jira-{idp}", idp), by="provisioner")
    (registered,) = await of(world, idp, IdpRegistered)
    _, wiki = await of(world, idp, ConnectorProvisioned)
    for path in (f"/v1/reconsent?idp={idp}", f"/v1/idps/{idp}", "/v1/idps"):
        path, _, query = path.partition("?")
        told = [
            await world.admin("GET", path, params={**dict([query.split("=")] if query else []), "at": str(moment)})
            for moment in (wiki.seq, wiki.event_id, wiki.at.isoformat())
        ]
        assert [200] * 3 == [one.status_code for one in told]
        assert 1 == len({one.content for one in told})
    then, first = await at(world, f"/v1/idps/{idp}", wiki.seq), await at(world, f"/v1/idps/{idp}", registered.event_id)
    now = (await world.admin("GET", f"/v1/idps/{idp}")).json()
    jira, confluence = f"identos.jira-{idp}", f"identos.wiki-{idp}"
    assert [set(), {jira, confluence}, {confluence}] == [
        {one["connector"] for one in view["connectors"]} for view in (first, then, now)
    ]
    assert [False, True, True] == ["read:confluence-user" in view["union"] for view in (first, then, now)]
    assert ["identos.wiki-" + idp] == [trial["connector"] for trial in then["trials"]], "what was suspect then"


async def test_an_idp_was_not_there_before_it_was_registered(world: World) -> None:
    idp = await world.idp_with_jira()
    (registered,) = await of(world, idp, IdpRegistered)
    answer = await world.admin("GET", f"/v1/idps/{idp}", params={"at": registered.seq - 1})
    assert (404, "urn:scopefold:problem:unknown-idp") == (answer.status_code, answer.json()["type"])
    assert idp not in {one["idp"] for one in (await at(world, "/v1/idps", registered.seq - 1))["items"]}
    assert [] == (await at(world, "/v1/idps", 0))["items"]


@pytest.mark.parametrize("path", ["/v1/reconsent", "/v1/idps", "/v1/idps/any"])
@pytest.mark.parametrize(
    ("moment", "kind"), [("now", "invalid-query"), ("999999999", "no-such-moment"), ("no-such-event", "no-such-moment")]
)
async def test_what_is_no_moment_is_refused_on_every_route(world: World, path: str, moment: str, kind: str) -> None:
    answer = await world.admin("GET", path, params={"at": moment})
    assert (400, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])
    assert answer.json()["detail"]
