"""The process outlives the bus, and says in one line what keeps it from starting."""

import socket
import time
from pathlib import Path

import nats

from scopefold.cli.nats_server import NatsServer
from scopefold.ledger.log import Log, declare
from tests.provisioner.running import ATLASSIAN, asking_for, provisioner, register, run_to_its_end
from tests.support.process import Service

DEADLINE_SECONDS = 30.0
AT_ONCE_SECONDS = 4.0  # less than any wait for an answer of the bus


async def ready(service: Service, status: int) -> None:
    """Wait until `/readyz` answers with this status."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    async with service.client() as client:
        while (answer := await client.get("/readyz")).status_code != status:
            assert time.monotonic() < deadline, (answer.text, service.said())


async def declared(server: NatsServer) -> None:
    nc = await nats.connect(server.url)
    await declare(Log(nc))
    await register(Log(nc), ATLASSIAN)
    await nc.close()


async def test_it_starts_without_the_bus_and_recovers_by_itself(own_nats: NatsServer, tmp_path: Path) -> None:
    own_nats.stop()
    with provisioner(tmp_path, nats_url=own_nats.url) as service:
        async with service.client() as client:
            answer = await client.post("/v1/managed-resources", json=asking_for("identos.jira-user"))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.json()["type"] == "urn:scopefold:problem:log-unavailable"
            assert (await client.get("/v1/connectors")).status_code == 200
            own_nats.start()
            await declared(own_nats)
            await ready(service, 200)
            answer = await client.post("/v1/managed-resources", json=asking_for("identos.jira-user"))
            assert answer.status_code == 201
        assert (service.said().count("the bus is away"), service.said().count("the bus is back")) == (1, 1)
        assert "Traceback" not in service.said()


async def test_it_says_that_the_log_was_never_declared(own_nats: NatsServer, tmp_path: Path) -> None:
    with provisioner(tmp_path, nats_url=own_nats.url) as service:
        await ready(service, 503)
        async with service.client() as client:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not (answer := (await client.get("/readyz")).json())["type"].endswith(":log-not-declared"):
                assert time.monotonic() < deadline, answer
        assert "scopefold bus init" in answer["detail"]


async def test_it_outlives_a_crash_of_the_bus_and_forgets_nothing(own_nats: NatsServer, tmp_path: Path) -> None:
    await declared(own_nats)
    with provisioner(tmp_path, nats_url=own_nats.url) as service:
        await ready(service, 200)
        async with service.client() as client:
            headers = {"idempotency-key": "key-0001"}
            body = asking_for("identos.jira-user")
            before = await client.post("/v1/managed-resources", json=body, headers=headers)
            own_nats.kill()
            await ready(service, 503)
            during = await client.post("/v1/managed-resources", json=body, headers=headers, timeout=AT_ONCE_SECONDS)
            assert during.status_code == 503
            own_nats.start()
            await ready(service, 200)
            after = await client.post("/v1/managed-resources", json=body, headers=headers)
            assert (201, before.content) == (after.status_code, after.content)
        nc = await nats.connect(own_nats.url)
        reply = await nc.request("command.default.deprovision-connector", b"{", timeout=DEADLINE_SECONDS)
        await nc.close()
        assert b"malformed-body" in reply.data
        assert "the bus reports an error" not in service.said()
        assert (service.said().count("the bus is away"), service.said().count("the bus is back")) == (1, 1)
        assert "Traceback" not in service.said()


async def test_it_ends_in_good_order_when_told_to_with_the_bus_and_without(
    own_nats: NatsServer, tmp_path: Path
) -> None:
    for stopped in (False, True):
        if stopped:
            own_nats.stop()
        with provisioner(tmp_path, nats_url=own_nats.url) as service:
            service.process.terminate()
            assert service.process.wait(DEADLINE_SECONDS) == 0
            assert "Traceback" not in service.said()


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run_to_its_end(port=str(taken.getsockname()[1]))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "cannot listen on 127.0.0.1:" in ended.stderr


def test_a_bad_manifest_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "wiki.yaml").write_text("connector: acme.wiki\nversion: 1\n")
    ended = run_to_its_end(manifests=str(tmp_path))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path / 'wiki.yaml'}: version: Expected `str`, got `int`" in ended.stderr


def test_a_bad_setting_is_told_in_one_line() -> None:
    for name, value in (
        ("admin_token", ""),
        ("port", "0"),
        ("nats_url", "here"),
        ("tenant", "a.b"),
        ("log_level", "x"),
    ):
        ended = run_to_its_end(**{name: value})
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
        assert f"SCOPEFOLD_{name.upper()}" in ended.stderr
