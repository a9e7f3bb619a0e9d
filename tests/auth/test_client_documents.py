"""Clients that a document at their address describes, and what a person is asked before such a client gets a code."""

import re
from typing import Any

import httpx
import pytest

from scopefold.auth.web.browser import BROWSER_COOKIE, SESSION_COOKIE
from tests.auth.canary import Canary, canary, json_page
from tests.auth.test_security import is_shown_here
from tests.auth.world import APP_REDIRECT, App, Person, World, query_of
from tests.support.browsing import Window


def described(site: Canary, path: str = "/client.json", **changed: Any) -> dict[str, str]:
    """Serve a document that is right but for what is changed (None leaves out); the client that it describes."""
    address = f"{site.url}{path}"
    right = {"client_id": address, "client_name": "Notes", "redirect_uris": [APP_REDIRECT]}
    site.pages[path] = json_page({name: value for name, value in {**right, **changed}.items() if value is not None})
    return {"client_id": address}


async def test_a_document_makes_a_client_that_a_person_allows_once(welcoming: World) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        app = App(welcoming, described(site, scope="openid profile email admin"))
        question = await alice.asked(app, idp_hint=idp)
        assert (200, True) == (question.status_code, "127.0.0.1" in question.text)
        for said in ("Notes", "app.example", "see your e-mail address"):
            assert said in question.text
        answer = await alice.decide(question)
        told = query_of(answer)
        assert ("the-state", welcoming.auth.url) == (told["state"], told["iss"])
        swapped = await app.swap(told["code"])
        assert 200 == swapped.status_code, swapped.text
        again = await alice.browser.get(app.address(idp_hint=idp, prompt="none"))
        assert "code" in query_of(again), "she is not asked twice"
        assert 1 == len(site.hits), "the document is kept"


async def test_the_metadata_tells_of_it(welcoming: World) -> None:
    async with httpx.AsyncClient(base_url=welcoming.auth.url) as http:
        for name in ("oauth-authorization-server", "openid-configuration"):
            document = (await http.get(f"/.well-known/{name}")).json()
            assert document["client_id_metadata_document_supported"] is True


FRAMED = {"sec-fetch-dest": "iframe"}
"""As browsers say of what a frame shows: nobody is led away by it."""
BAD_DOCUMENTS: list[dict[str, Any]] = [
    {"client_id": "https://other.example/client.json"},
    {"client_id": None},
    {"redirect_uris": ["javascript:alert(1)"]},
    {"redirect_uris": []},
    {"redirect_uris": ["https://app.example/*"]},
    {"token_endpoint_auth_method": "client_secret_basic"},
    {"token_endpoint_auth_method": "client_secret_post"},
    {"token_endpoint_auth_method": "private_key_jwt"},
    {"client_secret": "x"},
    {"client_secret_expires_at": 0},
    {"grant_types": ["client_credentials"]},
    {"response_types": ["token"]},
    {"client_name": ["x"]},
    {"redirect_uris": "x"},
]


async def test_a_document_that_breaks_a_rule_makes_no_client(welcoming: World) -> None:
    browser = Window(welcoming.auth.url)
    async with canary() as site:
        for number, changed in enumerate(BAD_DOCUMENTS):
            app = App(welcoming, described(site, f"/{number}", **changed))
            assert is_shown_here(await browser.get(app.address(prompt="none"))), changed
        right = App(welcoming, described(site, "/right"))
        assert "login_required" == query_of(await browser.get(right.address(prompt="none"), headers=FRAMED))["error"]
        assert len(BAD_DOCUMENTS) + 1 == len(site.hits)


async def test_E03_no_client_id_leads_to_an_internal_address(guarded: World) -> None:
    """Here the operator opened no network: what is asked of is never reached, nor is where a redirect leads."""
    browser = Window(guarded.auth.url)
    async with canary() as internal:
        port = internal.port
        for address in (
            f"http://127.0.0.1:{port}/c", f"https://127.0.0.1:{port}/c", f"https://localhost:{port}/c",
            f"https://0x7f.1:{port}/c", f"https://[::ffff:127.0.0.1]:{port}/c", f"https://2130706433:{port}/c",
            f"https://user@127.0.0.1:{port}/c", "https://169.254.169.254/latest/meta-data", "gopher://127.0.0.1/c",
        ):  # fmt: skip
            app = App(guarded, {"client_id": address})
            assert is_shown_here(await browser.get(app.address(prompt="none"))), address
            assert 401 == (await app.swap("x" * 43)).status_code, address
        assert 0 == internal.connections


async def test_E03_a_document_is_fetched_at_its_address_only(welcoming: World) -> None:
    browser = Window(welcoming.auth.url)
    async with canary() as site, canary() as internal:
        site.pages["/moved"] = (302, {"location": f"{internal.url}/client.json"}, b"")
        described(internal)
        described(site, "/logo", logo_uri=f"{internal.url}/logo.svg", client_uri=f"{internal.url}/")
        assert is_shown_here(await browser.get(App(welcoming, {"client_id": f"{site.url}/moved"}).address()))
        app = App(welcoming, {"client_id": f"{site.url}/logo"})
        assert 303 == (await browser.get(app.address(prompt="none"), headers=FRAMED)).status_code
        for odd in ("", "/", "/a/../client.json", "/%2e%2e/client.json", "/client.json#x", "/" + "x" * 300):
            address = App(welcoming, {"client_id": site.url + odd}).address()
            assert is_shown_here(await browser.get(address)), odd
        assert (2, 0) == (len(site.hits), internal.connections)


@pytest.fixture
async def question(welcoming: World) -> Any:
    """Alice is asked about an app; with her, the page and the app."""
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        app = App(welcoming, described(site))
        yield alice, app, idp, await alice.asked(app, idp_hint=idp, scope="openid profile")


async def test_A25_F11_only_the_page_in_that_browser_answers_and_only_once(welcoming: World, question: Any) -> None:
    alice, app, idp, page = question
    eve = Person(welcoming, "bob")
    of_eve = await eve.asked(app, idp_hint=idp)
    ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert ticket is not None
    for fields in ({}, {"ticket": ""}, {"ticket": "x" * 43}):
        answer = await alice.browser.post("/consent", data={"decision": "allow", **fields})
        assert (403, False) == (answer.status_code, "location" in answer.headers)
    assert 403 == (await eve.decide(page)).status_code, "her ticket in another browser"
    assert 403 == (await alice.decide(of_eve)).status_code, "the ticket of another in her browser"
    async with httpx.AsyncClient(base_url=welcoming.auth.url) as other_site:  # SameSite=Lax: no cookie comes along
        answer = await other_site.post("/consent", data={"decision": "allow", "ticket": ticket[1]})
        assert 403 == answer.status_code
        half = {BROWSER_COOKIE: alice.browser.jar[BROWSER_COOKIE]}
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in half.items())}
    assert 405 == (await alice.browser.get("/consent")).status_code
    assert 303 == (await alice.decide(page)).status_code, "none of that used her ticket up"
    assert 403 == (await alice.decide(page)).status_code, "a ticket is good for once"
    async with httpx.AsyncClient(base_url=welcoming.auth.url) as http:
        await eve.asked(app, idp_hint=idp, prompt="login")
        answer = await http.post("/consent", data={"decision": "allow", "ticket": ticket[1]}, headers=headers)
        assert 403 == answer.status_code


async def test_A25_who_logged_out_meanwhile_is_not_taken_at_their_word(question: Any) -> None:
    alice, _, _, page = question
    alice.browser.jar.delete(SESSION_COOKIE)
    assert 403 == (await alice.decide(page)).status_code


async def test_A26_what_is_allowed_is_what_the_page_said(question: Any) -> None:
    alice, app, idp, page = question
    tampered = {"scope": "openid profile email", "redirect_uri": "https://evil.example/", "client_id": "other"}
    answer = await alice.decide(page, **tampered)
    assert answer.headers["location"].startswith(APP_REDIRECT)
    swapped = await app.swap(query_of(answer)["code"])
    assert "email" not in (await app.verified(swapped.json()["id_token"]))
    silent = query_of(await alice.browser.get(app.address(idp_hint=idp, prompt="none", scope="openid profile")))
    assert "code" in silent
    more = query_of(await alice.browser.get(app.address(idp_hint=idp, prompt="none")))
    assert "consent_required" == more["error"], "e-mail was not allowed"
    wider = await alice.browser.get(app.address(idp_hint=idp))
    assert (200, True) == (wider.status_code, "see your e-mail address" in wider.text)


async def test_who_does_not_allow_it_is_sent_back_and_asked_again(question: Any) -> None:
    alice, app, idp, page = question
    told = query_of(await alice.decide(page, "deny"))
    assert ("access_denied", "the-state", "iss" in told) == (told["error"], told["state"], True)
    assert 200 == (await alice.browser.get(app.address(idp_hint=idp))).status_code
    framed = await alice.browser.get(app.address(idp_hint=idp, prompt="none"), headers=FRAMED)
    assert ("consent_required", "the-state") == (query_of(framed)["error"], query_of(framed)["state"])


async def test_what_was_allowed_to_one_client_or_place_is_not_allowed_to_others(welcoming: World) -> None:
    """The confused deputy: a session that needs no question upstream gives no code to a client of an attacker's."""
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    addresses = [APP_REDIRECT, "https://other.example/cb", "http://127.0.0.1/cb"]
    async with canary() as site:
        mine = App(welcoming, described(site, "/mine", redirect_uris=addresses))
        other = App(welcoming, described(site, "/other", client_name="Notes"))
        await alice.allow(mine, idp_hint=idp)
        for app, address in ((other, APP_REDIRECT), (mine, addresses[1]), (mine, addresses[2])):
            answer = await alice.browser.get(app.address(idp_hint=idp, redirect_uri=address))
            assert (200, False) == (answer.status_code, "location" in answer.headers)
        loopback = await alice.browser.get(mine.address(idp_hint=idp, redirect_uri="http://127.0.0.1:5555/cb"))
        assert "a program on this computer" in loopback.text
        assert 303 == (await alice.decide(loopback)).status_code
        later = await alice.browser.get(mine.address(idp_hint=idp, redirect_uri="http://127.0.0.1:6666/cb"))
        assert later.headers["location"].startswith("http://127.0.0.1:6666/cb"), "the port differs from run to run"


async def test_A17_A22_A23_the_page_shows_text_and_lets_the_form_lead_to_the_app_only(welcoming: World) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        script = '"><script>alert(1)</script>'
        app = App(welcoming, described(site, client_name=script, logo_uri=f"{site.url}/logo.png"))
        page = await alice.asked(app, idp_hint=idp)
    assert ("<script" in page.text, "logo" in page.text, "http" in page.text) == (False, False, False)
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://app.example;" in policy
    for rule in ("default-src 'none'", "frame-ancestors 'none'"):
        assert rule in policy
    assert ("DENY", "no-store") == (page.headers["x-frame-options"], page.headers["cache-control"])


async def test_pages_before_it_say_where_an_unknown_app_is_from(welcoming: World) -> None:
    await welcoming.idp_with_jira()
    await welcoming.idp_with_jira()
    async with canary() as site:
        app = App(welcoming, described(site, client_name="Your Bank"))
        chooser = await Window(welcoming.auth.url).get(app.address())
    assert (True, True) == ("Your Bank" in chooser.text, "127.0.0.1" in chooser.text)
    operators = await welcoming.register_client()
    assert "vouches" not in (await Window(welcoming.auth.url).get(operators.address())).text
