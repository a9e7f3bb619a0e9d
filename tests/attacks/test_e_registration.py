"""Dynamic registration by crowds, and by who says one thing twice."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scopefold.auth.web.allowance import OPEN_AT_ALL, OPEN_PER_ADDRESS
from tests.attacks.stored import buckets_of
from tests.auth.test_registration import RIGHT, initial_token, managed, register, registered
from tests.auth.test_security import is_shown_here
from tests.auth.world import App, World, beside
from tests.support.browsing import Window

CROWD = 60


@pytest.fixture
def crowded(world: World, tmp_path: Path) -> Iterator[World]:
    """A service where everybody may register, and whose registrations may be used up."""
    with beside(world, tmp_path / "crowded", registration="open", trusted_proxies="127.0.0.0/8") as other:
        yield other


async def test_E12_a_crowd_registers_a_bounded_number_and_nothing_else_is_stored(crowded: World) -> None:
    async with buckets_of(crowded) as found:
        before = len(await found.dynamic.keys("client.*"))
    async with httpx.AsyncClient(base_url=crowded.auth.url, timeout=20) as http:
        statuses: list[int] = []
        for n in range(CROWD * OPEN_PER_ADDRESS):
            headers = {"x-forwarded-for": f"198.51.100.{n % CROWD}"}
            statuses.append((await http.post("/oauth2/register", json=RIGHT, headers=headers)).status_code)
    assert {201, 429} == set(statuses)
    assert OPEN_AT_ALL == statuses.count(201)
    async with buckets_of(crowded) as found:
        assert OPEN_AT_ALL == len(await found.dynamic.keys("client.*")) - before
    with_leave = await register(crowded, await initial_token(crowded))
    assert 201 == with_leave.status_code, "whom an operator gave leave waits for nobody"


TWICE = [
    '{"redirect_uris": ["https://app.example/"], "redirect_uris": ["https://evil.example/"]}',
    '{"redirect_uris": ["https://app.example/"], "client_name": "A", "client_\\u006eame": "B"}',
    '{"redirect_uris": ["https://app.example/"], "jwks": {"keys": [], "keys": []}}',
]


@pytest.mark.parametrize("body", TWICE)
async def test_A12_E02_a_member_given_twice_is_refused_when_a_client_registers_or_changes(
    guarded: World, body: str
) -> None:
    made = await registered(guarded)
    headers = {"authorization": f"Bearer {await initial_token(guarded)}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=guarded.auth.url) as http:
        answer = await http.post("/oauth2/register", content=body, headers=headers)
    assert (400, "invalid_client_metadata") == (answer.status_code, answer.json()["error"])
    async with httpx.AsyncClient() as http:
        mine = {**headers, "authorization": f"Bearer {made['registration_access_token']}"}
        answer = await http.put(made["registration_client_uri"], content=body, headers=mine)
    assert (400, "invalid_client_metadata") == (answer.status_code, answer.json()["error"])
    assert RIGHT["redirect_uris"] == (await managed("GET", made)).json()["redirect_uris"]


UNSAFE = [
    "javascript://x/%0aalert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", " https://app.example/",
    "data:text/html,x", "http://evil.example/cb", "https://*.example/cb", "https://a.example/cb#f",
    "https://u@a.example/cb", "https://u:p@a.example/", "https://a.example\\@evil.example/", "vbscript:x", "blob:x",
    "file:///etc/passwd", "//a.example/", "/cb", "", "https://", "https:///x", "about:blank", "x:y", "http://[::2]/",
]  # fmt: skip


@pytest.mark.parametrize("address", UNSAFE)
async def test_E02_an_unsafe_address_is_refused_in_every_way_to_become_a_client(guarded: World, address: str) -> None:
    made = await registered(guarded)
    for addresses in ([address], [*RIGHT["redirect_uris"], address]):
        asked = {**RIGHT, "redirect_uris": addresses}
        answer = await register(guarded, await initial_token(guarded), redirect_uris=addresses)
        changed = await managed("PUT", made, json={**asked, "client_id": made["client_id"]})
        for one in (answer, changed):
            assert 400 == one.status_code, one.text
            assert one.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")
        body = {"client_id": "unsafe", "client_name": "x", "redirect_uris": addresses}
        by_operator = await guarded.admin("POST", "/api/v1/organizations/default/clients", json=body)
        assert 422 == by_operator.status_code, by_operator.text
    app = App(guarded, made)
    assert is_shown_here(await Window(guarded.auth.url).get(app.address(redirect_uri=address)))
