"""Dynamic registration (RFC 7591, RFC 7592): who may, what is refused, and that nothing of it leaks (E01-E14)."""

import asyncio
import secrets
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, OctKey

from scopefold.auth.store import buckets, declared
from scopefold.auth.store.records import Client
from scopefold.auth.web.allowance import OPEN_PER_ADDRESS, Window
from tests.auth.canary import canary
from tests.auth.world import APP_REDIRECT, App, Person, World

RIGHT: dict[str, Any] = {"redirect_uris": [APP_REDIRECT], "client_name": "Notes", "token_endpoint_auth_method": "none"}
TOKENS = "/api/v1/organizations/default/registration-tokens"


async def initial_token(world: World, **asked: int) -> str:
    answer = await world.admin("POST", TOKENS, json=asked)
    assert 201 == answer.status_code, answer.text
    return str(answer.json()["initial_access_token"])


async def register(world: World, token: str | None, **changed: Any) -> httpx.Response:
    body = {name: value for name, value in {**RIGHT, **changed}.items() if value is not None}
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.post(f"{world.auth.url}/oauth2/register", json=body, headers=headers)


async def registered(world: World, **changed: Any) -> dict[str, Any]:
    answer = await register(world, await initial_token(world), **changed)
    assert 201 == answer.status_code, answer.text
    return dict(answer.json())


async def managed(method: str, made: dict[str, Any], token: str | None = None, **rest: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {token or made['registration_access_token']}"}
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.request(method, made["registration_client_uri"], headers=headers, **rest)


async def test_it_is_off_where_nobody_turned_it_on(world: World) -> None:
    token = await initial_token(world)
    assert 404 == (await register(world, token)).status_code
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        assert 404 == (await http.get("/oauth2/register/dc_x")).status_code
        document = (await http.get("/.well-known/oauth-authorization-server")).json()
    assert not {"registration_endpoint", "client_id_metadata_document_supported"} & document.keys()


@pytest.mark.parametrize("token", [None, "", "iat_wrong", "used", "admin"])
async def test_E01_without_an_initial_access_token_nobody_registers(guarded: World, token: str | None) -> None:
    if token == "used":
        token = await initial_token(guarded)
        assert 201 == (await register(guarded, token)).status_code
    if token == "admin":
        token = "an-admin-token-of-the-tests"
    answer = await register(guarded, token)
    assert (401, "invalid_token") == (answer.status_code, answer.json()["error"])
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert "no-store" == answer.headers["cache-control"]


async def test_E01_of_parallel_uses_of_a_token_as_many_succeed_as_it_has(guarded: World) -> None:
    token = await initial_token(guarded, uses=2)
    answers = await asyncio.gather(*(register(guarded, token) for _ in range(8)))
    assert [201, 201] == [one.status_code for one in answers if one.status_code == 201]
    assert 6 == len([one for one in answers if one.status_code in (401, 503)])


BAD_ADDRESSES = [
    ["javascript://x/%0aalert(1)"], ["data:text/html,x"], ["http://evil.example/cb"], ["https://*.example/cb"],
    ["https://a.example/cb#f"], ["https://u@a.example/cb"], [], ["com.example.app:/cb", "https://a.example", "x:y"],
]  # fmt: skip


@pytest.mark.parametrize("addresses", BAD_ADDRESSES)
async def test_E02_unsafe_redirect_addresses_are_refused(guarded: World, addresses: list[str]) -> None:
    answer = await register(guarded, await initial_token(guarded), redirect_uris=addresses)
    assert (400, "invalid_redirect_uri") == (answer.status_code, answer.json()["error"]), answer.text


async def test_E03_nothing_is_fetched_at_registration_and_internal_addresses_are_refused(guarded: World) -> None:
    async with canary() as internal:
        token = await initial_token(guarded, uses=20)
        for name in ("logo_uri", "policy_uri", "tos_uri", "client_uri", "sector_identifier_uri", "initiate_login_uri"):
            answer = await register(guarded, token, **{name: f"{internal.url}/{name}"})
            assert (201, False) == (answer.status_code, name in answer.json()), "it is not kept"  # E04
        assert 201 == (await register(guarded, token, request_uris=[f"{internal.url}/r"])).status_code
        for name in ("jwks_uri", "backchannel_logout_uri"):
            for bad in (f"{internal.url}/", f"https://127.0.0.1:{internal.port}/", "https://[::1]/", "file:///x"):
                answer = await register(guarded, token, **{name: bad})
                assert (400, "invalid_client_metadata") == (answer.status_code, answer.json()["error"]), (name, bad)
        assert 0 == internal.connections


PRIVATE = ECKey.generate_key("P-256").as_dict(private=True)
SECRET_KEY = OctKey.generate_key(256).as_dict(private=True)
BAD_METADATA: list[dict[str, Any]] = [
    {"grant_types": ["implicit"]},
    {"grant_types": ["authorization_code", "password"]},
    {"grant_types": ["client_credentials"]},
    {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"},
    {"grant_types": []},
    {"grant_types": ["refresh_token"]},
    {"response_types": ["token"]},
    {"response_types": ["code", "code id_token"]},
    {"id_token_signed_response_alg": "none"},
    {"id_token_signed_response_alg": "HS256"},
    {"token_endpoint_auth_method": "client_secret_jwt"},
    {"token_endpoint_auth_method": "private_key_jwt"},
    {"token_endpoint_auth_signing_alg": "none"},
    {"subject_type": "pairwise"},
    {"application_type": "other"},
    {"jwks": {"keys": []}},
    {"jwks": {"keys": [PRIVATE]}},
    {"jwks": {"keys": [SECRET_KEY]}},
    {"jwks": {"keys": 5}},
    {"jwks": {"keys": [{"kty": "EC"}]}},
    {"jwks": {"keys": []}, "jwks_uri": "https://a.example/jwks"},
    {"jwks": "x"},
    {"redirect_uris": "https://a.example/"},
    {"redirect_uris": [5]},
    {"redirect_uris": ["https://a.example/"] * 21},
    {"client_name": 5},
    {"client_name": "x" * 201},
    {"contacts": "x"},
    {"default_max_age": "x"},
    {"require_auth_time": "x"},
    {"logo_uri": ["x"]},
    {"scope": ["openid"]},
]


@pytest.mark.parametrize(
    "changed", BAD_METADATA, ids=[f"{n}-{'-'.join(changed)}" for n, changed in enumerate(BAD_METADATA)]
)
async def test_E06_what_no_client_may_be_is_refused(guarded: World, changed: dict[str, Any]) -> None:
    answer = await register(guarded, await initial_token(guarded), **changed)
    assert (400, "invalid_client_metadata") == (answer.status_code, answer.json()["error"]), answer.text


async def test_E06_a_body_that_is_no_json_object_is_refused(guarded: World) -> None:
    headers = {"authorization": f"Bearer {await initial_token(guarded)}"}
    typed = {**headers, "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=guarded.auth.url) as http:
        for content in (b"", b"[]", b"{", b"5", b"\xff", b"[" * 10_000):
            assert 400 == (await http.post("/oauth2/register", content=content, headers=typed)).status_code
        assert 400 == (await http.post("/oauth2/register", content=b"{}", headers=headers)).status_code
        assert 413 == (await http.post("/oauth2/register", content=b" " * 300_000, headers=typed)).status_code


async def test_E08_what_may_not_be_asked_for_is_left_out_and_the_answer_tells(guarded: World) -> None:
    """Clients name all that they could use; VS Code asks for the device grant too."""
    grants = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]
    made = await registered(guarded, scope="openid admin write:everything email", grant_types=grants)
    assert ("openid email", grants[:2]) == (made["scope"], made["grant_types"])
    for name in ("resource_server", "require_pkce", "origin", "organisation"):
        made = await registered(guarded, **{name: True})
        assert name not in made
    shown = (await guarded.admin("GET", f"/api/v1/organizations/default/clients/{made['client_id']}")).json()
    assert (False, True, "dynamic") == (shown["resource_server"], shown["require_pkce"], shown["origin"])


async def test_E09_a_software_statement_is_not_believed(guarded: World) -> None:
    statements: list[Any] = ["eyJhbGciOiJub25lIn0.e30.", "x", 5, {}]
    for statement in statements:
        answer = await register(guarded, await initial_token(guarded), software_statement=statement)
        assert (400, "invalid_software_statement") == (answer.status_code, answer.json()["error"])


async def test_a_client_reads_changes_and_deletes_its_registration(guarded: World) -> None:
    made = await registered(guarded)
    assert made["client_id"].startswith("dc_")
    assert "client_secret" not in made
    read = await managed("GET", made)
    assert (200, "no-store", "Notes") == (read.status_code, read.headers["cache-control"], read.json()["client_name"])
    change = {**RIGHT, "client_id": made["client_id"], "client_name": "Other"}
    changed = await managed("PUT", made, json=change)
    assert (200, "Other") == (changed.status_code, changed.json()["client_name"])
    new = changed.json()["registration_access_token"]
    assert new != made["registration_access_token"]
    for method in ("GET", "PUT", "DELETE"):  # E10: the token before is void
        assert 401 == (await managed(method, made, json=change)).status_code
    for wrong in ({"client_id": "other"}, {"client_secret": "x"}, {"registration_access_token": "x"}):
        assert 400 == (await managed("PUT", made, new, json={**change, **wrong})).status_code
    bad = await managed("PUT", made, new, json={**change, "redirect_uris": ["javascript:x"]})
    assert (400, "invalid_redirect_uri") == (bad.status_code, bad.json()["error"])
    assert 204 == (await managed("DELETE", made, new)).status_code
    assert 401 == (await managed("GET", made, new)).status_code


async def test_E10_a_registration_is_managed_with_its_own_token_only(guarded: World) -> None:
    made, other = await registered(guarded), await registered(guarded)
    for token in (other["registration_access_token"], "x", await initial_token(guarded), made["client_id"]):
        for method in ("GET", "PUT", "DELETE"):
            answer = await managed(method, made, token, json=RIGHT)
            assert (401, "invalid_token") == (answer.status_code, answer.json()["error"])
    operators = await guarded.register_client()
    there = {**made, "registration_client_uri": f"{guarded.auth.url}/oauth2/register/{operators.id}"}
    assert 401 == (await managed("GET", there)).status_code
    assert [200, 200] == [(await managed(method, made)).status_code for method in ("GET", "HEAD")]


async def test_E10_of_parallel_changes_one_succeeds(guarded: World) -> None:
    made = await registered(guarded)
    changes = [{**RIGHT, "client_id": made["client_id"], "client_name": f"n{n}"} for n in range(5)]
    answers = await asyncio.gather(*(managed("PUT", made, json=change) for change in changes))
    assert [200, 401, 401, 401, 401] == sorted(one.status_code for one in answers)


def test_E12_an_address_and_all_together_register_a_bounded_number_an_hour() -> None:
    window = Window()
    assert [0] * OPEN_PER_ADDRESS == [window.wait_seconds("192.0.2.1") for _ in range(OPEN_PER_ADDRESS)]
    assert 0 < window.wait_seconds("192.0.2.1") <= 3600
    others = [window.wait_seconds(f"192.0.2.{n}") for n in range(2, 255)] * 3
    assert 0 == others[0]
    for n in range(1000):
        window.wait_seconds(f"198.51.100.{n}")
    assert 0 < window.wait_seconds("203.0.113.1"), "the memory and the store are bounded"


async def test_E12_too_many_registrations_are_told_to_wait(welcoming: World) -> None:
    crowd = httpx.AsyncHTTPTransport(local_address="127.0.0.77")
    async with httpx.AsyncClient(base_url=welcoming.auth.url, timeout=20, transport=crowd) as http:
        answers = [await http.post("/oauth2/register", json=RIGHT) for _ in range(OPEN_PER_ADDRESS + 1)]
        assert [201, 201, 429] == [answers[n].status_code for n in (0, -2, -1)]
        assert int(answers[-1].headers["retry-after"]) > 0
        leave = {"authorization": f"Bearer {await initial_token(welcoming)}"}
        assert 201 == (await http.post("/oauth2/register", json=RIGHT, headers=leave)).status_code
        document = (await http.get("/.well-known/openid-configuration")).json()
    assert f"{welcoming.auth.url}/oauth2/register" == document["registration_endpoint"]
    assert 201 == (await register(welcoming, None)).status_code, "others are not made to wait"


async def test_E12_a_client_that_nobody_uses_expires_and_one_in_use_lives_on(guarded: World) -> None:
    idp, alice = await guarded.idp_with_jira(), Person(guarded)
    made = await registered(guarded)
    key = f"client.{buckets.hashed(made['client_id'])}"
    async with guarded.log() as log:
        stream = f"KV_{declared.DYNAMIC}"
        before = await log.js.get_msg(stream, subject=f"$KV.{declared.DYNAMIC}.{key}")
        assert "86400" in str(before.headers), "a day for its first login"
        await alice.allow(App(guarded, made), idp_hint=idp)
        after = await log.js.get_msg(stream, subject=f"$KV.{declared.DYNAMIC}.{key}")
        assert "86400" not in str(after.headers)
        found = await (await buckets.connect(log.js)).dynamic.get(key, Client)
    assert found is not None
    assert found[0].used_at is not None


async def test_E14_a_secret_is_told_once_and_kept_as_a_hash(guarded: World) -> None:
    made = await registered(guarded, token_endpoint_auth_method="client_secret_post")
    secret, token = made["client_secret"], made["registration_access_token"]
    assert (0, True) == (made["client_secret_expires_at"], len(secret) > 40)
    read = await managed("GET", made)
    change = {**RIGHT, "client_id": made["client_id"], "token_endpoint_auth_method": "client_secret_post"}
    changed = await managed("PUT", made, json={**change, "client_secret": secret})
    assert 200 == changed.status_code
    listed = (await guarded.admin("GET", "/api/v1/organizations/default/clients")).text
    one = (await guarded.admin("GET", f"/api/v1/organizations/default/clients/{made['client_id']}")).text
    async with guarded.log() as log:
        kv = await log.js.key_value(declared.DYNAMIC)
        stored = (await kv.get(f"client.{buckets.hashed(made['client_id'])}")).value
    texts = [read.text, changed.text, listed, one, guarded.auth.said(), repr(stored)]
    assert [] == [text for text in texts if secret in text]
    assert [] == [text for text in texts[1:] if token in text]
    assert made["client_id"] in listed


async def test_a_registered_client_logs_people_in(guarded: World) -> None:
    idp, alice = await guarded.idp_with_jira(), Person(guarded)
    app = App(guarded, await registered(guarded, token_endpoint_auth_method="client_secret_post"))
    code = await alice.allow(app, idp_hint=idp)
    assert 401 == (await app.swap(code)).status_code
    answer = await app.swap(code, client_secret=app.secret)
    assert 200 == answer.status_code, answer.text
    assert (await app.verified(answer.json()["id_token"]))["sub"]


async def test_the_admin_api_bounds_what_an_initial_token_is_good_for(world: World) -> None:
    for bad in ({"uses": 0}, {"uses": 1001}, {"expires_in": 1}, {"expires_in": 10**9}, {"x": 1}):
        assert 422 == (await world.admin("POST", TOKENS, json=bad)).status_code
    async with world.auth.client(secrets.token_hex(20)) as stranger:
        assert 401 == (await stranger.post(TOKENS, json={})).status_code


async def test_an_operator_removes_a_client_that_registered_itself_but_does_not_change_it(guarded: World) -> None:
    made, path = await registered(guarded), "/api/v1/organizations/default/clients"
    one = f"{path}/{made['client_id']}"
    assert 422 == (await guarded.admin("PUT", one, json={"client_name": "x"})).status_code
    assert 204 == (await guarded.admin("DELETE", one)).status_code
    assert 401 == (await managed("GET", made)).status_code
    answer = await Person(guarded).browser.get(App(guarded, made).address())
    assert (400, False) == (answer.status_code, "location" in answer.headers)
