"""oidcc-basic-certification-test-plan: what an authorization request may ask for, and how a wrong one is refused."""

import secrets

from tests.auth.oidc import through_oidc
from tests.auth.world import APP_REDIRECT, Person, World, query_of, until
from tests.conformance.client import CertificationClient, Login, certification_client, got, login, unsigned

PLAN = "oidcc-basic-certification-test-plan"


async def too_old(one: Login) -> None:
    """Wait until the login is more than a second ago, as the modules do."""

    async def sent_upstream() -> bool:
        answer = await one.person.browser.get(one.app.address(max_age="1"))
        return answer.headers["location"].startswith(one.person.world.sandbox.url)

    await until(sent_upstream)


async def anew(one: Login, **changed: str | None) -> Login:
    """The same person once more, who must go through the IdP's login page."""
    await too_old(one)
    return await got(one.app, one.person, await through_oidc(one.person, one.app, **changed))


async def test_oidcc_display_page(world: World) -> None:
    await login(world, display="page")


async def test_oidcc_display_popup(world: World) -> None:
    await login(world, display="popup")


async def test_oidcc_prompt_login(world: World) -> None:
    one = await login(world)
    two = await anew(one, prompt="login")
    assert one.claims["sub"] == two.claims["sub"]
    assert one.claims["auth_time"] < two.claims["auth_time"]


async def test_oidcc_prompt_none_not_logged_in(world: World) -> None:
    told = query_of(await Person(world).browser.get((await certification_client(world)).address(prompt="none")))
    assert told["error"] in ("login_required", "interaction_required", "account_selection_required")
    assert ("the-state", world.auth.url, False) == (told["state"], told["iss"], "code" in told)


async def test_oidcc_prompt_none_logged_in(world: World) -> None:
    one = await login(world)
    two = await one.again(prompt="none")
    assert [one.claims[name] for name in ("sub", "auth_time")] == [two.claims[name] for name in ("sub", "auth_time")]


async def test_oidcc_max_age_1(world: World) -> None:
    one = await login(world)
    two = await anew(one, max_age="1")
    assert one.claims["sub"] == two.claims["sub"]
    assert one.claims["auth_time"] < two.claims["auth_time"]


async def test_oidcc_max_age_10000(world: World) -> None:
    one = await login(world)
    two = await one.again(max_age="10000")
    assert [one.claims[name] for name in ("sub", "auth_time")] == [two.claims[name] for name in ("sub", "auth_time")]


async def test_oidcc_ensure_request_with_unknown_parameter_succeeds(world: World) -> None:
    await login(world, extra="foobar")


async def test_oidcc_id_token_hint(world: World) -> None:
    one = await login(world)
    two = await one.again(prompt="none", id_token_hint=one.tokens["id_token"])
    assert one.claims["sub"] == two.claims["sub"]


async def test_oidcc_login_hint(world: World) -> None:
    await login(world, login_hint="alice@sandbox.example")


async def test_oidcc_ui_locales(world: World) -> None:
    await login(world, ui_locales="se")


async def test_oidcc_claims_locales(world: World) -> None:
    await (await login(world, scope="openid profile", claims_locales="se")).userinfo()


async def test_oidcc_ensure_request_with_acr_values_succeeds(world: World) -> None:
    one = await login(world, acr_values="urn:scopefold:acr:brokered 2")
    assert "urn:scopefold:acr:brokered" == one.claims["acr"]


async def test_oidcc_ensure_registered_redirect_uri(world: World) -> None:
    client = await certification_client(world)
    elsewhere = f"{APP_REDIRECT}/{secrets.token_hex(8)}"
    answer = await Person(world).browser.get(client.address(redirect_uri=elsewhere))
    assert (400, False) == (answer.status_code, "location" in answer.headers)
    assert answer.headers["content-type"].startswith("text/html")


async def test_oidcc_ensure_post_request_succeeds(world: World) -> None:
    client, person = await certification_client(world), Person(world)
    first = await got(client, person, await through_oidc(person, client))
    answer = await person.browser.post("/authorize", data=client.request())
    second = await got(client, person, answer)
    assert first.claims["sub"] == second.claims["sub"]
    stranger = await Person(world).browser.post("/authorize", data=client.request())
    assert stranger.headers["location"].startswith(world.sandbox.url)


def request_object(client: CertificationClient) -> str:
    """An unsigned one, which holds the whole request."""
    claims = {**client.request(), "iss": client.id, "aud": client.world.auth.url}
    return unsigned({"alg": "none"}, claims)


async def honours_or_refuses(client: CertificationClient, error: str, **by: str) -> None:
    """Whoever ignores a request object fails: its state and its nonce are nowhere else. To obey it, as the module also
    lets one, this server has no means.
    """
    person = Person(client.world)
    answer = await person.browser.get(client.address(state=None, nonce=None, **by))
    assert answer.headers["location"].startswith(APP_REDIRECT), "what can be refused is refused before any login"
    assert error == query_of(answer)["error"]


async def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(world: World) -> None:
    client = await certification_client(world)
    await honours_or_refuses(client, "request_not_supported", request=request_object(client))


async def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(world: World) -> None:
    client = await certification_client(world)
    await honours_or_refuses(client, "request_uri_not_supported", request_uri="https://app.example/request.jwt")


async def test_oidcc_ensure_request_object_with_redirect_uri(world: World) -> None:
    """The object has the registered address, the query another. An OP without request objects shows an error page."""
    client = await certification_client(world)
    elsewhere = f"{APP_REDIRECT}/{secrets.token_hex(8)}"
    address = client.address(redirect_uri=elsewhere, request=request_object(client))
    answer = await Person(world).browser.get(address)
    assert (400, False) == (answer.status_code, "location" in answer.headers)
    assert answer.headers["content-type"].startswith("text/html")
