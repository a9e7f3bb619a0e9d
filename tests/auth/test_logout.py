"""RP-initiated and back-channel logout, over HTTP. Tests carry the names of OpenID conformance modules where they have
one: oidcc-rp-initiated-logout and its variants.
"""

import re
from collections.abc import Mapping

import httpx
import pytest

from scopefold.auth.web.browser import SESSION_COOKIE
from tests.auth.oidc import EVENT, LOGGED_OUT, receiver, signed_by_us, tokens_of, userinfo
from tests.auth.world import App, Person, World, query_of, until

LOGOUT = "/oauth2/logout"


async def logged_in(world: World, idp: str, **registered: object) -> tuple[App, Person, dict[str, str]]:
    """An app with a post-logout address, somebody who has logged in there, and their tokens."""
    alice = Person(world)
    app = await world.register_client(post_logout_redirect_uris=[LOGGED_OUT], **registered)
    return app, alice, await tokens_of(app, await alice.come_back(app, idp_hint=idp))


async def is_logged_in(person: Person, app: App, idp: str) -> bool:
    told = query_of(await person.browser.get(app.address(idp_hint=idp, prompt="none")))
    assert ("code" in told) or ("login_required" == told["error"])
    return "code" in told


async def click(person: Person, page: httpx.Response, path: str = "/account/logout", **changed: str) -> httpx.Response:
    """Press the button of the page, with what its form carries."""
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return await person.browser.post(path, data={"form_token": found[1], **changed})


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_oidcc_rp_initiated_logout(world: World, jira: str, method: str) -> None:
    app, alice, tokens = await logged_in(world, jira)
    asked = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": LOGGED_OUT, "state": "a b&c"}
    if method == "GET":
        answer = await alice.browser.get(LOGOUT, params=asked)
    else:
        answer = await alice.browser.post(LOGOUT, data=asked)
    assert (303, "no-store") == (answer.status_code, answer.headers["cache-control"])
    assert answer.headers["location"].startswith(f"{LOGGED_OUT}?")
    assert {"state": "a b&c"} == query_of(answer)
    assert SESSION_COOKIE not in alice.browser.jar
    assert not await is_logged_in(alice, app, jira), "G09"
    assert 401 == (await userinfo(world, tokens["access_token"])).status_code, "C18"


async def test_G09_the_cookie_of_a_session_that_ended_is_worth_nothing(world: World, jira: str) -> None:
    app, alice, tokens = await logged_in(world, jira)
    kept = alice.browser.jar[SESSION_COOKIE]
    await alice.browser.get(LOGOUT, params={"id_token_hint": tokens["id_token"]})
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        headers = {"cookie": f"{SESSION_COOKIE}={kept}"}
        back = await http.get(app.address(idp_hint=jira, prompt="none"), headers=headers)
        page = await http.get("/account/sessions", headers=headers)
    assert ("login_required", 401, "no-store") == (
        query_of(back)["error"],
        page.status_code,
        page.headers["cache-control"],
    )


async def test_oidcc_rp_initiated_logout_no_state_and_no_post_logout_redirect_uri(world: World, jira: str) -> None:
    app, alice, tokens = await logged_in(world, jira)
    hint = {"id_token_hint": tokens["id_token"]}
    answer = await alice.browser.get(LOGOUT, params={**hint, "post_logout_redirect_uri": LOGGED_OUT})
    assert LOGGED_OUT == answer.headers["location"]
    again = await tokens_of(app, await alice.come_back(app, idp_hint=jira))
    answer = await alice.browser.get(LOGOUT, params={"id_token_hint": again["id_token"]})
    assert (200, True) == (answer.status_code, "You are logged out" in answer.text)
    assert not await is_logged_in(alice, app, jira)


@pytest.mark.parametrize(
    ("module", "uri"),
    [
        ("bad-post-logout-redirect-uri", "https://evil.example/"),
        ("query-added-to-post-logout-redirect-uri", f"{LOGGED_OUT}?foo=bar"),
        ("A02", "https://app.example/Logged-out"),
    ],
)
async def test_oidcc_rp_initiated_logout_to_an_address_that_is_not_registered(
    world: World, jira: str, module: str, uri: str
) -> None:
    app, alice, tokens = await logged_in(world, jira)
    asked = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": uri, "state": "s"}
    answer = await alice.browser.get(LOGOUT, params=asked)
    assert (400, False) == (answer.status_code, "location" in answer.headers), module
    assert "not registered" in answer.text
    assert f"<code>{uri}</code>" in answer.text and "post_logout_redirect_uris" in answer.text
    assert "/plugins/" not in answer.text, "that is for the way back from a login"
    assert await is_logged_in(alice, app, jira)


async def test_G09_a_code_of_a_session_that_ended_is_worth_nothing(world: World, jira: str) -> None:
    app, alice, tokens = await logged_in(world, jira)
    code = query_of(await alice.browser.get(app.address(idp_hint=jira)))["code"]
    await alice.browser.get(LOGOUT, params={"id_token_hint": tokens["id_token"]})
    answer = await app.swap(code)
    assert (400, "invalid_grant") == (answer.status_code, answer.json()["error"])


@pytest.mark.parametrize("module", ["bad", "modified", "other-token", "other-client"])
async def test_oidcc_rp_initiated_logout_bad_and_modified_id_token_hint(world: World, jira: str, module: str) -> None:
    app, alice, tokens = await logged_in(world, jira)
    body = tokens["id_token"].split(".")[1]
    hints = {"bad": "x.y.z", "modified": f"eyJhbGciOiJub25lIn0.{body}.", "other-token": tokens["access_token"]}
    asked = {"id_token_hint": hints.get(module, tokens["id_token"]), "post_logout_redirect_uri": LOGGED_OUT}
    if module == "other-client":
        asked["client_id"] = (await world.register_client(post_logout_redirect_uris=[LOGGED_OUT])).id
    answer = await alice.browser.get(LOGOUT, params=asked)
    assert (400, False) == (answer.status_code, "location" in answer.headers)
    assert await is_logged_in(alice, app, jira)


WITHOUT_HINT: list[Mapping[str, str]] = [
    {},
    {"state": "s"},
    {"post_logout_redirect_uri": LOGGED_OUT, "state": "s"},
]


@pytest.mark.parametrize("asked", WITHOUT_HINT, ids=["no-params", "only-state", "no-id-token-hint"])
async def test_oidcc_rp_initiated_logout_without_a_hint_asks_first(
    world: World, jira: str, asked: Mapping[str, str]
) -> None:
    app, alice, _ = await logged_in(world, jira)
    page = await alice.browser.get(LOGOUT, params={**asked, "client_id": app.id} if asked else asked)
    assert (200, True) == (page.status_code, 'id="logout"' in page.text)
    policy = page.headers["content-security-policy"]
    assert ("form-action 'self'" in policy, "frame-ancestors 'none'" in policy) == (True, True), "A22"
    assert await is_logged_in(alice, app, jira), "nothing happens before the click"
    done = await click(alice, page)
    assert (200, True) == (done.status_code, "You are logged out" in done.text)
    assert not await is_logged_in(alice, app, jira)


async def test_A25_a_logout_that_did_not_come_from_our_page_does_nothing(world: World, jira: str) -> None:
    app, alice, _ = await logged_in(world, jira)
    _, eve, _ = await logged_in(world, jira)
    page, of_eve = await alice.browser.get(LOGOUT), await eve.browser.get(LOGOUT)
    crossed = {"sec-fetch-site": "cross-site"}
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert token is not None
    answers = [
        await alice.browser.post("/account/logout"),
        await alice.browser.post("/account/logout", data={"form_token": "x" * 22}),
        await alice.browser.post("/account/logout", data={"form_token": "é"}),
        await click(alice, of_eve),
        await alice.browser.post("/account/logout", data={"form_token": token[1]}, headers=crossed),
    ]
    assert [403] * len(answers) == [answer.status_code for answer in answers]
    assert await is_logged_in(alice, app, jira)
    assert [200, 403] == [(await click(alice, page)).status_code for _ in range(2)], "replayed"


async def test_a_hint_of_another_user_does_not_log_this_one_out_unasked(world: World, jira: str) -> None:
    app, alice, _ = await logged_in(world, jira)
    bob = Person(world, "bob")
    of_bob = await tokens_of(app, await bob.come_back(app, idp_hint=jira))
    page = await alice.browser.get(LOGOUT, params={"id_token_hint": of_bob["id_token"]})
    assert (200, True) == (page.status_code, 'id="logout"' in page.text)
    assert await is_logged_in(alice, app, jira)
    assert await is_logged_in(bob, app, jira)


async def test_a_form_from_the_app_brings_no_cookie_and_logs_out_by_its_hint(world: World, jira: str) -> None:
    app, alice, tokens = await logged_in(world, jira)
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:  # SameSite=Lax
        answer = await http.post(LOGOUT, data={"id_token_hint": tokens["id_token"]})
    assert 200 == answer.status_code
    assert not await is_logged_in(alice, app, jira)


async def test_oidcc_backchannel_rp_initiated_logout_tells_every_client_of_the_session(world: World, jira: str) -> None:
    idp, alice = jira, Person(world)
    async with receiver() as one, receiver() as two, receiver() as unconcerned:
        app = await world.register_client(backchannel_logout_uri=one.address)
        other = await world.register_client(backchannel_logout_uri=two.address)
        await world.register_client(backchannel_logout_uri=unconcerned.address)
        tokens = await tokens_of(app, await alice.come_back(app, idp_hint=idp))
        by_sso = await tokens_of(other, await alice.browser.get(other.address(idp_hint=idp)))
        claims = await app.verified(tokens["id_token"])
        assert claims["sid"] == (await other.verified(by_sso["id_token"]))["sid"]
        await alice.browser.get(LOGOUT, params={"id_token_hint": tokens["id_token"]})
        assert [1, 1, 0] == [len(each.received) for each in (one, two, unconcerned)]
        seen = set()
        for client, each in ((app, one), (other, two)):
            token = await signed_by_us(world, each.received[0]["logout_token"])
            said = token.claims
            assert ("logout+jwt", client.id, world.auth.url) == (token.header["typ"], said["aud"], said["iss"])
            assert (claims["sub"], claims["sid"], {EVENT: {}}) == (said["sub"], said["sid"], said["events"])
            assert {"iat", "exp", "jti"} <= said.keys()
            assert "nonce" not in said
            seen.add(said["jti"])
        assert 2 == len(seen)


async def test_G08_one_that_is_slow_holds_up_no_other_and_is_told_again_a_bounded_number_of_times(
    world: World,
    jira: str,
) -> None:
    idp, alice = jira, Person(world)
    async with receiver(0) as silent, receiver(500, 200) as failing, receiver(400) as refusing, receiver(302) as moved:
        receivers = (silent, failing, refusing, moved)
        apps = [await world.register_client(backchannel_logout_uri=one.address) for one in receivers]
        tokens = await tokens_of(apps[0], await alice.come_back(apps[0], idp_hint=idp))
        for app in apps[1:]:
            await alice.browser.get(app.address(idp_hint=idp))
        answer = await alice.browser.get(LOGOUT, params={"id_token_hint": tokens["id_token"]})
        assert 200 == answer.status_code
        assert not await is_logged_in(alice, apps[1], idp)

        async def both_told() -> bool:
            said = world.auth.said()
            return all(f'"{app.id}"' in said or f"client={app.id}" in said for app in (apps[2], apps[3]))

        await until(both_told)
        assert [2, 1, 3] == [len(one.received) for one in (failing, refusing, moved)]
        assert 1 == len({one["logout_token"] for one in failing.received})
        assert len(silent.received) <= 3


async def test_who_logs_in_as_somebody_else_is_logged_out_of_the_first_session(world: World, jira: str) -> None:
    idp, browser = jira, Person(world)
    async with receiver() as one:
        app = await world.register_client(backchannel_logout_uri=one.address)
        first = await tokens_of(app, await browser.come_back(app, idp_hint=idp))
        browser.name = "bob"
        second = await tokens_of(app, await browser.come_back(app, idp_hint=idp, prompt="login"))
        of_alice, of_bob = await app.verified(first["id_token"]), await app.verified(second["id_token"])
        assert (True, True) == (of_alice["sub"] != of_bob["sub"], of_alice["sid"] != of_bob["sid"])
        (told,) = one.received
        assert of_alice["sid"] == (await signed_by_us(world, told["logout_token"])).claims["sid"]


@pytest.mark.parametrize(
    "registered",
    [
        {"backchannel_logout_uri": "http://app.example/"},
        {"backchannel_logout_uri": "https://app.example/#x"},
        {"backchannel_logout_uri": "https://u@app.example/"},
        {"backchannel_logout_uri": "http://127.0.0.1.evil.example/"},
        {"post_logout_redirect_uris": ["https://app.example/#x"]},
        {"post_logout_redirect_uris": ["javascript://app.example/"]},
    ],
)
async def test_E03_an_address_that_logout_cannot_use_is_refused_at_registration(
    world: World, registered: dict[str, object]
) -> None:
    body = {"client_id": "wrong", "client_name": "Wrong", "redirect_uris": ["https://app.example/"], **registered}
    answer = await world.admin("POST", "/api/v1/organizations/default/clients", json=body)
    assert 422 == answer.status_code, answer.text


async def test_oidcc_rp_initiated_and_backchannel_logout_discovery_endpoint_verification(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        said = (await http.get("/.well-known/openid-configuration")).json()
    assert f"{world.auth.url}{LOGOUT}" == said["end_session_endpoint"]
    assert said["backchannel_logout_supported"]
    assert said["backchannel_logout_session_supported"]
