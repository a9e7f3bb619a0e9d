"""`scopefold reconsent` gives the same from segments alone as it does from the service, whatever is asked."""

import asyncio
import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final, get_args

import nats
import pytest

from scopefold.cli import sealed_worklist
from scopefold.cli.nats_server import NatsServer
from scopefold.consent.chosen import Order
from scopefold.consent.export import Format
from scopefold.consent.tallies import By
from scopefold.ledger.log import Log, status
from scopefold.ledger.moments import time_of
from tests.auth.world import auth, declare_all, status_becomes
from tests.cli.test_segments import called, refused, run
from tests.support.append_log import append_log
from tests.support.logs import USERS, random_log
from tests.support.process import ADMIN

EVENTS: Final = 400
MIDDLE: Final = 290
LATE: Final = "340"
NO_BUS: Final = ("--nats-url", "nats://127.0.0.1:1")
Line = tuple[str, ...]


class Both:
    """One log: a service that has folded it, and its segments."""

    def __init__(self, service: Line, segments: Line, middle: str, last: int) -> None:
        self.service = service
        self.segments = segments
        self.words = {"USER": USERS[0], "MIDDLE": middle, "END": str(last)}

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
        await append_log(log, once)
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
            yield Both(
                ("--auth-url", service.url, "--admin-token-file", str(token)), ("--segments", place), middle, last
            )
    finally:
        bus.stop()


NARROWED: Final[list[Line]] = [
    (),
    ("--idp", "atlassian"),
    ("--connector", "identos.jira-user"),
    ("--connector", "identos.wiki"),
    ("--scope", "read:jira-work"),
    ("--scope", "write:confluence-content"),
    ("--user", "USER"),
    ("--since-after", str(MIDDLE)),
    ("--since-before", str(MIDDLE)),
    ("--since-after", "MIDDLE", "--since-before", LATE),
    ("--at", LATE),
    ("--at", "0"),
    ("--at", LATE, "--idp", "atlassian", "--connector", "identos.jira-user", "--since-after", "9"),
]


@pytest.mark.parametrize(
    ("narrowed", "says"),
    [
        (("--idp", "nowhere"), "There is no such identity provider: nowhere. As of event END there are: atlassian, "),
        (("--idp", "nowhere", "--at", "0"), "nowhere. As of event 0 there are: none."),
        (("--connector", "identos.nothing"), "No such connector is provisioned: identos.nothing. As of event END "),
        (
            ("--scope", "read:jira-wrok"),
            "Nobody needs or holds such a scope: read:jira-wrok. As of event END there are: ",
        ),
        (("--scope", "read:me", "--at", "0"), "such a scope: read:me. As of event 0 there are: none."),
        (("--user", "u_nobody00000"), "There is no such user: u_nobody00000. No event of the log names them."),
        (("--user", "u_nobody00000", "--at", "0"), "There is no such user: u_nobody00000."),
    ],
)
async def test_a_name_that_is_not_there_is_refused_alike_whatever_is_asked(
    both: Both, narrowed: Line, says: str, tmp_path: Path
) -> None:
    """Else it would read as if nobody had to consent."""
    commands: list[Line] = [("list",), ("count",), ("export", "-o", str(tmp_path / "worklist.csv"))]
    if "--user" not in narrowed:
        commands.append(("count", "--by", "why"))
    for place in (both.service, (*both.segments, *NO_BUS)):
        for command in commands:
            code, told = await refused("reconsent", *command, *narrowed, *place)
            assert (2, True) == (code, says.replace("END", both.words["END"]) in told), told
    assert [] == os.listdir(tmp_path)  # noqa: PTH208  # the pathlib way is refused in a coroutine


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
        ("--at", "0"),
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


async def exported(kind: str, output: Path, *words: str) -> str:
    """Export to a file; what was said of it, on standard error alone."""
    line = ("reconsent", "export", "--format", kind, "-o", str(output), *words)
    code, out, err = await asyncio.to_thread(called, line)
    assert (0, "") == (code, out), err
    return err


def rows_of(kind: str, written: Path) -> str:
    """How many rows of a file another reader finds, in words."""
    if kind == "parquet":
        return "the worklist"
    text = written.read_bytes().decode()
    rows = len(list(csv.DictReader(io.StringIO(text)))) if kind == "csv" else len(text.splitlines())
    return "1 row" if rows == 1 else f"{rows} rows"


async def test_an_export_to_standard_output_is_the_rows_alone(both: Both) -> None:
    line = ("reconsent", "export", "--format", "jsonl", "-o", "-", *both.segments, *NO_BUS)
    assert all(json.loads(row)["user"] for row in (await run(*line)).splitlines())


@pytest.mark.parametrize("narrowed", NARROWED, ids=" ".join)
@pytest.mark.parametrize("kind", get_args(Format))
async def test_an_export_is_the_services(both: Both, tmp_path: Path, kind: str, narrowed: Line) -> None:
    """At one moment: what comes next may hang on when one asks, where none is named."""
    at = () if "--at" in narrowed else ("--at", "END")
    words = [both.words.get(word, word) for word in (*narrowed, *at)]
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for output, place in ((theirs, both.service), (ours, (*both.segments, *NO_BUS))):
        said = await exported(kind, output, *words, *place)
        assert f"Wrote {rows_of(kind, output)} to {output}.\n" == said
    assert theirs.read_bytes() == ours.read_bytes()
    assert narrowed or len(ours.read_bytes()) > 1000


async def test_an_export_in_many_parts_is_the_same(both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ("--at", LATE, *both.segments, *NO_BUS)
    await exported("jsonl", tmp_path / "whole", *line)
    monkeypatch.setattr(sealed_worklist, "AT_ONCE", 1)
    monkeypatch.setattr(sealed_worklist, "TOGETHER", 1)
    await exported("jsonl", tmp_path / "parts", *line)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


async def test_groups_are_not_in_the_log_so_they_are_refused(both: Both) -> None:
    for line in (
        ("list", "--group", "staff"),
        ("count", "--group", "staff"),
        ("count", "--by", "group"),
        ("export", "--group", "staff", "-o", "-"),
    ):
        code, said = await refused("reconsent", *line, *both.segments, *NO_BUS)
        assert (2, True) == (code, "Who is in which group is not in the log" in said)


async def test_what_no_count_is_narrowed_by_is_refused(both: Both) -> None:
    code, said = await refused("reconsent", "count", "--by", "idp", "--user", "u_1", *both.segments, *NO_BUS)
    assert (2, True) == (code, "--user cannot be used with --by" in said)
