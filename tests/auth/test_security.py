"""Attack cases, each named by its id: the request of an attacker and the safe answer."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from scopefold.auth.oauth.exchange import EXCHANGE
from scopefold.auth.web.browser import BROWSER_COOKIE, SESSION_COOKIE
from scopefold.contracts.events import TokenStored
from tests.auth.world import (
    APP_REDIRECT,
    VERIFIER,
    App,
    Person,
    World,
    challenge_of,
    query_of,
    told_by,
)
from tests.support.browsing import Window


@asynccontextmanager
async def http_to(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=30) as http:
        yield http


def is_shown_here(answer: httpx.Response) -> bool:
    return (
        (400, False) == (answer.status_code, "location" in answer.headers)
        and answer.headers["content-type"].startswith("text/html")
        and "default-src 'none'" in answer.headers["content-security-policy"]
    )


REDIRECTS = [
    pytest.param("https://evil.example/cb", id="A01"),
    pytest.param("https://app.example/CALLBACK", id="A02"),
    pytest.param("https://app.example@evil.example/callback", id="A04"),
    pytest.param("https://a@b@evil.example/callback", id="A04-two"),
    pytest.param("https://app.example/callback?foo=bar", id="A06-added"),
    pytest.param("https://app.example/callback#fragment", id="A06-fragment"),
    pytest.param("https://app.example/callback/../callback", id="A01-dots"),
    pytest.param("https://app.example:443/callback", id="A01-port"),
    pytest.param("", id="A08-empty"),
    pytest.param(None, id="A08"),
]


@pytest.mark.parametrize("redirect_uri", REDIRECTS)
@pytest.mark.parametrize("prompt", [None, "none"])
async def test_A01_A02_A04_A06_A08_A11_nobody_is_sent_to_an_address_that_is_not_registered(
    world: World, redirect_uri: str | None, prompt: str | None
) -> None:
    app, browser = await world.register_client(), Window(world.auth.url)
    changed = {"redirect_uri": redirect_uri, "prompt": prompt}
    assert is_shown_here(await browser.get(app.address(**changed)))
    assert is_shown_here(await browser.post("/authorize", data=app.request(**changed)))


async def test_A06_a_registered_query_must_be_sent_as_it_is(world: World) -> None:
    app, browser = await world.register_client(redirect_uris=[f"{APP_REDIRECT}?a=1"]), Window(world.auth.url)
    assert is_shown_here(await browser.get(app.address(redirect_uri=f"{APP_REDIRECT}?a=2")))
    told = await browser.get(app.address(redirect_uri=f"{APP_REDIRECT}?a=1", prompt="none"))
    assert ("1", "login_required") == (query_of(told)["a"], query_of(told)["error"])


NAMES = ["redirect_uri", "client_id", "state", "scope", "code_challenge", "nonce", "resource", "prompt", "request_uri"]


@pytest.mark.parametrize("name", NAMES)
async def test_A12_a_parameter_given_twice_is_refused(world: World, name: str) -> None:
    app, browser = await world.register_client(), Window(world.auth.url)
    once = httpx.QueryParams(app.request(**{name: "x"}))
    assert is_shown_here(await browser.get(f"/authorize?{once}&{name}=x"))


CHALLENGES: list[tuple[str, dict[str, str | None]]] = [
    ("A14", {"code_challenge": None, "code_challenge_method": None}),
    ("A14-empty", {"code_challenge": ""}),
    ("A15-plain", {"code_challenge_method": "plain"}),
    ("A15-none", {"code_challenge_method": None}),
    ("A15-case", {"code_challenge_method": "s256"}),
    ("A15-unknown", {"code_challenge_method": "S512"}),
    ("A15-short", {"code_challenge": "short"}),
    ("A29-type", {"response_type": "token"}),
    ("A29-hybrid", {"response_type": "code id_token"}),
]


@pytest.mark.parametrize(("case", "changed"), CHALLENGES)
@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
async def test_A14_A15_A29_a_wrong_request_is_told_to_the_client_by_us(
    world: World, case: str, changed: dict[str, str | None], method: str
) -> None:
    app = await world.register_client(token_endpoint_auth_method=method)
    answer = await Window(world.auth.url).get(app.address(**changed))
    assert (303, True) == (answer.status_code, answer.headers["location"].startswith(APP_REDIRECT)), answer.text
    told = query_of(answer)
    assert ("the-state", world.auth.url) == (told["state"], told["iss"])
    assert told["error"] in ("invalid_request", "unsupported_response_type", "unauthorized_client")
    if told["error"] == "unsupported_response_type":
        assert "The response_type must be code." == told["error_description"]


async def test_A17_what_the_request_says_is_shown_as_text(world: World) -> None:
    script = "<script>alert(1)</script>"
    idp = await world.idp_with_jira()
    app = await world.register_client(client_name=script)
    alice = Person(world)
    for changed in ({"redirect_uri": script}, {"client_id": script}, {"idp_hint": idp, "login_hint": script}):
        answer = await alice.browser.get(app.address(**changed))
        assert "<script" not in answer.text.lower()
    twice = await alice.browser.get(f"/authorize?{script}=1&{script}=2")
    assert (True, False) == (is_shown_here(twice), "<script" in twice.text)


async def test_A22_A23_A24_pages_are_not_framed_and_redirects_leave_no_trace(world: World) -> None:
    idp, app, browser = await world.idp_with_jira(), await world.register_client(), Window(world.auth.url)
    for page in (await browser.get("/"), await browser.get("/authorize"), await browser.get(app.address())):
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert ("DENY", "no-referrer") == (page.headers["x-frame-options"], page.headers["referrer-policy"])
        assert ("no-store", False) == (page.headers["cache-control"], 'src="http' in page.text)
    for away in (
        await browser.post("/authorize", data=app.request(idp_hint=idp)),
        await browser.post("/authorize", data=app.request(prompt="none")),
    ):
        assert (303, "no-referrer") == (away.status_code, away.headers["referrer-policy"])
        assert "no-store" == away.headers["cache-control"]


async def test_A29_A31_success_names_the_issuer_and_unknown_parameters_are_ignored(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    told = query_of(await alice.come_back(app, idp_hint=idp, unknown_parameter="1", ui_locales="de"))
    assert ({"code", "state", "iss"}, world.auth.url) == (set(told), told["iss"])


async def test_B01_a_code_is_redeemed_once(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    code = await alice.log_in(app, idp_hint=idp)
    first, second = await app.swap(code), await app.swap(code)
    assert (200, 400, "invalid_grant") == (first.status_code, second.status_code, second.json()["error"])


async def test_B03_a_code_is_bound_to_its_client(world: World) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app, other = await world.register_client(), await world.register_client()
    code = await alice.log_in(app, idp_hint=idp)
    stolen = await other.swap(code)
    assert (400, "invalid_grant") == (stolen.status_code, stolen.json()["error"])
    holder = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    async with http_to(world) as http:
        for named, told in ((None, (400, "invalid_grant")), (app.id, (401, "invalid_client"))):
            form = app.swap_form(code, client_id=named)
            stolen = await http.post("/oauth2/token", data=form, auth=(holder.id, str(holder.secret)))
            assert told == (stolen.status_code, stolen.json()["error"])
    assert 200 == (await app.swap(code)).status_code, "who is refused does not use the code up"


SWAPS: list[tuple[str, dict[str, str | None]]] = [
    ("B05", {"code_verifier": None}),
    ("B05-empty", {"code_verifier": ""}),
    ("B07-wrong", {"code_verifier": "w" * 64}),
    ("B07-42", {"code_verifier": VERIFIER[:42]}),
    ("B07-129", {"code_verifier": "v" * 129}),
    ("B07-not-ascii", {"code_verifier": "é" * 64}),
    ("B07-challenge", {"code_verifier": challenge_of(VERIFIER)}),
    ("B07-line-feed", {"code_verifier": VERIFIER + "\n"}),
    ("B07-plain", {"code_verifier": challenge_of(VERIFIER), "code_challenge_method": "plain"}),
    ("B08-other", {"redirect_uri": "https://app.example/other"}),
    ("B08", {"redirect_uri": None}),
    ("B01-no-code", {"code": None}),
    ("B01-other-code", {"code": "x" * 43}),
]


async def test_B05_B07_B08_a_code_needs_its_verifier_and_its_address(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    code = await alice.log_in(app, idp_hint=idp)
    for case, changed in SWAPS:
        answer = await app.swap(**{"code": code, **changed})
        assert 400 == answer.status_code, (case, answer.text)
        assert answer.json()["error"] in ("invalid_grant", "invalid_request"), case
        assert "no-store" == answer.headers["cache-control"]
    good = await app.swap(code)
    assert (200, "no-store") == (good.status_code, good.headers["cache-control"]), "B26"


async def test_B10_the_token_endpoint_takes_small_forms_by_post_only(world: World) -> None:
    async with http_to(world) as http:
        assert 405 == (await http.get("/oauth2/token")).status_code
        assert 400 == (await http.post("/oauth2/token", json={"grant_type": "authorization_code"})).status_code
        form = {"content-type": "application/x-www-form-urlencoded"}
        large = await http.post("/oauth2/token", content=b"a=" + b"x" * 2**20, headers=form)
        assert (413, "no-store") == (large.status_code, large.headers.get("cache-control"))


Credentials = tuple[str | bytes, str | bytes] | httpx._client.UseClientDefault


async def test_B13_B26_a_confidential_client_must_authenticate_as_it_is_registered(world: World) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    code = await alice.log_in(app, idp_hint=idp)
    bad: list[tuple[dict[str, str | None], Credentials]] = [
        ({}, httpx.USE_CLIENT_DEFAULT),
        ({"client_secret": app.secret}, httpx.USE_CLIENT_DEFAULT),
        ({"client_id": None}, (app.id, "wrong")),
        ({"client_id": None}, (app.id, "")),
        ({"client_id": None}, ("other", str(app.secret))),
    ]
    async with http_to(world) as http:
        for changed, credentials in bad:
            answer = await http.post("/oauth2/token", data=app.swap_form(code, **changed), auth=credentials)
            assert (401, "invalid_client") == (answer.status_code, answer.json()["error"])
            assert "Basic" in answer.headers["www-authenticate"]
            assert "no-store" == answer.headers["cache-control"]
        good = await http.post("/oauth2/token", data=app.swap_form(code), auth=(app.id, str(app.secret)))
    assert 200 == good.status_code, good.text


async def test_D13_D14_D15_the_metadata_tells_the_truth_and_no_private_key(world: World) -> None:
    async with http_to(world) as http:
        keys = (await http.get("/oauth2/jwks")).json()["keys"]
        documents = [
            (await http.get(f"/.well-known/{name}")).json()
            for name in ("openid-configuration", "oauth-authorization-server")
        ]
    private = {"d", "p", "q", "dp", "dq", "qi", "k"}
    assert [set()] * len(keys) == [private & key.keys() for key in keys]
    assert 6 <= len({key["kid"] for key in keys}), "a current and a next one of each kind"
    assert documents[0] == documents[1]
    document = documents[0]
    assert world.auth.url == document["issuer"]
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert document[name].startswith(f"{world.auth.url}/")
    assert (["code"], ["S256"]) == (document["response_types_supported"], document["code_challenge_methods_supported"])
    grants = ["authorization_code", "refresh_token", "client_credentials", EXCHANGE]
    assert (grants, ["RS256", "ES256", "EdDSA"]) == (
        document["grant_types_supported"],
        document["id_token_signing_alg_values_supported"],
    )
    app = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    async with http_to(world) as http:
        for grant in (*grants, "password"):
            answer = await http.post("/oauth2/token", data={"grant_type": grant}, auth=(app.id, str(app.secret)))
            assert (grant == "password") is (answer.json()["error"] == "unsupported_grant_type"), answer.text


async def ready_to_come_back(world: World, idp: str, app: App) -> tuple[Person, str]:
    """Somebody whom the IdP has just sent back, but whose browser has not opened the callback yet."""
    person = Person(world)
    return person, await person.press(await person.at_consent(app, idp_hint=idp))


async def test_F01_F05_F11_what_one_browser_began_no_other_can_end(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    attacker, callback = await ready_to_come_back(world, idp, app)
    victim, _ = await ready_to_come_back(world, idp, app)
    for browser in (victim.browser, Window(world.auth.url)):
        answer = await browser.get(callback)
        assert is_shown_here(answer)
        assert SESSION_COOKIE not in browser.jar
    assert [] == await world.said(TokenStored, idp)
    assert 303 == (await attacker.browser.get(callback)).status_code, "the attempt was not used up by the others"


async def test_F02_a_state_is_used_once_and_never_guessed(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    alice, callback = await ready_to_come_back(world, idp, app)
    url = httpx.URL(callback)
    for wrong in (
        url.copy_remove_param("state"),
        url.copy_set_param("state", ""),
        url.copy_set_param("state", "x" * 43),
    ):
        assert is_shown_here(await alice.browser.get(wrong))
    assert [303, 400] == [(await alice.browser.get(callback)).status_code for _ in range(2)]
    assert 1 == len(await world.said(TokenStored, idp))


async def test_F03_F04_a_code_of_another_idp_is_never_sent_anywhere(world: World) -> None:
    idp, other, app = await world.idp_with_jira(), await world.idp_with_jira(), await world.register_client()
    alice, callback = await ready_to_come_back(world, idp, app)
    asked = world.sandbox.said().count("token refused")
    for wrong in (f"/oauth2/callback/{other}", "/oauth2/callback"):
        assert is_shown_here(await alice.browser.get(callback.replace(f"/oauth2/callback/{idp}", wrong)))
    assert ([], asked) == (await world.said(TokenStored, other), world.sandbox.said().count("token refused"))
    assert 303 == (await alice.browser.get(callback)).status_code


async def test_F10_a_step_that_is_left_out_logs_nobody_in(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    alice, callback = await ready_to_come_back(world, idp, app)
    assert 405 == (await alice.browser.post(callback)).status_code
    told = told_by(await alice.browser.get(httpx.URL(callback).copy_remove_param("code")))
    assert ("server_error", False) == (told["error"], SESSION_COOKIE in alice.browser.jar)


async def test_F13_an_upstream_error_is_told_and_no_more(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    for error in ("<script>alert(1)</script>", "", "e" * 5000, "temporarily_unavailable\r\nx: y"):
        alice, callback = await ready_to_come_back(world, idp, app)
        url = httpx.URL(callback).copy_remove_param("code").copy_set_param("error", error)
        answer = await alice.browser.get(url.copy_set_param("error_description", "<b>from upstream</b>"))
        assert told_by(answer)["error"] in ("server_error", "temporarily_unavailable")
        assert "from upstream" not in answer.text
        assert "<script>" not in answer.text
    quarantined = (await world.admin("GET", "/v1/quarantine")).json()["items"]
    assert [] == [one for one in quarantined if f".{idp}." in one["subject"]]


async def test_G01_a_login_changes_the_session_and_ends_the_one_before(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    alice.browser.jar.set(SESSION_COOKIE, "planted-by-an-attacker", domain="127.0.0.1")
    await alice.log_in(app, idp_hint=idp)
    first = alice.browser.jar[SESSION_COOKIE]
    await alice.log_in(app, idp_hint=idp, prompt="login")
    second = alice.browser.jar[SESSION_COOKIE]
    assert 3 == len({"planted-by-an-attacker", first, second})
    for dead in ("planted-by-an-attacker", first):
        async with http_to(world) as http:
            answer = await http.get(
                app.address(idp_hint=idp, prompt="none"), headers={"cookie": f"{SESSION_COOKIE}={dead}"}
            )
        assert "login_required" == query_of(answer)["error"]


async def test_G02_cookies_are_host_only_secure_and_out_of_reach_of_scripts(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    began = await alice.browser.get(app.address(idp_hint=idp))
    ended = await alice.come_back(app, idp_hint=idp)
    for answer, name in ((began, BROWSER_COOKIE), (ended, SESSION_COOKIE)):
        (cookie,) = answer.headers.get_list("set-cookie")
        given, *flags = cookie.split("; ")
        assert given.startswith(f"{name}=")
        assert name.startswith("__Host-")
        assert {"httponly", "secure", "path=/", "samesite=lax"} <= {flag.lower() for flag in flags}
        assert not any(flag.lower().startswith("domain") for flag in flags)


async def test_G03_a_cookie_that_is_none_of_ours_is_no_session(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=idp)
    good = alice.browser.jar[SESSION_COOKIE]
    browser_mark = alice.browser.jar[BROWSER_COOKIE]
    bad = [good[:-1], good + "x", good.swapcase(), "", "x" * 101, "x" * 4096, browser_mark, '"' + "\\377" * 9 + '"']
    async with http_to(world) as http:
        for value in bad:
            headers = {"cookie": f"{SESSION_COOKIE}={value}"}
            answer = await http.get(app.address(idp_hint=idp, prompt="none"), headers=headers)
            assert (303, "login_required") == (answer.status_code, query_of(answer).get("error")), value[:20]
        headers = {"cookie": f"{SESSION_COOKIE}={good}"}
        assert "code" in query_of(await http.get(app.address(idp_hint=idp, prompt="none"), headers=headers))


async def test_H09_no_answer_of_the_admin_api_holds_a_secret(world: World) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(token_endpoint_auth_method="client_secret_post")
    secret = f"canary-{secrets.token_hex(8)}"
    await world.register_idp(idp, secret=secret)
    await world.register_idp(idp)
    await alice.log_in(app, idp_hint=idp)
    paths = ["/v1/idps", f"/v1/idps/{idp}", "/api/v1/organizations/default/clients", "/v1/reconsent", "/v1/quarantine"]
    for path in paths:
        text = (await world.admin("GET", path)).text
        for hidden in (secret, str(app.secret), "secret_hash", 'client_secret"', "alice@", "Alice", '"access_token":'):
            assert hidden not in text, (path, hidden)
