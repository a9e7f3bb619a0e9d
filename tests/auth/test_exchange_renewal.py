"""How a token at its end is renewed for whoever asks: F15 and F16, at the stand-in of each kind of provider."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from msgspec.structs import replace

from scopefold.auth.core.stored_token import Renewing, Stalled, StoredToken
from scopefold.auth.web.service import now
from scopefold.contracts.events import TokenCleared, TokenStored
from tests.auth.gateways import (
    Gateway,
    at_its_end,
    atlassian,
    atlassian_seen,
    faults,
    logged_in,
    subject_of,
    visitors_token,
)
from tests.auth.providers import Visitor, registered_at, row_of, switch, vault
from tests.auth.world import World, auth, new_world, until, until_ready
from tests.support.logs import JIRA, provisioned
from tests.support.process import Service

GMAIL = "https://www.googleapis.com/auth/gmail.readonly"


@pytest.fixture(scope="module")
def second(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Another replica of the world's service, which gives up a renewal, and its lease, after the shortest time."""
    with auth(tmp_path_factory.mktemp("second"), **world.settings, renewal_seconds="4") as running:
        asyncio.run(until_ready(running))
        yield running
        assert "Traceback" not in running.said()


async def put(world: World, user: str, idp: str, **changed: Any) -> StoredToken:
    """Change a row in the vault, as another replica would."""
    async with vault(world) as opened:
        found = await opened.token(user, idp)
        assert found is not None
        row = replace(found[0], **changed)
        await opened.put_token(user, idp, row, revision=found[1])
    return row


async def begun(world: World, user: str, idp: str) -> None:
    """Wait until somebody renews the token."""

    async def there() -> bool:
        return (await row_of(world, user, idp)).renewing is not None

    await until(there)


PROVIDERS: list[tuple[str, str, tuple[str, ...], bool]] = [
    # the case, the stand-in, what the connector needs, does the refresh token change?
    ("F15-rotates", "atlassian", ("read:jira-work", "offline_access"), True),
    ("F15-omits", "google", (GMAIL,), False),
    ("F15-the-same", "bitbucket", ("repository",), False),
    ("F15-rotates-by-app", "oidc", ("api:read", "offline_access"), True),
]


@pytest.mark.parametrize(("case", "name", "scopes", "changes"), PROVIDERS, ids=[case for case, *_ in PROVIDERS])
async def test_F15_the_vault_keeps_the_refresh_token_that_serves_next(
    world: World, case: str, name: str, scopes: tuple[str, ...], changes: bool
) -> None:
    idp = await registered_at(world, name, *scopes)
    gateway = await Gateway.registered(world, idp, connector="api")
    token = await visitors_token(Visitor(world, "carol"), await world.register_client(), idp)
    user, handed = subject_of(token), set()
    for generation in (2, 3, 4):
        before = await at_its_end(world, user, idp)
        answer = await gateway.exchange(token)
        assert 200 == answer.status_code, answer.text
        after = await row_of(world, user, idp)
        assert (generation, before.fingerprint) == (after.generation, after.predecessor)
        assert changes is (before.refresh_token != after.refresh_token)
        assert before.granted == after.granted
        handed.add(answer.json()["access_token"])
    assert 3 == len(handed)
    stored = await world.said(TokenStored, idp)
    assert [(1, "login"), *((one, "refresh") for one in (2, 3, 4))] == [(one.generation, one.cause) for one in stored]
    assert [] == await world.said(TokenCleared, idp)


DEAD: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
    ("F16-atlassian-observed", "atlassian", {"dead_refresh_token": "observed"}, ("read:jira-work", "offline_access")),
    ("F16-atlassian-documented", "atlassian", {"dead_refresh_token": "documented"}, ("read:me", "offline_access")),
    ("F16-google", "google", {}, (GMAIL,)),
    ("F16-bitbucket", "bitbucket", {}, ("repository",)),
    ("F16-microsoft", "microsoft", {}, ("Mail.Read", "offline_access")),
    ("F16-slack", "slack", {"token_rotation": True}, ("user:search:read",)),
    ("F16-oidc", "oidc", {}, ("api:read", "offline_access")),
]


@pytest.mark.parametrize(("case", "name", "switches", "scopes"), DEAD, ids=[case for case, *_ in DEAD])
async def test_F16_a_dead_refresh_token_ends_in_consent_however_the_provider_spells_it(
    world: World, case: str, name: str, switches: dict[str, Any], scopes: tuple[str, ...]
) -> None:
    await switch(world, name, **switches)
    try:
        idp = await registered_at(world, name, *scopes)
        gateway = await Gateway.registered(world, idp, connector="api")
        app = await world.register_client()
        token = await visitors_token(Visitor(world, "dave"), app, idp)
        await at_its_end(world, subject_of(token), idp)
        async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
            form = {"client_id": f"sandbox-{name}", "user": "dave"}
            assert 303 == (await http.post(f"/switches/{name}/revoke", data=form)).status_code
        for _ in range(2):
            answer = await gateway.exchange(token)
            assert (403, "insufficient_user_authentication") == (answer.status_code, answer.json()["error"])
        assert ["revoked"] == [one.reason for one in await world.said(TokenCleared, idp)]
        row = await row_of(world, subject_of(token), idp)
        assert ("", None, (), "revoked") == (row.access_token, row.refresh_token, row.parts, row.cleared)
        anew = await visitors_token(Visitor(world, "dave"), app, idp)
        assert subject_of(token) == subject_of(anew)
        assert 200 == (await gateway.exchange(anew)).status_code
    finally:
        await switch(world, name)


@pytest.mark.parametrize("code", ["50076", "50078", "53003"])
async def test_F16_where_the_idp_wants_the_user_the_token_is_kept_and_nobody_asks_again(
    world: World, second: Service, code: str
) -> None:
    idp = await registered_at(world, "microsoft", "Mail.Read", "offline_access")
    gateway, app = await Gateway.registered(world, idp, connector="api"), await world.register_client()
    dave = Visitor(world, "dave")
    token = await visitors_token(dave, app, idp)
    user, before = subject_of(token), await row_of(world, subject_of(token), idp)
    await switch(world, "microsoft", refresh_needs=code)
    try:
        await at_its_end(world, user, idp, lives_seconds=30)
        assert 200 == (await gateway.exchange(token)).status_code, "what lives is handed out"
        stalled = await row_of(world, user, idp)
        assert (before.refresh_token, "", 1) == (stalled.refresh_token, stalled.cleared, len(stalled.stalled))
        await at_its_end(world, user, idp)
        answers = [await gateway.exchange(token, at=at) for at in ("", second.url)]
        for answer in answers:
            assert (403, "insufficient_user_authentication") == (answer.status_code, answer.json()["error"])
            assert "wants to see the user" in answer.json()["error_description"]
        assert stalled.stalled == (await row_of(world, user, idp)).stalled, "the IdP was not asked again"
        assert [] == await world.said(TokenCleared, idp)
        link = await dave.browser.get(answers[0].json()["step_up_uri"])
        onward = await dave.browser.get(link.headers["location"])
        assert urlsplit(onward.headers["location"]).netloc == urlsplit(world.sandbox.url).netloc, onward.text
    finally:
        await switch(world, "microsoft")
    assert 403 == (await gateway.exchange(token)).status_code, "for a while"
    anew = await visitors_token(dave, app, idp, resource=gateway.resource)
    assert 200 == (await gateway.exchange(anew)).status_code
    assert () == (await row_of(world, user, idp)).stalled


async def test_F16_an_idp_that_wants_the_user_is_asked_again_after_a_while(world: World) -> None:
    idp = await registered_at(world, "microsoft", "Mail.Read", "offline_access")
    gateway, app = await Gateway.registered(world, idp, connector="api"), await world.register_client()
    token = await visitors_token(Visitor(world, "alice"), app, idp)
    await at_its_end(world, subject_of(token), idp)
    await put(
        world, subject_of(token), idp, stalled=(Stalled("https://graph.microsoft.com/", now() - timedelta(seconds=1)),)
    )
    assert 200 == (await gateway.exchange(token)).status_code
    assert () == (await row_of(world, subject_of(token), idp)).stalled


async def test_F16_what_passes_at_the_next_try_is_not_noticed(world: World, renewable: str) -> None:
    gateway, token, user = await logged_in(world, renewable)
    await at_its_end(world, user, renewable)
    async with atlassian(world, "faults", server_errors=1, at="token"):
        answer = await gateway.exchange(token)
    assert 200 == answer.status_code, answer.text


async def test_F16_while_the_idp_fails_the_token_serves_to_its_end_and_then_there_is_none_for_now(
    world: World, second: Service, renewable: str
) -> None:
    gateway, token, user = await logged_in(world, renewable, "bob")
    row = await at_its_end(world, user, renewable, lives_seconds=30)
    many = 1000
    async with atlassian(world, "faults", server_errors=many, at="token"):
        lives = await gateway.exchange(token, at=second.url)
        assert (200, row.access_token) == (lives.status_code, lives.json()["access_token"])
        assert lives.json()["expires_in"] <= 30
        await at_its_end(world, user, renewable)
        answers = [await gateway.exchange(token, at=second.url) for _ in range(3)]
        for one in answers:
            assert (503, "temporarily_unavailable") == (one.status_code, one.json()["error"])
            assert 1 <= int(one.headers["retry-after"]) <= 60
        async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
            left = (await http.get("/switches")).json()["atlassian"]["faults"]["server_errors"]
        assert many - left <= 6, "three tries at a time, and a rest after each three"
    assert user not in {one.user for one in await world.said(TokenCleared, renewable)}

    async def renewed() -> bool:
        return (await gateway.exchange(token, at=second.url)).status_code == 200

    await until(renewed, 40)


async def failures_left(world: World) -> int:
    """How many calls at the stand-in's token endpoint are still to fail."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        return int((await http.get("/switches")).json()["atlassian"]["faults"]["server_errors"])


@pytest.mark.parametrize("status", [429, 503])
async def test_F16_an_idp_that_says_when_to_come_back_is_asked_by_nobody_before(
    world: World, second: Service, status: int
) -> None:
    idp = await registered_at(world, "atlassian", "read:jira-work", "offline_access")
    gateway = await Gateway.registered(world, idp, connector="api")
    token = await visitors_token(Visitor(world, "dave"), await world.register_client(), idp)
    user = subject_of(token)
    await at_its_end(world, user, idp)
    fails = {"server_errors": 1000, "server_error_status": status, "retry_after_seconds": 90}
    async with atlassian(world, "faults", at="token", **fails):
        answers = [await gateway.exchange(token, at=at) for at in (second.url, "", second.url)]
        assert 999 == await failures_left(world), "one try, and then nobody, at no replica"
    for one in answers:
        assert (503, "temporarily_unavailable") == (one.status_code, one.json()["error"])
        assert 60 < int(one.headers["retry-after"]) <= 90
    await put(world, user, idp, rests_until=now())
    assert 200 == (await gateway.exchange(token)).status_code, "once it is over, at a replica that was not refused"
    assert (await row_of(world, user, idp)).rests_until is None


async def test_a_login_that_a_busy_idp_refuses_says_when_to_come_back(world: World) -> None:
    idp, app = await registered_at(world, "atlassian", "read:jira-work"), await world.register_client()
    fails = {"server_errors": 2, "server_error_status": 429, "retry_after_seconds": 90}
    async with atlassian(world, "faults", at="token", **fails):
        for accept in ("text/html", "application/json"):
            dave = Visitor(world, "dave")
            answer = await dave.browser.get(await dave.callback(app, idp), headers={"accept": accept})
            assert (502, "90") == (answer.status_code, answer.headers.get("retry-after")), answer.text


async def test_F16_a_short_wait_that_the_idp_asks_for_is_kept_within_the_renewal(world: World) -> None:
    idp = await registered_at(world, "atlassian", "read:jira-work", "offline_access")
    gateway = await Gateway.registered(world, idp, connector="api")
    token = await visitors_token(Visitor(world, "dave"), await world.register_client(), idp)
    await at_its_end(world, subject_of(token), idp)
    before = asyncio.get_running_loop().time()
    async with atlassian(world, "faults", at="token", server_errors=1, retry_after_seconds=5):
        answer = await gateway.exchange(token)
    assert 200 == answer.status_code, answer.text
    assert asyncio.get_running_loop().time() - before >= 5, "longer than the pause of our own"


async def test_F16_a_slow_idp_keeps_nobody_waiting_whose_token_lives(world: World, renewable: str) -> None:
    gateway, token, user = await logged_in(world, renewable)
    row = await at_its_end(world, user, renewable, lives_seconds=50)
    async with atlassian(world, "faults", latency_ms=6000, at="token"):
        answer = await gateway.exchange(token)
        assert row.access_token == answer.json()["access_token"]

        async def renewed() -> bool:
            return (await row_of(world, user, renewable)).generation == row.generation + 1

        await until(renewed)
    assert row.access_token != (await gateway.exchange(token)).json()["access_token"]


@pytest.mark.parametrize(("leeway_seconds", "reason"), [(600, None), (0, "lost")], ids=["F16-leeway", "F16-no-leeway"])
async def test_F16_an_answer_that_never_came_costs_the_token_only_where_the_idp_has_no_leeway(
    world: World, leeway_seconds: int, reason: str | None
) -> None:
    idp = await registered_at(world, "atlassian", "read:jira-work", "offline_access")
    gateway = await Gateway.registered(world, idp, connector="api")
    token = await visitors_token(Visitor(world, "carol"), await world.register_client(), idp)
    await at_its_end(world, subject_of(token), idp)
    await switch(world, "atlassian", refresh_leeway_seconds=leeway_seconds)
    await faults(world, "atlassian", dropped_refreshes=1)
    try:
        answer = await gateway.exchange(token)
    finally:
        await switch(world, "atlassian")
        await faults(world, "atlassian")
    assert (200 if reason is None else 403) == answer.status_code, answer.text
    assert [reason] * (reason is not None) == [one.reason for one in await world.said(TokenCleared, idp)]


@pytest.mark.parametrize("who", ["first", "second"])
async def test_F16_two_replicas_never_renew_the_same_token_at_once(
    world: World, second: Service, renewable: str, who: str
) -> None:
    """Whoever begins, though the other is set to give up a renewal of its own much sooner, or later."""
    gateway, token, user = await logged_in(world, renewable, "carol")
    await at_its_end(world, user, renewable)
    before = await atlassian_seen(world)
    async with atlassian(world, refresh_leeway_seconds=0), atlassian(world, "faults", latency_ms=500, at="token"):
        begins = asyncio.create_task(gateway.exchange(token, at="" if who == "first" else second.url))
        await begun(world, user, renewable)
        places = ["", second.url] * 10
        answers = await asyncio.gather(begins, *(gateway.exchange(token, at=at) for at in places))
    assert {200} == {one.status_code for one in answers}, [one.text for one in answers]
    assert 1 == len({one.json()["access_token"] for one in answers})
    after = await atlassian_seen(world)
    assert {**before, "renewals": before["renewals"] + 1} == after


@pytest.mark.parametrize("ahead", [timedelta(seconds=2), timedelta(days=1)], ids=["F16-right", "F16-wrong-clock"])
async def test_F16_a_replica_that_died_in_the_middle_keeps_the_others_away_for_a_while_only(
    world: World, renewable: str, ahead: timedelta
) -> None:
    gateway, token, user = await logged_in(world, renewable)
    await at_its_end(world, user, renewable)
    before = now()
    await put(world, user, renewable, renewing=Renewing("who died", before + ahead, seconds=2))
    answer = await gateway.exchange(token)
    assert 200 == answer.status_code, answer.text
    assert now() > before + timedelta(seconds=2)


@pytest.mark.parametrize("meanwhile", ["a login", "an end"])
async def test_what_a_login_or_an_end_leaves_meanwhile_counts(world: World, renewable: str, meanwhile: str) -> None:
    gateway, token, user = await logged_in(world, renewable, "dave")
    row = await at_its_end(world, user, renewable)
    async with atlassian(world, "faults", latency_ms=1500, at="token"):
        asked = asyncio.create_task(gateway.exchange(token))
        await begun(world, user, renewable)
        if meanwhile == "a login":
            late = row.access_expires_at and row.access_expires_at.replace(year=row.access_expires_at.year + 1)
            newer = {"access_token": "newer", "generation": row.generation + 1, "access_expires_at": late}
            await put(world, user, renewable, renewing=None, **newer)
        else:
            gone = row.without_secrets("user", logged_generation=0)
            kept = {name: getattr(gone, name) for name in ("access_token", "refresh_token", "parts", "cleared")}
            await put(world, user, renewable, renewing=None, **kept)
        answer = await asked
    if meanwhile == "a login":
        assert (200, "newer") == (answer.status_code, answer.json()["access_token"])
    else:
        assert (403, "insufficient_user_authentication") == (answer.status_code, answer.json()["error"])


async def test_a_cleared_row_whose_event_was_never_written_is_told_by_whoever_meets_it(world: World) -> None:
    idp = await world.idp_with_jira()
    gateway, token, user = await logged_in(world, idp)
    await put(world, user, idp, access_token="", cleared="operator")
    for _ in range(2):
        assert 403 == (await gateway.exchange(token)).status_code
    assert ["operator"] == [one.reason for one in await world.said(TokenCleared, idp)]


def test_F16_an_answer_that_comes_while_the_bus_is_away_is_kept(tmp_path: Path) -> None:
    with new_world(tmp_path) as world:
        asyncio.run(_outage(world))


async def _outage(world: World) -> None:
    idp = await world.idp_with_jira()
    await world.publish(provisioned(f"jira-{idp}", JIRA, idp), by="provisioner")
    gateway, token, user = await logged_in(world, idp)
    row, before = await at_its_end(world, user, idp), await atlassian_seen(world)
    async with atlassian(world, "faults", latency_ms=1000, at="token"):
        asked = asyncio.create_task(gateway.exchange(token))
        await begun(world, user, idp)
        await asyncio.to_thread(world.bus.kill)

        async def answered() -> bool:
            return (await atlassian_seen(world))["renewals"] == before["renewals"] + 1

        await until(answered)
        await asyncio.to_thread(world.bus.start)
        await asked
    await until_ready(world.auth)
    async with atlassian(world, refresh_leeway_seconds=0):
        answer = await gateway.exchange(token)
    assert 200 == answer.status_code, answer.text
    after = await row_of(world, user, idp)
    assert (row.generation + 1, row.fingerprint) == (after.generation, after.predecessor)
    assert before["renewals"] + 1 == (await atlassian_seen(world))["renewals"]
