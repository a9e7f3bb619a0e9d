"""A call for one of the user's sites: which there are, what holds at each, and what to do where it is not granted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from scopefold.auth.core.sites import ASKED_AGAIN, KEPT, MOST_SITES, Site, Sites, api_base, sites_in
from scopefold.auth.core.stored_token import Renewing
from scopefold.sandbox.core.atlassian import SECOND, SITE
from scopefold.scopes.shipped import profile_named
from tests.auth.gateways import Gateway, access_token, faults, subject_of, visitors_token
from tests.auth.providers import Visitor, registered_at, row_of
from tests.auth.test_exchange_renewal import put
from tests.auth.test_forward_auth import ask
from tests.auth.world import App, Person, World
from tests.support.logs import CONFLUENCE, provisioned

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ATLASSIAN = profile_named("atlassian")
ACME, OTHER = "https://acme.atlassian.net", "https://other.atlassian.net"
TWO = Sites((Site("a-1", ACME, ("read:jira-work",)), Site("b-2", OTHER)), NOW)


# what is told, and which one is meant: pure


def told(site_id: str = "a-1", **changed: Any) -> dict[str, Any]:
    return {"id": site_id, "url": ACME, "name": "acme", "scopes": ["read:jira-work"], "avatarUrl": "x", **changed}


ANSWERS: list[tuple[str, object, tuple[Site, ...] | None]] = [
    ("none", [], ()),
    ("one", [told()], (Site("a-1", ACME, ("read:jira-work",)),)),
    (
        "twice, for each of its products",
        [told(), told(scopes=["search:confluence", "read:jira-work"])],
        (Site("a-1", ACME, ("read:jira-work", "search:confluence")),),
    ),
    ("an id that is a path", [told("../../oauth"), told()], (Site("a-1", ACME, ("read:jira-work",)),)),
    ("an address that is a header", [told(url="https://x\r\nset-cookie: a")], ()),
    ("no address", [{"id": "a-1"}], ()),
    ("no object", ["a-1", None], ()),
    ("no list", {"id": "a-1"}, None),
]


@pytest.mark.parametrize(("case", "answer", "expected"), ANSWERS, ids=[case for case, *_ in ANSWERS])
def test_what_an_idp_tells_of_sites(case: str, answer: object, expected: tuple[Site, ...] | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="no list"):
            sites_in(answer)
    else:
        assert expected == sites_in(answer)


def test_no_more_sites_are_kept_than_a_row_can_hold() -> None:
    assert MOST_SITES == len(sites_in([told(f"s-{number}") for number in range(MOST_SITES + 50)]))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("a-1", "a-1"), (ACME, "a-1"), (f"{ACME}/", "a-1"), ("acme.atlassian.net", "a-1"),
        ("ACME.Atlassian.net", "a-1"), ("b-2", "b-2"), ("A-1", None), ("acme", None), ("", None),
        ("evil.example/acme.atlassian.net", None), ("atlassian.net", None), ("http://acme.atlassian.net", None),
    ],
)  # fmt: skip
def test_a_site_is_meant_by_its_id_its_address_or_its_host(wanted: str, found: str | None) -> None:
    site = TWO.find(wanted)
    assert found == (site.id if site is not None else None)


@pytest.mark.parametrize(
    ("wanted", "age", "stale"),
    [
        ("a-1", timedelta(0), False), ("a-1", KEPT, False), ("a-1", KEPT + timedelta(seconds=1), True),
        ("c-3", ASKED_AGAIN, False), ("c-3", ASKED_AGAIN + timedelta(seconds=1), True),
    ],
)  # fmt: skip
def test_they_are_read_again_sooner_for_one_that_is_not_among_them(wanted: str, age: timedelta, stale: bool) -> None:
    assert stale is TWO.stale(wanted, NOW + age)


BASES: list[tuple[tuple[str, ...], str]] = [
    (("read:jira-work", "read:me", "offline_access"), "ex/jira/a-1"),
    (("read:sprint:jira-software", "read:jira-user"), "ex/jira/a-1"),
    (("read:servicedesk-request", "read:ops-alert:jira-service-management"), "ex/jira/a-1"),
    (("read:confluence-content.all", "search:confluence", "read:page:confluence"), "ex/confluence/a-1"),
    (("readonly:content.attachment:confluence",), "ex/confluence/a-1"),
    (("read:jira-work", "search:confluence"), ""),
    (("read:me",), ""),
    ((), ""),
]


@pytest.mark.parametrize(("scopes", "path"), BASES)
def test_the_address_of_a_sites_api_follows_from_the_product_of_the_scopes(scopes: tuple[str, ...], path: str) -> None:
    expected = f"https://api.atlassian.com/{path}" if path else ""
    assert expected == api_base(ATLASSIAN, "https://api.atlassian.com/me", TWO.sites[0], scopes)


# asked for with an exchange


@pytest.fixture(scope="module", autouse=True)
def second_site(world: World) -> Iterator[None]:
    """Everybody has two sites, of which one is chosen at each consent."""
    with httpx.Client(base_url=world.sandbox.url) as http:
        assert 200 == http.put("/switches", json={"atlassian": {"switches": {"second_site": True}}}).status_code
        yield
        http.put("/switches", json={"atlassian": {"switches": {}}})


async def exchanged(world: World, idp: str, app: App) -> tuple[Gateway, str]:
    return await Gateway.registered(world, idp), await access_token(Person(world), app, idp_hint=idp)


async def test_the_answer_says_the_sites_id_and_where_its_api_is(world: World) -> None:
    idp = await world.idp_with_jira()
    gateway, token = await exchanged(world, idp, await world.register_client())
    base, bearer = f"{world.sandbox.url}/atlassian/ex/jira/{SITE.id}", ""
    for wanted in (SITE.id, SITE.url, urlsplit(SITE.url).netloc):
        answer = await gateway.exchange(token, site=wanted)
        assert 200 == answer.status_code, answer.text
        said = answer.json()
        bearer = f"Bearer {said['access_token']}"
        assert (SITE.id, SITE.url, base) == (said["site"], said["site_url"], said["api_base"])
    async with httpx.AsyncClient() as http:
        jira = await http.get(f"{base}/rest/api/3/myself", headers={"authorization": bearer})
    assert (200, "Alice") == (jira.status_code, jira.json()["displayName"].split()[0])
    assert "site" not in (await gateway.exchange(token)).json(), "none was named"


async def test_a_site_that_was_not_chosen_is_refused_and_the_link_leads_to_the_choice(world: World) -> None:
    idp = await world.idp_with_jira()
    app, alice = await world.register_client(), Person(world, "bob")
    token, gateway = await access_token(alice, app, idp_hint=idp), await Gateway.registered(world, idp)
    answer = await gateway.exchange(token, site=SECOND.url)
    assert (403, "insufficient_user_authentication") == (answer.status_code, answer.json()["error"])
    assert f"does not reach the site {SECOND.url}" in answer.json()["error_description"]
    link = answer.json()["step_up_uri"]
    assert link.endswith("&choose=true")
    onward = await alice.browser.get((await alice.browser.get(link)).headers["location"])
    assert onward.headers["location"].startswith(f"{world.sandbox.url}/atlassian/authorize"), "although all is granted"
    alice.address = (await alice.browser.get(link)).headers["location"]
    consent = await alice.at_consent(app)
    text = consent.text.replace(f'value="{SITE.id}"', f'value="{SECOND.id}"')
    await alice.browser.get(await alice.press(httpx.Response(200, text=text)))
    again = await gateway.exchange(token, site=SECOND.url)
    assert (200, SECOND.id) == (again.status_code, again.json().get("site")), again.text


async def test_what_holds_at_a_site_is_judged_there(world: World) -> None:
    """The second site has no Confluence: a token that carries its scopes does not carry them there."""
    idp = await world.idp_with_jira()
    await world.publish(provisioned(f"confluence-{idp}", CONFLUENCE, idp), by="provisioner")
    token = await access_token(Person(world, "carol"), await world.register_client(), idp_hint=idp)
    gateway = await Gateway.registered(world, idp, connector="confluence")
    user, row = subject_of(token), await row_of(world, subject_of(token), idp)
    assert row.sites is not None
    jira = Site(SECOND.id, SECOND.url, tuple(one for one in row.sites.sites[0].scopes if "jira" in one))
    await put(world, user, idp, sites=Sites((*row.sites.sites, jira), row.sites.read_at))
    right = await gateway.exchange(token, site=SITE.id)
    assert f"{world.sandbox.url}/atlassian/ex/confluence/{SITE.id}" == right.json()["api_base"]
    wrong = await gateway.exchange(token, site=SECOND.id)
    assert (403, "insufficient_user_authentication") == (wrong.status_code, wrong.json()["error"])
    assert "does not carry [" in wrong.json()["error_description"]
    assert CONFLUENCE[0] in wrong.json()["error_description"]


async def test_sites_that_were_not_read_at_the_login_are_read_for_the_first_who_asks(world: World) -> None:
    idp = await world.idp_with_jira()
    gateway, token = await exchanged(world, idp, await world.register_client())
    await put(world, subject_of(token), idp, sites=None)
    assert 200 == (await gateway.exchange(token, site=SITE.id)).status_code
    kept = (await row_of(world, subject_of(token), idp)).sites
    assert kept is not None
    assert [SITE.id] == [site.id for site in kept.sites]
    await put(world, subject_of(token), idp, sites=None)
    await faults(world, "atlassian", at="api", server_errors=1)
    try:
        answer = await gateway.exchange(token, site=SITE.id)
    finally:
        await faults(world, "atlassian")
    assert (503, "temporarily_unavailable") == (answer.status_code, answer.json()["error"])


async def test_no_sites_are_written_while_somebody_renews_the_token(world: World) -> None:
    """Who renews stores under the revision that they began with: another's write would lose the refresh token."""
    idp = await world.idp_with_jira()
    gateway, token = await exchanged(world, idp, await world.register_client())
    row = await row_of(world, subject_of(token), idp)
    await put(world, subject_of(token), idp, sites=None, renewing=Renewing("somebody", row.access_expires_at or NOW))
    assert 200 == (await gateway.exchange(token, site=SITE.id)).status_code
    assert (await row_of(world, subject_of(token), idp)).sites is None


async def test_H03_no_site_is_in_the_log_nor_in_a_line_of_it(world: World) -> None:
    idp = await world.idp_with_jira()
    gateway, token = await exchanged(world, idp, await world.register_client())
    assert 200 == (await gateway.exchange(token, site=SITE.id)).status_code
    assert 403 == (await gateway.exchange(token, site="elsewhere.example")).status_code
    assert SITE.id not in repr(await world.events())
    assert SITE.url not in world.auth.said()


async def test_a_name_that_breaks_out_of_the_challenge_does_not(world: World) -> None:
    idp = await world.idp_with_jira()
    gateway, token = await exchanged(world, idp, await world.register_client())
    answer = await gateway.exchange(token, site='x", error="none" \u00e4\r\nset-cookie: a=b')
    assert 403 == answer.status_code
    assert "set-cookie" not in answer.headers
    assert 1 == answer.headers["www-authenticate"].count('error="')
    for wrong in ("x" * 501, "y" * 5000):
        assert 400 == (await gateway.exchange(token, site=wrong)).status_code


async def test_forward_auth_tells_the_site_in_headers(world: World) -> None:
    idp = await world.idp_with_jira()
    gateway, token = await exchanged(world, idp, await world.register_client())
    answer = await ask(gateway, token, site=SITE.url)
    assert (200, SITE.id) == (answer.status_code, answer.headers["x-scopefold-site"]), answer.text
    assert answer.headers["x-scopefold-api-base"].endswith(f"/ex/jira/{SITE.id}")
    assert 403 == (await ask(gateway, token, site=SECOND.url)).status_code


async def test_a_provider_without_sites_says_so(world: World) -> None:
    idp = await registered_at(world, "bitbucket", "repository")
    gateway = await Gateway.registered(world, idp, connector="api")
    token = await visitors_token(Visitor(world, "carol"), await world.register_client(), idp)
    answer = await gateway.exchange(token, site="anything")
    assert (400, "invalid_target") == (answer.status_code, answer.json()["error"])
    assert 200 == (await gateway.exchange(token)).status_code
