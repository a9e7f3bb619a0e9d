"""Several installs, one prompt: what connectors newly need waits until the window ends, unless an app asks for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from scopefold.contracts.words import resource_type_of
from tests.auth.world import APP_REDIRECT, Person, World, beside, query_of
from tests.support.logs import provisioned

WIKI, SEARCH = "write:confluence-content", "search:confluence"


@pytest.fixture(scope="module")
def patient(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service that gathers what is installed within five hours."""
    with beside(world, tmp_path_factory.mktemp("patient"), consent_window_hours="5") as other:
        yield other


async def test_what_is_newly_needed_does_not_by_itself_send_anybody_to_consent(patient: World) -> None:
    idp, app, alice = await patient.idp_with_jira(), await patient.register_client(), Person(patient)
    await alice.log_in(app, idp_hint=idp)
    wiki, search = provisioned(f"wiki-{idp}", (WIKI,), idp), provisioned(f"search-{idp}", (SEARCH,), idp)
    told = await patient.admin("POST", "/v1/previews", json={"event": msgspec.to_builtins(wiki)})
    first = datetime.fromisoformat(told.json()["asked_from"]) - datetime.now(UTC)
    assert timedelta(hours=4.5) < first <= timedelta(hours=5)

    await patient.publish(wiki, search, by="provisioner")
    (row,) = (await patient.worklist(idp=idp))["items"]
    assert timedelta(hours=4.5) < datetime.fromisoformat(row["asked_from"]) - datetime.now(UTC) <= timedelta(hours=5)
    for prompt in (None, "none"):
        answer = await alice.browser.get(app.address(idp_hint=idp, prompt=prompt))
        assert answer.headers["location"].startswith(APP_REDIRECT), prompt
        assert "code" in query_of(answer)

    page = await alice.browser.get(app.address(resource=resource_type_of(wiki.connector)))
    assert (200, True) == (page.status_code, WIKI in page.text), "the app asks for that very resource"
    await alice.log_in(app, resource=resource_type_of(wiki.connector))
    assert [] == (await patient.worklist(idp=idp))["items"], "whoever goes to the IdP anyway is asked for everything"


async def test_an_old_need_sends_to_consent_at_once_and_takes_the_new_ones_along(patient: World) -> None:
    idp, app, alice = await patient.idp_with_jira(), await patient.register_client(), Person(patient)
    await alice.log_in(app, idp_hint=idp)
    await patient.register_idp(idp, base_scopes=["read:confluence-space.summary"])
    await patient.publish(provisioned(f"wiki-{idp}", (WIKI,), idp), by="provisioner")
    page = await alice.browser.get(app.address(idp_hint=idp))
    assert (200, True) == (page.status_code, WIKI in page.text)
    assert [None] == [row["asked_from"] for row in (await patient.worklist(idp=idp))["items"]]
