"""What the API tells of the log between two moments, and of one grant, is what the command tells."""

import asyncio
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from scopefold.contracts.events import ConnectorProvisioned
from scopefold.contracts.recorded import Recorded
from tests.auth.world import World
from tests.cli.command import scopefold
from tests.support.logs import cleared, deprovisioned, insufficient, provisioned, stored

READ = "read:confluence-content.all"


async def told(world: World, path: str, **query: object) -> Any:
    answer = await world.admin("GET", path, params={name: str(value) for name, value in query.items()})
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def command(world: World, *arguments: object) -> Any:
    line = ("log", *(str(one) for one in arguments), "--json", "--nats-url", world.bus.url)
    done = await asyncio.to_thread(scopefold, *line)
    assert 0 == done.returncode, done.stderr
    return msgspec.json.decode(done.stdout)


async def a_story(world: World) -> tuple[str, list[str], list[Recorded]]:
    """An IdP and three users: one consents to what is new, one's token is cleared, one is freed when it goes again."""
    idp = await world.idp_with_jira()
    held, users = ("read:me", "read:jira-user", "read:jira-work", "write:jira-work"), [f"u_{n}{idp[4:]}" for n in "abc"]
    await world.publish(*(stored(user, held, idp=idp) for user in users), by="auth")
    await world.publish(provisioned(f"wiki-{idp}", [READ], idp), by="provisioner")
    await world.publish(stored(users[0], (*held, READ), generation=2, idp=idp), by="auth")
    await world.publish(insufficient(users[1], "read:me", name=f"jira-{idp}", idp=idp), by="jira-gateway")
    await world.publish(cleared(users[1], idp=idp), by="auth")
    await world.publish(deprovisioned(f"wiki-{idp}", idp), by="provisioner")
    return idp, users, [one for one in await world.events() if one.event.idp == idp]


async def test_a_difference_is_the_same_over_http_and_in_the_command(world: World) -> None:
    idp, users, events = await a_story(world)
    (wiki,) = [one for one in events if isinstance(one.event, ConnectorProvisioned) and one.event.title.startswith("W")]
    moments = [0, wiki.seq - 1, wiki.seq, events[-2].seq, events[-1].seq]
    for first, second in pairwise(moments):
        over_http = await told(world, "/v1/log/diff", **{"from": first, "to": second}, idp=idp)
        assert over_http == await command(world, "diff", first, second, "--idp", idp)
    came = await told(world, "/v1/log/diff", **{"from": wiki.seq - 1, "to": wiki.event_id}, idp=idp)
    assert users == [row["user"] for row in came["entered"]]
    assert [READ] == [one["scope"] for change in came["idps"] for one in change["union"]]
    went = await told(world, "/v1/log/diff", **{"from": wiki.at.isoformat()}, idp=idp)
    assert users == sorted([one["was"]["user"] for one in (*went["left"], *went["changed"])])
    assert {"before": 3, "after": 1, "entered": 0, "left": 2, "changed": 1} == went["totals"]
    few = await told(world, "/v1/log/diff", **{"from": wiki.seq - 1, "to": wiki.seq}, idp=idp, limit=1)
    assert (users[:1], 3) == ([row["user"] for row in few["entered"]], few["totals"]["entered"])


async def test_a_story_is_the_same_over_http_and_in_the_command(world: World) -> None:
    idp, users, events = await a_story(world)
    for moment in (events[2].seq, events[-1].event_id, events[-1].at.isoformat()):
        over_http = await told(world, "/v1/log/explain", user=users[1], idp=idp, at=moment)
        assert over_http == await command(world, "explain", users[1], idp, "--at", moment)
    whole = await told(world, "/v1/log/explain", user=users[1], idp=idp, at=events[-1].seq)
    kinds = [line["event"] for line in whole["lines"]]
    assert ["token-insufficient", "token-cleared", "connector-deprovisioned"] == kinds[-3:]
    latest = await told(world, "/v1/log/explain", user=users[1], idp=idp, limit=1)
    assert (len(kinds), kinds[-1:]) == (latest["total"], [line["event"] for line in latest["lines"]])
    assert latest["as_of"]["seq"] >= events[-1].seq
    elsewhere = await told(world, "/v1/log/explain", user=users[1], idp=f"not-{idp}")
    assert ([], "none") == (elsewhere["lines"], elsewhere["present"]["status"])
    nothing = await told(world, "/v1/log/explain", user=users[1], idp=idp, at=0)
    assert ({"seq": 0, "at": None}, []) == (nothing["as_of"], nothing["lines"])
    nobody = await world.admin("GET", "/v1/log/explain", params={"user": "u_nobody00", "idp": idp})
    assert (404, "There is no such user") == (nobody.status_code, nobody.json()["title"])


REFUSED = [
    ({"from": "5", "to": "4"}, "invalid-query"),
    ({"from": "now"}, "invalid-query"),
    ({"from": "1", "to": "2026-01-01T00:00:00"}, "invalid-query"),
    ({}, "invalid-query"),
    ({"from": "1", "limit": "1001"}, "invalid-query"),
    ({"from": "1", "first": "1"}, "invalid-query"),
    ({"from": "1", "to": "999999999"}, "no-such-moment"),
    ({"from": "9999-01-01T00:00:00Z"}, "no-such-moment"),
    ({"from": "2001-01-01T00:00:00Z"}, "no-such-moment"),
    ({"from": "no-such-event"}, "no-such-moment"),
]


@pytest.mark.parametrize(("asked", "kind"), REFUSED)
async def test_a_difference_of_what_is_no_moment_is_refused(world: World, asked: dict[str, str], kind: str) -> None:
    answer = await world.admin("GET", "/v1/log/diff", params=asked)
    assert (400, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"user": "u x"}, "invalid-query"),
        ({"idp": "a.*"}, "invalid-query"),
        ({"at": "now"}, "invalid-query"),
        ({"at": "999999999"}, "no-such-moment"),
        ({"at": "9999-01-01T00:00:00Z"}, "no-such-moment"),
        ({"at": "2001-01-01T00:00:00Z"}, "no-such-moment"),
        ({"at": "no-such-event"}, "no-such-moment"),
    ],
)
async def test_a_story_of_what_is_no_moment_or_nobody_is_refused(
    world: World, asked: dict[str, str], kind: str
) -> None:
    answer = await world.admin("GET", "/v1/log/explain", params={"user": "u_nobody00", "idp": "any", **asked})
    assert (400, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])
    assert answer.json()["detail"]
