"""Redirect addresses: what may be registered, and what of what is sent is registered (A01-A07, E02; RFC 8252)."""

import pytest

from scopefold.auth.core.redirects import (
    ApplicationType,
    is_registered,
    problem_with,
    shown_place,
    type_of,
    with_query,
)
from tests.auth.test_security import is_shown_here
from tests.auth.world import Person, World, query_of
from tests.support.browsing import Window

REGISTRABLE = [
    ("https://app.example/cb", "web", True),
    ("https://app.example", "web", True),
    ("https://app.example:8443/cb?a=1", "web", True),
    ("https://[2606:4700::1]/cb", "web", True),
    ("http://127.0.0.1/cb", "native", True),
    ("http://127.0.0.1:8090/cb", "web", True),
    ("http://[::1]:1234/", "native", True),
    ("http://localhost/callback", "native", True),
    ("com.example.app:/callback", "native", True),
    ("com.example.app://callback", "native", True),
    ("com.example.app:/callback", "web", False),
    ("myapp://callback", "native", False),
    ("http://app.example/cb", "native", False),
    ("http://127.0.0.2/cb", "native", False),
    ("http://127.0.0.1.evil.example/cb", "native", False),
    ("http://localhost.evil.example/cb", "native", False),
    ("http://LOCALHOST/cb", "native", False),
    ("http://127.0.0.1:80@evil.example/cb", "native", False),
    ("javascript://x/%0aalert(1)", "native", False),
    ("javascript:alert(1)", "native", False),
    ("data:text/html,x", "native", False),
    ("file:///etc/passwd", "native", False),
    ("vbscript:x", "native", False),
    ("about:blank", "native", False),
    ("https://*.app.example/cb", "web", False),
    ("https://app.example/*", "web", False),
    ("https://app.example/cb#f", "web", False),
    ("https://app.example/cb#", "web", False),
    ("https://user@app.example/", "web", False),
    ("https://user:pw@app.example/", "web", False),
    ("https://app.example\\@evil.example/", "web", False),
    ("https:app.example", "web", False),
    ("https:///cb", "web", False),
    ("https://app.example;script-src/cb", "web", False),
    ("https://app.example:99999/", "web", False),
    ("//app.example/cb", "web", False),
    ("/cb", "web", False),
    ("", "web", False),
    ("https://app.example/c b", "web", False),
    ("https://app.example/\n", "web", False),
    ("https://äpp.example/", "web", False),
    ("https://app.example/" + "x" * 2000, "web", False),
]


@pytest.mark.parametrize(("address", "application", "may"), REGISTRABLE)
def test_E02_only_addresses_that_are_safe_may_be_registered(
    address: str, application: ApplicationType, may: bool
) -> None:
    assert may is (problem_with(address, application) is None)


LOOPBACK = ("http://127.0.0.1/cb", "http://[::1]:5000/cb?a=1", "http://localhost:1/callback", "https://localhost/tls")
SENT = [
    ("http://127.0.0.1/cb", True),
    ("http://127.0.0.1:51234/cb", True),
    ("http://[::1]/cb?a=1", True),
    ("http://[::1]:6000/cb?a=1", True),
    ("http://localhost:33418/callback", True),
    ("http://localhost/callback", True),
    ("http://localhost:51234/cb", False),
    ("http://127.0.0.1:51234/callback", False),
    ("http://127.0.0.1:51234/CB", False),
    ("http://127.0.0.1:51234/cb/", False),
    ("http://127.0.0.1:51234/cb?x=1", False),
    ("http://127.0.0.1:51234/cb#f", False),
    ("http://[::1]:6000/cb?a=2", False),
    ("http://127.0.0.1:123456/cb", False),
    ("http://127.0.0.1:/cb", False),
    ("http://127.0.0.1:80@evil.example/cb", False),
    ("http://evil.example@127.0.0.1/cb", False),
    ("https://127.0.0.1:51234/cb", False),
    ("https://localhost:51234/tls", False),
    ("HTTP://127.0.0.1:51234/cb", False),
    ("http://127.0.0.2/cb", False),
    ("http://127.1/cb", False),
]


@pytest.mark.parametrize(("address", "right"), SENT)
def test_A07_of_a_loopback_address_only_the_port_may_differ(address: str, right: bool) -> None:
    assert right is is_registered(address, LOOPBACK, "native")


def test_A07_of_a_web_client_nothing_may_differ() -> None:
    assert is_registered("http://localhost:1/callback", LOOPBACK, "web")
    assert not is_registered("http://localhost:2/callback", LOOPBACK, "web")


def test_what_a_client_is_follows_from_its_addresses() -> None:
    assert ["web", "native", "native", "web"] == [
        type_of(addresses)
        for addresses in (("https://a.example/",), ("https://a.example/", "http://[::1]/"), ("com.a:/",), ())
    ]


def test_a_person_is_told_where_an_address_leads() -> None:
    places = [shown_place(one) for one in ("https://a.example/x", "http://localhost:1/", "com.example.app:/x")]
    assert ["a.example", "a program on this computer", "an app on this device (com.example.app)"] == places


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://a.example/cb", "https://a.example/cb?code=a+b"),
        ("https://a.example/cb?flag", "https://a.example/cb?flag&code=a+b"),
        ("https://a.example/cb?a=%ff%20;b&c='|", "https://a.example/cb?a=%ff%20;b&c='|&code=a+b"),
        ("https://a.example/cb?", "https://a.example/cb?code=a+b"),
        ("com.example.app:///cb", "com.example.app:///cb?code=a+b"),
    ],
)
def test_what_is_added_to_an_address_changes_nothing_in_it(address: str, expected: str) -> None:
    """RFC 6749, section 3.1.2."""
    assert expected == with_query(address, [("code", "a b")])


@pytest.mark.parametrize("registered", ["http://localhost/callback", "http://127.0.0.1/callback"])
async def test_A07_a_native_client_may_listen_on_any_port_and_a_web_client_may_not(
    world: World, registered: str
) -> None:
    """RFC 8252, section 7.3; command line clients register the name `localhost` without a port."""
    native = await world.register_client(redirect_uris=[registered])
    web = await world.register_client(redirect_uris=[registered], application_type="web")
    browser, sent = Window(world.auth.url), registered.replace("/callback", ":54321/callback")
    answer = await browser.get(native.address(redirect_uri=sent, prompt="none"))
    assert (303, True) == (answer.status_code, answer.headers["location"].startswith(sent))
    assert "login_required" == query_of(answer)["error"]
    assert is_shown_here(await browser.get(web.address(redirect_uri=sent, prompt="none")))
    assert 303 == (await browser.get(web.address(redirect_uri=registered, prompt="none"))).status_code
    for other in ("http://localhost:1/other", "http://127.0.0.2:54321/callback", f"{registered}?x=1"):
        assert is_shown_here(await browser.get(native.address(redirect_uri=other, prompt="none"))), other


async def test_A07_the_code_is_redeemed_with_the_address_that_was_used(world: World) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(redirect_uris=["http://localhost/callback"])
    sent = "http://localhost:54321/callback"
    code = await alice.log_in(app, idp_hint=idp, redirect_uri=sent)
    assert "invalid_grant" == (await app.swap(code, redirect_uri="http://localhost/callback")).json()["error"]
    assert 200 == (await app.swap(code, redirect_uri=sent)).status_code
