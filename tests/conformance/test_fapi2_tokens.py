"""fapi2-security-profile-final-test-plan: client assertions, DPoP, codes and tokens."""

import base64
import json
import time
from datetime import timedelta
from typing import Any

import httpx
import nats
from msgspec.structs import replace
from nats.js import JetStreamContext

from scopefold.auth.store.buckets import connect, hashed
from scopefold.auth.store.records import Code
from tests.auth.holders import Holder, ath_of
from tests.auth.oidc import through_oidc
from tests.auth.world import Person, World, query_of
from tests.conformance.client import Warn
from tests.conformance.fapi import SCOPES, FapiClient, authorized, checked, fapi_client, granted, is_refused, tokens_in

PLAN = "fapi2-security-profile-final-test-plan"
PREFIX = "fapi2-security-profile-final-"
WITHOUT_KEY = ("invalid_request", "invalid_grant", "invalid_dpop_proof")


async def a_code(client: FapiClient, **asked: Any) -> str:
    return query_of(await authorized(client, **asked))["code"]


async def test_par_test_array_as_audience_fails(world: World) -> None:
    client = await fapi_client(world)
    for audience in ([world.auth.url], [world.auth.url, "https://other1.example.com"]):
        answer = await client.push(assertion=client.assertion(aud=audience))
        assert is_refused(answer, "invalid_client", "invalid_request"), audience


async def test_par_test_par_endpoint_url_as_audience_fails(world: World) -> None:
    client = await fapi_client(world)
    answer = await client.push(assertion=client.assertion(aud=f"{world.auth.url}/oauth2/par"))
    assert is_refused(answer, "invalid_client", "invalid_request")


async def test_par_test_token_endpoint_url_as_audience_fails(world: World) -> None:
    client = await fapi_client(world)
    answer = await client.push(assertion=client.assertion(aud=f"{world.auth.url}/oauth2/token"))
    assert is_refused(answer, "invalid_client", "invalid_request")


async def test_par_ensure_jwt_client_assertions_nbf_8_seconds_in_the_future_is_accepted(world: World) -> None:
    client, ahead = await fapi_client(world), int(time.time()) + 8
    await client.pushed(assertion=client.assertion(iat=ahead, nbf=ahead))


async def test_par_ensure_jwt_client_assertions_nbf_over_60_seconds_in_the_future_fails(world: World) -> None:
    client, ahead = await fapi_client(world), int(time.time()) + 90
    answer = await client.push(assertion=client.assertion(iat=ahead, nbf=ahead, exp=ahead + 60))
    assert is_refused(answer, "invalid_client", "invalid_request")


async def test_ensure_client_assertion_in_token_endpoint(world: World) -> None:
    client = await fapi_client(world)
    answer = await client.redeem(await a_code(client), assertion="", client_id=client.id)
    assert is_refused(answer, "invalid_client", "invalid_request")


async def test_ensure_client_assertion_with_wrong_aud_fails(world: World) -> None:
    client = await fapi_client(world)
    wrong = client.assertion(aud="https://other1.example.com")
    assert is_refused(await client.redeem(await a_code(client), assertion=wrong), "invalid_client", "invalid_request")


async def test_ensure_client_assertion_with_no_sub_fails(world: World) -> None:
    client = await fapi_client(world)
    wrong = client.assertion(sub=None)
    assert is_refused(await client.redeem(await a_code(client), assertion=wrong), "invalid_client", "invalid_request")


async def test_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails(world: World) -> None:
    client = await fapi_client(world)
    wrong = client.assertion(exp=int(time.time()) - 300)
    assert is_refused(await client.redeem(await a_code(client), assertion=wrong), "invalid_client", "invalid_request")


async def test_ensure_signed_client_assertion_with_RS256_fails(world: World) -> None:
    """As in the module, the same key signs with PS256 else."""
    client = await fapi_client(world, rsa=True)
    code = await a_code(client)
    assert is_refused(await client.redeem(code, assertion=client.assertion(alg="RS256")), "invalid_client")
    assert 200 == (await client.redeem(code)).status_code


async def test_ensure_client_id_in_token_endpoint(world: World) -> None:
    """The second client's names, signed by the first."""
    first, second = await fapi_client(world), await fapi_client(world)
    named = second.assertion(key=first.key)
    answer = await first.redeem(await a_code(first), assertion=named, client_id=second.id)
    assert is_refused(answer, "invalid_client", "invalid_grant")


async def test_ensure_authorization_code_is_bound_to_client(world: World) -> None:
    first, second = await fapi_client(world), await fapi_client(world)
    code = await a_code(first)
    assert is_refused(await second.redeem(code), "invalid_grant")
    assert 200 == (await first.redeem(code)).status_code


async def test_attempt_reuse_authorization_code_after_one_second(world: World, warn: Warn) -> None:
    warn("the code comes again at once; the module waits a second")
    one = await granted(await fapi_client(world))
    assert is_refused(await one.client.redeem(one.code), "invalid_grant")
    assert 401 == (await one.client.resource(one.access)).status_code, "what it brought has ended"


async def test_ensure_token_endpoint_fails_with_expired_auth_code(world: World, warn: Warn) -> None:
    warn("the code was made older in the store; the module waits 62 seconds")
    client = await fapi_client(world)
    code = await a_code(client)
    nc = await nats.connect(world.bus.url)
    flows = (await connect(JetStreamContext(nc))).flows
    found = await flows.get(f"code.{hashed(code)}", Code)
    assert found is not None
    older = replace(found[0], issued_at=found[0].issued_at - timedelta(seconds=62))
    await flows.update(f"code.{hashed(code)}", older, revision=found[1])
    await nc.close()
    assert is_refused(await client.redeem(code), "invalid_grant")


async def test_ensure_pkce_code_verifier_required(world: World) -> None:
    client = await fapi_client(world)
    assert is_refused(await client.redeem(await a_code(client), code_verifier=None), "invalid_grant")


async def test_incorrect_pkce_code_verifier_rejected(world: World) -> None:
    client = await fapi_client(world)
    assert is_refused(await client.redeem(await a_code(client), code_verifier="w" * 64), "invalid_grant")


async def test_ensure_holder_of_key_required(world: World, warn: Warn) -> None:
    warn("this issuer is on loopback and without TLS, which the module looks at, too")
    client = await fapi_client(world)
    assert is_refused(await client.redeem(await a_code(client), proof=""), *WITHOUT_KEY)


async def with_key_at_both(client: FapiClient, **asked: Any) -> None:
    """A flow whose pushed request brings a proof, too."""
    person = Person(client.world)
    request_uri = await client.pushed(proof=client.proof("/oauth2/par"), **asked)
    answer = checked(client, await through_oidc(person, client, request_uri=request_uri))
    await tokens_in(client, person, answer, await client.redeem(query_of(answer)["code"]))


async def test_ensure_dpop_auth_code_binding_success(world: World) -> None:
    client = await fapi_client(world)
    await with_key_at_both(client, dpop_jkt=client.holder.jkt)


async def test_ensure_dpopproof_at_par_endpoint_binding_success(world: World) -> None:
    await with_key_at_both(await fapi_client(world))


async def test_ensure_mismatched_dpop_jkt_fails(world: World) -> None:
    client = await fapi_client(world)
    answer = await client.push(proof=client.proof("/oauth2/par"), dpop_jkt=Holder().jkt)
    assert is_refused(answer, "invalid_request", "invalid_dpop_proof")


async def test_ensure_token_endpoint_fails_with_mismatched_dpop_jkt(world: World) -> None:
    client = await fapi_client(world)
    assert is_refused(await client.redeem(await a_code(client, dpop_jkt=Holder().jkt)), *WITHOUT_KEY)


async def test_ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt(world: World) -> None:
    client = await fapi_client(world)
    code = await a_code(client, proof=client.proof("/oauth2/par"))
    client.holder = Holder()
    assert is_refused(await client.redeem(code), *WITHOUT_KEY)


async def with_times(client: FapiClient, **times: Any) -> None:
    """A flow in which every proof has these times: when pushing, at the token endpoint, and at a resource."""
    person = Person(client.world)
    request_uri = await client.pushed(proof=client.proof("/oauth2/par", **times))
    answer = checked(client, await through_oidc(person, client, request_uri=request_uri))
    swapped = await client.redeem(query_of(answer)["code"], proof=client.proof(**times))
    one = await tokens_in(client, person, answer, swapped)
    assert 200 == (await client.resource(one.access, client.resource_proof(one.access, **times))).status_code


async def test_check_dpop_proof_nbf_exp(world: World) -> None:
    now = int(time.time())
    await with_times(await fapi_client(world), nbf=now, exp=now + 300)


async def test_ensure_dpopproof_with_iat_10seconds_before_succeeds(world: World) -> None:
    await with_times(await fapi_client(world), iat=int(time.time()) - 10)


async def test_ensure_dpopproof_with_iat_10seconds_after_succeeds(world: World) -> None:
    await with_times(await fapi_client(world), iat=int(time.time()) + 10)


async def test_access_token_type_header_case_sensitivity(world: World) -> None:
    one = await granted(await fapi_client(world))
    assert 200 == (await one.client.resource(one.access, scheme="dPOp")).status_code


def reworked(proof: str, **header: Any) -> str:
    """The proof with another header, which nobody signed; None takes a member out."""
    head, payload, signature = proof.split(".")
    members = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    kept = {name: value for name, value in {**members, **header}.items() if value is not None}
    told = base64.urlsafe_b64encode(json.dumps(kept).encode()).decode().rstrip("=")
    return f"{told}.{payload}.{'' if header.get('alg') == 'none' else signature}"


async def test_dpop_negative_tests(world: World) -> None:
    """One token, many proofs at a resource. The module gives its steps in this order."""
    one = await granted(await fapi_client(world))
    client, url = one.client, f"{world.auth.url}/oauth2/userinfo"
    right, private = client.resource_proof, client.holder.key.as_dict(private=True)
    now, twice = int(time.time()), right(one.access)
    wrong: dict[str, str | list[str]] = {
        "two": [right(one.access), right(one.access)],
        "no JWT": "not.well-formed",
        "no typ": right(one.access, header={"typ": None}),
        "no alg": reworked(right(one.access), alg=None),
        "no jwk": right(one.access, header={"jwk": None}),
        "no jti": right(one.access, jti=None),
        "no htm": right(one.access, htm=None),
        "no htu": right(one.access, htu=None),
        "no iat": right(one.access, iat=None),
        "no ath": right(one.access, ath=None),
        "typ": right(one.access, header={"typ": "JWT"}),
        "alg none": reworked(right(one.access), alg="none"),
        "signature": right(one.access)[:-8] + "AAAAAAAA",
        "private key": right(one.access, header={"jwk": private}),
        "htm": right(one.access, htm="PUT"),
        "htu": right(one.access, htu="https://other1.example.com/userinfo"),
        "in an hour": right(one.access, iat=now + 3600),
        "an hour ago": right(one.access, iat=now - 3600),
        "ath": right(one.access, ath=ath_of("another")),
        "another key": Holder().proof("GET", url, ath=ath_of(one.access)),
        "none": [],
    }
    for case, proof in wrong.items():
        assert (await client.resource(one.access, proof)).status_code in (400, 401), case
    assert (await client.resource(one.access, [], scheme="Bearer")).status_code in (400, 401)
    assert [200, 401] == [(await client.resource(one.access, twice)).status_code for _ in range(2)], "replayed"
    good = {
        "with query and fragment": right(one.access, htu=f"{url}?a=1#b"),
        "without": right(one.access),
        "more than is known": right(one.access, header={"x": "y"}, extra={"a": 1}),
        "upper case": right(one.access, htu=url.replace("http", "HTTP", 1)),
    }
    for case, proof in good.items():
        assert 200 == (await client.resource(one.access, proof)).status_code, case
    headers = {"authorization": f"DPoP {one.access}", "DPOP": right(one.access)}
    async with httpx.AsyncClient() as http:
        assert 200 == (await http.get(url, headers=headers)).status_code, "the header's name in capitals"
    client.holder = Holder("PS256")
    rsa = (await granted(client)).access
    weak = right(rsa, header={"alg": "RS256"})
    assert [401, 200] == [(await client.resource(rsa, proof)).status_code for proof in (weak, right(rsa))]


async def test_refresh_token(world: World) -> None:
    """It stays: FAPI 2.0 wants no rotation, so a client that loses an answer may repeat its request."""
    client, other = await fapi_client(world), await fapi_client(world)
    scope = " ".join(SCOPES)
    one = await granted(client, scope=scope, prompt="consent")
    token = one.tokens["refresh_token"]
    assert all("\x20" <= char <= "\x7e" for char in token)
    assert len(token) >= 22
    for _ in range(2):
        client.holder = Holder()
        answer = await client.refresh(token)
        assert (200, "no-store", "DPoP") == (
            answer.status_code,
            answer.headers["cache-control"],
            answer.json()["token_type"],
        ), answer.text
        new = answer.json()
        assert token == new.get("refresh_token", token)
        assert one.access != new["access_token"]
        claims = await client.claims(new["id_token"], nonce=None)
        assert [one.claims[name] for name in SAME] == [claims[name] for name in SAME]
        assert 200 == (await client.resource(new["access_token"])).status_code
    unproved = await client.post(
        "/oauth2/token",
        {"grant_type": "refresh_token", "refresh_token": token, "client_id": client.id},
        proof=client.proof(),
        assertion="",
    )
    assert is_refused(unproved, "invalid_client", "invalid_grant", "invalid_request")
    assert is_refused(await client.refresh(token, proof=""), *WITHOUT_KEY)
    assert is_refused(await other.refresh(token), "invalid_grant", "invalid_client")
    assert 200 == (await client.refresh(token)).status_code, "none of that ended it"


SAME = ("iss", "sub", "aud", "auth_time")
