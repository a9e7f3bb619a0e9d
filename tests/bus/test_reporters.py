"""What somebody who may do nothing but report can take from who writes to the same log: an id, and room for batches.

The server looks for an id among all messages of a day, whatever their subjects and bodies, and tells who comes second
that the event is stored. Many ids of ours follow from what an event says, so that appending it again is harmless; so
anybody who knows a user can work them out. And it has room for so many batches that are not ended, of all who write.
"""

import asyncio
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import pytest

from scopefold.auth.core.login import user_erased_id
from scopefold.contracts.codec import encode
from scopefold.contracts.events import (
    ConnectorProvisioned,
    Event,
    IdpRemoved,
    TokenInsufficient,
    TokenStored,
    UserErased,
    UserLoggedIn,
)
from scopefold.contracts.examples import EVENTS
from scopefold.contracts.recorded import Message, Recorded, examine
from scopefold.contracts.subjects import idps_filter, subject_of
from scopefold.ledger.append import Conflict, Expected, NewEvent, append
from scopefold.ledger.log import Log, last_seq_on, status
from scopefold.ledger.read import read
from tests.auth.gateways import access_token
from tests.auth.gateways import subject_of as user_of
from tests.auth.world import Person
from tests.bus.exchanging import GuardedWorld, exchanging
from tests.bus.guarded import GATEWAY, Guarded

MOST_BEGUN: Final = 51
NOW: Final = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
SAMPLE: Final = {type(event): event for event in EVENTS}
REPORT: Final = SAMPLE[TokenInsufficient]


async def takes(bus: Guarded, event_id: str) -> int:
    """The gateway, which may do nothing but report, uses this id for a report; the report's place in the log."""
    async with bus.as_(GATEWAY) as gateway:
        told = await gateway.nc.request(
            subject_of(REPORT, "default"), encode(REPORT), timeout=5, headers={"Nats-Msg-Id": event_id}
        )
    answer = json.loads(told.data)
    assert "duplicate" not in answer, answer
    return int(answer["seq"])


async def stored(log: Log, after: int) -> list[Message]:
    return [message async for page in read(log, after=after) for message in page]


def events_in(messages: list[Message]) -> list[Event]:
    return [found.event for found in map(examine, messages) if isinstance(found, Recorded)]


def new_id() -> str:
    return f"test-{secrets.token_hex(8)}"


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a batch"])
async def test_J13_an_event_whose_id_was_taken_is_stored_all_the_same(bus: Guarded, alone: bool) -> None:
    erased, logged_in = SAMPLE[UserErased], SAMPLE[UserLoggedIn]
    new = [NewEvent(new_id(), one) for one in ([erased] if alone else [logged_in, erased])]
    seq = await takes(bus, new[-1].event_id)
    async with bus.as_("auth") as auth:
        log = Log(auth.nc)
        await append(log, new, tenant="default", publisher="auth", now=NOW)
        after = await stored(log, seq)
    assert [one.event for one in new] == events_in(after)
    assert new[-1].event_id != after[-1].headers["ce-id"]


async def test_J13_what_was_expected_holds_for_it_too(bus: Guarded) -> None:
    event, filter_ = SAMPLE[ConnectorProvisioned], idps_filter("default")
    async with bus.as_("provisioner") as provisioner, bus.as_("auth") as auth:
        log = Log(provisioner.nc)
        known = await last_seq_on(Log(auth.nc), filter_)
        first, second = NewEvent(new_id(), event), NewEvent(new_id(), event)
        seq = [await takes(bus, one.event_id) for one in (first, second)][-1]
        await append(
            log, [first], tenant="default", publisher="provisioner", now=NOW, expected=Expected(filter_, known)
        )
        assert [event] == events_in(await stored(log, seq))
        with pytest.raises(Conflict):
            await append(
                log, [second], tenant="default", publisher="provisioner", now=NOW, expected=Expected(filter_, known)
            )
        assert [event] == events_in(await stored(log, seq))


async def test_an_event_that_is_there_already_is_stored_once(bus: Guarded) -> None:
    new = NewEvent(new_id(), SAMPLE[IdpRemoved])
    async with bus.as_("auth") as auth:
        log = Log(auth.nc)
        before = (await status(log)).last_seq
        for _ in range(3):
            await append(log, [new], tenant="default", publisher="auth", now=NOW)
        assert [new.event] == events_in(await stored(log, before))


async def test_J14_who_begins_batches_and_ends_none_keeps_nobody_from_the_log(own_bus: Guarded) -> None:
    """The server keeps each for ten seconds."""
    new = [NewEvent(new_id(), one) for one in (SAMPLE[UserLoggedIn], SAMPLE[TokenStored])]
    told = b""
    async with own_bus.as_(GATEWAY) as gateway, own_bus.as_("auth") as auth:
        for place in range(MOST_BEGUN):
            begun = {"Nats-Batch-Id": f"begun-{place:04}", "Nats-Batch-Sequence": "1"}
            subject = subject_of(REPORT, "default")
            told = (await gateway.nc.request(subject, encode(REPORT), timeout=5, headers=begun)).data
        assert 10210 == json.loads(told)["error"]["err_code"], "there is no room left"
        log = Log(auth.nc)
        await append(log, new, tenant="default", publisher="auth", now=NOW)
        assert [one.event for one in new] == events_in(await stored(log, 0))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedWorld]:
    with exchanging(tmp_path_factory.mktemp("taken")) as running:
        yield running


async def test_J13_an_erasure_comes_into_the_log_whoever_took_its_id(world: GuardedWorld) -> None:
    """A gateway knows the user, since it is called with their token, and works the id out."""
    idp = await world.idp_with_jira()
    user = user_of(await access_token(Person(world), await world.register_client(), idp_hint=idp))
    seq = await takes(world.guarded, user_erased_id("default", UserErased(user=user, idp=idp)))
    answer = await world.admin("DELETE", f"/v1/users/{user}")
    assert 200 == answer.status_code, answer.text
    async with world.log() as log:
        assert [UserErased(user=user, idp=idp)] == [
            one for one in events_in(await stored(log, seq)) if isinstance(one, UserErased)
        ]
    await asyncio.wait_for(world.caught_up(), 30)
    told = await world.admin("GET", "/v1/log/explain", params={"user": user, "idp": idp})
    assert "erased" in told.text
