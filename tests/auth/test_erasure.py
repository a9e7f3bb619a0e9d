"""A user is erased: what was theirs is gone, on disk as well, wherever it is cut off; the log can still be replayed."""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import nats
import pytest
from nats.js.api import KeyValueConfig

from scopefold.auth.core.seal import Sealed
from scopefold.auth.store import buckets, declared, removal
from scopefold.auth.store.data_keys import Erased
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.vault import Linked
from scopefold.contracts.events import UserErased, UserLoggedIn
from scopefold.ledger.follow import catch_up
from tests.auth.gateways import Gateway, access_token, at_stand_in, subject_of, visitors_token
from tests.auth.providers import Visitor, registered_at, row_of, vault
from tests.auth.sealed import token
from tests.auth.world import Person, World, auth, files_below, new_world, until, until_ready

PLACES = ("erasing.ended", "erasing.unlinked", "erasing.destroyed", "erasing.told")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose files hold nobody but those of these tests."""
    with new_world(tmp_path_factory.mktemp("erasure")) as running:
        yield running
        assert "Traceback" not in running.auth.said()


async def erase(world: World, user: str) -> httpx.Response:
    """As an operator does."""
    return await world.admin("DELETE", f"/v1/users/{user}")


async def keys_of(world: World, user: str) -> list[str]:
    """Every key that names the user, the marks of deleted ones among them.

    Keys of sessions and consents are random but for the user, and their marks go with the bucket's lifetime.
    """
    nc = await nats.connect(world.bus.url)
    try:
        found = []
        for name in set(declared.NAMES) - {declared.SESSIONS, declared.CONSENTS}:
            info = await nc.jetstream().stream_info(f"KV_{name}", subjects_filter=f"$KV.{name}.>")
            found += [subject for subject in info.state.subjects or {} if user in subject]
        return found
    finally:
        await nc.close()


async def links(world: World, idp: str) -> list[str]:
    """Where upstream accounts of an IdP lead from."""
    async with vault(world) as opened:
        return await opened.keys.bucket.keys(f"identity.{idp}.*")


async def test_an_erased_user_has_nothing_here_and_is_somebody_else_when_they_come_again(own: World) -> None:
    idp = await registered_at(own, "oidc", "api:read", "offline_access")
    app, person = await own.register_client(), Visitor(own, "carol")
    token = await visitors_token(person, app, idp)
    user, gateway = subject_of(token), await Gateway.registered(own, idp, connector="api")
    upstream = (await row_of(own, user, idp)).access_token
    answer = await erase(own, user)
    assert (200, [idp], 1, {idp: "revoked"}) == (
        answer.status_code,
        *(answer.json()[name] for name in ("idps", "sessions", "revoked")),
    ), answer.text
    assert 401 == (await at_stand_in(own, "oidc", "userinfo", upstream)).status_code, "ended upstream as well"
    assert (await gateway.exchange(token)).status_code in (400, 401), "what apps held is over"
    assert [UserErased(user=user, idp=idp)] == await own.said(UserErased, idp)
    assert [] == (await own.worklist(idp=idp))["items"]
    assert [f"$KV.vault.erased.user.{user}"] == await keys_of(own, user)
    assert [] == await links(own, idp)
    assert 404 == (await own.admin("GET", f"/v1/users/{user}/groups")).status_code
    again = Visitor(own, "carol")
    assert user != await again.user(app, idp)
    assert [] == (await own.worklist(idp=idp))["items"]


async def test_H08_nothing_of_the_person_is_left_in_any_file(own: World) -> None:
    """What is sealed with the data key may lie about: there is no such key any more."""
    idp = await registered_at(own, "oidc", "api:read", "offline_access")
    app, person = await own.register_client(), Visitor(own, "dave")
    user = subject_of(await visitors_token(person, app, idp))
    await own.admin("PUT", f"/v1/users/{user}/groups", json={"groups": ["canary-group-of-dave"]})
    row = await row_of(own, user, idp)
    (link,) = await links(own, idp)
    personal = [row.access_token, row.refresh_token, row.identity.subject, row.identity.email, row.identity.name]
    personal += ["canary-group-of-dave", link]
    assert all(personal), personal
    async with vault(own) as opened:
        key = await opened.keys.bucket.get(f"key.{user}", Sealed)
    assert key is not None
    assert 200 == (await erase(own, user)).status_code
    own.bus.stop()  # everything that the server holds in memory is on disk then
    try:
        kept = [*files_below(own.directory / "nats"), *files_below(own.directory / "auth")]
        left = {what: str(path) for path, content in kept for what in personal if (what or "").encode() in content}
        assert {} == left
        assert [] == [path for path, content in kept if key[0].text in content], "even sealed, the key is gone"
        assert 3 < len(kept)
    finally:
        own.bus.start()
        await until_ready(own.auth)


@pytest.mark.parametrize("place", PLACES)
async def test_an_erasure_that_was_cut_off_is_finished_by_the_next(own: World, tmp_path: Path, place: str) -> None:
    idp = await own.idp_with_jira()
    app, alice = await own.register_client(), Person(own)
    user = await alice.user(app, idp_hint=idp)
    with auth(tmp_path / "dies", **own.settings, crash_at=place) as dying:
        await until_ready(dying)
        async with dying.client() as client:
            with pytest.raises(httpx.HTTPError):
                await client.delete(f"/v1/users/{user}")
    between = await Person(own).user(app, idp_hint=idp) if place != "erasing.ended" else ""
    assert user != between
    assert 200 == (await erase(own, user)).status_code
    assert [UserErased(user=user, idp=idp)] == await own.said(UserErased, idp)
    assert [f"$KV.vault.erased.user.{user}"] == await keys_of(own, user)
    after = await Person(own).user(app, idp_hint=idp)
    assert user != after
    assert between in ("", after), "whoever came in between is still who they are"


async def test_a_login_that_an_erasure_overtakes_stores_nothing(own: World) -> None:
    idp = await own.idp_with_jira()
    app, alice = await own.register_client(), Person(own)
    user = await alice.user(app, idp_hint=idp)
    back = await alice.press(await alice.at_consent(app, idp_hint=idp, prompt="consent"))
    assert 200 == (await erase(own, user)).status_code
    came = await alice.browser.get(back)
    assert "code=" not in came.headers.get("location", ""), came.headers
    assert [f"$KV.vault.erased.user.{user}"] == await keys_of(own, user)
    assert user != await Person(own).user(app, idp_hint=idp)


async def test_no_key_is_made_for_who_was_erased(own: World) -> None:
    idp = await own.idp_with_jira()
    user = await Person(own, "bob").user(await own.register_client(), idp_hint=idp)
    async with vault(own) as other:  # another replica, that has the user's key in memory
        assert await other.token(user, idp) is not None
        await erase(own, user)
        for _ in range(2):
            with pytest.raises(Erased):
                await other.put_token(user, idp, token("canary"), revision=0)
    assert [f"$KV.vault.erased.user.{user}"] == await keys_of(own, user)


async def test_a_replay_up_to_before_and_up_to_now_comes_to_the_same_counts(own: World, tmp_path: Path) -> None:
    idp = await own.idp_with_jira()
    app = await own.register_client()
    user, _ = await Person(own).user(app, idp_hint=idp), await Person(own, "bob").user(app, idp_hint=idp)
    await own.admin("POST", "/v1/tokens/clear", json={"idp": idp, "reason": "a test"})
    before = await own.worklist(idp=idp)
    await erase(own, user)
    after = await own.worklist(idp=idp)
    assert (2, 1) == (before["total"], after["total"])
    assert before["items"] == (await own.worklist(idp=idp, at=before["as_of"]["seq"]))["items"]
    rebuilt = Projection("default")
    await rebuilt.open(tmp_path / "rebuilt.db")
    async with own.log() as log:
        await catch_up(log, None, rebuilt.apply)
    assert 1 == rebuilt.count("missing", idp)
    await rebuilt.close()


async def test_nobody_is_erased_twice_and_nobody_unknown(own: World) -> None:
    idp = await own.idp_with_jira()
    user = await Person(own).user(await own.register_client(), idp_hint=idp)
    answers = await asyncio.gather(*(erase(own, user) for _ in range(3)))
    assert {200} == {one.status_code for one in answers}, [one.text for one in answers]
    assert 1 == len(await own.said(UserErased, idp))
    assert 404 == (await erase(own, f"u_{secrets.token_hex(8)}")).status_code


async def test_who_was_erased_is_known_to_the_log_and_what_ends_them_may_be_repeated(own: World) -> None:
    idp = await own.idp_with_jira()
    user = await Person(own).user(await own.register_client(), idp_hint=idp)
    await erase(own, user)
    for _ in range(2):
        for method, path, status in (
            ("GET", f"/v1/users/{user}/sessions", 200),
            ("DELETE", f"/v1/users/{user}/sessions", 200),
            ("DELETE", f"/v1/users/{user}/grants", 204),
            ("DELETE", f"/v1/users/{user}", 200),
            ("GET", f"/v1/users/{user}/groups", 404),
            ("GET", f"/v1/reconsent?user={user}", 200),
            ("GET", f"/v1/reconsent/export?user={user}", 200),
            ("GET", f"/v1/log/explain?user={user}&idp={idp}", 200),
        ):
            assert (status, path) == ((await own.admin(method, path)).status_code, path)
    links = await own.admin("POST", "/v1/reconsent/links", json={"users": [user], "idp": idp})
    assert ["not-on-worklist"] == [one["why"] for one in links.json()["without"]]


async def test_who_never_gave_anything_is_no_stranger_to_the_log(own: World) -> None:
    """The log has a login of theirs, and no fold keeps anything of it."""
    idp, user = await own.idp_with_jira(), f"u_{secrets.token_hex(8)}"
    for query in (f"user={user}", f"user={user}&idp={idp}"):
        assert 404 == (await own.admin("GET", f"/v1/reconsent?{query}")).status_code
    await own.publish(UserLoggedIn(user=user, idp=idp, client="app"), by="auth")
    found = await own.worklist(user=user)
    assert ([], 0) == (found["items"], found["total"])
    for moment in (found["as_of"]["seq"], 1):
        assert [] == (await own.worklist(user=user, at=moment))["items"]


async def test_J05_another_replica_hands_nothing_out_after_an_erasure(own: World, tmp_path: Path) -> None:
    idp = await own.idp_with_jira()
    held = await access_token(Person(own), await own.register_client(), idp_hint=idp)
    gateway = await Gateway.registered(own, idp)
    with auth(tmp_path / "second", **own.settings) as second:
        await until_ready(second)
        assert 200 == (await gateway.exchange(held, at=second.url)).status_code
        await erase(own, subject_of(held))

        async def refused() -> bool:
            return (await gateway.exchange(held, at=second.url)).status_code != 200

        await until(refused)


async def test_in_a_bucket_of_before_an_entry_is_removed_if_not_written_over(own: World) -> None:
    nc = await nats.connect(own.bus.url)
    js = nc.jetstream()
    name = f"old-{secrets.token_hex(4)}"
    bucket = buckets.Bucket(await js.create_key_value(KeyValueConfig(bucket=name, history=1)), (js, name))
    try:
        for key in ("a.row", "another.row"):
            await bucket.put(key, Linked("somebody"))
        await removal.erase(bucket, "a.row")
        await removal.erase(bucket, "none.such")
        assert ["another.row"] == await bucket.keys()
    finally:
        await js.delete_key_value(name)
        await nc.close()
