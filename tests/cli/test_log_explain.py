"""`scopefold log explain` on a real log."""

import asyncio
from subprocess import CompletedProcess

import msgspec
import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.consent.story import Explained
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import PUBLISHERS
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log
from tests.cli.command import problem_of, scopefold, told
from tests.support.logs import JIRA, START, logged_in, provisioned, registered, stored

ALICE, BOB = "u_alice001", "u_bob00001"
READ = "read:confluence-content.all"


@pytest.fixture
async def filled(log: Log, shared_nats: NatsServer) -> str:
    """Alice's token at 4, renewed at 6 and 7; Confluence at 8; Bob's consent at 9, hers at 10."""
    events: list[Event] = [registered(base=()), provisioned("jira-user", JIRA), stored(BOB, JIRA), stored(ALICE, JIRA)]
    events += [logged_in(BOB), *(stored(ALICE, JIRA, generation=2 + n, cause="refresh") for n in range(2))]
    events += [provisioned("wiki", [READ]), stored(BOB, (*JIRA, READ), generation=2)]
    events += [stored(ALICE, (*JIRA, READ), generation=4)]
    for seq, event in enumerate(events, start=1):
        by = PUBLISHERS[type(event)] or "jira-gateway"
        await append(log, [NewEvent(f"event-{seq:04}", event)], tenant="default", publisher=by, now=START)
    return shared_nats.url


async def explain(url: str, *arguments: str) -> "CompletedProcess[str]":
    return await asyncio.to_thread(scopefold, "log", "explain", *arguments, "--nats-url", url)


async def explained(url: str, *arguments: str) -> Explained:
    done = await explain(url, *arguments, "--json")
    assert (0, 0) == told(done), done.stderr
    return msgspec.json.decode(done.stdout, type=Explained)


async def test_the_story_of_one_user_at_any_moment(filled: str) -> None:
    now, then = await explained(filled, ALICE, "atlassian"), await explained(filled, ALICE, "atlassian", "--at", "9")
    assert [1, 2, 4, 6, 8, 10] == [line.seq for line in now.lines]
    assert [("event-0006", 2)] == [(line.event_id, line.times) for line in now.lines if line.times > 1]
    assert ("covered", 10) == (now.present.status, now.as_of.seq)
    assert ([1, 2, 4, 6, 8], "missing", 9) == ([line.seq for line in then.lines], then.present.status, then.as_of.seq)
    assert then == await explained(filled, ALICE, "atlassian", "--at", "event-0009")
    few = await explained(filled, ALICE, "atlassian", "--limit", "2")
    assert (6, [8, 10]) == (few.total, [line.seq for line in few.lines])
    nowhere = await explained(filled, ALICE, "nowhere")
    assert ((), "none") == (nowhere.lines, nowhere.present.status)


async def test_people_read_it_in_plain_words(filled: str) -> None:
    said = (await explain(filled, ALICE, "atlassian", "--at", "9", "--limit", "2")).stdout
    assert "(the latest 2 of 5; --limit tells more)" in said
    assert "The token was renewed, 2 times until 20" in said
    assert f"-> The user must consent again to {READ}." in said
    assert "[event-0008]" in said
    assert f"\nNow: {ALICE} must consent again at atlassian to {READ}, because Wiki (identos.wiki) needs it" in said


@pytest.mark.parametrize(
    ("arguments", "code", "title"),
    [
        (("u x", "atlassian"), 2, "No user id can be called so"),
        (("u_nobody01", "atlassian"), 2, "There is no such user"),
        ((ALICE, "a.*"), 2, "No identity provider can be called so"),
        ((ALICE, "atlassian", "--at", "now"), 2, "This is no moment"),
        ((ALICE, "atlassian", "--at", "no-such-event"), 1, "The log does not reach there"),
    ],
)
async def test_what_cannot_be_told_is_refused_in_one_line(
    filled: str, arguments: tuple[str, ...], code: int, title: str
) -> None:
    done = await explain(filled, *arguments, "--json")
    assert (code, 1) == told(done)
    assert title == problem_of(done).title
