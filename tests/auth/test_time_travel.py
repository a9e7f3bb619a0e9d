"""Whatever auth tells, it tells of an earlier moment too: by a sequence, a time or an event's id."""

from typing import Any

import pytest

from scopefold.contracts.events import AuthorizationFailed, ConnectorProvisioned, IdpRegistered, TokenStored
from scopefold.contracts.recorded import Recorded
from tests.auth.world import Person, World
from tests.support.logs import deprovisioned, failed, provisioned, stored, withheld

READS = (
    *("/v1/reconsent", "/v1/reconsent/counts", "/v1/reconsent/export", "/v1/quarantine"),
    *("/v1/idps", "/v1/idps/any", "/v1/idps/any/scopes", "/v1/idps/any/doctor"),
)


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


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    ("moment", "kind"), [("now", "invalid-query"), ("999999999", "no-such-moment"), ("no-such-event", "no-such-moment")]
)
async def test_what_is_no_moment_is_refused_on_every_route(world: World, path: str, moment: str, kind: str) -> None:
    answer = await world.admin("GET", path, params={"at": moment})
    assert (400, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])
    assert answer.json()["detail"]


async def test_what_was_asked_for_in_vain_then_is_told_of_then(world: World) -> None:
    idp, user = await world.idp_with_jira(), "u_nobody00"
    asked = ("read:me", "read:jira-work")
    await world.publish(stored(user, asked[:1], requested=asked, idp=idp), by="auth")
    await world.publish(stored(user, asked, generation=2, idp=idp), by="auth")
    then, _ = await of(world, idp, TokenStored)
    told = [(await at(world, f"/v1/idps/{idp}", seq))["in_vain"] for seq in (then.seq, then.seq + 1)]
    assert [["read:jira-work"], []] == [[one["scope"] for one in in_vain] for in_vain in told]


async def test_the_doctor_tells_what_could_be_known_then_and_asks_the_provider_nothing(world: World) -> None:
    idp = await world.idp_with_jira()
    await world.publish(failed("attempt-1", ["read:me"], idp=idp, error="access_denied"), by="auth")
    (then,) = await of(world, idp, AuthorizationFailed)
    await world.publish(withheld("read:me", idp=idp), by="auth")
    now = (await world.admin("GET", f"/v1/idps/{idp}/doctor")).json()
    at_failure, before = [await at(world, f"/v1/idps/{idp}/doctor", seq) for seq in (then.seq, then.seq - 1)]
    assert [then.seq, then.seq - 1] == [one["as_of"]["seq"] for one in (at_failure, before)]

    def names(found: Any) -> set[str]:
        return {check["check"] for check in found["checks"]}

    assert {"failures", "withheld", "credentials"} <= names(now)
    assert {"withheld", "credentials"} & names(at_failure) == set()
    assert {"failures"} == names(at_failure) - names(before)
    assert "secret" not in str(at_failure["checks"]), "whether one was kept then is not known"


async def test_what_was_set_aside_later_was_not_there_then(world: World) -> None:
    async with world.log() as log:
        seq = (await log.js.publish("ledger.default.idp.atlassian.nonsense", b"{")).seq
    await world.folded(seq)
    now, then = [(await at(world, "/v1/quarantine", place))["items"] for place in (seq, seq - 1)]
    assert [seq] == [one["seq"] for one in now if one not in then]
