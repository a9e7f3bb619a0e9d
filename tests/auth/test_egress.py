"""E03: an address that somebody else chose leads to the public internet over https, or nowhere."""

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest

from scopefold.auth.core.egress import BadTarget, check, networks, target
from scopefold.auth.web import egress
from scopefold.auth.web.egress import ADDRESS_AT_ONCE, AT_ONCE, LOOKUPS_AT_ONCE, Egress, NotFetched
from tests.auth.canary import canary, certificate_for, json_page

NOT_PUBLIC = """
0.0.0.0  10.0.0.1  100.64.0.1  127.0.0.1  127.1.2.3  169.254.169.254  172.16.0.1  172.31.255.255  192.0.0.8  192.0.2.1
192.88.99.1  192.168.1.1  198.18.0.1  198.51.100.1  203.0.113.1  224.0.0.1  239.255.255.255  240.0.0.1
255.255.255.255  ::  ::1  ::ffff:127.0.0.1  ::ffff:10.0.0.1  ::127.0.0.1  64:ff9b::7f00:1  64:ff9b:1::a00:1  100::1
2001::1  2001:db8::1  2002:7f00:1::  3fff::1  fc00::1  fd12:3456::1  fe80::1  fec0::1  ff02::1
"""
PUBLIC = "1.1.1.1  8.8.8.8  93.184.216.34  172.32.0.1  100.128.0.1  2606:4700:4700::1111  2a00:1450:4001::1"


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_E03_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(BadTarget):
        check(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", PUBLIC.split())
def test_a_public_address_is_reached(address: str) -> None:
    check(ipaddress.ip_address(address), ())


def test_an_operator_may_open_a_network() -> None:
    opened = networks("10.1.0.0/16, fd00::/8")
    check(ipaddress.ip_address("10.1.2.3"), opened)
    check(ipaddress.ip_address("fd00::1"), opened)
    for closed in ("10.2.0.1", "fe80::1", "127.0.0.1"):
        with pytest.raises(BadTarget):
            check(ipaddress.ip_address(closed), opened)


BAD = [
    "http://app.example/", "http://127.0.0.1/", "http://8.8.8.8/", "https://127.0.0.1/", "https://[::1]/",
    "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/latest", "https://10.0.0.1:443/", "gopher://app.example/",
    "file:///etc/passwd", "https:///path", "https://user@app.example/", "https://app.example@127.0.0.1/",
    "https://app.example/#fragment", "https://app.example\\@127.0.0.1/", "https://app.example:99999/", "https://a b/",
    "https://app.example/\r\nHost: x", "https://[", "", "javascript:alert(1)", "https://" + "a" * 2000, "//a.example/",
]  # fmt: skip


@pytest.mark.parametrize("address", BAD)
def test_E03_an_address_that_cannot_be_right_is_refused_before_anything_is_resolved(address: str) -> None:
    with pytest.raises(BadTarget):
        target(address, ())


NAMES = ["https://localhost", "https://0x7f.1", "https://127.1", "https://2130706433", "https://0177.0.0.1"]


@pytest.mark.parametrize("address", NAMES)
async def test_E03_a_name_is_judged_by_what_it_resolves_to(address: str) -> None:
    client = Egress()
    async with canary() as internal:
        with pytest.raises(NotFetched):
            await client.document(f"{address}:{internal.port}/")
        assert 0 == internal.connections
    await client.close()


class Names:
    """Stands in for DNS, which no test may ask: each name's answers, one after the other, the last for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[list[str]]]) -> None:
        self.asked: list[str] = []
        self._answers = answers
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.resolve)

    async def resolve(self, host: str, port: int, **_: Any) -> list[Any]:
        if host not in self._answers:  # the address to connect to, already resolved
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
        self.asked.append(host)
        answers = self._answers[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (one, port)) for one in found]


async def test_E03_one_internal_address_among_public_ones_is_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"app.example": [["8.8.8.8", "127.0.0.1"]]})
    client = Egress()
    with pytest.raises(NotFetched, match="not on the public internet"):
        await client.ask("GET", "https://app.example/")
    await client.close()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A certificate of app.example that this process trusts."""
    context, public = certificate_for("app.example", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    return context


async def test_E03_who_rebinds_a_name_gains_nothing(monkeypatch: pytest.MonkeyPatch, trusted: Any) -> None:
    """The name is resolved once, checked, and that address is connected to; the certificate is still of the name."""
    client = Egress(networks("127.0.0.2/32"))
    async with canary("127.0.0.2", tls=trusted) as right, canary("127.0.0.1", right.port, trusted) as internal:
        names = Names(monkeypatch, {"app.example": [["127.0.0.2"], ["127.0.0.1"]]})
        right.pages["/x?y=1"] = json_page({"found": True})
        assert {"found": True} == await client.document(f"https://app.example:{right.port}/x?y=1")
        assert (["app.example"], [f"app.example:{right.port}"]) == (names.asked, right.hosts)
        with pytest.raises(NotFetched):
            await client.document(f"https://app.example:{right.port}/other")
        assert 0 == internal.connections
    await client.close()


async def test_E03_a_certificate_of_another_name_is_not_believed(monkeypatch: pytest.MonkeyPatch, trusted: Any) -> None:
    client = Egress(networks("127.0.0.1/32"))
    async with canary(tls=trusted) as server:
        Names(monkeypatch, {"other.example": [["127.0.0.1"]]})
        with pytest.raises(NotFetched):
            await client.document(f"https://other.example:{server.port}/")
        assert [] == server.hits
    await client.close()


async def test_E03_redirects_large_encoded_slow_and_other_answers_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "SECONDS", 0.3)
    client = Egress(networks("127.0.0.1/32"))
    async with canary() as site, canary() as internal:
        site.pages |= {
            "/redirect": (302, {"location": f"{internal.url}/"}, b""),
            "/307": (307, {"location": f"{internal.url}/"}, b""),
            "/large": json_page({"a": "x" * 70_000}),
            "/endless": (200, {"content-type": "application/json", "content-length": "99999999"}, b"{}"),
            "/html": (200, {"content-type": "text/html"}, b"{}"),
            "/untyped": (200, {}, b"{}"),
            "/list": json_page([]),
            "/broken": (200, {"content-type": "application/json"}, b"{"),
            "/gzip": json_page({}, **{"content-encoding": "gzip"}),
            "/error": (500, {"content-type": "application/json"}, b"{}"),
        }
        for path in site.pages:
            with pytest.raises(NotFetched):
                await client.document(f"{site.url}{path}")
        assert (len(site.pages), 0) == (len(site.hits), internal.connections)
        site.pages["/keys"] = (200, {"content-type": "application/jwk-set+json; charset=utf-8"}, b'{"keys":[]}')
        assert {"keys": []} == await client.document(f"{site.url}/keys")
    await client.close()


async def test_documents_and_failures_are_kept_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "KEPT", 2)
    client = Egress(networks("127.0.0.1/32"))
    async with canary() as site:
        site.pages["/a"] = json_page({})
        for path in ("/a", "/a", "/missing", "/missing"):
            try:
                await client.document(f"{site.url}{path}")
            except NotFetched:
                assert "/missing" == path
        assert 2 == len(site.hits)
        with pytest.raises(NotFetched):
            await client.document(f"{site.url}/b")  # puts /a out
        await client.document(f"{site.url}/a")
        assert 4 == len(site.hits)
    await client.close()


async def test_E03_E12_names_that_are_slow_to_resolve_do_not_take_all_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has four threads for names, which logins at IdPs need too; a lookup goes on when nobody waits."""
    monkeypatch.setattr(egress, "SECONDS", 0.05)
    under_way, most, told = 0, 0, asyncio.Event()

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        nonlocal under_way, most
        under_way, most = under_way + 1, max(most, under_way + 1)
        await told.wait()
        under_way -= 1
        raise socket.gaierror

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    client = Egress()
    for n in range(3):
        asked = [client.document(f"https://slow-{n}-{one}.example/c") for one in range(5)]
        assert {NotFetched} == {type(one) for one in await asyncio.gather(*asked, return_exceptions=True)}
    assert (LOOKUPS_AT_ONCE, LOOKUPS_AT_ONCE) == (under_way, most)
    told.set()
    with pytest.raises(NotFetched):
        await client.document("https://later.example/c")
    assert 0 == under_way, "and there are turns again"
    await client.close()


async def test_E03_one_place_that_is_slow_takes_no_turns_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "SECONDS", 60.0)  # nothing ends by itself before it was looked at
    client = Egress(networks("127.0.0.0/8"))
    connections, most, busy, let_go = 0, 0, asyncio.Event(), asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, most
        connections, most = connections + 1, max(most, connections + 1)
        if connections == ADDRESS_AT_ONCE:
            busy.set()
        await let_go.wait()
        connections -= 1
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.2", 0)
    port = server.sockets[0].getsockname()[1]
    async with canary() as site:
        site.pages["/c"] = json_page({"found": True})
        slow = [asyncio.create_task(client.document(f"http://127.0.0.2:{port}/{n}")) for n in range(AT_ONCE + 1)]
        await asyncio.wait_for(busy.wait(), 30)
        assert {"found": True} == await client.document(f"{site.url}/c")
        assert (ADDRESS_AT_ONCE, ADDRESS_AT_ONCE) == (connections, most)
        let_go.set()
        assert {NotFetched} == {type(one) for one in await asyncio.gather(*slow, return_exceptions=True)}
    server.close()
    await client.close()
