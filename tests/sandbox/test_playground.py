"""The playground is a careful relying party: it takes an answer only for its own question, from its own issuer."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from tests.sandbox.issuer import Issuer
from tests.sandbox.visitor import query_of

AS_JSON = {"accept": "application/json"}


@pytest.fixture
async def browser(sandbox: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox, timeout=10) as client:
        yield client


@pytest.fixture
def issuer(shared_issuer: Issuer) -> Issuer:
    """The issuer, truthful again."""
    shared_issuer.signing_key = shared_issuer.named = None
    shared_issuer.token_requests.clear()
    return shared_issuer


async def begin(browser: httpx.AsyncClient, issuer: Issuer, **wanted: str) -> dict[str, str]:
    """Start a sign-in and let the issuer know what was asked."""
    answer = await browser.get("/playground/login", params=wanted)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{issuer.address}/authorize?")
    asked = query_of(answer.headers["location"])
    issuer.challenge = asked["code_challenge"]
    issuer.claims = issuer.good_claims(asked["nonce"])
    return asked


async def come_back(browser: httpx.AsyncClient, **answer: str) -> httpx.Response:
    return await browser.get("/playground/callback", params=answer, headers=AS_JSON)


async def test_it_asks_with_pkce_state_and_nonce(browser: httpx.AsyncClient, issuer: Issuer) -> None:
    asked = await begin(browser, issuer, resource="urn:connector:identos:jira-user", prompt="login")
    expected = {
        "response_type": "code",
        "client_id": "playground",
        "redirect_uri": f"{browser.base_url}/playground/callback".replace("//playground", "/playground"),
        "scope": "openid profile email",
        "code_challenge_method": "S256",
        "resource": "urn:connector:identos:jira-user",
        "prompt": "login",
    }
    assert expected == {name: asked[name] for name in expected}
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43


async def test_a_good_answer_signs_the_user_in(browser: httpx.AsyncClient, issuer: Issuer) -> None:
    asked = await begin(browser, issuer, resource="urn:connector:identos:jira-user", scope="openid")
    answer = await come_back(browser, code="c", state=asked["state"], iss=issuer.address)
    expected = {
        "sub": "u_12345678",
        "claims": issuer.claims,
        "scope": "openid",
        "token_type": "Bearer",
        "expires_in": 300,
    }
    assert expected == answer.json()
    assert issuer.token_requests[0]["resource"] == "urn:connector:identos:jira-user"
    assert "client_secret" not in issuer.token_requests[0]


async def test_the_page_shows_the_claims_as_text_and_never_the_whole_token(
    browser: httpx.AsyncClient, issuer: Issuer
) -> None:
    asked = await begin(browser, issuer)
    answer = await browser.get(
        "/playground/callback", params={"code": "c", "state": asked["state"], "iss": issuer.address}
    )
    assert answer.status_code == 200
    assert "Alice &lt;b&gt;Arden&lt;/b&gt;" in answer.text
    assert "access-token…" in answer.text
    assert "access-token-that-is" not in answer.text


FORGED_ANSWERS = [
    ("another state", {"state": "forged"}, "does not belong to this sign-in"),
    ("no issuer", {"iss": ""}, "comes from somebody else"),
    ("another issuer", {"iss": "https://evil.example"}, "comes from somebody else"),
    ("an error", {"error": "access_denied", "error_description": "The user said no."}, "access_denied"),
    ("no code", {"code": ""}, "not complete"),
]


@pytest.mark.parametrize(
    ("changed", "words"), [row[1:] for row in FORGED_ANSWERS], ids=[row[0] for row in FORGED_ANSWERS]
)
async def test_a_wrong_answer_signs_nobody_in_and_swaps_no_code(
    browser: httpx.AsyncClient, issuer: Issuer, changed: dict[str, str], words: str
) -> None:
    asked = await begin(browser, issuer)
    answer = await come_back(browser, **{"code": "c", "state": asked["state"], "iss": issuer.address, **changed})
    assert answer.status_code == 400
    assert words in answer.json()["title"]
    assert issuer.token_requests == []


async def test_an_answer_is_taken_once_and_only_in_the_browser_that_asked(
    browser: httpx.AsyncClient, issuer: Issuer, sandbox: str
) -> None:
    asked = await begin(browser, issuer)
    right = {"code": "c", "state": asked["state"], "iss": issuer.address}
    async with httpx.AsyncClient(base_url=sandbox) as other:
        assert (await come_back(other, **right)).status_code == 400
    assert [(await come_back(browser, **right)).status_code for _ in range(2)] == [200, 400]


def lie(**claims: Any) -> Callable[[Issuer], None]:
    return lambda issuer: issuer.claims.update(claims)


def sign_with_another_key(issuer: Issuer) -> None:
    issuer.signing_key = ECKey.generate_key("P-256")


def leave_out_the_nonce(issuer: Issuer) -> None:
    del issuer.claims["nonce"]


LIES = [
    ("another nonce", lie(nonce="another")),
    ("no nonce", leave_out_the_nonce),
    ("another audience", lie(aud="somebody-else")),
    ("another issuer", lie(iss="https://evil.example")),
    ("long past", lie(exp=1_000_000)),
    ("another key", sign_with_another_key),
]


@pytest.mark.parametrize("tell", [row[1] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_id_token_that_lies_is_not_trusted(
    browser: httpx.AsyncClient, issuer: Issuer, tell: Callable[[Issuer], None]
) -> None:
    asked = await begin(browser, issuer)
    tell(issuer)
    answer = await come_back(browser, code="c", state=asked["state"], iss=issuer.address)
    assert (answer.status_code, answer.json()["title"]) == (400, "The id_token cannot be trusted")


async def test_a_code_that_the_issuer_refuses_is_explained(browser: httpx.AsyncClient, issuer: Issuer) -> None:
    asked = await begin(browser, issuer)
    issuer.challenge = "another"
    answer = await come_back(browser, code="c", state=asked["state"], iss=issuer.address)
    assert answer.json()["detail"] == "invalid_grant: the verifier is wrong"


async def test_metadata_of_another_issuer_is_refused(browser: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.named = "https://evil.example"
    answer = await browser.get("/playground/login")
    assert answer.status_code == 400
    assert "The metadata is not of this issuer" in answer.text
