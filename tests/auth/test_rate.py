"""Rate limits: who asks too often waits, and nobody else does (A32, B14)."""

import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from scopefold.auth.core.rate import Rate, client_address, counted, read_networks, wait_seconds
from scopefold.auth.settings import Settings, check
from scopefold.auth.web.rate import Limit, Limits, TooManyError
from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings
from tests.auth.world import KEK, World
from tests.support.process import Service


def test_as_many_as_are_allowed_at_once_then_one_by_one() -> None:
    allowed, full_at, at = Rate(60), 0.0, 1000.0
    for _ in range(60):
        assert 0 == wait_seconds(allowed, full_at, at)
        full_at = counted(allowed, full_at, at)
    assert 1 == pytest.approx(wait_seconds(allowed, full_at, at))
    assert 0 == pytest.approx(wait_seconds(allowed, full_at, at + 1))
    assert 0 == wait_seconds(allowed, full_at, at + 3600)


PROXIES = "10.0.0.0/8, fd00::/8"
ADDRESSES: list[tuple[str, str, list[str], str]] = [
    # peer, who is trusted, X-Forwarded-For, who it is
    ("203.0.113.7", "", ["198.51.100.1"], "203.0.113.7"),
    ("10.0.0.1", "", ["198.51.100.1"], "10.0.0.1"),
    ("10.0.0.1", PROXIES, ["198.51.100.1"], "198.51.100.1"),
    ("10.0.0.1", PROXIES, ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
    ("10.0.0.1", PROXIES, ["6.6.6.6", "198.51.100.1", " 10.9.9.9 "], "198.51.100.1"),
    ("10.0.0.1", PROXIES, ["nonsense"], "10.0.0.1"),
    ("10.0.0.1", PROXIES, [], "10.0.0.1"),
    ("203.0.113.7", PROXIES, ["198.51.100.1"], "203.0.113.7"),
    ("::ffff:10.0.0.1", PROXIES, ["198.51.100.1"], "198.51.100.1"),
    ("fd00::1", PROXIES, ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
    ("2001:db8:1:2::9", "", [], "2001:db8:1:2::/64"),
    ("", "", [], "unknown"),
]


@pytest.mark.parametrize(("peer", "trusted", "forwarded", "expected"), ADDRESSES)
def test_who_a_request_is_from(peer: str, trusted: str, forwarded: list[str], expected: str) -> None:
    assert expected == client_address(peer, tuple(forwarded), read_networks(trusted))


def test_A32_the_memory_of_a_limit_is_bounded() -> None:
    limit = Limit(1, most_keys=10)
    for n in range(1000):
        limit.take(f"address-{n}")
    assert 10 == len(limit)
    with pytest.raises(TooManyError):
        limit.take("address-999")


def asked_from(peer: str, **headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "client": (peer, 1), "headers": sent})


def test_A32_B14_names_as_long_as_a_request_are_not_remembered_whole() -> None:
    """A client's id and what stands for the address are the sender's own text."""
    settings = Settings(admin_token=Secret("t" * 24), trusted_proxies="10.0.0.0/8", failures_per_minute=1000)
    limits = Limits(settings)
    client_address.cache_clear()
    tracemalloc.start()
    for n in range(100):
        limits.client_failed(asked_from("203.0.113.7"), f"{n:0200000}")
        limits.address(asked_from("10.0.0.1", x_forwarded_for=f"{n:0200000},198.51.100.1"))
        limits.address(asked_from("10.0.0.1", x_forwarded_for=f"{n}," * 50_000 + "198.51.100.1"))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000
    limits.check_client(asked_from("203.0.113.7"), "another")


def test_who_is_refused_is_not_counted_again() -> None:
    limit = Limit(60)
    for _ in range(60):
        limit.take("one")
    for _ in range(100):
        with pytest.raises(TooManyError, match="Too many"):
            limit.take("one")
    with pytest.raises(TooManyError) as caught:
        limit.check("one")
    assert "1" == caught.value.retry_after


def test_proxies_that_are_no_networks_are_refused_at_the_start(tmp_path: Path) -> None:
    settings = Settings(admin_token=Secret("t" * 24), kek=Secret(KEK), data_dir=tmp_path, trusted_proxies="my-proxy")
    with pytest.raises(BadSettings, match="SCOPEFOLD_TRUSTED_PROXIES"):
        check(settings)


async def test_A32_one_address_waits_before_more_logins_and_others_do_not(world: World, strict: Service) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    async with httpx.AsyncClient(base_url=strict.url, timeout=20) as http:

        async def begin(address: str, method: str = "GET") -> httpx.Response:
            headers = {"x-forwarded-for": f"6.6.6.6, {address}"}
            if method == "PAR":
                return await http.post("/oauth2/par", data=app.request(), headers=headers)
            return await http.get(app.address(idp_hint=idp), headers=headers)

        answers = [await begin("198.51.100.1") for _ in range(40)]
        statuses = [answer.status_code for answer in answers]
        assert [303] * 20 == statuses[:20]
        assert 429 in statuses
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "Too many logins" in refused.text
        assert "default-src 'none'" in refused.headers["content-security-policy"]
        pushed: list[httpx.Response] = [await begin("198.51.100.1", "PAR") for _ in range(5)]
        told = next(one for one in pushed if one.status_code == 429)
        assert ("temporarily_unavailable", True) == (told.json()["error"], "retry-after" in told.headers)
        assert 303 == (await begin("198.51.100.2")).status_code


async def test_B14_a_client_that_fails_waits_where_it_failed_and_nowhere_else(world: World, strict: Service) -> None:
    app = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    other = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    async with httpx.AsyncClient(base_url=strict.url, timeout=20) as http:

        async def swap(client: Any, secret: str, address: str) -> int:
            headers = {"x-forwarded-for": address}
            form = client.swap_form("x" * 43)
            return (await http.post("/oauth2/token", data=form, auth=(client.id, secret), headers=headers)).status_code

        assert [401] * 5 == [await swap(app, "wrong", "198.51.100.3") for _ in range(5)]
        assert 429 == await swap(app, "wrong", "198.51.100.3")
        assert 429 == await swap(app, str(app.secret), "198.51.100.3"), "the right secret is not told from a wrong one"
        assert 400 == await swap(app, str(app.secret), "198.51.100.4"), "nobody locks a client out everywhere"
        assert 400 == await swap(other, str(other.secret), "198.51.100.3")


async def test_A32_E03_logging_out_does_not_make_us_fetch_without_end(world: World, strict: Service) -> None:
    """An app may name itself by the address of a document, which is fetched to see where to go after a logout."""
    async with httpx.AsyncClient(base_url=strict.url, timeout=20) as http:

        async def leave(address: str, n: int) -> int:
            asked = {"client_id": f"https://app.example/{n}"}
            return (await http.get("/oauth2/logout", params=asked, headers={"x-forwarded-for": address})).status_code

        statuses = [await leave("198.51.100.50", n) for n in range(30)]
        assert ([200] * 20, {200, 429}) == (statuses[:20], set(statuses))
        assert 200 == await leave("198.51.100.51", 0)
