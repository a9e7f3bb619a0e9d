"""What registering an IdP would do is told before, is what then happens, and telling it changes nothing."""

from typing import Any

import httpx
import pytest

from scopefold.contracts.events import IdpRegistered
from scopefold.ledger.log import status
from tests.auth.providers import vault
from tests.auth.world import JIRA_SCOPES, World
from tests.support.logs import stored

SECRET = "canary-of-a-dry-run"


def command(idp: str, **changed: Any) -> dict[str, Any]:
    return {"idp": idp, "profile": "atlassian", "client_id": "acme", "client_secret": SECRET, **changed}


async def planned(world: World, asked: dict[str, Any], **rest: Any) -> httpx.Response:
    """Ask what it would do, and look that it did nothing."""
    async with world.log() as log:
        before = (await status(log)).last_seq
    answer = await world.admin("POST", "/v1/plans", json={"command": asked, **rest})
    async with world.log() as log:
        assert before == (await status(log)).last_seq
    assert SECRET not in answer.text
    return answer


async def test_a_new_idp_is_told_before_it_is_registered(world: World) -> None:
    idp = f"planned-{world.auth.url.rpartition(':')[2]}"
    told = (await planned(world, command(idp, base_scopes=["read:me", "read:jira-work"]))).json()
    assert ["read:me", "read:jira-work"] == told["preview"]["requested"]
    assert (0, 0) == (told["preview"]["users"]["users"], told["preview"]["users"]["must_consent"])
    assert 404 == (await world.admin("GET", f"/v1/idps/{idp}")).status_code
    async with vault(world) as opened:
        assert await opened.idp_secret(idp) is None
    registered = command(idp, base_scopes=["read:me", "read:jira-work"])
    assert 201 == (await world.admin("POST", "/v1/idps", json=registered)).status_code
    (event,) = await world.said(IdpRegistered, idp)
    assert (told["event"]["idp"], told["event"]["base_scopes"]) == (event.idp, list(event.base_scopes))
    shown = (await world.admin("GET", f"/v1/idps/{idp}")).json()
    assert (told["preview"]["union"], told["preview"]["requested"]) == (shown["union"], shown["requested"])
    assert {"event": None, "preview": None} == (await planned(world, registered)).json()


async def test_of_an_idp_that_has_users_it_tells_who_would_have_to_consent(world: World) -> None:
    idp, users = await world.idp_with_jira(), [f"u_plan{n:04}" for n in range(3)]
    everything = ("openid", "email", "profile", "offline_access", *JIRA_SCOPES)
    await world.publish(*(stored(user, everything, idp=idp) for user in users), by="auth")
    registered = (await world.admin("GET", f"/v1/idps/{idp}")).json()
    kept = {name: registered[name] for name in ("profile", "client_id", "endpoints", "authorize_params")}
    wider = command(idp, **kept, base_scopes=[*registered["base_scopes"], "read:servicedesk-request"])
    told = (await planned(world, wider, limit=2)).json()["preview"]
    assert (["read:servicedesk-request"], 3) == (told["added"], told["users"]["newly"])
    assert [(user, ["read:servicedesk-request"]) for user in users[:2]] == [
        (one["user"], one["scopes"]) for one in told["items"]
    ]
    assert [] == (await world.worklist(idp=idp))["items"]
    assert 201 == (await world.admin("POST", "/v1/idps", json=wider)).status_code
    assert sorted(users) == sorted(row["user"] for row in (await world.worklist(idp=idp))["items"])


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"profile": "no-such"}, "unknown-profile"),
        ({"authorize_params": {"state": "x"}}, "reserved-parameter"),
        ({"endpoints": {"tokn": "https://t.example"}}, "invalid-body"),
        ({"dry_run": True}, "invalid-body"),
    ],
)
async def test_what_would_be_refused_is_refused_here_too(world: World, changed: dict[str, Any], kind: str) -> None:
    for path, body in (
        ("/v1/plans", {"command": command("refused", **changed)}),
        ("/v1/idps", command("refused", **changed)),
    ):
        answer = await world.admin("POST", path, json=body)
        assert (422, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"]), path
