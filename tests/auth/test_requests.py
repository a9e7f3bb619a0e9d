"""Authorization requests that come in a wrong form, and resource indicators: what is asked and the safe answer."""

import asyncio
import base64
import contextlib
from typing import Any

import httpx
import msgspec
import pytest

from tests.auth.world import APP_REDIRECT, App, Person, World, query_of
from tests.support.browsing import Window

Pairs = list[tuple[str, str | int | float | bool | None]]
API, OTHER_API = "https://api.example/v1", "urn:app:ledger"


def claims_of(token: str) -> dict[str, Any]:
    """What is in a JWT, unchecked."""
    payload = token.split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=dict[str, Any])


def redirected_to_app(answer: httpx.Response) -> dict[str, str]:
    assert (303, True) == (answer.status_code, answer.headers["location"].startswith(APP_REDIRECT)), answer.text
    return query_of(answer)


EVERY_NAME = [
    *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "prompt", "max_age", "login_hint"),
    *("code_challenge", "code_challenge_method", "response_mode", "acr_values", "id_token_hint", "dpop_jkt"),
    *("request", "request_uri", "resource", "idp_hint", "ui_locales", "display", "claims", "unknown"),
]


@pytest.mark.parametrize("name", EVERY_NAME)
async def test_A12_no_parameter_comes_twice_in_any_way_of_asking(world: World, name: str) -> None:
    app, browser = await world.register_client(), Window(world.auth.url)
    once = httpx.QueryParams(app.request(**{name: "urn:x"}))
    form = {"content-type": "application/x-www-form-urlencoded"}
    by_get = await browser.get(f"/authorize?{once}&{name}=urn:x")
    by_post = await browser.post("/authorize", content=f"{once}&{name}=urn:x", headers=form)
    for answer in (by_get, by_post):
        assert (400, False, True) == (
            answer.status_code,
            "location" in answer.headers,
            "invalid_request" in answer.text,
        )
    pushed = await browser.post("/oauth2/par", content=f"{once}&{name}=urn:x", headers=form)
    assert (400, "invalid_request") == (pushed.status_code, pushed.json()["error"])


UNSIGNED = "eyJhbGciOiJub25lIn0.eyJzY29wZSI6Im9wZW5pZCJ9."
CANARY = "http://169.254.169.254/latest/meta-data"
OBJECTS: list[tuple[str, dict[str, str | None], str]] = [
    ("A18-request", {"request": UNSIGNED}, "request_not_supported"),
    ("A19-request", {"request": "x" * 2000}, "request_not_supported"),
    ("A19-empty", {"request": ""}, "request_not_supported"),
    ("A18-both", {"request": UNSIGNED, "request_uri": CANARY}, "request_not_supported"),
    ("A18-internal", {"request_uri": CANARY}, "request_uri_not_supported"),
    ("A18-urn", {"request_uri": "urn:example:other"}, "request_uri_not_supported"),
    ("A18-empty", {"request_uri": ""}, "request_uri_not_supported"),
    ("A29-fragment", {"response_mode": "fragment"}, "invalid_request"),
    ("A29-both-modes", {"response_mode": "query form_post"}, "invalid_request"),
    ("A29-jwt", {"response_mode": "query.jwt"}, "invalid_request"),
    ("A29-target", {"resource": "https://nobody.example"}, "invalid_target"),
    ("A29-target-relative", {"resource": "/v1"}, "invalid_target"),
    ("A29-target-fragment", {"resource": f"{API}#x"}, "invalid_target"),
    ("A29-target-empty", {"resource": ""}, "invalid_target"),
    ("A29-target-spaces", {"resource": f"{API} {OTHER_API}"}, "invalid_target"),
    ("A29-target-hidden", {"resource": f"{API}\n"}, "invalid_target"),
]


@pytest.mark.parametrize(("case", "changed", "error"), OBJECTS)
async def test_A18_A19_A29_what_we_do_not_do_is_told_to_the_client_by_us(
    world: World, case: str, changed: dict[str, str | None], error: str
) -> None:
    app, browser = await world.register_client(resources=[API, OTHER_API]), Window(world.auth.url)
    for answer in (
        await browser.get(app.address(**changed)),
        await browser.post("/authorize", data=app.request(**changed)),
    ):
        told = redirected_to_app(answer)
        assert (error, "the-state", world.auth.url) == (told["error"], told["state"], told["iss"])
        bad = await browser.get(app.address(**{**changed, "redirect_uri": "https://evil.example"}))
        assert (400, False) == (bad.status_code, "location" in bad.headers)


async def test_A18_no_address_in_a_request_is_ever_fetched(world: World) -> None:
    app, browser, visits = await world.register_client(), Window(world.auth.url), 0

    async def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1
        writer.close()

    async with await asyncio.start_server(visited, "127.0.0.1", 0) as canary:
        address = f"http://127.0.0.1:{canary.sockets[0].getsockname()[1]}/canary"
        for name in ("request_uri", "resource", "login_hint", "redirect_uri", "client_id"):
            await browser.get(app.address(**{name: address}))
            await browser.post("/oauth2/par", data=app.request(**{name: address}))
        assert 0 == visits
        with contextlib.suppress(httpx.HTTPError):
            await browser.get(address)
        assert 1 == visits, "the canary sings"


async def token_for(app: App, person: Person, asked: list[str], swapped: list[str], **rest: str) -> httpx.Response:
    """A code that was asked for with these resources, redeemed with those."""
    request: Pairs = [*app.request(**rest).items(), *(("resource", one) for one in asked)]
    answer = await person.browser.get(f"/authorize?{httpx.QueryParams(request)}")
    form: Pairs = [*app.swap_form(query_of(answer)["code"]).items(), *(("resource", one) for one in swapped)]
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return await person.browser.post("/oauth2/token", content=str(httpx.QueryParams(form)), headers=headers)


async def test_a_token_is_for_the_resources_that_were_asked_for_and_can_be_narrowed_never_widened(
    world: World,
) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(resources=[API, OTHER_API])
    jira = f"urn:connector:identos:jira-{idp}"
    await alice.log_in(app, idp_hint=idp)
    rows: list[tuple[list[str], list[str], Any]] = [
        # asked at /authorize, asked at the token endpoint, whom the token is for
        ([], [], world.auth.url),
        ([API], [], API),
        ([API, jira], [], [API, jira]),
        ([API, jira], [jira], jira),
        ([API, OTHER_API, world.auth.url], [API, world.auth.url], [API, world.auth.url]),
        ([], [world.auth.url], world.auth.url),
        ([], [API], None),
        ([API], [OTHER_API], None),
        ([API], [API, OTHER_API], None),
        ([API], [world.auth.url], None),
        ([API], ["https://nobody.example"], None),
        ([API], [""], None),
    ]
    for asked, swapped, audience in rows:
        answer = await token_for(app, alice, asked, swapped, idp_hint=idp)
        if audience is None:
            assert (400, "invalid_target") == (answer.status_code, answer.json()["error"]), (asked, swapped)
        else:
            assert audience == claims_of(answer.json()["access_token"])["aud"], (asked, swapped)


async def test_a_resource_of_one_client_is_not_another_ones(world: World) -> None:
    await world.register_client(resources=[API])
    other = await world.register_client()
    told = redirected_to_app(await Window(world.auth.url).get(other.address(resource=API)))
    assert "invalid_target" == told["error"]


async def test_the_resources_survive_the_choice_of_an_idp(world: World) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(resources=[API, OTHER_API])
    request: Pairs = [*app.request().items(), ("resource", API), ("resource", OTHER_API)]
    page = await alice.browser.get(f"/authorize?{httpx.QueryParams(request)}")
    link = next(one for one in page.text.split('"') if f"idp_hint={idp}" in one).replace("&amp;", "&")
    assert [API, OTHER_API] == httpx.URL(link).params.get_list("resource")


async def test_A12_more_than_ten_resources_and_more_than_8_kib_are_too_many(world: World) -> None:
    app, browser = await world.register_client(), Window(world.auth.url)
    many = "&".join(f"resource=urn:x:{n}" for n in range(11))
    answer = await browser.get(f"{app.address()}&{many}")
    assert (400, False) == (answer.status_code, "location" in answer.headers)
    told = redirected_to_app(await browser.post("/authorize", data=app.request(login_hint="x" * 9000)))
    assert ("invalid_request", world.auth.url) == (told["error"], told["iss"])
    pushed = await browser.post("/oauth2/par", data=app.request(login_hint="x" * 9000))
    assert (400, "invalid_request") == (pushed.status_code, pushed.json()["error"])


async def test_D14_D15_the_metadata_names_what_is_done_and_nothing_else(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        told = (await http.get("/.well-known/oauth-authorization-server")).json()
    assert f"{world.auth.url}/oauth2/par" == told["pushed_authorization_request_endpoint"]
    assert {"ES256", "Ed25519", "EdDSA", "PS256"} == set(told["dpop_signing_alg_values_supported"])
    assert (False, False) == (told["request_parameter_supported"], told["request_uri_parameter_supported"])
    assert ["query", "form_post"] == told["response_modes_supported"]


async def test_A31_unknown_parameters_are_ignored_and_kept_out_of_the_answer(world: World) -> None:
    app, browser = await world.register_client(), Window(world.auth.url)
    told = redirected_to_app(await browser.get(app.address(prompt="none", extra="1", **{"a.b[]": "x", "é": "ü"})))
    assert {"error", "error_description", "state", "iss"} == set(told)
