"""What clients demand that are not run here: each sends what it sends, and expects what it expects. Which were tried by
hand, and with which settings, is in `docs/recipes/tried.md`.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest

from scopefold.auth.oauth.server import NOT_PROVED
from tests.auth.test_requests import claims_of
from tests.auth.world import App, World, challenge_of
from tests.clients.visitor import Visitor

REDIRECT: Final = "https://app.example.com/callback"
VERIFIER: Final = "a-verifier-of-a-client-" + "v" * 40
GRANTS: Final = ["authorization_code", "refresh_token"]


async def client_of(world: World, method: str) -> App:
    return await world.register_client(
        token_endpoint_auth_method=method, redirect_uris=[REDIRECT], grant_types=GRANTS, scopes=["openid", "email"]
    )


async def code_for(app: App) -> str:
    """A code, as the client finds it in the address that it is called back at."""
    request = app.request(redirect_uri=REDIRECT, scope="openid email", code_challenge=challenge_of(VERIFIER))
    address = f"{app.world.auth.url}/authorize?{httpx.QueryParams(request)}"
    return httpx.URL(await Visitor(app.world).sent_back(address, REDIRECT)).params["code"]


async def token(app: App, form: Mapping[str, str], *, basic: str | None = None) -> httpx.Response:
    """One request to the token endpoint; `basic` is what stands in the header, before base64."""
    header = {} if basic is None else {"authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"}
    async with httpx.AsyncClient(base_url=app.world.auth.url, timeout=20) as http:
        return await http.post("/oauth2/token", data=form, headers=header)


def swap(code: str, **more: str) -> dict[str, str]:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    return {**form, **more}


async def metadata(world: World) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        return dict((await http.get("/.well-known/openid-configuration")).json())


async def test_the_one_audience_of_an_id_token_is_a_string(world: World) -> None:
    """google-auth's `jwt.decode`, PyJWT's `strict_aud` and whoever compares with `==` take no list of one."""
    app = await client_of(world, "client_secret_post")
    answer = await token(app, swap(await code_for(app), client_id=app.id, client_secret=str(app.secret)))
    form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    renewed = await token(app, {**form, "client_id": app.id, "client_secret": str(app.secret)})
    assert [app.id, app.id] == [claims_of(one.json()["id_token"])["aud"] for one in (answer, renewed)]


async def test_the_first_way_to_prove_oneself_that_is_told_is_the_header(world: World) -> None:
    """pac4j, of which Jenkins and CAS are made, takes the first that it knows, where nothing is configured."""
    told = await metadata(world)
    ways = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    for endpoint, rest in (("token", ["none"]), ("revocation", ["none"]), ("introspection", [])):
        assert [*ways, *rest] == told[f"{endpoint}_endpoint_auth_methods_supported"], endpoint


@pytest.mark.parametrize("registered", ["client_secret_basic", "client_secret_post"])
async def test_B13_a_right_secret_in_the_wrong_place_is_refused_and_its_holder_told_why(
    world: World, registered: str
) -> None:
    """Half of all libraries send it in the header, half in the body. What they log is all that an operator sees."""
    app = await client_of(world, registered)
    code, secret = await code_for(app), str(app.secret)

    async def told(secret: str, by: str, endpoint: str = "token") -> tuple[int, str, str]:
        form = {**swap(code), "token": "x", "client_id": app.id}
        async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
            path = f"/oauth2/{endpoint}"
            if by == "client_secret_post":
                answer = await http.post(path, data={**form, "client_secret": secret})
            else:
                answer = await http.post(path, data=form, auth=(app.id, secret))
        said = answer.json()
        return answer.status_code, said.get("error", ""), said.get("error_description", "")

    (other,) = {"client_secret_basic", "client_secret_post"} - {registered}
    why = f"The secret is right, but this client is registered to send it by {registered}."
    for endpoint in ("token", "par", "revoke", "introspect"):
        assert (401, "invalid_client", why) == await told(secret, other, endpoint), endpoint
        for by in (registered, other):
            assert (401, "invalid_client", NOT_PROVED) == await told("wrong", by, endpoint), (endpoint, by)
    assert 200 == (await told(secret, registered))[0], "nothing of this used the code up"


async def test_a_library_that_tries_the_header_first_is_let_in_at_its_second_try(world: World) -> None:
    """Go's x/oauth2, which learns by trying: the header, where a public client has no secret either, then the body."""
    for app in (await client_of(world, "client_secret_post"), await client_of(world, "none")):
        code, secret = await code_for(app), app.secret or ""
        first = await token(app, swap(code), basic=f"{app.id}:{secret}")
        assert (401, "invalid_client") == (first.status_code, first.json()["error"])
        body = {"client_id": app.id, **({"client_secret": secret} if secret else {})}
        assert 200 == (await token(app, swap(code, **body))).status_code


async def test_aspnet_core_is_answered_as_it_asks_where_nothing_is_set(world: World) -> None:
    """Its handler asks for `form_post`, with scope `openid profile`, its own state, nonce and PKCE, and two parameters
    that tell its version; it sends the secret in the body, and takes `iss` and `aud` as strings.
    """
    app = await client_of(world, "client_secret_post")
    asked = app.request(
        redirect_uri=REDIRECT,
        response_mode="form_post",
        scope="openid profile",
        code_challenge=challenge_of(VERIFIER),
        nonce="638000000000000000.N2Y",
        **{"x-client-SKU": "ID_NET9_0", "x-client-ver": "8.0.1.0"},
    )
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        proved = {"client_id": app.id, "client_secret": str(app.secret)}
        pushed = (await http.post("/oauth2/par", data={**asked, **proved})).json()  # version 9 does where it can
    short = {"client_id": app.id, "request_uri": pushed["request_uri"]}
    visitor = Visitor(world)
    address = f"{world.auth.url}/authorize?{httpx.QueryParams(short)}"
    told = httpx.URL(await visitor.sent_back(address, REDIRECT)).params
    again = await visitor.browser.get(f"/authorize?{httpx.QueryParams(asked)}")  # version 8, which does not push
    assert f'<form method="post" action="{REDIRECT}">' in again.text
    answer = await token(app, swap(told["code"], **proved))
    assert {"iss": world.auth.url, "aud": app.id} == {
        name: claims_of(answer.json()["id_token"])[name] for name in ("iss", "aud")
    }
