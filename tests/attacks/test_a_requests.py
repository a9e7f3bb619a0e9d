"""Authorization requests that want more than there is: tokens in front, request objects, one login after the other."""

import json
import time
from typing import Any

import httpx
import pytest
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from scopefold.auth.store.records import Attempt
from tests.attacks.stored import buckets_of
from tests.auth.test_form_post import posted
from tests.auth.test_requests import redirected_to_app
from tests.auth.test_security import is_shown_here
from tests.auth.world import APP_REDIRECT, App, World
from tests.support.browsing import Window
from tests.support.process import Service

IN_FRONT = ["token", "id_token", "id_token token", "code id_token", "code token", "code id_token token", "code code"]


@pytest.mark.parametrize("scope", ["profile", "openid profile", None])
@pytest.mark.parametrize("response_type", IN_FRONT)
async def test_A10_no_token_comes_by_the_browser_with_openid_or_without(
    world: World, response_type: str, scope: str | None
) -> None:
    app, browser = await world.register_client(), Window(world.auth.url)
    for mode in (None, "fragment", "form_post"):
        changed = {"response_type": response_type, "scope": scope, "response_mode": mode}
        evil = app.address(**changed, redirect_uri="https://evil.example/cb")
        assert is_shown_here(await browser.get(evil))
        answer = await browser.get(app.address(**changed))
        address, told = posted(answer) if mode == "form_post" else (APP_REDIRECT, redirected_to_app(answer))
        assert told["error"] in ("unsupported_response_type", "invalid_request")
        assert (APP_REDIRECT, False) == (address, "#" in answer.headers.get("location", ""))
        assert not {"access_token", "id_token", "code"} & told.keys()


KEY, OTHER = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)


def objects(app: App) -> dict[str, str]:
    """Request objects as attackers make them; the last one is right, but for that we take none."""
    now, issuer = int(time.time()), app.world.auth.url
    claims: dict[str, Any] = {**app.request(), "iss": app.id, "aud": issuer, "iat": now, "nbf": now, "exp": now + 300}

    def signed(key: Any = KEY, alg: str = "ES256", **changed: Any) -> str:
        header = {"alg": alg, "typ": "oauth-authz-req+jwt"}
        return jwt.encode(header, {**claims, **changed}, key, algorithms=[alg])

    unsigned = f"eyJhbGciOiJub25lIn0.{signed().split('.')[1]}."
    wrapped = jwe.encrypt_compact({"alg": "RSA-OAEP", "enc": "A128GCM"}, json.dumps(claims).encode(), RSA)
    return {
        "alg none": unsigned,
        "no signature": signed().rpartition(".")[0] + ".",
        "wrong aud": signed(aud="https://other.example"),
        "expired": signed(exp=now - 300),
        "of another client": signed(OTHER),
        "by a shared secret": signed(OctKey.import_key("s" * 40), "HS256"),
        "encrypted JSON": wrapped,
        "evil address": signed(redirect_uri="https://evil.example/"),
        "right": signed(),
    }


async def test_A19_no_request_object_is_believed_however_it_is_signed(world: World) -> None:
    jwks = {"keys": [KEY.as_dict(private=False)]}
    app, browser = await world.register_client(jwks=jwks), Window(world.auth.url)
    for case, one in objects(app).items():
        for only in (False, True):  # all beside it, as RFC 9101 has it, or what it must have
            sent = {"client_id": app.id, "redirect_uri": app.request()["redirect_uri"], "response_type": "code"}
            form = {**(sent if only else app.request()), "request": one}
            told = redirected_to_app(await browser.get("/authorize", params=form))
            assert ("request_not_supported", world.auth.url) == (told["error"], told["iss"]), case
            pushed = await browser.post("/oauth2/par", data=form)
            assert (400, "request_not_supported") == (pushed.status_code, pushed.json()["error"]), case
        alone = await browser.get("/authorize", params={"client_id": app.id, "request": one})
        assert is_shown_here(alone), case


@pytest.mark.parametrize("method", ["plain", "PLAIN", "s256", "S512", "", None, "S256 plain"])
async def test_A15_a_method_that_is_not_s256_is_refused_where_requests_are_pushed_too(
    world: World, method: str | None
) -> None:
    app, browser = await world.register_client(), Window(world.auth.url)
    told = redirected_to_app(await browser.get(app.address(code_challenge_method=method)))
    assert ("invalid_request", world.auth.url) == (told["error"], told["iss"])
    pushed = await browser.post("/oauth2/par", data=app.request(code_challenge_method=method))
    assert (400, "invalid_request") == (pushed.status_code, pushed.json()["error"])


HALF_OPEN = 2000


async def test_A32_thousands_of_logins_of_one_address_cost_no_more_than_its_share(
    world: World, strict: Service
) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    async with httpx.AsyncClient(base_url=strict.url, timeout=20) as http:

        async def begin(address: str) -> int:
            headers = {"x-forwarded-for": address}
            return (await http.get(app.address(idp_hint=idp), headers=headers)).status_code

        statuses = [await begin("198.51.100.40") for _ in range(HALF_OPEN)]
        assert {303, 429} == set(statuses)
        begun = statuses.count(303)
        assert begun < HALF_OPEN / 4, "the limit is 20 a minute"
        async with buckets_of(world) as found:
            kept = [await found.flows.get(key, Attempt) for key in await found.flows.keys("attempt.>")]
        ours = [one for one in kept if one is not None and one[0].request.parameters["client_id"] == app.id]
        assert begun == len(ours), "what is refused is not kept"
        assert 303 == await begin("198.51.100.41"), "nobody else waits"
