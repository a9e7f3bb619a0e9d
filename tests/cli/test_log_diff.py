"""`scopefold log diff` on a real log."""

import asyncio
import re
from subprocess import CompletedProcess

import msgspec
import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.consent.difference import Diff
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import PUBLISHERS
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log
from tests.cli.command import problem_of, scopefold, told
from tests.support.logs import JIRA, START, deprovisioned, logged_in, provisioned, registered, removed, stored

USERS = tuple(f"u_user{n:04}" for n in range(3))
READ = "read:confluence-content.all"


async def fill(log: Log) -> None:
    """1 registers, 2 needs Jira, 3 to 5 bring tokens, 6 needs Confluence, 7 consents, 8 takes Confluence away."""
    events: list[Event] = [registered(base=()), provisioned("jira-user", JIRA)]
    events += [stored(user, JIRA) for user in USERS]
    events += [provisioned("wiki", [READ]), stored(USERS[0], (*JIRA, READ), generation=2)]
    events += [deprovisioned("wiki"), logged_in(USERS[0])]
    for seq, event in enumerate(events, start=1):
        by = PUBLISHERS[type(event)] or "jira-gateway"
        await append(log, [NewEvent(f"event-{seq:04}", event)], tenant="default", publisher=by, now=START)


@pytest.fixture
async def filled(log: Log, shared_nats: NatsServer) -> str:
    await fill(log)
    return shared_nats.url


async def diff(url: str, *arguments: str) -> "CompletedProcess[str]":
    return await asyncio.to_thread(scopefold, "log", "diff", *arguments, "--nats-url", url)


async def test_what_a_provisioning_did_and_how_it_ended(filled: str) -> None:
    done = await diff(filled, "5", "6", "--json")
    assert (0, 0) == told(done), done.stderr
    entered = msgspec.json.decode(done.stdout, type=Diff)
    assert (0, 3, 3, 0, 0) == msgspec.structs.astuple(entered.totals)
    assert [6] * 3 == [row.since.seq for row in entered.entered]
    ended = msgspec.json.decode((await diff(filled, "event-0006", "--json")).stdout, type=Diff)
    assert (6, 9, 3, 0) == (ended.first.seq, ended.second.seq, ended.totals.before, ended.totals.after)
    assert [7, 8, 8] == [one.reason.cause.seq if one.reason else one.stored.seq for one in ended.left]


async def test_people_read_who_came_and_went_and_why(filled: str) -> None:
    came, went = (await diff(filled, "5", "6")).stdout, (await diff(filled, "6", "8")).stdout
    assert "the worklist went from 0 to 3: 3 entered it, 0 left it, 0 changed on it." in came
    assert f"atlassian is asked for {READ}: connector-provisioned identos.wiki, event 6 of" in came
    assert "the worklist went from 3 to 0" in went
    assert f"atlassian needs no more {READ}: connector-deprovisioned identos.wiki, event 8 of" in went
    assert "covers everything  the user's token, event 7 of" in went
    assert "covers everything  connector-deprovisioned identos.wiki, event 8 of" in went


async def test_who_leaves_as_their_idp_is_removed(filled: str, log: Log) -> None:
    await append(log, [NewEvent("event-0010", removed())], tenant="default", publisher="auth", now=START)
    went = (await diff(filled, "6", "10")).stdout
    assert "the worklist went from 3 to 0" in went
    assert 3 == went.count("identity provider removed  idp-removed, event 10 of")
    assert f"atlassian needs no more {READ}: connector-deprovisioned identos.wiki, event 8 of" in went
    assert re.search(f"atlassian is asked no more for .*{READ}.*: idp-removed, event 10 of", went), went


async def test_what_is_listed_is_bounded_and_the_totals_are_not(filled: str) -> None:
    found = msgspec.json.decode((await diff(filled, "5", "6", "--limit", "1", "--json")).stdout, type=Diff)
    assert (1, 3) == (len(found.entered), found.totals.entered)
    assert "Entered: 3, of whom 1 are shown" in (await diff(filled, "5", "6", "--limit", "1")).stdout


async def test_an_idp_is_there_at_one_of_the_moments_or_it_is_told_why_not(filled: str, log: Log) -> None:
    """Else a name that is mistyped would read as if nothing had changed there."""
    await append(log, [NewEvent("event-0010", removed())], tenant="default", publisher="auth", now=START)
    await append(log, [NewEvent("event-0011", registered("ms"))], tenant="default", publisher="auth", now=START)
    assert "went from 3 to 0" in (await diff(filled, "6", "10", "--idp", "atlassian")).stdout
    for moments, idp, says in (
        (("5", "6"), "other", "There is no such identity provider: other. As of event 6 there are: atlassian."),
        (("10", "11"), "atlassian", "This identity provider was removed: atlassian, by event 10 of "),
    ):
        done = await diff(filled, *moments, "--idp", idp)
        assert (2, 1) == told(done), done.stderr
        assert says in done.stderr


@pytest.mark.parametrize(
    ("moments", "code", "title"),
    [
        (("6", "5"), 2, "The second moment is before the first"),
        (("now",), 2, "This is no moment"),
        (("99",), 1, "The log does not reach there"),
        (("5", "no-such-event"), 1, "The log does not reach there"),
        (("9999-01-01T00:00:00Z",), 1, "The log does not reach there"),
    ],
)
async def test_what_is_no_moment_is_refused_in_one_line(
    filled: str, moments: tuple[str, ...], code: int, title: str
) -> None:
    done = await diff(filled, *moments, "--json")
    assert (code, 1) == told(done)
    assert title == problem_of(done).title
