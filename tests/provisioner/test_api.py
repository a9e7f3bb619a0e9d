"""The HTTP API and the commands over NATS, at a real process on a real log."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.contracts.commands import (
    ConnectorAnswer,
    DeprovisionConnector,
    ManagedResource,
    ProvisionConnector,
    command_subject,
)
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log
from scopefold.provisioner import catalogue
from scopefold.provisioner.core.decide import event_id_of
from tests.provisioner.running import (
    ATLASSIAN,
    BITBUCKET,
    GOOGLE,
    SECOND_ATLASSIAN,
    asking_for,
    provisioner,
    provisioner_events,
    put,
    register,
)
from tests.support.process import Service

RESOURCES = "/v1/managed-resources"
JIRA = "identos.jira-user"
ALL_ATLASSIAN = (JIRA, "identos.jira-service-management", "identos.confluence-user", "identos.opsgenie-user")


@pytest.fixture(scope="module")
def service(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One process for this file: each test gives it another log, which it must notice."""
    with provisioner(tmp_path_factory.mktemp("provisioner"), nats_url=shared_nats.url) as running:
        yield running


async def post(service: Service, body: object, **headers: str) -> httpx.Response:
    async with service.client() as client:
        return await client.post(RESOURCES, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def call(service: Service, method: str, path: str) -> httpx.Response:
    async with service.client() as client:
        return await client.request(method, path)


async def send(log: Log, command: ProvisionConnector | DeprovisionConnector) -> ConnectorAnswer:
    subject = command_subject("default", type(command))
    reply = await log.nc.request(subject, msgspec.json.encode(command), timeout=30)
    return msgspec.json.decode(reply.data, type=ConnectorAnswer)


async def test_provisioning_says_it_in_the_log_and_answers_with_the_resource(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    answer = await post(service, asking_for(JIRA))
    resource = msgspec.json.decode(answer.content, type=ManagedResource)
    (said,) = await provisioner_events(log)
    assert (201, f"{RESOURCES}/{JIRA}") == (answer.status_code, answer.headers["location"])
    assert isinstance(said.event, ConnectorProvisioned)
    assert (said.event.upstream_scopes) == (
        "read:me",
        "read:jira-user",
        "read:jira-work",
        "write:jira-work",
        "offline_access",
    )
    assert (said.event.resource_type, said.event.idp) == ("urn:connector:identos:jira-user", "atlassian")
    assert (said.event_id, said.seq, said.at) == (resource.event_id, resource.seq, resource.provisioned_at)


async def test_provisioning_what_is_so_already_gives_no_event(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    first, second = await post(service, asking_for(JIRA)), await post(service, asking_for(JIRA))
    assert (200, first.json()) == (second.status_code, second.json())
    assert len(await provisioner_events(log)) == 1


async def test_the_same_key_in_parallel_gives_one_event_and_one_answer(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    answers = await asyncio.gather(*(post(service, asking_for(JIRA), idempotency_key="key-0001") for _ in range(10)))
    assert {201} == {answer.status_code for answer in answers}
    assert len({answer.content for answer in answers}) == 1
    assert len(await provisioner_events(log)) == 1


async def test_different_connectors_in_parallel_are_all_provisioned(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    answers = await asyncio.gather(*(post(service, asking_for(name)) for name in ALL_ATLASSIAN * 3))
    assert sorted(answer.status_code for answer in answers) == [200] * 8 + [201] * 4
    listed = (await call(service, "GET", RESOURCES)).json()["items"]
    assert sorted(ALL_ATLASSIAN) == sorted(item["connector"] for item in listed)
    assert len(await provisioner_events(log)) == 4


async def test_two_replicas_give_one_event_for_one_key_and_lose_no_connector(
    log: Log, service: Service, shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await register(log, ATLASSIAN)
    with provisioner(tmp_path_factory.mktemp("replica"), nats_url=shared_nats.url) as replica:
        same = [post(at, asking_for(JIRA), idempotency_key="key-0001") for at in (service, replica) for _ in range(5)]
        others = [post(at, asking_for(name)) for at in (service, replica) for name in ALL_ATLASSIAN[1:]]
        answers = await asyncio.gather(*same, *others)
    assert {200, 201} >= {answer.status_code for answer in answers}
    assert len({answer.content for answer in answers[:10]}) == 1
    assert sorted(ALL_ATLASSIAN) == sorted(getattr(one.event, "connector", "") for one in await provisioner_events(log))


async def test_replicas_that_route_one_connector_to_two_idps_at_once_agree_on_one(
    log: Log, service: Service, shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await register(log, ATLASSIAN, SECOND_ATLASSIAN)
    with provisioner(tmp_path_factory.mktemp("replica"), nats_url=shared_nats.url) as replica:
        for _ in range(4):
            asked = [(at, name) for name in ALL_ATLASSIAN for at in ((service, "atlassian"), (replica, "atlassian-2"))]
            answers = await asyncio.gather(*(post(at, asking_for(name, idp)) for (at, idp), name in asked))
            assert [201] * 4 + [409] * 4 == sorted(answer.status_code for answer in answers)
            for name in ALL_ATLASSIAN:
                assert (await call(replica, "DELETE", f"{RESOURCES}/{name}")).status_code == 200


async def test_a_key_whose_event_is_stored_but_was_never_answered_is_answered_now(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    await post(service, asking_for(JIRA), idempotency_key="key-0001")
    await call(service, "DELETE", f"{RESOURCES}/{JIRA}")
    (stored, _) = await provisioner_events(log)
    lost = NewEvent(event_id_of("default", "key-lost"), stored.event)
    await append(log, [lost], tenant="default", publisher="provisioner", now=datetime.now(UTC))
    answer = await post(service, asking_for(JIRA), idempotency_key="key-lost")
    assert (201, lost.event_id) == (answer.status_code, answer.json()["event_id"])
    assert len(await provisioner_events(log)) == 3


async def test_a_dry_run_that_no_route_knows_is_refused_and_nothing_is_done(log: Log, service: Service) -> None:
    """To look beforehand is `POST /v1/plans`: whoever guesses at another way must not have the thing itself done."""
    await register(log, ATLASSIAN)
    wiki, dry = asking_for("identos.confluence-user"), {"dry_run": "true"}
    async with service.client() as client:
        assert 201 == (await client.post(RESOURCES, json=asking_for(JIRA))).status_code
        refused = (
            await client.delete(f"{RESOURCES}/{JIRA}", params=dry),
            await client.request("DELETE", f"{RESOURCES}/{JIRA}", json=dry),
            await client.post(RESOURCES, params=dry, json=wiki),
        )
    assert [400] * 3 == [one.status_code for one in refused]
    assert 1 == len(await provisioner_events(log))


async def test_deprovisioning_answers_with_the_last_resource_and_the_second_time_there_is_none(
    log: Log, service: Service
) -> None:
    await register(log, ATLASSIAN)
    provisioned = await post(service, asking_for(JIRA))
    gone, again = [await call(service, "DELETE", f"{RESOURCES}/{JIRA}") for _ in range(2)]
    assert (200, provisioned.json()) == (gone.status_code, gone.json())
    assert again.status_code == 404
    assert [ConnectorProvisioned, ConnectorDeprovisioned] == [type(one.event) for one in await provisioner_events(log)]
    assert (await call(service, "GET", RESOURCES)).json()["items"] == []


async def test_a_message_that_is_no_event_is_skipped_and_stops_nothing(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    await log.js.publish("ledger.default.idp.atlassian.connector-provisioned", b"garbage")
    answers = [await post(service, asking_for(JIRA)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert service.said().count("undecodable") == 1


BAD_JSON = "not-json"
REFUSALS: list[tuple[object, Mapping[str, str], int, str]] = [
    (asking_for("identos.nothing"), {}, 404, "unknown-connector"),
    (asking_for("identos.confluence-user", "nowhere"), {}, 409, "unknown-idp"),
    (asking_for("identos.bitbucket-user"), {}, 409, "profile-mismatch"),
    (asking_for(JIRA, "atlassian-2"), {}, 409, "routed-elsewhere"),
    (asking_for("identos.confluence-user"), {"idempotency-key": "key-of-jira"}, 422, "idempotency-key-reused"),
    (asking_for(JIRA), {"idempotency-key": "short"}, 422, "invalid-idempotency-key"),
    (asking_for(JIRA), {"idempotency-key": ""}, 422, "invalid-idempotency-key"),
    ({**asking_for(JIRA), "auth_mode": "service_account"}, {}, 422, "invalid-body"),
    ({**asking_for(JIRA), "scopes": []}, {}, 422, "invalid-body"),
    (asking_for(JIRA, "not an idp"), {}, 422, "invalid-body"),
    ({}, {}, 422, "invalid-body"),
    (BAD_JSON, {}, 400, "malformed-body"),
    (asking_for(JIRA), {"content-type": "text/plain"}, 415, "media-type"),
    (asking_for(JIRA), {"authorization": "Bearer wrong"}, 401, "unauthorised"),
    (asking_for(JIRA), {"authorization": "Bearer"}, 401, "unauthorised"),
    (asking_for("a." + "x" * 300_000), {}, 413, "body-too-large"),
]


@pytest.mark.parametrize(("body", "headers", "status", "kind"), REFUSALS, ids=[f"{r[2]}-{r[3]}" for r in REFUSALS])
async def test_a_refusal_has_its_status_and_type_and_appends_nothing(
    log: Log, service: Service, *, body: object, headers: Mapping[str, str], status: int, kind: str
) -> None:
    await register(log, ATLASSIAN, SECOND_ATLASSIAN, BITBUCKET)
    await post(service, asking_for(JIRA), idempotency_key="key-of-jira")
    content = b"{" if body is BAD_JSON else msgspec.json.encode(body)
    async with service.client() as client:
        answer = await client.post(RESOURCES, content=content, headers={"content-type": "application/json", **headers})
    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert (f"urn:scopefold:problem:{kind}", status) == (answer.json()["type"], answer.json()["status"])
    assert answer.json()["detail"]
    assert len(await provisioner_events(log)) == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", f"{RESOURCES}/{JIRA}", 404, "not-provisioned"),
        ("GET", f"{RESOURCES}/no%20id", 404, "not-provisioned"),
        ("DELETE", f"{RESOURCES}/{JIRA}", 404, "not-provisioned"),
        ("PUT", RESOURCES, 405, "method"),
        ("GET", "/v1/connectors/identos.nothing", 404, "unknown-connector"),
        ("GET", "/v2", 404, "not-found"),
    ],
)
async def test_what_is_not_there_is_told_as_a_problem(
    log: Log, service: Service, *, method: str, path: str, status: int, kind: str
) -> None:
    answer = await call(service, method, path)
    assert (status, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])


async def test_everything_under_v1_needs_the_admin_credential_and_nothing_else_does(log: Log, service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        document = (await client.get("/openapi.json")).json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                answer = await client.request(method, path)
                wanted = 401 if path.startswith("/v1/") else 200
                assert (wanted, path) == (answer.status_code, path)
                assert (operation.get("security") == []) is (wanted == 200)


async def test_the_description_names_every_path_and_resolves_every_reference(log: Log, service: Service) -> None:
    document = (await call(service, "GET", "/openapi.json")).json()
    paths = {RESOURCES, RESOURCES + "/{connector}", "/v1/plans", "/v1/connectors", "/v1/connectors/{connector}"}
    assert paths | {"/openapi.json", "/healthz", "/readyz"} == document["paths"].keys()
    assert {"get", "post"} == document["paths"][RESOURCES].keys()
    text = msgspec.json.encode(document).decode()
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= document["components"]["schemas"].keys()
    assert {"ManagedResource", "ProvisionRequest", "Manifest", "Problem"} <= named


async def test_the_connectors_are_listed_with_their_manifests(log: Log, service: Service) -> None:
    listed = (await call(service, "GET", "/v1/connectors")).json()["items"]
    assert [*catalogue.load(None)] == [item["connector"] for item in listed]
    assert all(item["auth"]["idp_passthrough"]["upstream_scopes"] for item in listed)


async def test_one_connector_is_shown_with_its_manifest(log: Log, service: Service) -> None:
    shown = await call(service, "GET", "/v1/connectors/identos.google-calendar-user")
    assert (200, "Google Calendar") == (shown.status_code, shown.json()["title"])
    (asked, other) = shown.json()["auth"]["idp_passthrough"]["upstream_scopes"]["any_of"]
    await register(log, GOOGLE)
    made = (await post(service, asking_for("identos.google-calendar-user", "google"))).json()
    assert (asked, [other]) == (made["upstream_scopes"], made["alternatives"])


async def test_commands_over_nats_take_effect_as_over_http(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    wanted = ProvisionConnector(connector=JIRA, idp="atlassian", idempotency_key="key-0001")
    first, again = await send(log, wanted), await send(log, wanted)
    over_http = await post(service, asking_for(JIRA), idempotency_key="key-0001")
    assert first.changed
    assert first == again
    assert first.resource == msgspec.json.decode(over_http.content, type=ManagedResource)
    gone = await send(log, DeprovisionConnector(connector=JIRA))
    assert (True, first.resource, None) == (gone.changed, gone.resource, gone.problem)
    assert len(await provisioner_events(log)) == 2


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (b"", {}, 400, "malformed-body"),
        (b"\xff\x00", {}, 400, "malformed-body"),
        (b"{", {"content-type": "application/json"}, 400, "malformed-body"),
        (b'{"x":' + b"[" * 20_000, {}, 422, "invalid-body"),
        (b"1", {}, 422, "invalid-body"),
        (b"{}", {"content-type": "text/plain"}, 422, "invalid-body"),
        (b'{"command":"deprovision-connector","connector":"a.b"}', {}, 422, "invalid-body"),
        (b'{"command":"provision-connector","connector":"identos.jira-user","idp":"x","dry_run":true}', {}, 422,
         "invalid-body"),
        (b'{"command":"provision-connector","connector":"a.b","idp":"x"}', {}, 404, "unknown-connector"),
        (b'{"command":"provision-connector","connector":"identos.jira-user","idp":"x"}', {}, 409, "unknown-idp"),
    ],
)  # fmt: skip
async def test_whatever_is_sent_over_nats_is_answered(
    log: Log, service: Service, *, body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    subject = command_subject("default", ProvisionConnector)
    reply = await log.nc.request(subject, body, timeout=30, headers=headers or None)
    answer = msgspec.json.decode(reply.data, type=ConnectorAnswer)
    assert answer.problem is not None
    assert (status, f"urn:scopefold:problem:{kind}") == (answer.problem.status, answer.problem.type)


async def test_another_services_event_is_no_event_of_the_provisioner(log: Log, service: Service) -> None:
    await register(log, ATLASSIAN)
    forged = ConnectorProvisioned(
        resource_type="urn:connector:identos:jira-user", connector=JIRA, connector_version="1.0.0", title="Jira",
        auth_mode="idp_passthrough", idp="atlassian", upstream_scopes=("read:me",),
    )  # fmt: skip
    await put(log, [forged], by="auth", ids="forged")
    assert (await call(service, "GET", RESOURCES)).json()["items"] == []
    assert (await post(service, asking_for(JIRA))).status_code == 201


async def test_nothing_that_was_asked_of_the_process_left_a_traceback_or_the_credential(
    log: Log, service: Service
) -> None:
    await post(service, asking_for(JIRA))
    assert "Traceback" not in service.said()
    assert "an-admin-token" not in service.said()
