"""Services on the bus exchange users' tokens: the decision of the token endpoint, for whom the bus itself knows."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
from nats.js.errors import NotFoundError

from scopefold.auth.web.bus_exchange import MOST_OF_ONE
from scopefold.contracts.exchange import ExchangeAnswer, ExchangeToken, NotExchanged, exchange
from scopefold.contracts.publish import BusUnavailable, NotAllowed
from scopefold.ledger.log import Log, status
from scopefold.sandbox.core.atlassian import SITE
from tests.auth.gateways import Gateway, access_token, at_its_end, atlassian, resource_of, subject_of
from tests.auth.holders import Holder
from tests.auth.test_dpop import swap
from tests.auth.world import Person, auth, until_ready
from tests.bus.exchanging import GuardedWorld, exchanging
from tests.bus.guarded import EXCHANGER, GATEWAY
from tests.house.source import ROOT
from tests.support.logs import CONFLUENCE, JIRA, provisioned

TICKETS, WIKI, UNKNOWN = "tickets-service", "wiki-service", "unregistered-service"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedWorld]:
    with exchanging(tmp_path_factory.mktemp("exchanging"), TICKETS, WIKI, UNKNOWN) as running:
        yield running
        said = running.auth.said()
        assert "Traceback" not in said, said[said.index("Traceback") :][:9000].replace("\\n", "\n")


@pytest.fixture(scope="module")
def jira(world: GuardedWorld) -> str:
    """An IdP with a connector for which tickets-service may exchange, and wiki-service may not."""

    async def made() -> str:
        idp = await world.idp_with_jira()
        await world.publish(provisioned(f"jira-{idp}", JIRA, idp), by="provisioner")
        await world.client_of(TICKETS, resource_of(idp))
        await world.client_of(WIKI, "https://wiki.example/")
        return idp

    return asyncio.run(made())


@pytest.fixture
async def token(world: GuardedWorld, jira: str) -> str:
    """Alice's."""
    return await access_token(Person(world), await world.register_client(), idp_hint=jira)


def members(answer: ExchangeAnswer) -> dict[str, Any]:
    """What the answer says, but for what HTTP says beside its body."""
    told: dict[str, Any] = msgspec.to_builtins(answer)
    return {name: value for name, value in told.items() if name not in ("status", "retry_after")}


async def test_a_service_gets_what_the_token_endpoint_gives(world: GuardedWorld, jira: str, token: str) -> None:
    gateway = await Gateway.registered(world, jira)
    for scopes in [(), ("read:jira-work",), ("no:such-scope",)]:
        over_http = await gateway.exchange(token, scope=" ".join(scopes) or None)
        over_bus = await world.ask(
            TICKETS, ExchangeToken(subject_token=token, resource=gateway.resource, scopes=scopes)
        )
        told = members(over_bus)
        assert over_http.status_code == over_bus.status
        expected = over_http.json()
        assert abs(told.pop("expires_in", 0) - expected.pop("expires_in", 0)) <= 2
        assert expected == told


async def test_a_service_may_name_a_site(world: GuardedWorld, jira: str, token: str) -> None:
    gateway = await Gateway.registered(world, jira)
    for site in (SITE.url, "elsewhere.example"):
        asked = ExchangeToken(subject_token=token, resource=gateway.resource, site=site)
        over_http, over_bus = await gateway.exchange(token, site=site), await world.ask(TICKETS, asked)
        told, expected = members(over_bus), over_http.json()
        assert over_http.status_code == over_bus.status
        assert abs(told.pop("expires_in", 0) - expected.pop("expires_in", 0)) <= 2
        assert expected == told


async def test_C07_a_refusal_says_the_same_as_over_http(world: GuardedWorld, token: str, jira: str) -> None:
    connector = f"confluence-{jira}"
    await world.publish(provisioned(connector, CONFLUENCE, jira), by="provisioner")
    resource = resource_of(jira, "confluence")
    gateway = await Gateway.registered(world, jira, connector="confluence")
    await world.client_of(EXCHANGER, resource)
    over_http = await gateway.exchange(token)
    over_bus = await world.ask(EXCHANGER, ExchangeToken(subject_token=token, resource=resource))
    assert (403, "insufficient_scope") == (over_bus.status, over_bus.error)
    assert over_http.json() == members(over_bus)
    assert over_bus.step_up_uri.startswith(world.auth.url)


async def test_J02_who_asks_is_told_by_the_bus_alone(world: GuardedWorld, jira: str, token: str) -> None:
    asked = ExchangeToken(subject_token=token, resource=resource_of(jira))
    assert 200 == (await world.ask(TICKETS, asked)).status
    assert (400, "invalid_target") == _refused(await world.ask(WIKI, asked))
    assert (400, "unauthorized_client") == _refused(await world.ask(UNKNOWN, asked))
    async with world.guarded.as_(WIKI) as wiki:
        with pytest.raises(NotAllowed, match="does not let this service publish"):
            await exchange(wiki.nc, asked, service=TICKETS, timeout_seconds=3)
    async with world.guarded.as_(GATEWAY) as gateway:
        with pytest.raises(NotAllowed, match="does not let this service publish"):
            await exchange(gateway.nc, asked, service=GATEWAY, timeout_seconds=3)


async def test_J04_no_answer_is_sent_on_as_the_request_of_another(world: GuardedWorld, jira: str, token: str) -> None:
    """What the server sends to a reply address, it sends unasked: it must come to nobody but inboxes."""
    asked = msgspec.json.encode(ExchangeToken(subject_token=token, resource=resource_of(jira)))
    kept = {"KV_vault": "$KV.vault.a.row", "LEDGER": "ledger.default.user.7.a.token-insufficient"}
    async with world.keeper() as auth, world.guarded.as_(WIKI) as wiki:
        listening = await auth.subscribe("exchange.default.*")
        await status(Log(auth))  # its answer comes after the subscription; flush() writes its PING ahead of that
        for reply in (f"exchange.default.{TICKETS}", "command.default.provision-connector", *kept.values()):
            await wiki.nc.publish(f"exchange.default.{WIKI}", asked, reply=reply)
        for _ in range(10):  # one after another, while what was asked before is answered beside them
            answer = await wiki.nc.request(f"exchange.default.{WIKI}", asked, timeout=10)
            assert 400 == json.loads(answer.data)["status"]
        heard = [(await listening.next_msg(timeout=10)).subject for _ in range(4 + 10)]
        await status(Log(auth))
        assert 0 == listening.pending_msgs
        for stream, subject in kept.items():
            with pytest.raises(NotFoundError):
                await auth.jetstream().get_last_msg(stream, subject)
    assert {f"exchange.default.{WIKI}"} == set(heard)


BAD: Final[list[tuple[str, bytes]]] = [
    ("nothing", b""),
    ("no JSON", b"\xff\xfe"),
    ("another command", b'{"command":"provision-connector","connector":"a.b","idp":"c"}'),
    ("an answer", msgspec.json.encode(ExchangeAnswer(status=200, access_token="x"))),
    ("who asks", b'{"command":"exchange-token","subject_token":"x","resource":"urn:connector:a:b","client_id":"y"}'),
    ("no resource type", b'{"command":"exchange-token","subject_token":"x","resource":"https://api.example/"}'),
    ("too long", b'{"command":"exchange-token","subject_token":"' + b"x" * 40_000 + b'"}'),
    ("deep", b"[" * 30_000),
]


@pytest.mark.parametrize(("case", "body"), BAD, ids=[case for case, _ in BAD])
async def test_whatever_is_sent_is_answered(world: GuardedWorld, jira: str, case: str, body: bytes) -> None:
    async with world.guarded.as_(TICKETS) as tickets:
        reply = await tickets.nc.request(f"exchange.default.{TICKETS}", body, timeout=10)
    assert (400, "invalid_request") == _refused(msgspec.json.decode(reply.data, type=ExchangeAnswer))


async def test_C08_only_a_users_token_that_is_good_and_meant_for_it(world: GuardedWorld, jira: str) -> None:
    app = await world.register_client()
    rows = {
        "made up": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2ln",
        "for another": await access_token(
            Person(world),
            await world.register_client(resources=["https://deeper.example/"]),
            idp_hint=jira,
            resource="https://deeper.example/",
        ),
    }
    for case, subject in rows.items():
        answer = await world.ask(TICKETS, ExchangeToken(subject_token=subject, resource=resource_of(jira)))
        assert (400, "invalid_request") == _refused(answer), case
    meant = await access_token(Person(world), app, idp_hint=jira, resource=resource_of(jira))
    assert 200 == (await world.ask(TICKETS, ExchangeToken(subject_token=meant, resource=resource_of(jira)))).status


async def test_C06_a_token_that_is_bound_to_a_key_is_exchanged_over_http_alone(world: GuardedWorld, jira: str) -> None:
    app, alice = await world.register_client(), Person(world)
    proof = Holder().proof("POST", f"{world.auth.url}/oauth2/token")
    bound = await swap(world, app, await alice.log_in(app, idp_hint=jira), proof)
    asked = ExchangeToken(subject_token=bound.json()["access_token"], resource=resource_of(jira))
    answer = await world.ask(TICKETS, asked)
    assert (400, "invalid_request") == _refused(answer)
    assert "over HTTP" in answer.error_description


async def test_who_asks_too_much_at_once_is_told_so_at_once(world: GuardedWorld, jira: str, token: str) -> None:
    await at_its_end(world, subject_of(token), jira)
    asked = ExchangeToken(subject_token=token, resource=resource_of(jira))
    async with world.guarded.as_(TICKETS) as tickets, atlassian(world, "faults", at="token", latency_ms=2500):

        async def one() -> ExchangeAnswer:
            try:
                return await exchange(tickets.nc, asked, service=TICKETS, timeout_seconds=40)
            except NotExchanged as refused:
                return refused.answer

        answers = await asyncio.gather(*(one() for _ in range(MOST_OF_ONE + 8)))
    busy = [one for one in answers if one.status == 503]
    assert 8 == len(busy)
    assert {("temporarily_unavailable", 2)} == {(one.error, one.retry_after) for one in busy}
    assert 1 == len({one.access_token for one in answers if one.status == 200})
    assert MOST_OF_ONE == sum(one.status == 200 for one in answers)


async def test_H01_no_token_is_in_a_line_of_the_log_nor_in_what_is_shown(
    world: GuardedWorld, jira: str, token: str
) -> None:
    asked = ExchangeToken(subject_token=token, resource=resource_of(jira))
    answer = await world.ask(TICKETS, asked)
    assert answer.access_token
    for secret in (token, answer.access_token):
        assert secret not in world.auth.said()
        assert secret not in f"{asked!r} {answer!r} {NotExchanged(answer)!r}"


async def test_one_replica_answers_and_another_when_it_is_gone(
    world: GuardedWorld, jira: str, token: str, tmp_path: Any
) -> None:
    asked = ExchangeToken(subject_token=token, resource=resource_of(jira))
    with auth(tmp_path, **world.settings) as replica:
        await until_ready(replica)
        for _ in range(10):
            assert 200 == (await world.ask(TICKETS, asked)).status
    assert 200 == (await world.ask(TICKETS, asked)).status


async def test_the_example_works_for_those_who_allowed_it_and_says_where_to_send_the_others(
    world: GuardedWorld, jira: str, token: str
) -> None:
    other = await world.idp_with_jira()
    elsewhere = await access_token(Person(world, "bob"), await world.register_client(), idp_hint=other)
    jobs = [{"name": "first", "access_token": token}, {"name": "second", "access_token": elsewhere}]
    line = [sys.executable, str(ROOT / "examples/exchanger/worker.py"), world.bus.url]
    line += [str(world.guarded.directory.seed(TICKETS)), resource_of(jira)]

    def run() -> "subprocess.CompletedProcess[bytes]":
        lines = b"\n".join(map(msgspec.json.encode, jobs))
        return subprocess.run(line, input=lines, capture_output=True, timeout=30, check=False)

    done = await asyncio.to_thread(run)
    assert (0, b"") == (done.returncode, done.stderr)
    first, second = done.stdout.decode().splitlines()
    assert first.startswith("first: called with a token that carries ")
    assert "read:jira-work" in first
    assert second.startswith(f"second: insufficient_user_authentication: send the user to {world.auth.url}/")


async def test_a_bus_with_nobody_at_it_is_told(own_bus: Any) -> None:
    asked = ExchangeToken(subject_token="x", resource="urn:connector:a:b")
    async with own_bus.as_(EXCHANGER) as person:
        with pytest.raises(BusUnavailable, match="nobody answered"):
            await exchange(person.nc, asked, service=EXCHANGER, timeout_seconds=0.5)


def _refused(answer: ExchangeAnswer) -> tuple[int, str]:
    assert "" == answer.access_token
    return answer.status, answer.error
