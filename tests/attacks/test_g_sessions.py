"""Cookies that are swapped, and what browsers gather."""

import httpx

from scopefold.auth.web.browser import BROWSER_COOKIE, MAX_COOKIE, SESSION_COOKIE
from tests.attacks.routes import JUDGED, filled, oauth_routes
from tests.auth.test_logout import is_logged_in
from tests.auth.world import App, Person, World, query_of


def cookies_of(person: Person) -> dict[str, str]:
    return {one.name: str(one.value) for one in person.browser.jar.jar}


async def silent(world: World, app: App, idp: str, cookie: str) -> dict[str, str]:
    """The answer to prompt=none with this Cookie header."""
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        return query_of(await http.get(app.address(idp_hint=idp, prompt="none"), headers={"cookie": cookie}))


async def test_G03_parts_of_two_peoples_cookies_make_no_session(world: World, jira: str) -> None:
    app, alice, bob = await world.register_client(), Person(world), Person(world, "bob")
    await alice.log_in(app, idp_hint=jira)
    await bob.log_in(app, idp_hint=jira)
    (a, b) = (cookies_of(one)[SESSION_COOKIE].split(".") for one in (alice, bob))
    assert 3 == len(a) == len(b)
    crossed = [(a[0], b[1], b[2]), (a[0], a[1], b[2]), (a[0], b[1], a[2]), (b[0], a[1], a[2]), (b[0], b[1], a[2])]
    bad = [".".join(one) for one in crossed]
    good = ".".join(a)
    bad += [
        good[:-1],
        good[: len(good) // 2],
        good + "A",
        good.upper(),
        good * 30,
    ]
    for one in bad:
        assert "login_required" == (await silent(world, app, jira, f"{SESSION_COOKIE}={one}"))["error"], one[:40]
    for header in (f"{SESSION_COOKIE}={'x' * 4096}", f"{SESSION_COOKIE.lower()}={good}", f"scopefold-session={good}"):
        assert "login_required" == (await silent(world, app, jira, header))["error"], header[:40]
    assert "code" in await silent(world, app, jira, f"{SESSION_COOKIE}={good}")
    assert await is_logged_in(bob, app, jira)


async def test_G03_what_a_browser_keeps_does_not_grow_with_the_logins_it_begins(world: World, jira: str) -> None:
    app, alice = await world.register_client(), Person(world)
    for n in range(40):
        answer = await alice.browser.get(app.address(idp_hint=jira, state=f"{n}" * 100, nonce="n" * 500))
        assert len(answer.headers.get_list("set-cookie")) <= 1
        assert {BROWSER_COOKIE} == set(cookies_of(alice))
    callback = await alice.press(await alice.at_consent(app, idp_hint=jira))
    await alice.browser.get(callback)
    assert {BROWSER_COOKIE, SESSION_COOKIE} == {name for name in cookies_of(alice) if name.startswith("__Host-")}
    assert all(len(value) <= MAX_COOKIE for value in cookies_of(alice).values())


async def test_G02_every_cookie_that_is_ever_set_has_its_flags(world: World, jira: str) -> None:
    """At whichever route, also where one is taken away."""
    app, alice = await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=jira)
    answers = [await alice.browser.get(app.address(idp_hint=jira, prompt="login"))]
    for method, path in oauth_routes():
        if path in JUDGED:
            answers.append(await alice.browser.request(method, filled(path), params=app.request(idp_hint=jira)))
    answers.append(
        await alice.browser.get(await alice.press(await alice.at_consent(app, idp_hint=jira, prompt="login")))
    )
    given = [one for answer in answers for one in answer.headers.get_list("set-cookie")]
    assert {SESSION_COOKIE, BROWSER_COOKIE} == {one.partition("=")[0] for one in given}
    for one in given:
        flags = {flag.strip().lower() for flag in one.split(";")[1:]}
        assert {"httponly", "secure", "path=/", "samesite=lax"} <= flags, one
        assert not any(flag.startswith("domain") for flag in flags), one


async def test_G09_no_page_or_answer_for_somebody_is_kept_for_the_back_button(world: World, jira: str) -> None:
    app, alice = await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=jira)
    for path in ("/account/sessions", "/oauth2/logout", app.address(idp_hint=jira), app.address(), "/"):
        assert "no-store" == (await alice.browser.get(path)).headers["cache-control"], path
