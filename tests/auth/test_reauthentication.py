"""prompt, max_age, hints and acr, over HTTP: who is let through, who must log in again, and what the IdP is told."""

import secrets

import httpx
import pytest

from scopefold.auth.core.authentication import ACR
from scopefold.auth.web.browser import SESSION_COOKIE
from tests.auth.oidc import sent_upstream, through_oidc, tokens_of
from tests.auth.world import APP_REDIRECT, App, Person, World, query_of, until


async def id_token_of(app: App, answer: httpx.Response) -> tuple[str, dict[str, object]]:
    token = (await tokens_of(app, answer))["id_token"]
    return token, await app.verified(token)


@pytest.mark.parametrize("changed", [{"prompt": "login consent"}, {"max_age": "0"}])
async def test_A27_whoever_must_log_in_again_goes_through_the_idp_and_gets_a_new_auth_time(
    world: World, jira: str, changed: dict[str, str]
) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    _, first = await id_token_of(app, await alice.come_back(app, idp_hint=idp))

    async def a_second_has_passed() -> bool:
        return "location" in (late := await alice.browser.get(app.address(idp_hint=idp, max_age="1"))).headers and (
            late.headers["location"].startswith(world.sandbox.url)
        )

    straight = await alice.browser.get(app.address(idp_hint=idp, max_age="10000"))
    assert straight.headers["location"].startswith(APP_REDIRECT)
    await until(a_second_has_passed)
    _, second = await id_token_of(app, await alice.come_back(app, idp_hint=idp, **changed))
    assert first["sub"] == second["sub"]
    assert isinstance(first["auth_time"], int)
    assert isinstance(second["auth_time"], int)
    assert first["auth_time"] < second["auth_time"]
    assert first["sid"] == second["sid"], "the same user stays in the same session, under a new identifier"


async def test_A27_a_login_that_is_too_old_is_no_silent_login(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    told = query_of(await alice.browser.get(app.address(idp_hint=idp, prompt="none", max_age="0")))
    assert ("login_required", "the-state", world.auth.url) == (told["error"], told["state"], told["iss"])
    assert "code" in query_of(await alice.browser.get(app.address(idp_hint=idp, prompt="none", max_age="10000")))


@pytest.mark.parametrize("scope", ["openid profile", "profile"])
async def test_A11_without_a_login_nothing_is_silent_with_openid_and_without(
    world: World, jira: str, scope: str
) -> None:
    idp, app = jira, await world.register_client()
    told = query_of(await Person(world).browser.get(app.address(idp_hint=idp, prompt="none", scope=scope)))
    assert ("login_required", world.auth.url) == (told["error"], told["iss"])


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "none consent", "scope": "profile"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"claims": '{"id_token":{"acr":{"essential":true,"value":"gold"}}}'}, "unmet_authentication_requirements"),
        ({"id_token_hint": "e30.e30.e30"}, "invalid_request"),
    ],
)
async def test_A29_a_demand_that_cannot_be_met_is_told_to_the_client(
    world: World, changed: dict[str, str], error: str
) -> None:
    app, alice = await world.register_client(), Person(world)
    told = query_of(await alice.browser.get(app.address(**changed)))
    assert (error, "the-state", world.auth.url) == (told["error"], told["state"], told["iss"])
    shown = await alice.browser.get(app.address(redirect_uri="https://evil.example/", **changed))
    assert (400, False) == (shown.status_code, "location" in shown.headers)


async def test_A28_a_hint_of_somebody_else_lets_nobody_through(world: World, jira: str) -> None:
    idp, app = jira, await world.register_client()
    alice, bob = Person(world), Person(world, "bob")
    of_alice, claims = await id_token_of(app, await alice.come_back(app, idp_hint=idp))
    of_bob, _ = await id_token_of(app, await bob.come_back(app, idp_hint=idp))
    named = '{"id_token":{"sub":{"value":"%s"}}}'
    for other in ({"id_token_hint": of_alice}, {"claims": named % claims["sub"]}):
        told = query_of(await bob.browser.get(app.address(idp_hint=idp, prompt="none", **other)))
        assert "login_required" == told["error"]
    assert "code" in query_of(await bob.browser.get(app.address(idp_hint=idp, prompt="none", id_token_hint=of_bob)))
    before = bob.browser.jar[SESSION_COOKIE]
    told = query_of(await bob.come_back(app, idp_hint=idp, id_token_hint=of_alice))
    assert "login_required" == told["error"], "bob logs in where alice was asked for"
    assert before == bob.browser.jar[SESSION_COOKIE]


async def test_A28_D08_only_an_id_token_that_this_client_got_here_is_a_hint(world: World, jira: str) -> None:
    idp, alice = jira, Person(world)
    app, other = await world.register_client(), await world.register_client()
    tokens = await tokens_of(app, await alice.come_back(app, idp_hint=idp))
    head, body, _ = tokens["id_token"].split(".")
    for wrong in (tokens["access_token"], f"{head}.{body}.", f"eyJhbGciOiJub25lIn0.{body}.", "x" * 20_000):
        told = query_of(await alice.browser.get(app.address(idp_hint=idp, prompt="none", id_token_hint=wrong)))
        assert "invalid_request" == told["error"]
    told = query_of(await alice.browser.get(other.address(idp_hint=idp, id_token_hint=tokens["id_token"])))
    assert "invalid_request" == told["error"]


async def test_G04_who_turns_back_half_way_keeps_the_session_as_it_was(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    _, first = await id_token_of(app, await alice.come_back(app, idp_hint=idp))
    before = alice.browser.jar[SESSION_COOKIE]
    told = query_of(await alice.come_back(app, decision="cancel", idp_hint=idp, prompt="login"))
    assert ("access_denied", before) == (told["error"], alice.browser.jar[SESSION_COOKIE])
    silent = await alice.browser.get(app.address(idp_hint=idp, prompt="none"))
    _, after = await id_token_of(app, silent)
    assert (first["auth_time"], first["sid"]) == (after["auth_time"], after["sid"])


async def test_prompt_consent_goes_upstream_although_nothing_is_lacking(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    asked = await sent_upstream(alice, app, idp_hint=idp, prompt="consent", login_hint="a@b.example", max_age="900")
    assert ("consent", False, False) == (asked["prompt"], "login_hint" in asked, "max_age" in asked)
    asked = await sent_upstream(alice, app, idp_hint=idp, prompt="login")
    assert "consent" == asked["prompt"], "what the profile says of Atlassian stays"


async def test_an_openid_provider_is_told_of_hints_and_of_a_new_login(world: World, directory: str) -> None:
    idp, app, alice = directory, await world.register_client(), Person(world)
    hint = f"{secrets.token_hex(4)}@b.example"
    asked = await sent_upstream(alice, app, idp_hint=idp, login_hint=hint)
    assert (hint, False, False) == (asked["login_hint"], "prompt" in asked, "max_age" in asked)
    asked = await sent_upstream(alice, app, idp_hint=idp, prompt="login select_account")
    assert ("login select_account", "0") == (asked["prompt"], asked["max_age"])
    _, claims = await id_token_of(app, await through_oidc(alice, app, idp_hint=idp, prompt="login"))
    assert ACR == claims["acr"]


async def test_C17_the_access_token_tells_how_and_when_the_user_authenticated(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    answer = await alice.come_back(app, idp_hint=idp, acr_values="gold silver", max_age="60")
    tokens = await tokens_of(app, answer)
    claims = await app.verified(tokens["id_token"])
    said = await app.access_token(tokens["access_token"])
    assert (ACR, claims["auth_time"], claims["sid"]) == (said["acr"], said["auth_time"], said["sid"])
    assert ACR == claims["acr"], "acr_values are a wish, and the token says what came of it"
