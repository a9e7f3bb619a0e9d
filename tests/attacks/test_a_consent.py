"""What a person is asked of an app that nobody vouches for: all that the app gets, and nothing that was not (A26)."""

import html
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.auth.canary import canary
from tests.auth.gateways import Gateway
from tests.auth.test_client_documents import FRAMED, described
from tests.auth.test_registration import managed, registered
from tests.auth.test_requests import claims_of
from tests.auth.world import APP_REDIRECT, App, Person, World, query_of
from tests.support.browsing import Window

EVERYTHING = "openid profile email groups"
BY_NAME = '{"userinfo": {"email": null, "groups": null}, "id_token": {"email": null}}'


async def userinfo(world: World, token: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        answer = await http.get("/oauth2/userinfo", headers={"authorization": f"Bearer {token}"})
    assert 200 == answer.status_code, answer.text
    return dict(answer.json())


async def test_A26_a_claim_that_is_asked_for_by_name_is_on_the_page_too(welcoming: World) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        app = App(welcoming, described(site, scope=EVERYTHING))
        await alice.allow(app, idp_hint=idp, scope="openid")
        asked: dict[str, Any] = {"scope": "openid", "claims": BY_NAME, "idp_hint": idp}
        silent = query_of(await alice.browser.get(app.address(**asked, prompt="none")))
        assert "consent_required" == silent["error"], "what was allowed before is less"
        question = await alice.browser.get(app.address(**asked))
        for meaning in ("see your e-mail address", "see the groups that you are in"):
            assert meaning in question.text
        tokens = (await app.swap(query_of(await alice.decide(question))["code"])).json()
        assert "email" in claims_of(tokens["id_token"])
        assert "email" in await userinfo(welcoming, tokens["access_token"])


async def test_A26_who_says_no_to_it_gives_nothing(welcoming: World) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        app = App(welcoming, described(site, scope=EVERYTHING))
        await alice.allow(app, idp_hint=idp, scope="openid")
        question = await alice.browser.get(app.address(idp_hint=idp, scope="openid", claims=BY_NAME))
        assert "access_denied" == query_of(await alice.decide(question, "deny"))["error"]
        tokens = (
            await app.swap(query_of(await alice.browser.get(app.address(idp_hint=idp, scope="openid")))["code"])
        ).json()
        assert {"sub"} == (await userinfo(welcoming, tokens["access_token"])).keys()


async def test_A26_an_app_that_changes_behind_the_page_is_asked_about_anew(guarded: World) -> None:
    idp, alice = await guarded.idp_with_jira(), Person(guarded)
    made = await registered(guarded, scope="openid")
    app = App(guarded, made)
    question = await alice.asked(app, idp_hint=idp, scope=EVERYTHING)
    assert "e-mail" not in question.text
    changed = {name: made[name] for name in ("client_id", "redirect_uris", "client_name", "token_endpoint_auth_method")}
    assert 200 == (await managed("PUT", made, json={**changed, "scope": EVERYTHING})).status_code
    again = await alice.decide(question)
    assert (200, True) == (again.status_code, "see your e-mail address" in again.text)
    tokens = (await app.swap(query_of(await alice.decide(again))["code"])).json()
    assert EVERYTHING == tokens["scope"]


@pytest.mark.parametrize("named", [True, False])
async def test_A26_C01_an_unknown_app_uses_a_connector_where_the_person_was_told(welcoming: World, named: bool) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    gateway = await Gateway.registered(welcoming, idp)
    async with canary() as site:
        app = App(welcoming, described(site))
        await alice.allow(app, idp_hint=idp)
        asked = {"idp_hint": None, "resource": gateway.resource} if named else {"idp_hint": idp}
        answer = await alice.browser.get(app.address(**asked))
        assert named == (answer.status_code == 200 and "as you" in answer.text)
        code = query_of(await alice.decide(answer) if named else answer)["code"]
        token = (await app.swap(code)).json()["access_token"]
        exchanged = await gateway.exchange(token)
        assert (200 if named else 400) == exchanged.status_code, exchanged.text
        async with httpx.AsyncClient(base_url=welcoming.auth.url) as http:
            basic = httpx.BasicAuth(gateway.app.id, str(gateway.app.secret))._auth_header
            headers = {"authorization": f"Bearer {token}", "x-gateway-authorization": basic}
            passed = await http.get("/forward-auth", params={"resource": gateway.resource}, headers=headers)
        assert (200 if named else 401) == passed.status_code, passed.text


PHISH = "https://evil.example/phish"
WRONG: list[dict[str, str]] = [
    {"response_type": "token"},
    {"code_challenge": "short"},
    {"resource": "https://nobody.example"},
    {"max_age": "x"},
    {"id_token_hint": "x"},
    {"request": "x"},
    {"prompt": "none"},
]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_A01_A29_nobody_is_taken_on_to_a_stranger_by_a_request_that_is_wrong(
    welcoming: World, method: str
) -> None:
    """RFC 9700, section 4.11.2: anybody can register an address, and make a link to us that leads there."""
    browser, trusted = Window(welcoming.auth.url), await welcoming.register_client()
    async with canary() as site:
        app = App(welcoming, described(site, redirect_uris=[PHISH], client_name="A \u202eBank"))
        for wrong in WRONG:
            for prefix in ("", "/default"):
                sent = {**app.request(redirect_uri=PHISH), **wrong}
                form, query = (sent, None) if method == "POST" else (None, sent)
                page = await browser.request(method, f"{prefix}/authorize", params=query, data=form)
                assert (400, False) == (page.status_code, "location" in page.headers), wrong
                assert "<bdi>A \u202eBank</bdi>" in page.text, "its letters turn nothing round but themselves"
                told = query_of_link(page)
                assert (f"{welcoming.auth.url}{prefix}", "the-state") == (told["iss"], told["state"])
                assert told["error"]
            assert 303 == (await browser.get(trusted.address(**wrong))).status_code, "an operator vouches for it"
        silent = app.address(redirect_uri=PHISH, prompt="none")
        framed = await browser.get(silent, headers=FRAMED)
        assert "login_required" == query_of(framed)["error"], "what is around the frame stays, and pages are not framed"
        assert 400 == (await browser.get(silent, headers={"sec-fetch-dest": "document"})).status_code


async def test_A11_who_allowed_an_app_is_taken_back_to_it_and_to_no_other_place(welcoming: World) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        app = App(welcoming, described(site, redirect_uris=[APP_REDIRECT, PHISH]))
        other = App(welcoming, described(site, "/other"))
        await alice.allow(app, idp_hint=idp)
        for wrong in ({"prompt": "none", "max_age": "0"}, {"max_age": "x"}):
            assert "error" in query_of(await alice.browser.get(app.address(**wrong))), "she vouched for it"
            for away in (app.address(redirect_uri=PHISH, **wrong), other.address(**wrong)):
                assert 400 == (await alice.browser.get(away)).status_code
            assert 400 == (await Window(welcoming.auth.url).get(app.address(**wrong))).status_code, "nobody did"


async def test_A01_A29_who_breaks_off_a_login_decides_whether_to_go_to_a_stranger(welcoming: World) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        app = App(welcoming, described(site))
        page = await alice.come_back(app, decision="cancel", idp_hint=idp)
        assert (400, "access_denied") == (page.status_code, query_of_link(page)["error"])
        denied = await alice.decide(await alice.asked(app, idp_hint=idp), "deny")
        assert (303, "access_denied") == (denied.status_code, query_of(denied)["error"]), "that page said where to"


async def test_A01_A29_an_app_that_was_removed_behind_the_login_is_a_stranger(welcoming: World) -> None:
    """Who registered it may remove it as soon as somebody has opened their link."""
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    made = await registered(welcoming)
    at_idp = await alice.at_consent(App(welcoming, made), idp_hint=idp)
    assert 204 == (await managed("DELETE", made)).status_code
    page = await alice.browser.get(await alice.press(at_idp, "cancel"))
    assert (400, "access_denied") == (page.status_code, query_of_link(page)["error"])
    assert made["client_id"] in page.text, "nothing else is known of it any more"


async def test_A01_G09_nobody_who_was_not_logged_in_is_taken_on_to_a_stranger_by_logging_out(welcoming: World) -> None:
    """Whoever registers an app has an ID token of their own for a hint."""
    idp, mallory = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        app = App(welcoming, described(site, post_logout_redirect_uris=[PHISH]))
        tokens = (await app.swap(await mallory.allow(app, idp_hint=idp))).json()
        asked = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": PHISH, "state": "s"}
        for method in ("GET", "POST"):  # while the session that the hint names still lives
            form, query = (asked, None) if method == "POST" else (None, asked)
            sent = await Window(welcoming.auth.url).request(method, "/oauth2/logout", params=query, data=form)
            assert (200, True) == (sent.status_code, f'href="{PHISH}?state=s"' in sent.text), "it was another's session"
            asked["id_token_hint"] = (await app.swap(await mallory.log_in(app, idp_hint=idp))).json()["id_token"]
        mine = await mallory.browser.get("/oauth2/logout", params=asked)
        assert (303, f"{PHISH}?state=s") == (mine.status_code, mine.headers["location"]), "who was logged in by it"
        for method in ("GET", "POST"):
            form, query = (asked, None) if method == "POST" else (None, asked)
            page = await Window(welcoming.auth.url).request(method, "/oauth2/logout", params=query, data=form)
            assert (200, True) == (page.status_code, f'href="{PHISH}?state=s"' in page.text)


def query_of_link(page: httpx.Response) -> dict[str, str]:
    """What the page's way back to the app would tell it."""
    found = re.search(r'id="back" href="([^"]+)"', page.text)
    assert found is not None, page.text
    return dict(parse_qsl(urlsplit(html.unescape(found[1])).query))
