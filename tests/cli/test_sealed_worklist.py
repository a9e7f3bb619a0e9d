"""`scopefold reconsent` gives the same from segments alone as it does from the service, whatever is asked."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from random import Random
from typing import Final, get_args

import nats
import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.consent.chosen import Order
from scopefold.consent.tallies import By
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log, status
from scopefold.ledger.moments import time_of
from tests.auth.world import auth, declare_all, status_becomes
from tests.cli.test_segments import refused, run
from tests.support.logs import START, USERS, random_log
from tests.support.process import ADMIN

EVENTS: Final = 400
MIDDLE: Final = 290
LATE: Final = "340"
NO_BUS: Final = ("--nats-url", "nats://127.0.0.1:1")
Line = tuple[str, ...]


class Both:
    """One log: a service that has folded it, and its segments."""

    def __init__(self, service: Line, segments: Line, middle: str) -> None:
        self.service = service
        self.segments = segments
        self.words = {"USER": USERS[0], "MIDDLE": middle}

    async def answers(self, *line: str) -> tuple[str, str]:
        """What each of them says."""
        told = tuple(self.words.get(word, word) for word in line)
        return await run(*told, *self.service), await run(*told, *self.segments, *NO_BUS)


async def fill(url: str) -> tuple[int, str]:
    """A log of many events: where it ends, and the time in its middle."""
    await declare_all(url)
    nc = await nats.connect(url)
    try:
        log, once = Log(nc), {one.event_id: one for one in random_log(Random(15), EVENTS)}.values()
        for publisher, some in itertools.groupby(once, lambda one: one.publisher):
            new = [NewEvent(one.event_id, one.event) for one in some]
            await append(log, new, tenant="default", publisher=publisher, now=START)
        await log.js.publish("ledger.default.idp.atlassian.removed", b"{}")
        return (await status(log)).last_seq, (await time_of(log, MIDDLE)).isoformat()
    finally:
        await nc.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    directory = tmp_path_factory.mktemp("both")
    bus = NatsServer(directory / "nats")
    bus.start()
    try:
        last, middle = asyncio.run(fill(bus.url))
        place, token = str(directory / "segments"), directory / "token"
        token.write_text(ADMIN)
        for upto in ("150", str(last)):
            asyncio.run(run("log", "seal", "--to", place, "--upto", upto, "--nats-url", bus.url))
        with auth(directory / "auth", nats_url=bus.url) as service:
            asyncio.run(status_becomes(service, 200))  # ready is who has folded the log up to its end
            yield Both(("--auth-url", service.url, "--admin-token-file", str(token)), ("--segments", place), middle)
    finally:
        bus.stop()


NARROWED: Final[list[Line]] = [
    (),
    ("--idp", "atlassian"),
    ("--idp", "nowhere"),
    ("--connector", "identos.jira-user"),
    ("--connector", "identos.wiki"),
    ("--connector", "identos.nothing"),
    ("--scope", "read:jira-work"),
    ("--scope", "write:confluence-content"),
    ("--user", "USER"),
    ("--user", "u_nobody00000"),
    ("--since-after", str(MIDDLE)),
    ("--since-before", str(MIDDLE)),
    ("--since-after", "MIDDLE", "--since-before", LATE),
    ("--at", LATE),
    ("--at", "0"),
    ("--at", LATE, "--idp", "atlassian", "--connector", "identos.jira-user", "--since-after", "9"),
]


@pytest.mark.parametrize("narrowed", NARROWED, ids=" ".join)
async def test_every_filter_gives_what_the_service_gives_in_every_order(both: Both, narrowed: Line) -> None:
    for order in get_args(Order):
        theirs, ours = await both.answers("reconsent", "list", "--all", "--sort", order, "--json", *narrowed)
        assert json.loads(theirs) == json.loads(ours), order
        theirs, ours = await both.answers("reconsent", "list", "--limit", "2", "--sort", order, "--json", *narrowed)
        assert json.loads(theirs)["items"] == json.loads(ours)["items"], order
    theirs, ours = await both.answers("reconsent", "count", "--json", *narrowed)
    assert json.loads(theirs) == json.loads(ours)


def test_the_filters_of_this_test_leave_some_and_take_some(both: Both) -> None:
    """Else nothing would be compared."""

    async def total(*narrowed: str) -> int:
        line = ("reconsent", "count", "--json", *narrowed, *both.segments, *NO_BUS)
        return int(json.loads(await run(*(both.words.get(word, word) for word in line)))["total"])

    async def totals() -> list[int]:
        return [await total(*narrowed) for narrowed in NARROWED]

    everyone, *some = asyncio.run(totals())
    assert len({everyone, *some}) > 4
    assert {narrowed: n for narrowed, n in zip(NARROWED[1:], some, strict=True) if n == 0}.keys() == {
        ("--idp", "nowhere"), ("--connector", "identos.nothing"), ("--user", "u_nobody00000"), ("--at", "0"),
    }  # fmt: skip


@pytest.mark.parametrize("by", get_args(By))
@pytest.mark.parametrize(
    "narrowed",
    [(), ("--idp", "atlassian"), ("--connector", "identos.jira-user"), ("--scope", "read:jira-work"), ("--at", "200")],
    ids=" ".join,
)
async def test_counts_are_the_services(both: Both, by: str, narrowed: Line) -> None:
    theirs, ours = await both.answers("reconsent", "count", "--by", by, "--json", *narrowed)
    assert json.loads(theirs) == json.loads(ours)
    assert json.loads(ours)["items"]


async def test_all_that_is_known_of_one_user_is_the_services(both: Both) -> None:
    for more in ((), ("--at", str(MIDDLE)), ("--idp", "atlassian")):
        theirs, ours = await both.answers("reconsent", "show", "USER", *more)
        assert theirs == ours


async def test_groups_are_not_in_the_log_so_they_are_refused(both: Both) -> None:
    for line in (("list", "--group", "staff"), ("count", "--group", "staff"), ("count", "--by", "group")):
        code, said = await refused("reconsent", *line, *both.segments, *NO_BUS)
        assert (2, True) == (code, "Who is in which group is not in the log" in said)


async def test_what_no_count_is_narrowed_by_is_refused(both: Both) -> None:
    code, said = await refused("reconsent", "count", "--by", "idp", "--user", "u_1", *both.segments, *NO_BUS)
    assert (2, True) == (code, "--user cannot be used with --by" in said)
