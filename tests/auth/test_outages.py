"""Auth outlives the bus, trusts no other log under the old name, and says in one line what keeps it from starting."""

import asyncio
import json
import shutil
import socket
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import nats
import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.ledger.log import STREAM, Log
from scopefold.runtime.serve import READY_SECONDS
from tests.auth.world import KEK, auth, declare_all, status_becomes, until
from tests.support.damage import damage
from tests.support.process import Service, run_to_its_end

AT_ONCE_SECONDS = 4.0  # less than any wait for an answer of the bus


async def refuses_everything(service: Service) -> None:
    async with service.client() as client:
        for path in ("/authorize?client_id=x", "/oauth2/callback?state=x", "/oauth2/callback/atlassian?state=x"):
            page = await client.get(path, timeout=AT_ONCE_SECONDS)
            assert (503, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
            assert "try again" in page.text
            assert page.headers["retry-after"]
        for path in ("/v1/idps", "/v1/reconsent", "/v1/quarantine", "/oauth2/jwks", "/readyz"):
            problem = await client.get(path, timeout=AT_ONCE_SECONDS)
            assert (503, "application/problem+json") == (problem.status_code, problem.headers["content-type"]), path
            assert (True, True) == (bool(problem.json()["detail"]), "retry-after" in problem.headers)
        form = {"grant_type": "authorization_code", "client_id": "x", "code": "y"}
        del client.headers["authorization"]
        assert 503 == (await client.post("/oauth2/token", data=form, timeout=AT_ONCE_SECONDS)).status_code
        assert 200 == (await client.get("/healthz")).status_code
        assert "Not ready yet" in (await client.get("/")).text


async def test_it_starts_without_the_bus_and_recovers_from_every_outage(own_nats: NatsServer, tmp_path: Path) -> None:
    own_nats.stop()
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        await refuses_everything(service)
        own_nats.start()
        await declare_all(own_nats.url)
        await status_becomes(service, 200)
        for _ in range(2):
            own_nats.kill()
            await status_becomes(service, 503)
            await refuses_everything(service)
            own_nats.start()
            await status_becomes(service, 200)
        async with service.client() as client:
            assert 200 == (await client.get("/v1/idps")).status_code
        said = service.said()
        assert (3, 3) == (said.count("the bus is away"), said.count("the bus is back"))
        assert said.count('"ready"') in (1, 2, 3)
        assert said.count("waiting for the log") <= 6
        assert "Traceback" not in said


async def test_a_log_that_was_never_declared_is_waited_for(own_nats: NatsServer, tmp_path: Path) -> None:
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        answer = await status_becomes(service, 503)
        while "scopefold bus init" not in answer.json()["detail"]:
            answer = await status_becomes(service, 503)
        await declare_all(own_nats.url)
        await status_becomes(service, 200)
        assert 1 == service.said().count("scopefold bus init")


async def test_another_log_under_the_same_name_is_not_followed(own_nats: NatsServer, tmp_path: Path) -> None:
    await declare_all(own_nats.url)
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        await status_becomes(service, 200)
        nc = await nats.connect(own_nats.url)
        await nc.publish("ledger.default.idp.x.nonsense", b"{}")
        await nc.flush()
        async with service.client() as client:
            while not (await client.get("/v1/quarantine")).json()["items"]:
                pass
        await Log(nc).js.delete_stream(STREAM)
        await declare_all(own_nats.url)
        await nc.close()
        answer = await status_becomes(service, 503)
        while "projection.db" not in answer.json()["detail"]:
            answer = await status_becomes(service, 503)
        (line,) = [line for line in service.said().splitlines() if '"critical"' in line]
        assert "followed the log created at" in line
        assert "delete projection.db" in line
        assert "Traceback" not in service.said()


async def test_the_right_log_is_followed_once_it_is_back(own_nats: NatsServer, tmp_path: Path) -> None:
    await declare_all(own_nats.url)
    kept = tmp_path / "kept"
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        await status_becomes(service, 200)
        own_nats.stop()
        shutil.copytree(own_nats.directory, kept)
        own_nats.start()
        nc = await nats.connect(own_nats.url)
        await Log(nc).js.delete_stream(STREAM)
        await declare_all(own_nats.url)
        await nc.close()
        await until(lambda: asyncio.sleep(0, '"critical"' in service.said()))
        assert "followed the log created at" in (await status_becomes(service, 503)).json()["detail"]
        own_nats.stop()
        shutil.rmtree(own_nats.directory)
        shutil.move(kept, own_nats.directory)
        own_nats.start()
        await status_becomes(service, 200)
        assert 1 == service.said().count('"critical"')


async def test_a_projection_that_is_damaged_while_it_is_open_is_rebuilt(own_nats: NatsServer, tmp_path: Path) -> None:
    await declare_all(own_nats.url)
    file = tmp_path / "auth" / "projection.db"
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        await status_becomes(service, 200)
        nc = await nats.connect(own_nats.url)
        for round_ in (1, 2):
            damage(file)
            await nc.publish("ledger.default.idp.x.nonsense", b"{}")
            await until(lambda n=round_: asyncio.sleep(0, service.said().count("projection damaged") == n))  # type: ignore[misc]
            await status_becomes(service, 200)
            async with service.client() as client:
                assert round_ == len((await client.get("/v1/quarantine")).json()["items"])
        file.unlink()
        await until(lambda: asyncio.sleep(0, service.said().count("projection damaged") == 3))
        await status_becomes(service, 200)
        async with service.client() as client:
            assert 2 == len((await client.get("/v1/quarantine")).json()["items"])
        assert file.exists()
        await nc.close()
        assert "Traceback" not in service.said()
        assert all(json.loads(line)["service"] == "auth" for line in service.said().splitlines())
        assert "Received" not in service.said()  # FastStream, of every message


async def test_damage_that_only_a_question_meets_is_mended_though_nothing_is_folded(
    own_nats: NatsServer, tmp_path: Path
) -> None:
    """Where no event came, everybody was told to try again in a moment, for hours."""
    await declare_all(own_nats.url)
    file = tmp_path / "auth" / "projection.db"
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        await status_becomes(service, 200)
        nc = await nats.connect(own_nats.url)
        await nc.publish("ledger.default.idp.x.nonsense", b"{}")
        await nc.close()

        async def quarantined() -> list[int]:
            async with service.client() as client:
                answer = await client.get("/v1/quarantine")
            return [answer.status_code, *(1 for _ in answer.json().get("items", ()))]

        await until(lambda: _is(quarantined(), [200, 1]))
        damage(file)
        assert [503] == await quarantined()
        await until(lambda: _is(quarantined(), [200, 1]))
        assert 1 == service.said().count("projection damaged")
        assert "Traceback" not in service.said()


async def _is(asked: Awaitable[list[int]], expected: list[int]) -> bool:
    return await asked == expected


async def test_a_vault_of_another_key_is_not_opened(own_nats: NatsServer, tmp_path: Path) -> None:
    await declare_all(own_nats.url)
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        await status_becomes(service, 200)
    with auth(tmp_path / "other", nats_url=own_nats.url, kek=KEK[::-1].replace("=", "") + "=") as service:
        answer = await status_becomes(service, 503)
        while "SCOPEFOLD_KEK" not in answer.json()["detail"]:
            answer = await status_becomes(service, 503)
        assert KEK not in service.said()


@pytest.mark.parametrize("there", [True, False])
async def test_it_takes_connections_once_it_is_ready_or_says_after_a_while_why_it_is_not(
    own_nats: NatsServer, tmp_path: Path, there: bool
) -> None:
    """A proxy brings to another replica what cannot connect here, and passes on to users what is answered 503."""
    await declare_all(own_nats.url)
    if not there:
        own_nats.stop()
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        await status_becomes(service, 200 if there else 503)
        said = [json.loads(line) for line in service.said().splitlines()]
        began, listening = (told_at(said, what) for what in ("waiting for the log", "listening"))
        after_all = listening - began > timedelta(seconds=READY_SECONDS - 0.5)
        assert after_all or told_at(said, "ready") <= listening


def told_at(said: Sequence[Mapping[str, str]], event: str) -> datetime:
    """When a service said something for the first time."""
    return next(datetime.fromisoformat(line["timestamp"]) for line in said if line["event"] == event)


async def test_it_ends_in_good_order_with_the_bus_and_without(own_nats: NatsServer, tmp_path: Path) -> None:
    await declare_all(own_nats.url)
    for stopped in (False, True):
        if stopped:
            own_nats.stop()
        with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
            service.process.terminate()
            assert 0 == service.process.wait(15)
            assert "Traceback" not in service.said()
        assert not (tmp_path / "auth" / "projection.db-wal").exists(), "all that was folded is in its file"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kek", ""),
        ("kek", "changeme"),
        ("kek", "A" * 43),
        ("admin_token", "short"),
        ("issuer", "http://login.example"),
        ("issuer", "https://login.example/"),
        ("issuer", "https://login.example?x"),
        ("data_dir", "/no/such/directory"),
        ("port", "0"),
        ("tenant", "a.b"),
        ("default_idp", "a b"),
        ("log_level", "x"),
        ("nats_url", "here"),
    ],
)
def test_H07_a_bad_setting_is_told_in_one_line(name: str, value: str) -> None:
    ended = run_to_its_end("auth", **{"kek": KEK, name: value})
    assert (2, 1) == (ended.returncode, ended.stderr.count("\n")), ended.stderr
    assert f"SCOPEFOLD_{name.upper()}" in ended.stderr
    assert not (name in ("kek", "admin_token") and value and value in ended.stderr)


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run_to_its_end("auth", kek=KEK, port=str(taken.getsockname()[1]))
    assert (2, 1) == (ended.returncode, ended.stderr.count("\n")), ended.stderr
    assert "cannot listen on 127.0.0.1:" in ended.stderr
