"""Links to consent again: whom they lead where, and what they are not."""

import base64
import html
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scopefold.auth.core.reconsent_link import BadLink, Link, read, write
from tests.auth.world import Person, World, auth, query_of, status_becomes, until, until_ready
from tests.support.browsing import Window
from tests.support.damage import damage
from tests.support.logs import provisioned, withheld
from tests.support.process import Service
from tests.support.relay import relay

NEW = ("write:confluence-content",)
KEY, ISSUER = secrets.token_bytes(32), "https://auth.example"
LINK = Link("u_alice001", "atlassian", 1_800_000_000)


async def company(world: World) -> tuple[str, str, str]:
    """An IdP where Alice and Bob lack what was provisioned since; their users."""
    idp, app = await world.idp_with_jira(), await world.register_client()
    alice, bob = [await Person(world, name).user(app, idp_hint=idp) for name in ("alice", "bob")]
    await world.publish(provisioned(f"confluence-{idp}", NEW, idp), by="provisioner")
    return idp, alice, bob


async def links(world: World, idp: str, *users: str, **more: Any) -> Any:
    answer = await world.admin("POST", "/v1/reconsent/links", json={"users": users, "idp": idp, **more})
    assert 201 == answer.status_code, answer.text
    return answer.json()


async def link_for(world: World, idp: str, user: str) -> str:
    (item,) = (await links(world, idp, user))["items"]
    return str(item["url"])


def onwards(page: httpx.Response) -> str:
    """Where the page's button leads."""
    assert 200 == page.status_code, page.text
    found = re.search(r'id="continue" href="([^"]+)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


async def consent(world: World, person: Person, address: str) -> httpx.Response:
    """Open a link, press its button, log in upstream and consent; what comes of it."""
    person.address = onwards(await person.browser.get(address))
    app = await world.register_client()
    answer = await person.browser.get(await person.press(await person.at_consent(app)))
    while 303 == answer.status_code:
        answer = await person.browser.get(answer.headers["location"])
    return answer


async def off_the_list(world: World, idp: str, user: str) -> None:
    async def off() -> bool:
        return bool((await world.worklist(idp=idp, user=user))["total"] == 0)

    await until(off)


@pytest.mark.parametrize("logged_in", [False, True])
async def test_a_link_says_what_is_missing_and_why_and_leads_through_the_login(world: World, logged_in: bool) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=idp)
    await world.publish(provisioned(f"confluence-{idp}", NEW, idp), by="provisioner")
    address = await link_for(world, idp, user)
    visitor = alice if logged_in else Person(world)
    shown = await visitor.browser.get(address)
    assert (True, True) == (f"Confluence-{idp}".title() in shown.text, NEW[0] in shown.text)
    assert "Done" in (await consent(world, visitor, address)).text
    await off_the_list(world, idp, user)
    again = await visitor.browser.get(address)
    assert (200, True, False) == (again.status_code, "nothing to do" in again.text, "continue" in again.text)


async def test_F21_opening_a_link_is_no_login_and_changes_nothing(world: World) -> None:
    idp, alice, _ = await company(world)
    address, before = await link_for(world, idp, alice), len(await world.events())
    scanner = Window(world.auth.url)
    for method in ("GET", "HEAD", "GET"):
        opened = await scanner.request(method, address)
        assert (200, []) == (opened.status_code, opened.headers.get_list("set-cookie"))
    assert 401 == (await scanner.get("/account/sessions")).status_code
    assert before == len(await world.events())


@pytest.mark.parametrize("logged_in", [False, True])
async def test_F21_another_account_that_comes_back_is_refused(world: World, logged_in: bool) -> None:
    idp, app, mallory = await world.idp_with_jira(), await world.register_client(), Person(world, "bob")
    alice = await Person(world).user(app, idp_hint=idp)
    other = await mallory.user(app, idp_hint=idp)
    await world.publish(provisioned(f"confluence-{idp}", NEW, idp), by="provisioner")
    address, stored = await link_for(world, idp, alice), len(await world.events())
    visitor = mallory if logged_in else Person(world, "bob")
    answer = await consent(world, visitor, address)
    assert (400, True) == (answer.status_code, "login_required" in answer.text)
    assert stored == len(await world.events()), "no token was stored, and nobody logged in"
    for user in (alice, other):
        assert 1 == (await world.worklist(idp=idp, user=user))["total"]


async def test_F21_a_link_that_was_changed_or_is_of_another_user_is_none(world: World) -> None:
    idp, alice, bob = await company(world)
    first, second = [httpx.URL(await link_for(world, idp, user)).params["link"] for user in (alice, bob)]
    content, mac = first.split(".")
    mixed = f"{content}.{second.split('.')[1]}"
    browser = Window(world.auth.url)
    for wrong in (mixed, f"{content}.", content, f".{mac}", "x", "é", f"{first}x", f"{first}.{mac}", "."):
        answer = await browser.get("/account/reconsent", params={"link": wrong})
        assert (404, True) == (answer.status_code, "unknown_link" in answer.text), wrong
        assert "location" not in answer.headers
    elsewhere = await browser.get("/default/account/reconsent", params={"link": first})
    assert 404 == elsewhere.status_code, "the organisation's issuer is another one"


async def test_F21_a_link_names_no_person_and_leads_to_this_issuer_alone(world: World) -> None:
    idp, alice, _ = await company(world)
    address = httpx.URL(await link_for(world, idp, alice))
    assert (world.auth.url, ["link"]) == (str(address.copy_with(raw_path=b"")), list(address.params))
    content = base64.urlsafe_b64decode(address.params["link"].split(".")[0] + "==")
    assert alice.encode() in content
    assert not {b"alice@", b"Alice"} & set(content.split())
    there = onwards(await Window(world.auth.url).get(f"{address}"))
    asked = query_of(httpx.Response(303, headers={"location": there}))
    assert there.startswith(f"{world.auth.url}/authorize?")
    assert f"{world.auth.url}/account/connected" == asked["redirect_uri"]
    more = await Window(world.auth.url).get(f"{address}&redirect_uri=https://evil.example")
    assert 400 == more.status_code, "nothing else stands in it"


async def test_A32_links_count_as_logins(world: World, strict: Service) -> None:
    async with httpx.AsyncClient(base_url=strict.url, timeout=20) as http:
        headers = {"x-forwarded-for": "198.51.100.77"}
        answers = [await http.get("/account/reconsent?link=x", headers=headers) for _ in range(21)]
    assert ([404] * 20, 429) == ([one.status_code for one in answers[:20]], answers[20].status_code)


async def test_there_is_no_link_for_who_lacks_nothing_or_must_wait_for_an_operator(world: World) -> None:
    idp, alice, bob = await company(world)
    address = await link_for(world, idp, alice)
    nobody = "u_nobody-knows-them"
    made = await links(world, idp, bob, bob, nobody, lifetime_seconds=60)
    assert ([bob], [{"user": nobody, "why": "unknown-user"}]) == (
        [item["user"] for item in made["items"]],
        made["without"],
    )
    assert 55 < made["until"] - datetime.now(UTC).timestamp() <= 60
    await world.publish(withheld(*NEW, idp=idp), by="auth")
    made = await links(world, idp, alice)
    assert ([], [{"user": alice, "why": "operator-first"}]) == (made["items"], made["without"])
    shown = await Window(world.auth.url).get(address)
    assert (True, False) == ("nothing that you can do yet" in shown.text, 'id="continue"' in shown.text)


@pytest.mark.parametrize(
    "wrong",
    [{"users": []}, {"users": ["x"]}, {"lifetime_seconds": 59}, {"lifetime_seconds": 2592001}, {"idp": "no-such-idp"}],
)
async def test_what_is_no_order_of_links_is_refused(world: World, wrong: dict[str, Any]) -> None:
    idp = await world.idp_with_jira()
    body = {"users": ["u_alice001"], "idp": idp, **wrong}
    assert 422 == (await world.admin("POST", "/v1/reconsent/links", json=body)).status_code


@given(st.text(max_size=60), st.integers(0, 200), st.integers(1, 255))
def test_F21_whatever_is_changed_in_a_link_it_is_none(issuer: str, place: int, change: int) -> None:
    text = write(KEY, ISSUER, LINK)
    assert LINK == read(KEY, ISSUER, text)
    if issuer != ISSUER:
        with pytest.raises(BadLink):
            read(KEY, issuer, text)
    with pytest.raises(BadLink):
        read(bytes([KEY[0] ^ change, *KEY[1:]]), ISSUER, text)
    content = bytearray(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    content[place % len(content)] ^= change
    with pytest.raises(BadLink):
        read(KEY, ISSUER, f"{base64.urlsafe_b64encode(content).decode()}.{text.split('.')[1]}")


def test_F21_a_link_ends_when_it_says() -> None:
    end = datetime.fromtimestamp(LINK.until, UTC)
    assert (False, True) == (LINK.expired(datetime.fromtimestamp(LINK.until - 1, UTC)), LINK.expired(end))


async def test_F21_an_outage_spends_no_link_and_says_what_to_do(world: World, tmp_path: Path) -> None:
    idp, alice, _ = await company(world)
    address, person = await link_for(world, idp, alice), Person(world)
    app = await world.register_client()
    async with relay(world.bus.port) as between:
        with auth(tmp_path / "a", **{**world.settings, "nats_url": between.url}) as replica:
            await until_ready(replica)
            there = address.replace(world.auth.url, replica.url)
            assert there != address
            damage(tmp_path / "a" / "projection.db")
            tells_to_try_again(await person.browser.get(there))

            async def mended() -> bool:
                return (await person.browser.get(there)).status_code == 200

            await until(mended)
            person.address = onwards(await person.browser.get(there))
            back = await person.press(await person.at_consent(app))
            between.close()
            await status_becomes(replica, 503)
            for method in ("GET", "HEAD"):
                tells_to_try_again(await person.browser.request(method, there), method)
            failed = await person.browser.get(back.replace(world.auth.url, replica.url))
            tells_to_try_again(failed)
            assert "the link that you were sent" in failed.text
            async with replica.client() as operator:
                refused = await operator.post("/v1/reconsent/links", json={"users": [alice], "idp": idp})
            assert (503, True) == (refused.status_code, bool(refused.json()["detail"]))
    assert "continue" in (await person.browser.get(address)).text
    assert 303 == (await person.browser.get(back)).status_code, "nor is the login spent that did not get through"
    await off_the_list(world, idp, alice)


def tells_to_try_again(page: httpx.Response, method: str = "GET") -> None:
    assert (503, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert page.headers["retry-after"]
    assert method == "HEAD" or "try again in a moment" in page.text
