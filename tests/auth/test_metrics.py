"""What a replica counts, for collectors: strays of the log, renewals, whom it told to wait; and nobody's secret."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import httpx
import pytest

from scopefold.auth.core.metrics import Metric, text_of
from scopefold.auth.settings import Settings, check
from scopefold.contracts.codec import encode
from scopefold.contracts.events import ConnectorDeprovisioned
from scopefold.contracts.recorded import KINDS
from scopefold.contracts.subjects import subject_of
from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings
from tests.auth.gateways import at_its_end, atlassian, logged_in
from tests.auth.world import KEK, Person, World, auth, beside
from tests.support.logs import JIRA, provisioned
from tests.support.process import ADMIN

COLLECTOR: Final = "a-credential-for-metrics-alone"


@pytest.fixture(scope="module")
def counting(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A replica of its own, which began to count just now."""
    directory = tmp_path_factory.mktemp("counting")
    with beside(world, directory, metrics_token=COLLECTOR, logins_per_minute="3") as one:
        yield one


async def told(world: World, credential: str = COLLECTOR) -> dict[str, int]:
    """Every value by its name and label, as a collector reads them."""
    answer = await asked(world.auth.url, credential)
    assert 200 == answer.status_code, answer.text
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["content-type"]
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: int(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def asked(url: str, credential: str, path: str = "/v1/metrics") -> httpx.Response:
    """What somebody with this credential gets."""
    async with httpx.AsyncClient(base_url=url) as http:
        return await http.get(path, headers={"authorization": f"Bearer {credential}"})


def test_each_metric_says_what_it_is_and_no_value_breaks_a_line() -> None:
    metrics = [
        Metric("ready", "Does it serve?", "gauge", {"": 1}),
        Metric("users", "How many.", "counter", {"b": 2, 'a"\\\n': 3}, "idp"),
    ]
    expected = (
        "# HELP scopefold_ready Does it serve?\n# TYPE scopefold_ready gauge\nscopefold_ready 1\n"
        "# HELP scopefold_users How many.\n# TYPE scopefold_users counter\n"
        'scopefold_users{idp="a\\"\\\\\\n"} 3\nscopefold_users{idp="b"} 2\n'
    )
    assert expected == text_of(metrics)


async def test_J06_what_lies_about_its_producer_or_its_place_is_counted_by_kind(world: World, counting: World) -> None:
    event = ConnectorDeprovisioned(connector="a.rogue", resource_type="urn:connector:a:rogue", idp="rogue")
    right, wrong = subject_of(event, "default"), "ledger.default.idp.elsewhere.connector-deprovisioned"
    lie, truth = "urn:scopefold:service:liar", "urn:scopefold:service:provisioner"
    strays = [
        (right, b"{", truth),
        (right, encode(event), ""),
        (wrong, encode(event), truth),
        (right, encode(event), lie),
    ]
    before, last = await told(counting), 0
    async with world.log() as log:
        for number, (subject, payload, source) in enumerate(strays):
            name = f"stray-of-metrics-{number}"
            headers = {"Nats-Msg-Id": name, "ce-id": name, "ce-type": "connector-deprovisioned.v1", "ce-source": source}
            last = (await log.js.publish(subject, payload, headers=headers if source else None)).seq
    await counting.folded(last)
    after = await told(counting)
    names = {kind: f'scopefold_quarantined_messages_total{{kind="{kind}"}}' for kind in KINDS}
    assert dict.fromkeys(KINDS, 1) == {kind: after[name] - before[name] for kind, name in names.items()}
    assert after["scopefold_folded_sequence"] >= last


async def test_G12_its_credential_opens_nothing_else(counting: World) -> None:
    assert await told(counting, ADMIN)
    assert 401 == (await asked(counting.auth.url, COLLECTOR, "/v1/idps")).status_code
    assert [401, 401] == [(await asked(counting.auth.url, one)).status_code for one in ("x", COLLECTOR[:-1])]


async def test_G12_where_none_is_set_the_operators_alone_opens_it(world: World) -> None:
    assert await told(world, ADMIN)
    assert [401, 401] == [(await asked(world.auth.url, one)).status_code for one in ("x", COLLECTOR)]


async def test_what_came_of_renewals_is_counted(world: World, renewable: str) -> None:
    gateway, token, user = await logged_in(world, renewable)
    counts = [await told(world, ADMIN)]
    for failures, status in ((0, 200), (50, 503)):
        await at_its_end(world, user, renewable)
        async with atlassian(world, "faults", at="token", server_errors=failures):
            assert status == (await gateway.exchange(token)).status_code
        counts.append(await told(world, ADMIN))
    names = {one: f'scopefold_renewals_total{{outcome="{one}"}}' for one in ("renewed", "failed", "ended")}
    rose = [{one: after[name] - before[name] for one, name in names.items()} for before, after in pairwise(counts)]
    assert [{"renewed": 1, "failed": 0, "ended": 0}, {"renewed": 0, "failed": 1, "ended": 0}] == rose


async def test_A32_who_is_told_to_wait_is_counted(counting: World) -> None:
    statuses = [(await asked(counting.auth.url, "x", "/authorize")).status_code for _ in range(6)]
    assert statuses.count(429) == (await told(counting))['scopefold_limited_requests_total{limit="logins"}'] >= 1


async def test_who_must_consent_again_is_counted(world: World) -> None:
    idp = await world.idp_with_jira()
    await Person(world).log_in(await world.register_client(), idp_hint=idp)
    name = f'scopefold_reconsent_users{{idp="{idp}"}}'
    assert 0 == (await told(world, ADMIN))[name]
    await world.publish(provisioned(f"more-{idp}", JIRA, idp), by="provisioner")
    assert 1 == (await told(world, ADMIN))[name]
    assert 1 == (await told(world, ADMIN))["scopefold_ready"]


def test_a_replica_that_waits_for_the_bus_says_so(tmp_path: Path) -> None:
    with auth(tmp_path, nats_url="nats://127.0.0.1:9", metrics_token=COLLECTOR) as service:
        alone = asyncio.run(asked(service.url, COLLECTOR))
    assert (200, True) == (alone.status_code, "\nscopefold_ready 0\n" in alone.text)


def test_a_credential_that_can_be_guessed_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = Settings(admin_token=Secret("t" * 24), kek=Secret(KEK), data_dir=tmp_path, metrics_token=Secret("short"))
    with pytest.raises(BadSettings, match="SCOPEFOLD_METRICS_TOKEN"):
        check(settings)
