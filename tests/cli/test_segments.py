"""`scopefold log seal`, `log segments`, `log verify --segments`, `reconsent --segments` and `log sql` on a real log."""

import asyncio
import contextlib
import csv
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec
import pytest

from scopefold.auth.store.listing import count, page
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.worklist import Moment
from scopefold.auth.web.worklist import Worklist as Answer
from scopefold.cli import main
from scopefold.cli.answers import Worklist
from scopefold.cli.nats_server import NatsServer
from scopefold.cli.segments import Found, Sealed
from scopefold.consent.chosen import Chosen, Filters
from scopefold.contracts.recorded import AsOf
from scopefold.ledger.follow import catch_up
from scopefold.ledger.log import Log
from scopefold.ledger.moments import time_of
from tests.support.append_log import append_log
from tests.support.logs import random_log

EVENTS = 300
NO_BUS = ("--nats-url", "nats://127.0.0.1:1")


@pytest.fixture
async def filled(log: Log) -> AsyncIterator[Log]:
    """A log of many events, and at its end a message that is none."""
    once = {one.event_id: one for one in random_log(Random(7), EVENTS)}.values()
    await append_log(log, once)
    await log.js.publish("ledger.default.idp.atlassian.removed", b"{}")
    yield log


def called(arguments: tuple[str, ...]) -> tuple[int, str, str]:
    """The command's exit code and what it said, run in this process: a process for each would take minutes."""
    out, err = io.BytesIO(), io.BytesIO()
    said, complaint = (io.TextIOWrapper(stream, write_through=True) for stream in (out, err))
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complaint):
        code = main.run(arguments)
    return code, out.getvalue().decode(), err.getvalue().decode()


async def run(*arguments: str) -> str:
    code, said, complaint = await asyncio.to_thread(called, arguments)
    assert (0, "") == (code, complaint)
    return said


async def refused(*arguments: str) -> tuple[int, str]:
    code, _, complaint = await asyncio.to_thread(called, arguments)
    assert 1 == len(complaint.splitlines()), complaint
    return code, complaint


async def test_sealing_goes_on_where_it_ended(filled: Log, shared_nats: NatsServer, tmp_path: Path) -> None:
    place, bus = str(tmp_path / "segments"), ("--nats-url", shared_nats.url)
    first = msgspec.json.decode(await run("log", "seal", "--to", place, "--upto", "100", "--json", *bus), type=Sealed)
    assert ([(1, 100)], 100) == ([(one.first_seq, one.last_seq) for one in first.sealed], first.last_seq)
    assert "Sealed 101 to " in await run("log", "seal", "--to", place, *bus)
    assert "Nothing new: everything up to " in await run("log", "seal", "--to", place, *bus)
    found = msgspec.json.decode(await run("log", "segments", place, "--json"), type=Found)
    assert ([1, 101], ()) == ([one.first_seq for one in found.segments], found.faults)
    assert 3 == len((await run("log", "segments", place)).splitlines())
    verified = await run("log", "verify", "--segments", place, *bus)
    assert f"The segments up to {found.segments[-1].last_seq} say what the log says." in verified


async def test_a_fault_is_one_line_with_file_and_sequence(filled: Log, shared_nats: NatsServer, tmp_path: Path) -> None:
    place, bus = str(tmp_path), ("--nats-url", shared_nats.url)
    for upto in ("50", "100", "150"):
        await run("log", "seal", "--to", place, "--upto", upto, *bus)
    (tmp_path / "000000000051-000000000100.seal.json").unlink()
    gap = "000000000101-000000000150.seal.json: a gap: sequences 51 to 100 are missing before it"
    for line in (
        ("log", "segments", place),
        ("log", "seal", "--to", place, *bus),
        ("log", "verify", "--segments", place, *bus),
        ("log", "sql", "SELECT 1", "--segments", place),
        ("log", "read", "--segments", place),
        ("log", "diff", "1", "--segments", place),
        ("log", "explain", "u_user0001", "atlassian", "--segments", place),
        ("reconsent", "count", "--segments", place),
        ("reconsent", "export", "--segments", place, "-o", "-"),
    ):
        code, said = await refused(*line)
        assert 1 == code
        assert gap in said, line


async def answered(log: Log, folder: Path, *, upto: int | None, limit: int) -> Worklist:
    """What the service answers, from its own projection."""
    projection = Projection("default")
    await projection.open(folder / f"at-{upto}.db")
    try:
        await catch_up(log, None, projection.apply, until=upto)
        at = await time_of(log, upto) if upto else None
        assert projection.checkpoint is not None
        moment = Moment(projection, AsOf(projection.checkpoint.seq, at), timedelta(0))
        everyone = Chosen(filters=Filters())
        found = await page(projection, everyone, "idp", after=None, limit=limit)
        answer = Answer(
            as_of=moment.as_of,
            total=await count(projection, everyone),
            unknown=projection.count("unknown"),
            items=moment.listed(found.rows),
            next=None,
        )
        return msgspec.json.decode(msgspec.json.encode(answer), type=Worklist)
    finally:
        await projection.close()


async def test_the_worklist_from_segments_is_the_services(filled: Log, shared_nats: NatsServer, tmp_path: Path) -> None:
    place = str(tmp_path / "segments")
    await run("log", "seal", "--to", place, "--nats-url", shared_nats.url)
    most = (0, "0")
    for upto in (40, 110, 200, None):
        at = ("--at", str(upto)) if upto else ()
        theirs = await answered(filled, tmp_path, upto=upto, limit=500)
        line = ("reconsent", "list", "--all", "--segments", place, "--json", *at, *NO_BUS)
        ours = msgspec.json.decode(await run(*line), type=Worklist)
        assert theirs == ours
        counted = json.loads(await run("reconsent", "count", "--segments", place, "--json", *at, *NO_BUS))
        assert (theirs.total, theirs.unknown) == (counted["total"], counted["unknown"])
        most = max(most, (ours.total, str(ours.as_of.seq)))
    assert most[0] > 2
    few = await run("reconsent", "list", "--segments", place, "--limit", "1", "--at", most[1])
    assert f"1 of {most[0]} shown" in few


NOT_THERE = [
    ("9999", 1, "The segments end at sequence "),
    ("2999-01-01T00:00:00Z", 1, "has not come yet"),
    ("2001-01-01T00:00:00Z", 1, "The log began at "),
    ("event-999999", 1, "No event event-999999 is in the segments"),
    ("2026-01-01T00:00:00", 2, "needs its offset"),
    ("?", 2, "is not a sequence"),
]


async def test_a_moment_that_is_not_in_the_segments_is_refused(
    filled: Log, shared_nats: NatsServer, tmp_path: Path
) -> None:
    await run("log", "seal", "--to", str(tmp_path), "--nats-url", shared_nats.url)
    for at, code, said in NOT_THERE:
        for line in (("reconsent", "count"), ("log", "sql", "SELECT 1")):
            found = await refused(*line, "--segments", str(tmp_path), "--at", at)
            assert (code, True) == (found[0], said in found[1]), found


async def test_a_moment_is_found_in_segments_as_on_the_bus(
    filled: Log, shared_nats: NatsServer, tmp_path: Path
) -> None:
    place, bus = ("--segments", str(tmp_path)), ("--nats-url", shared_nats.url)
    for upto in ("50", "100", "140"):
        await run("log", "seal", "--to", str(tmp_path), "--upto", upto, *bus)
    for seq in (1, 50, 51, 75):
        at = (await time_of(filled, seq)).isoformat()
        (row,) = (
            await run("log", "sql", "SELECT max(seq)::INT AS n FROM events", *place, "--at", at, "--json")
        ).split()
        assert {"n": seq} == json.loads(row)
    (row,) = (await run("log", "sql", "SELECT event_id FROM events WHERE seq = 60", *place, "--json")).split()
    named = ("--at", json.loads(row)["event_id"])
    (row,) = (await run("log", "sql", "SELECT max(seq)::INT AS n FROM events", *place, *named, "--json")).split()
    assert {"n": 60} == json.loads(row)


async def test_sql_reads_segments_the_bus_or_both(filled: Log, shared_nats: NatsServer, tmp_path: Path) -> None:
    place, bus = ("--segments", str(tmp_path)), ("--nats-url", shared_nats.url)
    await run("log", "seal", "--to", str(tmp_path), "--upto", "100", *bus)
    everything = "SELECT * FROM events ORDER BY seq"
    from_bus = await run("log", "sql", everything, "--json", *bus)
    assert from_bus == await run("log", "sql", everything, "--json", *place, *bus)
    some = (await run("log", "sql", everything, "--json", *place)).splitlines()
    assert from_bus.splitlines()[:100] == some
    assert (
        from_bus.splitlines()[:120]
        == (await run("log", "sql", everything, "--json", *place, *bus, "--at", "120")).splitlines()
    )
    table = list(csv.DictReader(io.StringIO(await run("log", "sql", everything, "--csv", *bus))))
    assert len(from_bus.splitlines()) == len(table)
    assert "quarantined" == table[-1]["type"]
    assert "SEQ" in await run("log", "sql", "SELECT seq FROM events LIMIT 1", *bus)


async def test_segments_of_another_log_are_not_joined_to_this_one(
    filled: Log, shared_nats: NatsServer, own_nats: NatsServer, tmp_path: Path
) -> None:
    await run("log", "seal", "--to", str(tmp_path), "--nats-url", shared_nats.url)
    await run("bus", "init", "--nats-url", own_nats.url)
    other = ("--segments", str(tmp_path), "--nats-url", own_nats.url)
    for line in (("log", "sql", "SELECT 1"), ("log", "verify")):
        code, said = await refused(*line, *other)
        assert (1, True) == (code, "sequence 1 is of another log" in said)


async def test_segments_may_live_on_the_bus(filled: Log, shared_nats: NatsServer) -> None:
    place = shared_nats.url + "/ANALYSTS"
    await run("log", "seal", "--to", place, "--nats-url", shared_nats.url)
    assert "no row" not in await run("log", "segments", place)
    assert "consent again" in await run("reconsent", "count", "--segments", place)


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("ftp://host/x", 2, "is no directory, and neither nats:// nor s3://"),
        ("nats://127.0.0.1:1", 3, "Cannot reach the bus"),
        ("empty", 1, "There are no segments"),
    ],
)
def test_a_place_that_has_no_segments_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, _, complaint = called(("log", "sql", "SELECT 1", "--segments", place))
    assert (code, 1) == (found, len(complaint.splitlines()))
    assert said in complaint


WITHOUT = """
import sys
for name in ("pyarrow", "duckdb", "obstore"):
    sys.modules[name] = None
from scopefold.cli.main import run
import scopefold.auth.app, scopefold.provisioner.app
for line in (
    ("log", "sql", "SELECT 1", "--segments", "."),
    ("log", "seal", "--to", "."),
    ("log", "segments", "."),
    ("reconsent", "count", "--segments", "."),
    ("reconsent", "export", "-o", "-", "--segments", "."),
    ("log", "read", "--segments", "."),
    ("log", "diff", "1", "--segments", "."),
    ("log", "explain", "u_user0001", "atlassian", "--segments", "."),
):
    assert run(line) == 2, line
"""


def test_without_the_analysis_part_the_rest_works_and_each_command_says_what_to_install() -> None:
    line = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert (0, 8) == (done.returncode, done.stderr.count("pip install 'scopefold[analysis]'")), done.stderr
