"""Rows of the vault that were altered, or put back as they once were."""

from msgspec.structs import replace

from scopefold.auth.core.seal import Sealed
from scopefold.auth.store.data_keys import Erasure
from scopefold.auth.store.removal import drop
from scopefold.auth.web.service import now
from scopefold.contracts.events import TokenCleared
from tests.attacks.liar import Liar, come_back, liar, logged_in
from tests.attacks.stored import buckets_of
from tests.auth.gateways import at_its_end, subject_of
from tests.auth.oidc import userinfo
from tests.auth.providers import row_of, vault
from tests.auth.test_forward_auth import ask
from tests.auth.world import World, query_of, told_by, until


async def altered(world: World, name: str) -> Sealed:
    """One bit of a row turned over; the row as it was."""
    async with buckets_of(world) as found:
        stored = await found.vault.get(name, Sealed)
        assert stored is not None
        sealed, revision = stored
        other = replace(sealed, text=bytes([sealed.text[0] ^ 1]) + sealed.text[1:])
        await found.vault.update(name, other, revision=revision)
    return sealed


async def put_back(world: World, name: str, sealed: Sealed) -> None:
    async with buckets_of(world) as found:
        stored = await found.vault.get(name, Sealed)
        await found.vault.update(name, sealed, revision=stored[1] if stored else 0)


async def token_of(world: World, upstream: Liar, idp: str) -> tuple[str, str]:
    """Another login there, of a person who is told apart by the IdP's `subject`; the access token, and whose it is."""
    app = await world.register_client()
    answer = await come_back(world, idp, app)
    token = str((await app.swap(query_of(answer)["code"])).json()["access_token"])
    return token, subject_of(token)


async def test_H04_who_has_a_row_that_does_not_open_must_consent_again_and_can(world: World) -> None:
    """It is no failure of ours at any call, the log is told once, and the next login heals it for the same user."""
    async with liar() as upstream:
        gateway, token, user, idp = await logged_in(world, upstream)
        await altered(world, f"token.{user}.{idp}")

        async def refused() -> bool:
            answer = await gateway.exchange(token)
            assert answer.status_code in (200, 403), answer.text
            return answer.status_code == 403

        await until(refused)
        assert "insufficient_user_authentication" == (await gateway.exchange(token)).json()["error"]
        assert 403 == (await ask(gateway, token)).status_code
        (cleared,) = await world.said(TokenCleared, idp)
        async with world.log() as log:
            written = (await log.js.stream_info("KV_vault")).state.last_seq
            assert 403 == (await gateway.exchange(token)).status_code
            assert written == (await log.js.stream_info("KV_vault")).state.last_seq, "once, and not at every call"
        assert (user, 1, "unreadable") == (cleared.user, cleared.generation, cleared.reason)
        assert [user] == [row["user"] for row in (await world.worklist(idp=idp))["items"]]
        assert 200 == (await userinfo(world, token)).status_code
        again, same = await token_of(world, upstream, idp)
        assert (user, 2) == (same, (await row_of(world, user, idp)).generation)
        assert 200 == (await gateway.exchange(again)).status_code


async def test_H04_a_row_that_does_not_open_keeps_no_other_account_out(world: World) -> None:
    """The IdP's account stays its user's: another account in that user's session does not take its place."""
    async with liar() as upstream:
        _, _, user, idp = await logged_in(world, upstream)
        await altered(world, f"token.{user}.{idp}")
        mine, upstream.subject = upstream.subject, "somebody-else"
        _, other = await token_of(world, upstream, idp)
        upstream.subject = mine
        _, same = await token_of(world, upstream, idp)
        assert (user, True) == (same, other != user)


async def test_H04_one_row_that_does_not_open_keeps_no_operator_from_clearing_the_others(world: World) -> None:
    async with liar() as upstream:
        gateway, token, user, idp = await logged_in(world, upstream)
        upstream.subject = "the-other"
        of_other, other = await token_of(world, upstream, idp)
        await altered(world, f"token.{user}.{idp}")
        answer = await world.admin("POST", "/v1/tokens/clear", json={"idp": idp, "reason": "a test"})
        assert (200, 2) == (answer.status_code, answer.json().get("tokens")), answer.text
        assert {user, other} == {event.user for event in await world.said(TokenCleared, idp)}
        assert [403, 403] == [(await gateway.exchange(one)).status_code for one in (token, of_other)]
        removed = await world.admin("POST", f"/v1/idps/{idp}/removed", json={})
        assert (200, True) == (removed.status_code, removed.json()["removed"])


async def test_H04_groups_and_secrets_that_do_not_open_are_none(world: World) -> None:
    async with liar() as upstream:
        _, _, user, idp = await logged_in(world, upstream)
        assert 200 == (await world.admin("PUT", f"/v1/users/{user}/groups", json={"groups": ["a"]})).status_code
        await altered(world, f"groups.{user}")
        assert user == subject_of((await token_of(world, upstream, idp))[0])
        assert {"groups": []} == (await world.admin("GET", f"/v1/users/{user}/groups")).json()
        assert 200 == (await world.admin("PUT", f"/v1/users/{user}/groups", json={"groups": ["b"]})).status_code
        await altered(world, f"idp.{idp}")
        app = await world.register_client()

        async def told() -> bool:
            answer = await come_back(world, idp, app)
            return answer.status_code == 502 and "server_error" == told_by(answer)["error"]

        await until(told)


async def test_H04_a_row_from_before_a_clear_is_worth_nothing_when_it_is_put_back(world: World) -> None:
    """As after a restored backup, or by who may write the vault and cannot read it: the log knows better."""
    async with liar() as upstream:
        gateway, token, user, idp = await logged_in(world, upstream)
        name = f"token.{user}.{idp}"
        async with buckets_of(world) as found:
            stored = await found.vault.get(name, Sealed)
        assert stored is not None
        assert (
            200
            == (await world.admin("POST", "/v1/tokens/clear", json={"users": [user], "reason": "a test"})).status_code
        )
        await put_back(world, name, stored[0])
        before = len(upstream.asked)
        for _ in range(3):
            assert [403, 403] == [(await gateway.exchange(token)).status_code, (await ask(gateway, token)).status_code]
        assert (before, 1) == (len(upstream.asked), len(await world.said(TokenCleared, idp)))
        again, same = await token_of(world, upstream, idp)
        assert (user, 200) == (same, (await gateway.exchange(again)).status_code)


async def test_H04_an_erasure_that_was_cut_off_half_way_is_no_failure_of_a_call(world: World) -> None:
    """The data key is gone, the row is not yet, and the user's session has not ended."""
    async with liar() as upstream:
        gateway, token, user, idp = await logged_in(world, upstream)
        async with vault(world) as opened:
            await opened.note_erasure(user, Erasure((idp,), now()))
            await opened.keys.destroy(user)

        async def refused() -> bool:
            answers = [await gateway.exchange(token), await ask(gateway, token)]
            assert {answer.status_code for answer in answers} <= {200, 403}, [answer.text for answer in answers]
            return [403, 403] == [answer.status_code for answer in answers]

        await until(refused)
        assert 200 == (await world.admin("DELETE", f"/v1/users/{user}")).status_code


async def test_H04_who_has_a_row_from_before_a_renewal_is_on_the_worklist_once_it_is_dead(world: World) -> None:
    """The log knows a later token, which nobody has any more."""
    async with liar() as upstream:
        gateway, token, user, idp = await logged_in(world, upstream)
        name = f"token.{user}.{idp}"
        await at_its_end(world, user, idp)
        async with buckets_of(world) as found:
            stored = await found.vault.get(name, Sealed)
        assert stored is not None
        assert 200 == (await gateway.exchange(token)).status_code
        assert [] == (await world.worklist(idp=idp))["items"], "the renewal is folded"
        await put_back(world, name, stored[0])
        upstream.status, upstream.said = 400, {"error": "invalid_grant"}

        async def refused() -> bool:
            return (await gateway.exchange(token)).status_code == 403

        await until(refused)
        (cleared,) = await world.said(TokenCleared, idp)
        assert (2, "raced") == (cleared.generation, cleared.reason)
        assert [user] == [row["user"] for row in (await world.worklist(idp=idp))["items"]]


async def test_H04_who_has_no_row_any_more_is_on_the_worklist_as_soon_as_somebody_asks(world: World) -> None:
    """As after a vault that was restored without the log; a user whom nobody knows there is on no worklist."""
    async with liar() as upstream:
        gateway, token, user, idp = await logged_in(world, upstream)
        async with buckets_of(world) as found:
            await drop(found.vault, f"token.{user}.{idp}")

        async def refused() -> bool:
            return (await gateway.exchange(token)).status_code == 403

        await until(refused)
        assert 403 == (await ask(gateway, token)).status_code
        (cleared,) = await world.said(TokenCleared, idp)
        assert (user, 1, "missing") == (cleared.user, cleared.generation, cleared.reason)
        assert [user] == [row["user"] for row in (await world.worklist(idp=idp))["items"]]
        again, same = await token_of(world, upstream, idp)
        assert (user, 200) == (same, (await gateway.exchange(again)).status_code)
