"""Segments behind an s3:// address, at a server that speaks S3 over HTTP: sealed to it, listed, asked."""

import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from scopefold.auth.store.history import History
from scopefold.cli.nats_server import NatsServer
from scopefold.cli.ports import free_port
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log
from tests.cli.test_segments import refused, run
from tests.support import process
from tests.support.logs import START, random_log

DEADLINE_SECONDS = 30.0


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with one bucket."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path_factory.mktemp("s3") / "stderr").open("wb") as errors:
        line = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(line, stdout=errors, stderr=errors)
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            assert server.poll() is None
            try:
                assert 200 == httpx.put(f"{url}/segments").status_code
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.05)  # polling until it listens
        yield url
    finally:
        process.end(server)


@pytest.fixture
def place(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place in the bucket where nothing is yet, and the environment in which it is reached."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "acme",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://segments/of/{secrets.token_hex(4)}"


@pytest.fixture
async def sealed(log: Log, shared_nats: NatsServer, place: str) -> AsyncIterator[Log]:
    """A log, sealed in two segments."""
    for one in {one.event_id: one for one in random_log(Random(15), 120)}.values():
        new = [NewEvent(one.event_id, one.event)]
        await append(log, new, tenant="default", publisher=one.publisher, now=START)
    for upto in ("60", "100"):
        await run("log", "seal", "--to", place, "--upto", upto, "--nats-url", shared_nats.url)
    yield log


async def test_what_was_sealed_there_is_listed_asked_and_compared(
    sealed: Log, place: str, shared_nats: NatsServer, tmp_path: Path
) -> None:
    assert 3 == len((await run("log", "segments", place)).splitlines())
    verified = await run("log", "verify", "--segments", place, "--nats-url", shared_nats.url)
    assert "The segments up to 100 say what the log says." in verified
    await run("log", "seal", "--to", str(tmp_path), "--upto", "100", "--nats-url", shared_nats.url)
    for line in (("reconsent", "list", "--all"), ("log", "sql", "SELECT * FROM events ORDER BY seq")):
        here = await run(*line, "--json", "--segments", str(tmp_path))
        assert here == await run(*line, "--json", "--segments", place)
        assert here


async def test_auth_folds_an_earlier_moment_from_there(sealed: Log, place: str, tmp_path: Path) -> None:
    dumps = []
    for where in ("", place):
        past = History("default", tmp_path, where)
        async with past.at(sealed, 100) as (projection, _):
            dumps.append([line async for line in projection.dump()])
        await past.forget()
    assert dumps[0] == dumps[1]


async def test_a_bucket_that_is_not_there_is_told_in_one_line(place: str) -> None:
    code, said = await refused("log", "segments", "s3://nowhere/segments")
    assert (3, True) == (code, "Cannot reach the segments" in said), said
