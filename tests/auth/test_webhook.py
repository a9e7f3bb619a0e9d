"""The webhook of the worklist: what is told, how it is signed, and that nothing is lost or told by two."""

import asyncio
import base64
import hmac
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.auth.core import webhook
from scopefold.auth.core.leases import SKEW
from scopefold.auth.core.webhook import BadSecret, Move, message_id, message_of, next_part, read_secret
from scopefold.auth.settings import Settings, check
from scopefold.auth.store import buckets
from scopefold.auth.store.buckets import Taken
from scopefold.auth.web.webhook import STATE, TURN, Sending
from scopefold.ledger.log import status
from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings
from tests.auth.receiver import Received, Receiver, receiver
from tests.auth.world import KEK, Person, World, auth, until, until_ready
from tests.cli.command import scopefold
from tests.support.logs import START, provisioned
from tests.support.process import ADMIN

KEY = secrets.token_bytes(32)
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
NEW = ("write:confluence-content",)


@asynccontextmanager
async def told(world: World, directory: Path, hook: Receiver, *, attempts: str = "1") -> AsyncIterator[World]:
    """A replica that tells this receiver, and gives up after one attempt."""
    own = {"webhook_url": hook.url, "webhook_secret": SECRET, "webhook_attempts": attempts}
    with auth(directory, nats_url=world.bus.url, issuer=world.auth.url, **own) as service:
        await until_ready(service)
        yield World(world.bus, service, world.sandbox, directory)
        assert "Traceback" not in service.said()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


async def company(world: World) -> tuple[str, str, str]:
    """An IdP where Alice and Bob lack what was provisioned since; their users."""
    idp, app = await world.idp_with_jira(), await world.register_client()
    alice, bob = [await Person(world, name).user(app, idp_hint=idp) for name in ("alice", "bob")]
    await world.publish(provisioned(f"confluence-{idp}", NEW, idp), by="provisioner")
    return idp, alice, bob


async def come(hook: Receiver, idp: str, count: int) -> list[Received]:
    return await asyncio.to_thread(hook.until, idp, count)


async def noted(world: World, message: Received) -> None:
    """Wait until it is known on the bus that a message was taken: whoever stops before sends it again."""
    async with world.log() as log:
        bucket = (await buckets.connect(log.js)).webhook

        async def told_of() -> bool:
            found = await bucket.get(STATE, Sending)
            return found is not None and found[0].told >= message.data["through"]

        await until(told_of)


async def test_what_is_provisioned_is_told_in_one_message_and_who_consents_by_name_of_the_user(
    world: World, tmp_path: Path, hook: Receiver
) -> None:
    async with told(world, tmp_path / "a", hook):
        idp, alice, _ = await company(world)
        (first,) = await come(hook, idp, 1)
        assert [(2, 0)] == [(move["entered"], move["left"]) for move in first.data["idps"] if move["idp"] == idp]
        app = await world.register_client()
        assert alice == await Person(world).user(app, idp_hint=idp)
        _, second = await come(hook, idp, 2)
        (move,) = second.data["users"]
        assert (alice, idp, "left") == (move["user"], move["idp"], move["change"])
        assert first.data["through"] <= second.data["after"] < move["seq"] <= second.data["through"]
        for one in (first, second):
            at = datetime.fromtimestamp(int(one.headers["webhook-timestamp"]), UTC)
            assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
            signed = hmac.digest(KEY, f"{one.id}.{int(at.timestamp())}.".encode() + one.body, "sha256")
            assert f"v1,{base64.b64encode(signed).decode()}" == one.headers["webhook-signature"]
            assert not [name for name in (b"alice@", b"Alice", b"example.com") if name in one.body]


async def test_what_is_not_taken_is_laid_aside_and_sent_again_when_an_operator_says_so(
    world: World, tmp_path: Path, hook: Receiver
) -> None:
    async with told(world, tmp_path / "a", hook) as replica:
        hook.status = 503
        idp, *_ = await company(world)
        (failed,) = await come(hook, idp, 1)

        async def laid_aside() -> bool:
            return failed.id in [one["id"] for one in await dead(replica)]

        await until(laid_aside)
        (one,) = [one for one in await dead(replica) if one["id"] == failed.id]
        assert (1, "http_503", failed.data) == (one["attempts"], one["error"], one["message"]["data"])
        assert 502 == (await replica.admin("POST", f"/v1/webhook/dead/{failed.id}/retry")).status_code
        hook.status = 200
        assert 204 == (await replica.admin("POST", f"/v1/webhook/dead/{failed.id}/retry")).status_code
        assert 404 == (await replica.admin("POST", f"/v1/webhook/dead/{failed.id}/retry")).status_code
        assert failed.id not in [one["id"] for one in await dead(replica)]
        assert [True, False] == [
            (await one.admin("GET", "/v1/webhook/dead")).json()["webhook"] for one in (replica, world)
        ], "the other replica has none to send to"
        there = ("--auth-url", replica.auth.url)
        for line in (("webhook", "dead"), ("webhook", "retry", "--all")):
            done = await asyncio.to_thread(scopefold, *line, *there, env={"SCOPEFOLD_ADMIN_TOKEN": ADMIN})
            assert (0, False) == (done.returncode, "There is no webhook" in done.stdout), done.stderr
        again = hook.about(idp)
        assert ([failed.id] * 3, [failed.body] * 3) == ([one.id for one in again], [one.body for one in again])
        without = await world.admin("POST", f"/v1/webhook/dead/{failed.id}/retry")
        assert (409, True) == (without.status_code, "SCOPEFOLD_WEBHOOK_URL" in without.text)


async def dead(world: World) -> list[Any]:
    answer = await world.admin("GET", "/v1/webhook/dead")
    assert 200 == answer.status_code, answer.text
    return list(answer.json()["items"])


async def test_of_two_replicas_one_tells_and_what_one_broke_off_the_other_tells_alike(
    world: World, tmp_path: Path, hook: Receiver
) -> None:
    async with told(world, tmp_path / "a", hook), told(world, tmp_path / "b", hook):
        first, *_ = await company(world)
        await come(hook, first, 1)
        async with world.log() as log:
            bucket = (await buckets.connect(log.js)).webhook

            async def broken_off() -> bool:
                """As one that has the turn, and dies before it has told what comes now."""
                found = await bucket.get(STATE, Sending)
                if found is None or found[0].holder or found[0].through > found[0].told:
                    return False
                with suppress(Taken):
                    begun.append(replace(found[0], holder="gone", until=datetime.now(UTC) + TURN))
                    revisions.append(await bucket.update(STATE, begun[-1], revision=found[1]))
                return bool(revisions)

            begun, revisions = list[Sending](), list[int]()
            await until(broken_off)
            idp, *_ = await company(world)
            through = (await status(log)).last_seq
            await company(world)
            over = replace(begun[-1], through=through, until=datetime.now(UTC) - SKEW)
            await bucket.update(STATE, over, revision=revisions[0])
        (again,) = await come(hook, idp, 1)
        assert (over.told, through) == (again.data["after"], again.data["through"]), "what was begun, and nothing else"
        assert len(hook.came) == len({one.id for one in hook.came}), "nothing came twice"


async def test_who_is_stopped_in_the_middle_of_a_message_gives_its_turn_back(
    world: World, tmp_path: Path, hook: Receiver
) -> None:
    hook.status = 503

    async def came() -> bool:
        return bool(hook.came)

    async with told(world, tmp_path / "a", hook, attempts="10"):
        idp, *_ = await company(world)
        await until(came)
    first = hook.came[0]
    nc = await nats.connect(world.bus.url)
    found = await (await buckets.connect(nc.jetstream())).webhook.get(STATE, Sending)
    await nc.close()
    assert found is not None
    assert ("", True) == (found[0].holder, found[0].told < first.data["through"] <= found[0].through)
    hook.status = 204
    hook.came.clear()
    async with told(world, tmp_path / "b", hook):
        await come(hook, idp, 1)
    assert first.id == hook.came[0].id, "it is told anew, and is known by its id"


async def test_what_stands_in_the_bucket_by_mistake_stops_it_no_longer_than_it_stands_there(
    world: World, tmp_path: Path, hook: Receiver
) -> None:
    async with told(world, tmp_path / "a", hook) as own:
        idp, *_ = await company(world)
        await come(hook, idp, 1)
        nc = await nats.connect(world.bus.url)
        bucket = (await buckets.connect(nc.jetstream())).webhook

        async def at_rest() -> bool:
            found = await bucket.get(STATE, Sending)
            return found is not None and not found[0].holder

        await until(at_rest)
        found = await bucket.get(STATE, Sending)
        assert found is not None
        await nc.jetstream().publish(f"$KV.webhook.{STATE}", b"no state")
        other, *_ = await company(world)

        async def met() -> bool:
            return "the webhook cannot be told" in own.auth.said()

        await until(met)
        await bucket.put(STATE, found[0])
        assert await come(hook, other, 1)
        await nc.close()


async def test_who_was_not_told_for_a_while_is_told_to_read_anew(world: World, tmp_path: Path, hook: Receiver) -> None:
    async with told(world, tmp_path / "a", hook):
        first, *_ = await company(world)
        (message,) = await come(hook, first, 1)
        await noted(world, message)
    with auth(tmp_path / "a", nats_url=world.bus.url, issuer=world.auth.url) as without:
        await until_ready(without)
        silent, *_ = await company(world)
        last = (await world.worklist())["as_of"]["seq"]

        async def folded() -> bool:
            async with without.client() as client:
                return bool((await client.get("/v1/reconsent")).json()["as_of"]["seq"] >= last)

        await until(folded)
    async with told(world, tmp_path / "a", hook):
        third, *_ = await company(world)
        await come(hook, third, 1)
    (anew,) = [one for one in hook.came if one.kind == "reconsent.resync"]
    assert (True, []) == (anew.data["after"] < last <= anew.data["through"], hook.about(silent))
    assert len(hook.came) == len({one.id for one in hook.came})


def user_moves(count: int) -> list[Move]:
    return [Move(seq, "atlassian", f"u_many{seq:04}", 1, 0, START, f"event-{seq}") for seq in range(1, count + 1)]


@given(st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=300))
def test_a_message_tells_of_whole_events_and_of_few_users(drawn: list[tuple[int, bool]]) -> None:
    moves = [
        Move(seq, idp, "" if of_all else "u_alice001", 1, 0, START, f"event-{seq}")
        for seq, of_all in sorted(dict(drawn).items())
        for idp in (("a", "b") if of_all else ("a",))
    ]
    left = moves
    while left:
        through = next_part(left)
        part = [move for move in left if move.seq <= through]
        assert part[0] == left[0]
        message = message_of(part, after=0, through=through, at=START)
        assert len(message.data.users) <= webhook.MOST_USERS
        assert len(message.data.users) + len(message.data.idps) == len(part)
        left = left[len(part) :]


def test_a_thousand_logins_are_ten_messages() -> None:
    left, parts = user_moves(1000), 0
    while left:
        through, parts = next_part(left), parts + 1
        left = [move for move in left if move.seq > through]
    assert 10 == parts


def test_one_message_has_one_name_and_others_have_others() -> None:
    message = message_of(user_moves(3), after=0, through=3, at=START)
    named = message_id("default", "log-1", message)
    assert named == message_id("default", "log-1", message_of(user_moves(3), after=0, through=3, at=START))
    others = [
        message_id("other", "log-1", message),
        message_id("default", "log-2", message),
        message_id("default", "log-1", message_of(user_moves(3), after=0, through=4, at=START)),
        message_id("default", "log-1", message_of([], after=0, through=3, at=START)),
    ]
    assert 5 == len({named, *others})
    assert "reconsent.resync" == message_of([], after=0, through=3, at=START).type


def test_a_signature_is_that_of_the_published_example() -> None:
    """Of the Standard Webhooks libraries."""
    key = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    told = webhook.headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', at)
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == told["webhook-signature"]


def test_waits_grow_and_are_spread() -> None:
    assert [0.5, 2, 8, 32, 128, 150] == [webhook.delay_seconds(attempt, 0) for attempt in range(1, 7)]
    assert [1, 4, 16, 64, 256, 300] == [webhook.delay_seconds(attempt, 1) for attempt in range(1, 7)]


@pytest.mark.parametrize("text", ["", "whsec_", "x" * 44, "whsec_????", f"whsec_{base64.b64encode(b'short').decode()}"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(BadSecret, match="whsec_"):
        read_secret(text)


@pytest.mark.parametrize(
    ("address", "secret", "named"),
    [
        ("https://hooks.example/x", "", "set both, or neither"),
        ("", SECRET, "set both, or neither"),
        ("http://hooks.example/x", SECRET, "SCOPEFOLD_WEBHOOK_URL"),
        ("https://user@hooks.example/x", SECRET, "SCOPEFOLD_WEBHOOK_URL"),
        ("https://hooks.example/x#y", SECRET, "SCOPEFOLD_WEBHOOK_URL"),
        ("https://hooks.example/x", "guessed", "SCOPEFOLD_WEBHOOK_SECRET"),
    ],
    ids=["no-secret", "no-address", "plain", "somebody", "fragment", "guessed"],
)
def test_a_webhook_that_would_be_unsafe_is_refused_at_the_start(
    tmp_path: Path, address: str, secret: str, named: str
) -> None:
    settings = Settings(admin_token=Secret("t" * 24), kek=Secret(KEK), data_dir=tmp_path)
    check(settings)
    with pytest.raises(BadSettings, match=named) as caught:
        check(replace(settings, webhook_url=address, webhook_secret=Secret(secret)))
    assert not secret or secret not in str(caught.value)
