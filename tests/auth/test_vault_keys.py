"""The vault's keys can be rotated at any time, by anybody, half-way; and no row opens where it does not belong."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from scopefold.auth.core.rotation import SETTLE, Found, Kind, Rotation, at_end, looked_at
from scopefold.auth.core.seal import CannotOpen, Sealed, UnknownKek, key_id
from scopefold.auth.core.stored_token import stand_in
from scopefold.auth.store import rotation
from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.data_keys import DataKey, Keks, belongs
from scopefold.auth.store.vault import Vault
from scopefold.cli.nats_server import NatsServer
from tests.auth.sealed import NEW, OLD, bucket, emptied, finished, opened, row_of, sealed_with, token

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + SETTLE
USERS = [f"u_user{n:04}" for n in range(7)]
ALICE, BOB = USERS[:2]


async def filled(vault: Vault) -> None:
    """A token and groups for each user; and what the service itself keeps."""
    for user in USERS:
        await vault.put_token(user, "atlassian", token(f"token of {user}"), revision=0)
        await vault.put_groups(user, ("staff",))
    await vault.put_idp_secret("atlassian", "the secret")


async def check_all_open(vault: Vault) -> None:
    for user in USERS:
        found = await vault.token(user, "atlassian")
        assert found is not None
        assert (f"token of {user}", ("staff",)) == (found[0].access_token, await vault.groups(user))
    assert "the secret" == await vault.idp_secret("atlassian")


async def is_closed(vault: Vault) -> bool:
    """Does alice's row not open? Then it shows as a token that is gone, and nothing that is in it."""
    found = await vault.token(ALICE, "atlassian")
    return found is not None and stand_in("unreadable") == found[0]


Change = Callable[[Sealed], Sealed]
ALICES, BOBS, ALICES_OTHER = f"token.{ALICE}.atlassian", f"token.{BOB}.atlassian", f"token.{ALICE}.google"
MOVED: list[tuple[str, str, Change]] = [
    # case, from where alice's row at atlassian comes, how it is changed
    ("another user's row", BOBS, lambda row: row),
    ("her row at another IdP", ALICES_OTHER, lambda row: row),
    ("her row of another kind", f"groups.{ALICE}", lambda row: row),
    ("a row of the service", "idp.atlassian", lambda row: row),
    ("her data key", f"key.{ALICE}", lambda row: row),
    ("another version", ALICES, lambda row: replace(row, version=2)),
    ("truncated", ALICES, lambda row: replace(row, text=row.text[:-1])),
    ("emptied", ALICES, lambda row: replace(row, text=b"")),
    ("tampered", ALICES, lambda row: replace(row, text=bytes([row.text[0] ^ 1]) + row.text[1:])),
    ("another nonce", ALICES, lambda row: replace(row, nonce=bytes(12))),
    ("a key that is none", ALICES, lambda row: replace(row, key_id="0" * 16)),
]


@pytest.mark.parametrize(("case", "source", "change"), MOVED)
async def test_H04_a_row_that_was_moved_or_changed_does_not_open(
    case: str, source: str, change: Change, shared_nats: NatsServer
) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        vault = await emptied(rows, raw)
        await filled(vault)
        await vault.put_token(ALICE, "google", token("another"), revision=0)
        await raw.put(ALICES, msgspec.msgpack.encode(change(await row_of(raw, source))))
        for reader in (vault, await opened(rows, OLD)):
            assert await is_closed(reader)


async def test_H04_a_row_with_another_users_key_id_does_not_open(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        vault = await emptied(rows, raw)
        await filled(vault)
        bobs = await row_of(raw, BOBS)
        row = replace(await row_of(raw, ALICES), key_id=bobs.key_id)
        await raw.put(ALICES, msgspec.msgpack.encode(row))
        assert await is_closed(vault)


@pytest.mark.parametrize("name", ["root", "keks", f"key.{ALICE}"])
@pytest.mark.parametrize("other", [f"key.{BOB}", "root", "keks"])
async def test_H04_keys_that_were_moved_do_not_open(name: str, other: str, shared_nats: NatsServer) -> None:
    if name == other:
        return
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        await raw.put(name, msgspec.msgpack.encode(await row_of(raw, other)))
        if name.startswith("key."):
            assert await is_closed(await opened(rows, OLD))
            return
        with pytest.raises(CannotOpen):
            await opened(rows, OLD)


async def test_H04_another_tenants_vault_does_not_open(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        with pytest.raises(CannotOpen):
            await Vault(rows, "another", OLD).open()


async def test_H06_every_data_key_gets_another_kek_step_by_step(shared_nats: NatsServer) -> None:
    """Each step is done by another replica: as after a kill of the one before."""
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        begun = await rotation.begin((await opened(rows, NEW, OLD)).keys, "kek", NOW)
        found, left = begun, list[int]()
        while found.finished_at is None and len(left) < 40:
            found = await rotation.step((await opened(rows, NEW, OLD)).keys, NOW, most=2) or begun
            left.append(max(0, found.total - found.looked))
            await check_all_open(await opened(rows, OLD, NEW))
        assert (NOW, begun.to, 2) == (found.finished_at, key_id(NEW), found.passes)
        assert len(USERS) + 2 == found.replaced  # the root and the service's own data key
        assert left[:5] == sorted(left[:5], reverse=True)
        names = [name for name in await sealed_with(raw) if name.startswith("key.") or name in ("root", "keks")]
        assert {key_id(NEW)} == {(await row_of(raw, name)).key_id for name in names}
        await check_all_open(await opened(rows, NEW))


async def test_H06_a_step_that_was_cut_off_before_it_said_so_is_done_again(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        vault = await opened(rows, NEW, OLD)
        await rotation.begin(vault.keys, "kek", NOW)
        before = (await raw.get("rotation")).value
        await rotation.step(vault.keys, NOW, most=3)
        await raw.put("rotation", before or b"")
        await finished(vault, "kek", NOW)
        await check_all_open(await opened(rows, NEW))


async def test_H06_a_kek_that_went_too_early_is_named_with_what_it_sealed(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        with pytest.raises(
            UnknownKek, match=f"^{len(USERS) + 2} keys in the vault are sealed with key-encryption key {key_id(OLD)}, "
        ):
            await opened(rows, NEW)
        both = await opened(rows, NEW, OLD)
        await rotation.begin(both.keys, "kek", NOW)
        await rotation.step(both.keys, NOW, most=4)
        left = list((await sealed_with(raw)).values()).count(key_id(OLD))
        assert 0 < left < len(USERS)
        with pytest.raises(UnknownKek, match=f"^{left} keys in the vault are sealed with .* {key_id(OLD)}, which"):
            await opened(rows, NEW)
        await finished(both, "kek", NOW)
        await opened(rows, NEW)
        with pytest.raises(UnknownKek, match=key_id(NEW)):
            await opened(rows, OLD)


async def test_H06_a_start_reads_the_same_for_any_number_of_users(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        asked: list[str] = []
        before = rows.get

        async def counting(key: str, kind: type[Sealed]) -> tuple[Sealed, int] | None:
            asked.append(key)
            return await before(key, kind)

        rows.get = counting  # type: ignore[method-assign,assignment]
        await opened(rows, OLD)
        assert ["keks", "root"] == asked


async def test_a_kek_that_no_row_needs_any_more_may_go_before_the_list_says_so(shared_nats: NatsServer) -> None:
    """As where a rotation was cut off just before its end, and the old key is lost."""
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        both = await opened(rows, NEW, OLD)
        await finished(both, "kek", NOW)
        _, revision = await both.keys.keks()
        await both.keys.put_keks(Keks(key_id(NEW), (key_id(NEW), key_id(OLD))), revision)
        await check_all_open(await opened(rows, NEW))


async def test_a_vault_of_before_is_opened_as_it_is(shared_nats: NatsServer) -> None:
    """It had one key-encryption key and no list of them, and its data keys had none before."""
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        await raw.purge("keks")
        with pytest.raises(UnknownKek, match=key_id(OLD)):
            await opened(rows, NEW)
        await check_all_open(await opened(rows, NEW, OLD))
        assert key_id(OLD) == (await row_of(raw, "keks")).key_id
        old = msgspec.msgpack.encode({"key": b"k" * 32})
        assert DataKey(b"k" * 32) == msgspec.msgpack.decode(old, type=DataKey)


async def test_H06_every_user_gets_another_data_key(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        vault = await emptied(rows, raw)
        await filled(vault)
        before = await sealed_with(raw)
        found = await finished(await opened(rows, OLD), "data-keys", NOW, LATER, most=3)
        after = await sealed_with(raw)
        rows_of_owners = [name for name in before if name.split(".")[0] in ("token", "groups", "idp")]
        assert [] == [name for name in rows_of_owners if before[name] == after[name]]
        assert (len(USERS) + 1, 0) == (found.replaced, found.unreadable)
        for reader in (vault, await opened(rows, OLD)):
            await check_all_open(reader)
            for user in USERS:
                assert None is reader.keys.opened(user, await row_of(raw, f"key.{user}")).previous
        assert found == await rotation.present(vault.keys)


async def test_H06_both_data_keys_open_until_the_one_before_has_settled(shared_nats: NatsServer) -> None:
    """As after a crash between the new key and the rows, which are then sealed with the one before."""
    async with bucket(shared_nats.url) as (rows, raw):
        vault = await emptied(rows, raw)
        await filled(vault)
        sealed = await row_of(raw, f"key.{ALICE}")
        held = vault.keys.opened(ALICE, sealed)
        _, revision = await rows.get(f"key.{ALICE}", Sealed) or (None, 0)
        await vault.keys.replace(ALICE, DataKey(b"n" * 32, held.key, NOW), sealed, revision)
        for reader in (vault, await opened(rows, OLD)):
            await check_all_open(reader)
        early = NOW + SETTLE - timedelta(seconds=1)
        await rotation.begin(vault.keys, "data-keys", NOW)
        await rotation.step(vault.keys, early)
        assert held.key == vault.keys.opened(ALICE, await row_of(raw, f"key.{ALICE}")).previous
        await finished(vault, "data-keys", early, early + SETTLE)
        assert DataKey(b"n" * 32, None, NOW) == vault.keys.opened(ALICE, await row_of(raw, f"key.{ALICE}"))
        assert key_id(b"n" * 32) == (await row_of(raw, ALICES)).key_id
        for reader in (vault, await opened(rows, OLD)):
            await check_all_open(reader)


async def test_H06_a_replica_with_the_old_data_key_in_memory_loses_nothing(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        slow = await emptied(rows, raw)
        await filled(slow)
        found = await slow.token(ALICE, "atlassian")
        assert found is not None
        await finished(await opened(rows, OLD), "data-keys", NOW, LATER)
        with pytest.raises(Taken):
            await slow.put_token(ALICE, "atlassian", token("stale"), revision=found[1])
        await slow.put_token(ALICE, "google", token("new row"), revision=0)
        await slow.put_groups(BOB, ("others",))
        await slow.put_idp_secret("atlassian", "another")
        fresh = await opened(rows, OLD)
        new, _ = await fresh.token(ALICE, "google") or (token(""), 0)
        assert ("new row", ("others",)) == (new.access_token, await fresh.groups(BOB))
        assert "another" == await fresh.idp_secret("atlassian")


async def test_H06_a_row_that_does_not_open_keeps_its_old_key(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        vault = await emptied(rows, raw)
        await filled(vault)
        before = await row_of(raw, ALICES)
        await raw.put(ALICES, msgspec.msgpack.encode(replace(before, text=before.text[:-1])))
        found = await finished(vault, "data-keys", NOW, LATER)
        assert found.unreadable > 0
        await raw.put(ALICES, msgspec.msgpack.encode(before))
        await check_all_open(await opened(rows, OLD))


@pytest.mark.parametrize("kind", ["kek", "data-keys"])
async def test_H06_nothing_is_lost_under_load(kind: Kind, shared_nats: NatsServer) -> None:
    """Replicas write and read all the time, and new users come, while two others rotate at once."""
    async with bucket(shared_nats.url) as (rows, raw):
        await filled(await emptied(rows, raw))
        written: dict[tuple[str, str], str] = {}
        over = asyncio.Event()

        async def write(replica: Vault, number: int) -> None:
            turn = 0
            while not over.is_set() or turn < 20:
                turn += 1
                for user in (ALICE, f"u_new{number}{turn:05}"):
                    idp = f"idp{number}" if user == ALICE else "atlassian"
                    before = await replica.token(user, idp)
                    text = f"{user} {number} {turn}"
                    await put(replica, user, idp, text, before[1] if before else 0)
                    written[user, idp] = text

        async def put(replica: Vault, user: str, idp: str, text: str, revision: int) -> None:
            try:
                await replica.put_token(user, idp, token(text), revision=revision)
            except Taken:  # the rotation was faster: who lost reads again
                before = await replica.token(user, idp)
                await put(replica, user, idp, text, before[1] if before else 0)

        keks = (NEW, OLD) if kind == "kek" else (OLD,)
        writers = [asyncio.create_task(write(await opened(rows, *keks), n)) for n in range(3)]
        rotators = [await opened(rows, *keks) for _ in range(2)]
        await asyncio.gather(*(finished(one, kind, NOW, LATER, LATER + SETTLE, most=3) for one in rotators))
        over.set()
        await asyncio.gather(*writers)
        last = await opened(rows, keks[0])
        for (user, idp), text in written.items():
            found = await last.token(user, idp)
            assert found is not None
            assert text == found[0].access_token


async def test_one_rotation_at_a_time(shared_nats: NatsServer) -> None:
    async with bucket(shared_nats.url) as (rows, raw):
        vault = await emptied(rows, raw)
        assert None is await rotation.step(vault.keys, NOW)
        begun = await rotation.begin(vault.keys, "data-keys", NOW)
        assert begun == await rotation.begin(vault.keys, "data-keys", LATER)
        with pytest.raises(rotation.AnotherUnderWay):
            await rotation.begin(vault.keys, "kek", NOW)
        await finished(vault, "data-keys", NOW)
        assert "kek" == (await rotation.begin(vault.keys, "kek", NOW)).kind


def test_a_pass_that_found_nothing_to_do_is_the_last() -> None:
    begun = Rotation("data-keys", NOW)
    for found, goes_on in [
        (Found.DONE_BEFORE, False),
        (Found.UNREADABLE, False),
        (Found.REPLACED, True),
        (Found.SETTLING, True),
        (Found.SETTLED, True),
    ]:
        ended = at_end(looked_at(looked_at(begun, Found.DONE_BEFORE, 1), found, 2), LATER)
        assert (goes_on, 2 if goes_on else 1) == (ended.finished_at is None, ended.passes), found
        assert (LATER + SETTLE if found is Found.SETTLING else None) == ended.resume_at
        assert (0, 0) == (ended.cursor, ended.looked) if goes_on else (2, 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token.u_user0001.atlassian", ("u_user0001", "atlassian")),
        ("groups.u_user0001", ("u_user0001", "")),
        ("idp.atlassian", ("service", "atlassian")),
        ("signing.ring", ("service", "")),
        ("root", None),
        ("a.b.c.d", None),
    ],
)
def test_a_rows_name_says_whose_it_is(name: str, expected: tuple[str, str] | None) -> None:
    if expected is not None:
        assert expected == belongs(name)
        return
    with pytest.raises(ValueError, match="is no name"):
        belongs(name)
