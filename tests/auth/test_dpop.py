"""Tokens that only the holder of a key can use (RFC 9449): B29, B30, B31, and the conformance suite's dpop modules."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scopefold.auth.core.dpop_nonce import is_fresh, new_nonce
from scopefold.auth.oauth.dpop_proof import BadProof, read_proof
from tests.auth.holders import Holder, ath_of
from tests.auth.test_requests import claims_of
from tests.auth.world import App, Person, World, query_of
from tests.support.process import Service

URL = "https://login.example/oauth2/token"
NOW = datetime.now(UTC)
AT = int(NOW.timestamp())


@pytest.mark.parametrize("alg", ["ES256", "Ed25519", "EdDSA", "PS256"])
def test_a_proof_names_its_key(alg: str) -> None:
    holder = Holder(alg)
    proof = read_proof(holder.proof("POST", URL, iat=AT, jti="one", nonce="n"), method="POST", url=URL, now=NOW)
    assert (holder.jkt, "one", "n") == (proof.jkt, proof.jti, proof.nonce)


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("10 seconds before", {"iat": AT - 10}),
    ("10 seconds after", {"iat": AT + 10}),
    ("a fraction", {"iat": AT + 0.5}),
    ("query and fragment do not count", {"htu": f"{URL}?a=1#b"}),
    ("nor does the default port, nor case", {"htu": "HTTPS://LOGIN.example:443/oauth2/token"}),
    ("not expired", {"exp": AT + 5, "nbf": AT - 5}),
    ("more than is known", {"aud": "x", "extra": {"a": [1]}}),
]


@pytest.mark.parametrize(("case", "changed"), GOOD)
def test_B29_a_proof_that_holds(case: str, changed: dict[str, Any]) -> None:
    assert read_proof(Holder().proof("POST", URL, **{"iat": AT, **changed}), method="POST", url=URL, now=NOW).jkt


BAD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # what is wrong, claims, header
    ("htm", {"htm": "GET"}, {}),
    ("htm-case", {"htm": "post"}, {}),
    ("htm-missing", {"htm": None}, {}),
    ("htu-path", {"htu": "https://login.example/oauth2/par"}, {}),
    ("htu-path-case", {"htu": "https://login.example/OAUTH2/token"}, {}),
    ("htu-slash", {"htu": f"{URL}/"}, {}),
    ("htu-host", {"htu": "https://evil.example/oauth2/token"}, {}),
    ("htu-scheme", {"htu": "http://login.example/oauth2/token"}, {}),
    ("htu-port", {"htu": "https://login.example:8443/oauth2/token"}, {}),
    ("htu-not-a-port", {"htu": "https://login.example:x/oauth2/token"}, {}),
    ("htu-user-info", {"htu": "https://evil@login.example/oauth2/token"}, {}),
    ("htu-hidden", {"htu": "https://login.example/oa\tuth2/token"}, {}),
    ("htu-missing", {"htu": None}, {}),
    ("htu-no-text", {"htu": 7}, {}),
    ("iat-old", {"iat": AT - 300}, {}),
    ("iat-future", {"iat": AT + 300}, {}),
    ("iat-text", {"iat": str(AT)}, {}),
    ("iat-missing", {"iat": None}, {}),
    ("iat-huge", {"iat": 10**300}, {}),
    ("exp", {"exp": AT - 1}, {}),
    ("nbf", {"nbf": AT + 300}, {}),
    ("jti-missing", {"jti": None}, {}),
    ("jti-empty", {"jti": ""}, {}),
    ("jti-long", {"jti": "x" * 501}, {}),
    ("jti-no-text", {"jti": 1}, {}),
    ("nonce-no-text", {"nonce": 1}, {}),
    ("typ", {}, {"typ": "JWT"}),
    ("typ-missing", {}, {"typ": None}),
    ("crit", {}, {"crit": ["b64"], "b64": False}),
    ("long", {"x": "x" * 9000}, {}),
]


@pytest.mark.parametrize(("case", "changed", "header"), BAD)
def test_B29_a_proof_that_proves_nothing(case: str, changed: dict[str, Any], header: dict[str, Any]) -> None:
    try:
        text = Holder().proof("POST", URL, header=header, **{"iat": AT, **changed})
    except Exception:  # joserfc will not make some of them: then they are made from a right one
        head, payload, signature = Holder().proof("POST", URL, iat=AT).split(".")
        text = f"{head[:-3]}AAA.{payload}.{signature}"
    with pytest.raises(BadProof):
        read_proof(text, method="POST", url=URL, now=NOW)


def test_B29_what_is_in_the_header_is_a_public_key_that_signed() -> None:
    holder, other = Holder(), Holder()
    right = holder.proof("POST", URL, iat=AT)
    head, payload, signature = right.split(".")
    texts = [
        holder.proof("POST", URL, iat=AT, header={"jwk": other.key.as_dict(private=False)}),
        holder.proof("POST", URL, iat=AT, header={"jwk": holder.key.as_dict(private=True)}),
        holder.proof("POST", URL, iat=AT, header={"jwk": {"kty": "oct", "k": "AAAA"}}),
        holder.proof("POST", URL, iat=AT, header={"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}),
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:-4]}AAAA",
        f"eyJhbGciOiJub25lIiwidHlwIjoiZHBvcCtqd3QifQ.{payload}.",
        f"{head}.{payload}",
        "",
        "é",
        f"{right}, {right}",
    ]
    for text in texts:
        with pytest.raises(BadProof):
            read_proof(text, method="POST", url=URL, now=NOW)


def test_fapi2_a_proof_is_not_signed_with_RS256() -> None:
    holder = Holder("PS256")
    for alg, holds in (("PS256", True), ("RS256", False)):
        text = holder.proof("POST", URL, iat=AT, header={"alg": alg})
        if holds:
            assert read_proof(text, method="POST", url=URL, now=NOW).jkt
        else:
            with pytest.raises(BadProof, match="must be signed with one of"):
                read_proof(text, method="POST", url=URL, now=NOW)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}"))
def test_whatever_is_sent_as_a_proof_is_judged(text: str) -> None:
    with pytest.raises(BadProof):
        read_proof(text, method="POST", url=URL, now=NOW)


ATHS = [(ath_of("the-token"), True), (ath_of("another"), False), (None, False)]


@pytest.mark.parametrize(("ath", "holds"), ATHS)
def test_B29_a_proof_names_the_token_it_comes_with(ath: str | None, holds: bool) -> None:
    text = Holder().proof("GET", URL, iat=AT, ath=ath)
    if holds:
        assert read_proof(text, method="GET", url=URL, now=NOW, access_token="the-token").jkt
    else:
        with pytest.raises(BadProof):
            read_proof(text, method="GET", url=URL, now=NOW, access_token="the-token")


NONCES = [(0, True), (299, True), (420, False), (-30, True), (-300, False)]


@pytest.mark.parametrize(("age_seconds", "fresh"), NONCES)
def test_a_nonce_is_known_to_every_replica_for_five_minutes(age_seconds: int, fresh: bool) -> None:
    nonce = new_nonce(b"k" * 32, NOW - timedelta(seconds=age_seconds))
    assert fresh is is_fresh(b"k" * 32, nonce, NOW)
    assert not is_fresh(b"o" * 32, nonce, NOW)


async def a_code(world: World, app: App, person: Person, idp: str, **changed: str | None) -> str:
    return query_of(await person.browser.get(app.address(idp_hint=idp, **changed)))["code"]


async def swap(world: World, app: App, code: str, proof: str | list[str] | None, url: str = "") -> httpx.Response:
    proofs = [proof] if isinstance(proof, str) else proof or []
    async with httpx.AsyncClient(timeout=20) as http:
        headers = [("dpop", one) for one in proofs]
        return await http.post(f"{url or world.auth.url}/oauth2/token", data=app.swap_form(code), headers=headers)


async def logged_in(world: World, **client: Any) -> tuple[App, Person, str]:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(**client)
    await alice.log_in(app, idp_hint=idp)
    return app, alice, idp


async def test_a_code_is_swapped_for_a_token_bound_to_the_key_that_was_proved(world: World) -> None:
    app, alice, idp = await logged_in(world)
    holder, url = Holder(), f"{world.auth.url}/oauth2/token"
    answer = await swap(world, app, await a_code(world, app, alice, idp), holder.proof("POST", url))
    assert (200, "DPoP") == (answer.status_code, answer.json()["token_type"]), answer.text
    assert {"jkt": holder.jkt} == claims_of(answer.json()["access_token"])["cnf"]
    assert answer.headers["dpop-nonce"]
    plain = await swap(world, app, await a_code(world, app, alice, idp), None)
    assert ("Bearer", False) == (plain.json()["token_type"], "cnf" in claims_of(plain.json()["access_token"]))


async def test_B29_a_wrong_proof_gets_no_token_and_uses_no_code_up(world: World) -> None:
    app, alice, idp = await logged_in(world)
    holder, url = Holder(), f"{world.auth.url}/oauth2/token"
    code = await a_code(world, app, alice, idp)
    wrong: list[tuple[str | list[str], str]] = [
        ("", "invalid_dpop_proof"),
        ("x.y.z", "invalid_dpop_proof"),
        (holder.proof("GET", url), "invalid_dpop_proof"),
        (holder.proof("POST", f"{world.auth.url}/oauth2/par"), "invalid_dpop_proof"),
        (holder.proof("POST", url, iat=int(time.time()) - 300), "invalid_dpop_proof"),
        (holder.proof("POST", url, iat=int(time.time()) + 300), "invalid_dpop_proof"),
        ([holder.proof("POST", url), holder.proof("POST", url)], "invalid_dpop_proof"),
        (holder.proof("POST", url, nonce="made-up"), "use_dpop_nonce"),
    ]
    for proof, error in wrong:
        answer = await swap(world, app, code, proof)
        assert (400, error) == (answer.status_code, answer.json()["error"]), proof
        assert answer.headers["dpop-nonce"]
    nonce = (await swap(world, app, code, "x.y.z")).headers["dpop-nonce"]
    assert 200 == (await swap(world, app, code, holder.proof("POST", url, nonce=nonce))).status_code


async def test_B29_a_proof_is_taken_once_by_all_replicas_which_know_each_others_nonces(
    world: World, strict: Service
) -> None:
    """The other replica takes no proof without a nonce."""
    app, alice, idp = await logged_in(world)
    holder, url = Holder(), f"{world.auth.url}/oauth2/token"
    codes = [await a_code(world, app, alice, idp) for _ in range(10)]
    first = await swap(world, app, codes[0], holder.proof("POST", url), strict.url)
    assert (400, "use_dpop_nonce") == (first.status_code, first.json()["error"])
    proof = holder.proof("POST", url, nonce=first.headers["dpop-nonce"])
    urls = [world.auth.url, strict.url] * 5
    answers = await asyncio.gather(*(swap(world, app, *one) for one in zip(codes, [proof] * 10, urls, strict=True)))
    left = codes[[answer.status_code for answer in answers].index(200) - 1]
    nonce = answers[0].headers["dpop-nonce"]
    assert 200 == (await swap(world, app, left, holder.proof("POST", url, nonce=nonce), strict.url)).status_code
    assert [200] + [400] * 9 == sorted(answer.status_code for answer in answers)
    assert {"invalid_dpop_proof"} == {one.json()["error"] for one in answers if one.status_code == 400}


async def test_B30_a_code_that_was_asked_for_with_a_key_is_redeemed_with_that_key_alone(world: World) -> None:
    app, alice, idp = await logged_in(world)
    holder, other, url = Holder(), Holder(), f"{world.auth.url}/oauth2/token"
    code = await a_code(world, app, alice, idp, dpop_jkt=holder.jkt)
    missing, mismatched = await swap(world, app, code, None), await swap(world, app, code, other.proof("POST", url))
    assert (400, "invalid_dpop_proof") == (missing.status_code, missing.json()["error"])
    assert (400, "invalid_grant") == (mismatched.status_code, mismatched.json()["error"])
    assert 200 == (await swap(world, app, code, holder.proof("POST", url))).status_code


@pytest.mark.parametrize("thumbprint", ["", "short", "x" * 44, "é" * 43, "x" * 42 + "="])
async def test_B30_a_thumbprint_that_is_none_is_refused(world: World, thumbprint: str) -> None:
    app = await world.register_client()
    told = query_of(await Person(world).browser.get(app.address(dpop_jkt=thumbprint)))
    assert ("invalid_request", world.auth.url) == (told["error"], told["iss"])


async def test_B30_a_proof_that_is_pushed_with_a_request_binds_its_code(world: World) -> None:
    app, alice, idp = await logged_in(world)
    holder, other, url = Holder(), Holder(), f"{world.auth.url}/oauth2/token"
    par = f"{world.auth.url}/oauth2/par"
    proof = holder.proof("POST", par)
    async with httpx.AsyncClient(timeout=20) as http:
        mismatched = await http.post(
            par, data=app.request(dpop_jkt=other.jkt), headers={"dpop": holder.proof("POST", par)}
        )
        assert (400, "invalid_dpop_proof") == (mismatched.status_code, mismatched.json()["error"])
        answer = await http.post(par, data=app.request(idp_hint=idp), headers={"dpop": proof})
        assert (201, True) == (answer.status_code, "dpop-nonce" in answer.headers)
        replayed = await http.post(par, data=app.request(idp_hint=idp), headers={"dpop": proof})
        assert (400, "invalid_dpop_proof") == (replayed.status_code, replayed.json()["error"])
    query = httpx.QueryParams(client_id=app.id, request_uri=answer.json()["request_uri"])
    code = query_of(await alice.browser.get(f"/authorize?{query}"))["code"]
    assert "invalid_grant" == (await swap(world, app, code, other.proof("POST", url))).json()["error"]
    assert 200 == (await swap(world, app, code, holder.proof("POST", url))).status_code


async def test_B31_a_client_of_bound_tokens_gets_no_other(world: World) -> None:
    app, alice, idp = await logged_in(world, dpop_bound_access_tokens=True)
    code = await a_code(world, app, alice, idp)
    missing = await swap(world, app, code, None)
    assert (400, "invalid_dpop_proof") == (missing.status_code, missing.json()["error"])
    front = query_of(await alice.browser.get(app.address(idp_hint=idp, response_type="token")))
    assert "access_token" not in front
    assert 200 == (await swap(world, app, code, Holder().proof("POST", f"{world.auth.url}/oauth2/token"))).status_code
