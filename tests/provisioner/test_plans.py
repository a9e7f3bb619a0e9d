"""What a command would append is told before, and nothing is appended for it."""

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.contracts.commands import DeprovisionConnector, ProvisionConnector
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned
from scopefold.ledger.log import Log
from scopefold.provisioner.provisioning import Plan
from tests.provisioner.running import (
    ATLASSIAN,
    BITBUCKET,
    asking_for,
    provisioner,
    provisioner_events,
    put,
    register,
)
from tests.support.logs import provisioned
from tests.support.process import Service

JIRA, WIKI = "identos.jira-user", "identos.confluence-user"


@pytest.fixture(scope="module")
def service(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with provisioner(tmp_path_factory.mktemp("provisioner"), nats_url=shared_nats.url) as running:
        yield running


async def call(service: Service, method: str, path: str, **rest: Any) -> httpx.Response:
    async with service.client() as client:
        return await client.request(method, path, **rest)


async def planned(service: Service, command: ProvisionConnector | DeprovisionConnector) -> httpx.Response:
    return await call(service, "POST", "/v1/plans", json={"command": msgspec.to_builtins(command)})


def plan_in(answer: httpx.Response) -> Plan:
    assert 200 == answer.status_code, answer.text
    return msgspec.json.decode(answer.content, type=Plan)


async def test_a_plan_of_provisioning_is_the_event_that_provisioning_appends(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    plan = plan_in(await planned(service, ProvisionConnector(connector=JIRA, idp="atlassian")))
    assert [] == await provisioner_events(log)
    assert 201 == (await call(service, "POST", "/v1/managed-resources", json=asking_for(JIRA))).status_code
    (said,) = await provisioner_events(log)
    assert isinstance(plan.event, ConnectorProvisioned)
    assert said.event == plan.event
    assert Plan(None) == plan_in(await planned(service, ProvisionConnector(connector=JIRA, idp="atlassian")))


async def test_a_plan_of_deprovisioning_is_the_event_that_deprovisioning_appends(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    await call(service, "POST", "/v1/managed-resources", json=asking_for(JIRA))
    plan = plan_in(await planned(service, DeprovisionConnector(connector=JIRA)))
    assert 1 == len(await provisioner_events(log))
    assert 200 == (await call(service, "DELETE", f"/v1/managed-resources/{JIRA}")).status_code
    assert isinstance(plan.event, ConnectorDeprovisioned)
    assert plan.event == (await provisioner_events(log))[-1].event


async def test_a_plan_under_a_key_that_was_used_says_that_nothing_is_left_to_do(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    sent = {"idempotency-key": "install-jira"}
    await call(service, "POST", "/v1/managed-resources", json=asking_for(JIRA), headers=sent)
    again = ProvisionConnector(connector=JIRA, idp="atlassian", idempotency_key="install-jira")
    assert Plan(None) == plan_in(await planned(service, again))


async def test_a_plan_tells_what_would_newly_be_doubtful(log: Log, service: Service) -> None:
    """What is doubtful already is not told again."""
    await register(log, ATLASSIAN)
    granular = provisioned("search", ("read:issue:jira", "offline_access"))
    await put(log, [granular], by="provisioner", ids="granular")
    (found,) = plan_in(await planned(service, ProvisionConnector(connector=JIRA, idp="atlassian"))).findings
    assert ("exclusion", "soft", ("identos.search", JIRA)) == (found.rule, found.severity, found.asked_by)
    await call(service, "POST", "/v1/managed-resources", json=asking_for(JIRA))
    (found,) = plan_in(await planned(service, ProvisionConnector(connector=WIKI, idp="atlassian"))).findings
    assert ("exclusion", ("identos.search", WIKI)) == (found.rule, found.asked_by)


@pytest.mark.parametrize(
    ("command", "status", "kind"),
    [
        (ProvisionConnector(connector="acme.none", idp="atlassian"), 404, "unknown-connector"),
        (ProvisionConnector(connector=JIRA, idp="nowhere"), 409, "unknown-idp"),
        (ProvisionConnector(connector=JIRA, idp="bitbucket"), 409, "profile-mismatch"),
        (DeprovisionConnector(connector=WIKI), 404, "not-provisioned"),
    ],
)
async def test_what_is_refused_is_refused_in_a_plan_too(
    log: Log, service: Service, command: ProvisionConnector | DeprovisionConnector, status: int, kind: str
) -> None:
    await register(log, ATLASSIAN, BITBUCKET)
    answer = await planned(service, command)
    assert (status, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])
