"""Sessions: seen and ended by operators and by the users themselves; one row, one cookie, one change at a time."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import nats
import pytest
from msgspec.structs import replace

from scopefold.auth.store import buckets
from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.declared import SESSION_SECONDS
from scopefold.auth.store.sessions import MAX_CLIENTS, Begun, Sessions
from scopefold.auth.web.browser import SESSION_COOKIE
from tests.auth.test_logout import is_logged_in
from tests.auth.world import Person, World

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def sessions(world: World) -> AsyncIterator[Sessions]:
    nc = await nats.connect(world.bus.url)
    yield Sessions((await buckets.connect(nc.jetstream())).sessions)
    await nc.close()


def somebody() -> str:
    return f"u_{secrets.token_urlsafe(16)}"


async def begin(sessions: Sessions, user: str, cookie: str | None = None, client: str = "app") -> Begun:
    return await sessions.begin(cookie, user=user, idp="atlassian", client=client, authenticated_at=NOW, now=NOW)


async def test_G01_G03_H11_a_login_changes_the_cookie_and_the_one_before_is_dead_at_that_moment(
    sessions: Sessions,
) -> None:
    user = somebody()
    first = await begin(sessions, user)
    second = await begin(sessions, user, first.cookie, "other")
    assert (None, second.session) == (await sessions.find(first.cookie, NOW), await sessions.find(second.cookie, NOW))
    assert (first.session.sid, ("app", "other")) == (second.session.sid, second.session.clients)
    assert 1 == len(await sessions.all_of(user, NOW))
    identifier = second.cookie.rpartition(".")[2]
    assert (43, False) == (len(identifier), identifier in second.session.secret), "H11"


async def test_G03_a_cookie_with_anothers_name_and_ones_own_secret_finds_nothing(sessions: Sessions) -> None:
    alice, eve = await begin(sessions, somebody()), await begin(sessions, somebody())
    head, _, _ = alice.cookie.rpartition(".")
    for wrong in (f"{head}.{eve.cookie.rpartition('.')[2]}", f"{head}.", head, f"{alice.session.user}.*.{'x' * 43}"):
        assert await sessions.find(wrong, NOW) is None
    other = await begin(sessions, eve.session.user, alice.cookie)
    assert (alice.session, True) == (other.before, other.session.sid != alice.session.sid)
    assert alice.session == await sessions.find(alice.cookie, NOW), "it is for the caller to end it, and to tell"


async def test_a_session_ends_by_itself_however_often_it_is_written(sessions: Sessions) -> None:
    begun = await begin(sessions, somebody())
    late = NOW + timedelta(seconds=SESSION_SECONDS)
    assert await sessions.note_client(begun.session, "other")
    assert await sessions.find(begun.cookie, late - timedelta(seconds=1)) is not None
    assert (None, []) == (await sessions.find(begun.cookie, late), await sessions.all_of(begun.session.user, late))


async def test_of_all_who_end_a_session_one_did_and_no_client_is_lost(sessions: Sessions) -> None:
    begun = await begin(sessions, somebody())
    user, sid = begun.session.user, begun.session.sid
    noted = await asyncio.gather(
        *(sessions.note_client(begun.session, f"client-{number}") for number in range(4)), return_exceptions=True
    )
    assert all(one is True or isinstance(one, Taken) for one in noted)
    ended = await asyncio.gather(*(sessions.end(user, sid) for _ in range(5)))
    (what,) = [one for one in ended if one is not None]
    kept = {f"client-{number}" for number, one in enumerate(noted) if one is True}
    assert {"app"} | kept == set(what.clients)
    assert not await sessions.note_client(begun.session, "too-late")
    many = replace(begun.session, clients=tuple(map(str, range(MAX_CLIENTS))))
    again = await begin(sessions, user)
    assert await sessions.note_client(replace(many, sid=again.session.sid), "one-more")


async def test_operators_see_and_end_a_users_sessions(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    alice, elsewhere = Person(world), Person(world)
    user = await alice.user(app, idp_hint=idp)
    assert user == await elsewhere.user(app, idp_hint=idp)
    path = f"/v1/users/{user}/sessions"
    found = (await world.admin("GET", path)).json()["items"]
    assert [([idp], [app.id])] * 2 == [(one["idps"], one["clients"]) for one in found]
    text = (await world.admin("GET", path)).text
    assert [] == [word for word in ("secret", "cookie", "alice") if word in text]
    assert 404 == (await world.admin("DELETE", f"{path}/s_nobody_has_this")).status_code
    assert 404 == (await world.admin("DELETE", f"{path}/*")).status_code
    one = found[0]["sid"]
    assert one == (await world.admin("DELETE", f"{path}/{one}")).json()["sid"]
    assert 1 == [await is_logged_in(who, app, idp) for who in (alice, elsewhere)].count(True)
    assert 1 == len((await world.admin("DELETE", path)).json()["items"])
    assert [False, False] == [await is_logged_in(who, app, idp) for who in (alice, elsewhere)]
    assert ([], 404) == (
        (await world.admin("GET", path)).json()["items"],
        (await world.admin("GET", "/v1/users/short/sessions")).status_code,
    )


async def test_A25_users_see_where_they_are_logged_in_and_end_it_there(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client(client_name="<b>An App</b>")
    alice, elsewhere = Person(world), Person(world)
    await alice.log_in(app, idp_hint=idp)
    await elsewhere.log_in(app, idp_hint=idp)
    page = await alice.browser.get("/account/sessions")
    assert (2, 1, False) == (page.text.count("/revoke"), page.text.count("this browser"), "<b>An App" in page.text)
    assert ("no-store", "DENY") == (page.headers["cache-control"], page.headers["x-frame-options"])
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert token is not None
    addresses = re.findall(r"/account/sessions/[^/]+/revoke", page.text)
    assert 403 == (await alice.browser.post(addresses[0])).status_code, "A25"
    assert 403 == (await elsewhere.browser.post(addresses[0], data={"form_token": token[1]})).status_code, "A25"
    for address in addresses:
        answer = await alice.browser.post(address, data={"form_token": token[1]})
        assert answer.status_code in (200, 303), answer.text
    assert [False, False] == [await is_logged_in(who, app, idp) for who in (alice, elsewhere)]
    assert SESSION_COOKIE not in alice.browser.jar
    assert 401 == (await alice.browser.get("/account/sessions")).status_code


async def test_users_cannot_end_the_sessions_of_others(world: World) -> None:
    idp, app, alice, bob = (
        await world.idp_with_jira(),
        await world.register_client(),
        Person(world),
        Person(world, "bob"),
    )
    await alice.log_in(app, idp_hint=idp)
    user = await bob.user(app, idp_hint=idp)
    (session,) = (await world.admin("GET", f"/v1/users/{user}/sessions")).json()["items"]
    page = await alice.browser.get("/account/sessions")
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert token is not None
    for sid, status in ((session["sid"], 303), (f"{user}.{session['sid']}", 403), ("*", 403)):
        address = f"/account/sessions/{sid}/revoke"
        assert status == (await alice.browser.post(address, data={"form_token": token[1]})).status_code
    assert await is_logged_in(bob, app, idp)
