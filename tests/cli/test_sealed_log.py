"""`scopefold log diff`, `explain` and `read` give the same from segments alone as they do from the bus."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import nats
import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log, status
from scopefold.ledger.moments import time_of
from tests.auth.world import declare_all
from tests.cli.test_segments import called, refused, run
from tests.support.append_log import append_log
from tests.support.logs import START, USERS, logged_in, random_log

EVENTS: Final = 400
NO_BUS: Final = ("--nats-url", "nats://127.0.0.1:1")
ENDS: Final = ("150", "300")
Line = tuple[str, ...]


class Two:
    """One log: on a bus, and as segments up to its end."""

    def __init__(self, bus: Line, place: Path, words: dict[str, str]) -> None:
        self.bus, self.place, self.words = bus, place, words

    async def answers(self, *line: str) -> tuple[str, str]:
        """What each of them says."""
        told = tuple(self.words.get(word, word) for word in line)
        return await run(*told, *self.bus), await run(*told, "--segments", str(self.place), *NO_BUS)


async def fill(url: str) -> dict[str, str]:
    """A log of many events, with another tenant's and with what is none; what words mean in it."""
    await declare_all(url)
    nc = await nats.connect(url)
    try:
        log, once = Log(nc), list({one.event_id: one for one in random_log(Random(23), EVENTS)}.values())
        for part in (once[:200], once[200:]):
            await append_log(log, part)
            other = NewEvent(f"event-acme-{len(part)}", logged_in(USERS[0]))
            await append(log, [other], tenant="acme", publisher="auth", now=START)
            await log.js.publish("ledger.default.idp.atlassian.removed", b"{}")
        end = (await status(log)).last_seq
        middle = (await time_of(log, end // 2)).isoformat()
        return {"USER": USERS[0], "MIDDLE": middle, "ID": once[120].event_id, "END": str(end)}
    finally:
        await nc.close()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    directory = tmp_path_factory.mktemp("two")
    server = NatsServer(directory / "nats")
    server.start()
    try:
        words, bus = asyncio.run(fill(server.url)), ("--nats-url", server.url)
        for upto in (*ENDS, words["END"]):
            asyncio.run(run("log", "seal", "--to", str(directory / "segments"), "--upto", upto, *bus))
        yield Two(bus, directory / "segments", words)
    finally:
        server.stop()


MOMENTS: Final[list[Line]] = [
    ("0",),
    ("0", "0"),
    ("0", "1"),
    ("150", "151"),
    ("40", "200"),
    ("MIDDLE",),
    ("ID", "MIDDLE"),
    ("300", "END"),
    ("200", "250"),
    ("310", "END"),
    ("END",),
    ("40", "200", "--idp", "atlassian"),
    ("40", "200", "--limit", "1"),
    ("40", "200", "--limit", "0"),
]


@pytest.mark.parametrize("moments", MOMENTS, ids=" ".join)
async def test_a_difference_is_that_of_the_bus(two: Two, moments: Line) -> None:
    for more in ((), ("--json",)):
        theirs, ours = await two.answers("log", "diff", *moments, *more)
        assert theirs == ours


async def test_an_idp_that_is_not_there_is_refused_alike(two: Two) -> None:
    """Else a name that is mistyped would read as if nothing had changed there."""
    line = ("log", "diff", "0", two.words["END"], "--idp", "nowhere")
    theirs, ours = [await refused(*line, *place) for place in (two.bus, ("--segments", str(two.place), *NO_BUS))]
    assert theirs == ours
    assert (2, True) == (ours[0], "There is no such identity provider: nowhere. As of event " in ours[1])


async def test_the_differences_of_this_test_differ(two: Two) -> None:
    """Else nothing would be compared."""
    found = [json.loads((await two.answers("log", "diff", *moments, "--json"))[1]) for moments in MOMENTS[:11]]
    for kind in ("entered", "left", "changed", "idps"):
        assert any(one[kind] for one in found), kind


@pytest.mark.parametrize("at", ["0", "1", "40", "150", "MIDDLE", "ID", "END", None])
async def test_a_story_is_that_of_the_bus(two: Two, at: str | None) -> None:
    told = []
    for user, idp in itertools.product(USERS, ("atlassian", "nowhere")):
        line = ("log", "explain", user, idp, *(("--at", at) if at else ()))
        theirs, ours = await two.answers(*line, "--json")
        assert theirs == ours
        told.append(len(json.loads(ours)["lines"]))
    for place in (two.bus, ("--segments", str(two.place), *NO_BUS)):
        code, said = await refused("log", "explain", "u_nobody00000", "atlassian", *place)
        assert (2, True) == (code, "There is no such user: u_nobody00000. No event of the log names them." in said)
    theirs, ours = await two.answers("log", "explain", "USER", "atlassian", "--limit", "2")
    assert theirs == ours
    assert at in ("0", "1") or max(told) > 2


READ: Final[list[Line]] = [
    (),
    ("--from", "140", "--to", "160"),
    ("--from", "160", "--to", "140"),
    ("--from", "9999"),
    ("--since", "MIDDLE"),
    ("--since", "ID", "--until", "MIDDLE"),
    ("--until", "0"),
    ("--type", "token-stored"),
    ("--type", "token-stored.v1", "--idp", "atlassian"),
    ("--type", "user-logged-in"),
    ("--type", "scopes-pruned"),
    ("--user", "USER"),
    ("--user", "USER", "--idp", "atlassian", "--type", "token-cleared"),
    ("--idp", "atlassian", "--from", "9999"),
]


@pytest.mark.parametrize("narrowed", READ, ids=" ".join)
async def test_the_events_are_those_of_the_bus(two: Two, narrowed: Line) -> None:
    theirs, ours = await two.answers("log", "read", "--json", *narrowed)
    assert theirs == ours


NOBODY: Final[list[tuple[Line, str]]] = [
    (("--idp", "nowhere"), "There is no such identity provider: nowhere. As of event {} there are: atlassian, "),
    (("--idp", "nowhere", "--user", "USER"), "There is no such identity provider: nowhere. As of event {} there are: "),
    (("--idp", "nowhere", "--to", "3", "--from", "4"), "There is no such identity provider: nowhere. "),
    (("--user", "u_nobody00000"), "No event that was read concerns the user u_nobody00000."),
]


@pytest.mark.parametrize(("narrowed", "says"), NOBODY, ids=lambda one: " ".join(one) if isinstance(one, tuple) else "")
async def test_whoever_finds_nothing_of_what_is_named_is_told_beside_it(two: Two, narrowed: Line, says: str) -> None:
    """Else a name that is mistyped would read as if nothing had ever happened. What is printed stays a stream."""
    words = [two.words.get(word, word) for word in narrowed]
    for place in (two.bus, ("--segments", str(two.place), *NO_BUS)):
        code, printed, complaint = await asyncio.to_thread(called, ("log", "read", "--json", *words, *place))
        assert (0, "", 1) == (code, printed, len(complaint.splitlines())), complaint
        assert complaint.startswith(says.format(two.words["END"]))


async def test_people_read_the_same_events(two: Two) -> None:
    theirs, ours = await two.answers("log", "read", "--from", "140", "--to", "150")
    assert theirs == ours
    assert 11 == len(ours.splitlines())


COMMANDS: Final[list[Line]] = [
    ("log", "read"),
    ("log", "diff", "1"),
    ("log", "explain", "u_user0001", "atlassian"),
    ("log", "sql", "SELECT 1"),
    ("reconsent", "list"),
    ("reconsent", "show", "u_user0001"),
    ("reconsent", "count"),
    ("reconsent", "count", "--by", "idp"),
    ("reconsent", "export", "-o", "-"),
]
MOMENT_OF: Final = {"log read": "--until", "log diff": ""}
BAD: Final = [
    ("2999-01-01T00:00:00Z", 1, "has not come yet"),
    ("2001-01-01T00:00:00Z", 1, "The log began at "),
    ("999999", 1, "The segments end at sequence "),
    ("event-999999", 1, "No event event-999999 is in the segments"),
    ("2026-01-01T00:00:00", 2, "needs its offset"),
    ("yesterday?", 2, "is not a sequence"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_moment_that_is_not_in_the_segments_is_refused_by_every_command(two: Two, command: Line) -> None:
    flag = MOMENT_OF.get(" ".join(command[:2]), "--at")
    for at, code, said in BAD:
        line = (*command, flag, at) if flag else (*command[:-1], at)
        found = await refused(*line, "--segments", str(two.place))
        assert (code, True) == (found[0], said in found[1]), (line, found)


async def test_a_second_moment_before_the_first_is_refused(two: Two) -> None:
    code, said = await refused("log", "diff", "9", "8", "--segments", str(two.place))
    assert (2, True) == (code, "The second moment is before the first: It is event 8, and the first 9" in said)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_place_without_segments_is_told_by_every_command(command: Line, tmp_path: Path) -> None:
    """Else a name that is mistyped would say that nobody must consent again."""
    for line in ((*command, "--segments"), ("log", "segments")):
        code, said = await refused(*line, str(tmp_path / "nothing"))
        assert (1, True) == (code, "There are no segments: " in said)


async def test_what_is_wrong_with_a_moment_in_sql_is_told_without_how_it_came_to_be_told(two: Two) -> None:
    for moment, said in (("'yesterday?'", "'yesterday?' is not a sequence"), ("9999", "What was loaded ends at")):
        query = f"SELECT * FROM worklist_at({moment})"  # words of ours
        code, found = await refused("log", "sql", query, "--segments", str(two.place))
        assert (2, True) == (code, f"The query cannot be answered: {said}" in found), found
