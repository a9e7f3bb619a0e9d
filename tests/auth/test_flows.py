"""Logins, as people and apps see them, and what they leave in the log."""

import re

from scopefold.contracts.events import AuthorizationFailed, ConsentDeclined, TokenStored, UserLoggedIn
from tests.auth.world import APP_REDIRECT, JIRA_SCOPES, Person, World, query_of, told_by
from tests.sandbox.visitor import CLIENT_ID
from tests.support.logs import insufficient, provisioned


async def test_a_login_ends_in_an_id_token_and_two_facts(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=idp)
    (logged_in,), (stored,) = await world.said(UserLoggedIn, idp), await world.said(TokenStored, idp)
    assert (user, app.id) == (logged_in.user, logged_in.client)
    assert (user, 1, "login", "echoed") == (stored.user, stored.generation, stored.cause, stored.known_by)
    assert set(JIRA_SCOPES) == set(stored.granted)


async def test_a_session_whose_grant_suffices_asks_nobody(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    before = len(await world.events())
    for prompt in (None, "none"):
        answer = await alice.browser.get(app.address(idp_hint=idp, prompt=prompt))
        assert answer.headers["location"].startswith(APP_REDIRECT)
        swapped = await app.swap(query_of(answer)["code"])
        assert 200 == swapped.status_code
    assert before == len(await world.events())


async def test_a_step_up_says_which_connector_needs_what(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    await world.publish(provisioned(f"wiki-{idp}", ["write:confluence-content"], idp), by="provisioner")
    page = await alice.browser.get(app.address(idp_hint=idp))
    assert 200 == page.status_code
    for said in ("write:confluence-content", f"Wiki-{idp}".title(), f"identos.wiki-{idp}"):
        assert said in page.text
    assert "read:jira-work" not in re.sub(r'href="[^"]*"', "", page.text)
    silent = query_of(await alice.browser.get(app.address(idp_hint=idp, prompt="none")))
    assert ("interaction_required", world.auth.url) == (silent["error"], silent["iss"])
    row = (await world.worklist(idp=idp))["items"][0]
    assert ["write:confluence-content"] == [lack["scope"] for lack in row["missing"]]
    await alice.log_in(app, idp_hint=idp)
    assert "step-up" == (await world.said(TokenStored, idp))[-1].cause
    again = await alice.browser.get(app.address(idp_hint=idp))
    assert again.headers["location"].startswith(APP_REDIRECT)


async def test_who_cancels_is_declined_in_the_log_and_at_the_client(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    told = query_of(await alice.come_back(app, decision="cancel", idp_hint=idp))
    assert ("access_denied", "the-state", world.auth.url) == (told["error"], told["state"], told["iss"])
    (declined,) = await world.said(ConsentDeclined, idp)
    assert (app.id, None) == (declined.client, declined.user)
    assert [] == await world.said(TokenStored, idp)


async def test_who_says_no_to_a_step_up_stands_on_the_worklist_as_asked(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    await world.publish(provisioned(f"wiki-{idp}", ["write:confluence-content"], idp), by="provisioner")
    (before,) = (await world.worklist(idp=idp))["items"]
    assert (None, {"write:confluence-content": "never-asked"}) == (before["declined"], before["why"])
    await alice.come_back(app, decision="cancel", idp_hint=idp)
    (after,) = (await world.worklist(idp=idp))["items"]
    assert {"write:confluence-content": "not-allowed"} == after["why"]
    assert {"write:confluence-content": "send-link"} == after["next_steps"]
    assert ["write:confluence-content"] == after["declined"]["scopes"]
    (event,) = [one for one in await world.events() if isinstance(one.event, ConsentDeclined) and one.event.idp == idp]
    assert event.seq == after["declined"]["cause"]["seq"]
    await alice.log_in(app, idp_hint=idp)
    assert [] == (await world.worklist(idp=idp))["items"]


async def test_a_wrong_secret_is_a_failure_at_the_token_endpoint(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await world.register_idp(idp, secret="not-the-secret")
    page = await alice.come_back(app, idp_hint=idp)
    told = told_by(page)
    assert ("server_error", world.auth.url, "the-state") == (told["error"], told["iss"], told["state"])
    for said in ("whoever runs Scopefold", "Settings tab", "atlassian.wrong-secret", CLIENT_ID):
        assert said in page.text
    (failed,) = await world.said(AuthorizationFailed, idp)
    assert ("token", "access_denied", "atlassian.wrong-secret") == (failed.stage, failed.error, failed.diagnosis)
    await world.register_idp(idp)
    assert await alice.log_in(app, idp_hint=idp)


async def test_a_report_of_another_service_lists_the_user_until_the_next_login(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=idp)
    assert 0 == (await world.worklist(idp=idp))["total"]
    report = insufficient(user, "write:jira-work", generation=1, name=f"jira-{idp}", idp=idp)
    await world.publish(report, by="jira-gateway")
    (row,) = (await world.worklist(idp=idp))["items"]
    assert (user, "disproved", "jira-gateway") == (row["user"], row["known_by"], row["reports"][0]["publisher"])
    assert (["write:jira-work"], {"write:jira-work": "disproved"}) == (row["reports"][0]["missing"], row["why"])
    await alice.log_in(app, idp_hint=idp)
    straight_after = await alice.browser.get(app.address(idp_hint=idp))
    assert straight_after.headers["location"].startswith(APP_REDIRECT), "the report was on the token before"
    await world.caught_up()
    assert 0 == (await world.worklist(idp=idp))["total"]


async def test_a_session_does_not_take_a_second_account_of_the_same_idp_for_its_user(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=idp)
    await world.publish(provisioned(f"wiki-{idp}", ["write:confluence-content"], idp), by="provisioner")
    alice.name = "bob"
    refused = await alice.come_back(app, idp_hint=idp)
    assert (409, True) == (refused.status_code, "account_mismatch" in refused.text)
    assert 1 == len(await world.said(TokenStored, idp))
    assert user != await Person(world, "bob").user(app, idp_hint=idp)


async def test_a_second_idp_is_linked_to_the_same_user(world: World) -> None:
    first, second = await world.idp_with_jira(), await world.idp_with_jira()
    app, alice = await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=first)
    assert user == await alice.user(app, resource=f"urn:connector:identos:jira-{second}")
    stored = await world.said(TokenStored, second)
    assert [user] == [one.user for one in stored]
    assert user == await Person(world).user(app, idp_hint=second)


async def test_prompt_login_ignores_the_session(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    for prompt in ("login", "login consent"):
        answer = await alice.browser.get(app.address(idp_hint=idp, prompt=prompt))
        assert (303, True) == (answer.status_code, answer.headers["location"].startswith(world.sandbox.url)), prompt


async def test_of_several_idps_the_user_chooses_and_the_resource_routes(world: World) -> None:
    first, second, app = await world.idp_with_jira(), await world.idp_with_jira(), await world.register_client()
    browser = Person(world).browser
    for page in (await browser.get(app.address()), await browser.post("/authorize", data=app.request())):
        assert 200 == page.status_code
        links = [link.replace("&amp;", "&") for link in re.findall(r'href="(/authorize[^"]+)"', page.text)]
        for idp in (first, second):
            (link,) = [link for link in links if link.endswith(f"idp_hint={idp}")]
            upstream = await browser.get(link)
            assert f"%2Foauth2%2Fcallback%2F{idp}" in upstream.headers["location"]
    routed = await browser.get(app.address(resource=f"urn:connector:identos:jira-{second}"))
    assert f"%2Foauth2%2Fcallback%2F{second}" in routed.headers["location"]
    nowhere = query_of(await browser.get(app.address(resource="urn:connector:identos:none")))
    assert "invalid_target" == nowhere["error"]


async def test_prompt_none_without_a_session_needs_a_login(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    told = query_of(await Person(world).browser.get(app.address(idp_hint=idp, prompt="none")))
    assert ("login_required", "the-state", world.auth.url) == (told["error"], told["state"], told["iss"])


async def test_a_union_that_the_app_upstream_lacks_ends_on_the_idps_page(world: World) -> None:
    """Atlassian shows its own error page and never comes back: no token, and no fact of ours either."""
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await world.publish(provisioned(f"odd-{idp}", ["manage:everything"], idp), by="provisioner")
    before = len(await world.events())
    stuck = await alice.at_consent(app, idp_hint=idp)
    assert stuck.status_code in (303, 400)
    assert before == len(await world.events())
