"""What compose.yaml describes keeps its promises: run as processes, with two replicas and a bus of three servers."""

import asyncio
import base64
import hashlib
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from msgspec import Struct

from scopefold.auth.store.buckets import Bucket, Taken, connect
from scopefold.cli.browser import Browser, Form, Lost, new_cookies
from scopefold.cli.connected import connected
from scopefold.ledger.log import Log
from scopefold.ledger.read import read
from tests.bus.guarded import connects
from tests.compose.cluster import Cluster, running, until
from tests.compose.composed import NATS, commands

CALM_SECONDS = 60.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, set up by the commands of the guide."""
    with running(tmp_path_factory.mktemp("cluster")) as started:
        for given, arguments in commands():
            started.scopefold(arguments, given)
        yield started


class Person:
    """Somebody with one browser, who chooses which replica each step of a login goes to."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.cookies: CookieJar = new_cookies()

    async def log_in(self, *, begin: str, finish: str, redeem: str) -> str:
        """Begin at one replica, come back from the IdP to another, swap the code at a third; the id_token's user."""
        verifier, issuer = secrets.token_urlsafe(48), self.cluster.issuer
        async with self._window() as browser:
            back = await browser.go(
                self._authorize(begin, verifier), until=f"{issuer}/oauth2/callback", choose=self._press, seen=_look
            )
            done = await browser.go(
                back.replace(issuer, finish, 1), until=self._callback, choose=lambda _: None, seen=_look
            )
        return await self._redeem(done, redeem, verifier)

    async def come_again(self, *, at: str) -> str:
        """Be let in at a replica by the session alone, without a page. Raises `Lost` where the IdP is asked."""
        verifier = secrets.token_urlsafe(48)
        async with self._window() as browser:
            done = await browser.go(
                self._authorize(at, verifier), until=self._callback, choose=lambda _: None, seen=_look
            )
        return await self._redeem(done, at, verifier)

    @property
    def _callback(self) -> str:
        return f"http://{self.cluster.address('sandbox:8090')}/playground/callback"

    def _press(self, form: Form) -> tuple[str, str] | None:
        return ("user", self.name) if ("user", self.name) in form.buttons else next(iter(form.buttons), None)

    def _authorize(self, replica: str, verifier: str) -> str:
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": "playground",
            "redirect_uri": self._callback,
            "scope": "openid",
            "state": "the-state",
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return f"{replica}/authorize?{urlencode(asked)}"

    @asynccontextmanager
    async def _window(self) -> AsyncIterator[Browser]:
        browser = Browser(self.cookies)
        try:
            yield browser
        finally:
            await browser.close()

    async def _redeem(self, arrived: str, replica: str, verifier: str) -> str:
        answer = {name: values[0] for name, values in parse_qs(urlsplit(arrived).query).items()}
        assert self.cluster.issuer == answer["iss"]
        body = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "client_id": "playground",
            "redirect_uri": self._callback,
            "code_verifier": verifier,
        }
        async with httpx.AsyncClient(timeout=10) as http:
            swapped = await http.post(f"{replica}/oauth2/token", data=body)
        if swapped.status_code >= 500:
            raise Lost(f"{replica}: {swapped.text}")
        assert 200 == swapped.status_code, swapped.text
        claims = base64.urlsafe_b64decode(swapped.json()["id_token"].split(".")[1] + "==")
        return str(httpx.Response(200, content=claims).json()["sub"])

    def log_in_soon(self, *, begin: str, finish: str) -> str:
        """Log in, again where a server that is gone was met, until it works. Raises `NotSo`."""
        users: list[str] = []

        def works() -> bool:
            try:
                users.append(asyncio.run(self.log_in(begin=begin, finish=finish, redeem=begin)))
            except Lost:
                self.cookies = new_cookies()  # half a login may have left a session, which would skip the IdP
                return False
            return True

        until(f"{self.name} can log in", works, CALM_SECONDS)
        return users[-1]


def _look(address: str, words: str) -> None:
    """Pages on the way are not looked at."""


async def _events(log: Log) -> list[tuple[int, str, bytes]]:
    return [(one.seq, one.subject, one.payload) async for page in read(log) for one in page]


def events(cluster: Cluster) -> list[tuple[int, str, bytes]]:
    """All of the log, from whichever server answers."""

    async def asked() -> list[tuple[int, str, bytes]]:
        async with connected(cluster.bus("analyst")) as log:
            return await _events(log)

    return asyncio.run(asked())


def streams(cluster: Cluster) -> dict[str, tuple[int | None, str | None, bool]]:
    """Each stream: its copies, who leads it, and whether every other copy is up to date."""

    async def asked() -> dict[str, tuple[int | None, str | None, bool]]:
        async with connected(cluster.bus("operator")) as log:
            found = {}
            for info in await log.js.streams_info():
                assert info.cluster is not None and info.config.name is not None
                current = all(peer.current and not peer.offline for peer in info.cluster.replicas or [])
                found[info.config.name] = (info.config.num_replicas, info.cluster.leader, current)
            return found

    return asyncio.run(asked())


def test_everything_is_kept_on_all_three_servers(cluster: Cluster) -> None:
    found = streams(cluster)
    assert {"LEDGER", "KV_vault", "KV_sessions", "KV_clients", "KV_flows"} <= set(found)
    assert dict.fromkeys(found, 3) == {name: copies for name, (copies, _, _) in found.items()}


def test_both_replicas_sign_with_the_same_keys(cluster: Cluster) -> None:
    first, second = (httpx.get(f"{replica}/oauth2/jwks").json() for replica in cluster.replicas)
    assert ["ES256", "EdDSA", "RS256"] == sorted({key["alg"] for key in first["keys"]})
    assert first == second


def test_a_login_begun_at_one_replica_is_finished_at_the_other(cluster: Cluster) -> None:
    first, second = cluster.replicas
    alice = Person(cluster, "alice")
    user = asyncio.run(alice.log_in(begin=first, finish=second, redeem=first))
    assert user == asyncio.run(alice.come_again(at=first))
    assert user == asyncio.run(Person(cluster, "alice").log_in(begin=second, finish=first, redeem=second))


def test_J01_what_any_server_refuses_is_counted_by_both_replicas(cluster: Cluster) -> None:
    before = [refused_connections(cluster, replica) for replica in cluster.replicas]
    for name in NATS:
        host, _, port = cluster.address(f"{name}:4222").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as stranger:
            stranger.sendall(b'CONNECT {"verbose":false,"user":"auth","pass":"auth"}\r\n')
            assert b"-ERR 'Authorization Violation'" in b"".join(iter(lambda: stranger.recv(65536), b""))
    for replica, count in zip(cluster.replicas, before, strict=True):
        until(f"{replica} has counted it", lambda: refused_connections(cluster, replica) == count + len(NATS))  # noqa: B023


def test_J10_running_servers_hear_who_may_come_in_and_who_no_more(cluster: Cluster) -> None:
    """As the guide does it: the keys are written, then each server reads them again."""
    cluster.credentials(["add-service", "jira-gateway"])
    seed = (cluster.directory / "secrets/bus/jira-gateway.nk").read_text().strip()
    hear(cluster, seed, comes_in=True)
    cluster.credentials(["remove-service", "jira-gateway"])
    hear(cluster, seed, comes_in=False)


def hear(cluster: Cluster, seed: str, *, comes_in: bool) -> None:
    """Let every server read its configuration again, and wait until each lets whoever has the seed in, or out."""
    for name in NATS:
        cluster.read_again(name)
        url = f"nats://{cluster.address(f'{name}:4222')}"
        until(f"{name} has heard it", lambda: asyncio.run(connects(url, nkeys_seed_str=seed)) is comes_in)  # noqa: B023


def refused_connections(cluster: Cluster, replica: str) -> int:
    """How many a replica has counted, of all servers."""
    token = (cluster.directory / "secrets/admin_token").read_text().strip()
    said = httpx.get(f"{replica}/v1/metrics", headers={"authorization": f"Bearer {token}"}).text.splitlines()
    assert "scopefold_bus_log_read 1" in said
    (count,) = [line.rpartition(" ")[2] for line in said if line.startswith('scopefold_bus_refused_total{kind="conn')]
    return int(count)


def test_who_is_told_that_an_entry_is_taken_finds_what_took_it(cluster: Cluster) -> None:
    """While a cluster stores a write, it refuses another of the same entry, and does not tell the first one yet."""

    async def race() -> list[bool]:
        async with connected(cluster.bus("auth")) as log:
            bucket = (await connect(log.js)).consents
            return [found for number in range(30) for found in await both(bucket, f"race.{number}")]

    async def both(bucket: Bucket, key: str) -> list[bool]:
        found = await asyncio.gather(*(finds(bucket, key, writer) for writer in ("one", "other")))
        return [one for one in found if one is not None]

    async def finds(bucket: Bucket, key: str, writer: str) -> bool | None:
        """None for who could write it."""
        try:
            await bucket.create(key, Note(writer))
        except Taken:
            there = await bucket.get(key, Note)
            return there is not None and there[0].writer != writer
        return None

    assert [True] * 30 == asyncio.run(race())


class Note(Struct, frozen=True):
    """An entry."""

    writer: str


def test_killing_one_server_loses_nothing(cluster: Cluster) -> None:
    """The leader of the log is killed, the worst of the three, and a second one once the first is back.

    The second kill leaves a majority only if the first server has really caught up.
    """
    first, second = cluster.replicas
    bob = Person(cluster, "bob")
    user = asyncio.run(bob.log_in(begin=first, finish=second, redeem=first))
    known = events(cluster)
    for name, (begin, finish) in (("carol", (first, second)), ("dave", (second, first))):
        victim = streams(cluster)["LEDGER"][1]
        assert victim in NATS
        cluster.kill(victim)
        newcomer = Person(cluster, name).log_in_soon(begin=begin, finish=finish)
        until(f"the log tells of {name}", lambda: tells_of(events(cluster), newcomer))  # noqa: B023
        cluster.wait_ready()
        assert user == asyncio.run(bob.come_again(at=finish))
        now = events(cluster)
        assert known == now[: len(known)]
        known = now
        cluster.start_nats(victim)
        cluster.wait_nats(victim)
        until("every copy is up to date", lambda: all(current for _, _, current in streams(cluster).values()))


def tells_of(log: list[tuple[int, str, bytes]], user: str) -> bool:
    """Whether a user occurs in the log."""
    return any(user.encode() in payload for _, _, payload in log)


def test_J01_no_server_joins_that_does_not_know_the_others_secret(cluster: Cluster) -> None:
    """A route is trusted with everything: whoever reaches its port must show what the servers share."""
    hello = b'CONNECT {"verbose":false,"name":"stranger","cluster":"scopefold"}\r\nPING\r\n'
    host, _, port = cluster.address(f"{NATS[0]}:6222").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as stranger:
        stranger.sendall(hello)
        said = b"".join(iter(lambda: stranger.recv(65536), b""))
    assert b"-ERR 'Authorization Violation'" in said
