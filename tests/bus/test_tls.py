"""A bus that speaks TLS: nobody talks to it in plain text, and nobody believes one that cannot prove that it is it."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from scopefold.cli.nats_server import NatsServer
from tests.auth.canary import certificate_for
from tests.auth.world import auth, status_becomes, until
from tests.cli.command import scopefold

HOST: Final = "localhost"
"""The one name in the bus's certificate: its address is not in there."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bus's certificate, which signs itself; its key is beside it."""
    return certificate_for(HOST, tmp_path_factory.mktemp("authority"))[1]


@pytest.fixture(scope="module")
def server(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    directory = tmp_path_factory.mktemp("tls")
    tls = {"cert_file": str(authority), "key_file": str(authority.with_suffix(".key"))}
    included = directory / "tls.conf"
    included.write_text(f"tls {json.dumps(tls)}\n")
    running = NatsServer(directory / "nats", accounts=included)
    running.start()
    yield running
    running.stop()


def test_J11_whoever_trusts_the_authority_comes_in(server: NatsServer, authority: Path) -> None:
    done = scopefold("bus", "init", "--nats-url", f"tls://{HOST}:{server.port}", env={"SSL_CERT_FILE": str(authority)})
    assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize("scheme", ["tls", "nats"])
def test_J11_a_bus_of_another_authority_is_not_believed(server: NatsServer, authority: Path, scheme: str) -> None:
    other = certificate_for(HOST, authority.with_name("another"))[1]
    done = scopefold(
        "log", "verify", "--nats-url", f"{scheme}://{HOST}:{server.port}", env={"SSL_CERT_FILE": str(other)}
    )
    assert 3 == done.returncode
    assert "certificate verify failed" in done.stderr


def test_J11_a_bus_under_another_name_is_not_believed(server: NatsServer, authority: Path) -> None:
    url = f"tls://127.0.0.1:{server.port}"
    done = scopefold("log", "verify", "--nats-url", url, env={"SSL_CERT_FILE": str(authority)})
    assert 3 == done.returncode
    assert "certificate verify failed" in done.stderr


async def test_J11_a_service_never_uses_one(server: NatsServer, tmp_path: Path) -> None:
    with auth(tmp_path / "auth", nats_url=f"tls://{HOST}:{server.port}") as service:
        await until(lambda: asyncio.sleep(0, "certificate verify failed" in service.said()))
        await status_becomes(service, 503)


def test_J11_plain_text_gets_no_answer(server: NatsServer) -> None:
    """It tells what every client must know before it begins, and no more."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
        heard = plain.makefile("rb")
        assert heard.readline().startswith(b"INFO ")
        plain.sendall(b'CONNECT {"verbose":true}\r\nPING\r\n')
        assert b"PONG" not in heard.read()
