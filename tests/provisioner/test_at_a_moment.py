"""What was provisioned at an earlier moment, asked of a real process."""

import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.contracts.events import UserLoggedIn
from scopefold.ledger.log import Log
from tests.provisioner.running import ATLASSIAN, asking_for, provisioner, put, register

RESOURCES = "/v1/managed-resources"
JIRA, CONFLUENCE = "identos.jira-user", "identos.confluence-user"


async def test_what_was_provisioned_then(
    log: Log, shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await register(log, ATLASSIAN)
    with provisioner(tmp_path_factory.mktemp("provisioner"), nats_url=shared_nats.url) as service:
        async with service.client() as client:
            first = (await client.post(RESOURCES, json=asking_for(JIRA))).json()
            await put(log, [UserLoggedIn(user="user-0001", idp="atlassian", client="app")], by="auth", ids="login")
            await client.post(RESOURCES, json=asking_for(CONFLUENCE))
            await client.delete(f"{RESOURCES}/{JIRA}")

            async def then(moment: object) -> list[str]:
                answer = await client.get(RESOURCES, params={"at": str(moment)})
                assert 200 == answer.status_code, answer.text
                return [one["connector"] for one in answer.json()["items"]]

            # 1 registers, 2 is Jira, 3 a login, 4 Confluence, and at 5 Jira goes.
            expected = [[], [], [JIRA], [JIRA], [CONFLUENCE, JIRA], [CONFLUENCE]]
            assert expected == [await then(seq) for seq in range(6)]
            assert [[JIRA], [JIRA]] == [await then(first["event_id"]), await then(first["provisioned_at"])]
            one = [(await client.get(f"{RESOURCES}/{JIRA}", params={"at": seq})).status_code for seq in range(6)]
            assert [404, 404, 200, 200, 200, 404] == one
            for moment, kind in (("now", "invalid-query"), ("6", "no-such-moment"), ("no-event", "no-such-moment")):
                for path in (RESOURCES, f"{RESOURCES}/{JIRA}"):
                    answer = await client.get(path, params={"at": moment})
                    assert (400, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"])
