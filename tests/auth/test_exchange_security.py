"""Who gets what in exchange for whose token, and who does not: C01 to C09."""

import time
from collections import Counter
from typing import Any

import httpx
import pytest
from joserfc import jwt

from scopefold.auth.oauth.exchange import ACCESS_TOKEN, EXCHANGE, JWT
from scopefold.auth.oauth.keys import keys_of
from scopefold.contracts.events import TokenInsufficient
from tests.auth.gateways import Gateway, access_token, at_stand_in, resource_of, subject_of
from tests.auth.holders import Holder
from tests.auth.providers import vault
from tests.auth.test_dpop import a_code, swap
from tests.auth.test_registration import initial_token, register
from tests.auth.test_requests import claims_of
from tests.auth.tokens import OFFLINE, REFRESHING, call, introspected, resource_server, tokens_of
from tests.auth.world import JIRA_SCOPES, App, Person, World
from tests.support.logs import CONFLUENCE, JIRA, deprovisioned, provisioned

API, DEEPER = "https://api.example/tickets", "https://deeper.example/"
NOWHERE = "urn:connector:identos:nowhere"
NO_JWT = "urn:ietf:params:oauth:token-type:id_token"


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and error of a refusal, which carries no token and is kept out of caches."""
    told = answer.json()
    assert "access_token" not in told, told
    assert "no-store" == answer.headers["cache-control"]
    return answer.status_code, told["error"]


@pytest.fixture
async def token(world: World, jira: str) -> str:
    """Alice's."""
    return await access_token(Person(world), await world.register_client(), idp_hint=jira)


# C01: who may exchange at all


async def test_C01_a_client_that_was_not_allowed_to_exchanges_nothing(world: World, jira: str, token: str) -> None:
    asked = {"token_endpoint_auth_method": "client_secret_basic"}
    confidential = await world.register_client(**asked)
    assert (400, "unauthorized_client") == refused(await Gateway(confidential, resource_of(jira)).exchange(token))
    right = await Gateway.registered(world, jira)
    wrong = Gateway(App(world, {"client_id": right.app.id, "client_secret": "wrong"}), right.resource)
    assert (401, "invalid_client") == refused(await wrong.exchange(token))
    other = await Gateway.registered(world, jira, exchange_resources=[API])
    assert (400, "invalid_target") == refused(await other.exchange(token)), "the grant type alone is no permission"


async def test_C01_a_public_client_exchanges_nothing(world: World, jira: str, token: str) -> None:
    public = await world.register_client()
    form = {"grant_type": EXCHANGE, "client_id": public.id, "resource": resource_of(jira)}
    answer = await call(world, "/oauth2/token", {**form, "subject_token": token, "subject_token_type": ACCESS_TOKEN})
    assert (401, "invalid_client") == refused(answer)


REGISTRATIONS: list[tuple[str, dict[str, Any]]] = [
    ("a public one", {"token_endpoint_auth_method": "none"}),
    ("the grant type for no resource", {"exchange_resources": []}),
    ("resources without the grant type", {"grant_types": ["client_credentials"]}),
    ("a resource that is no URI", {"exchange_resources": ["tickets"]}),
]


@pytest.mark.parametrize(("case", "changed"), REGISTRATIONS, ids=[case for case, _ in REGISTRATIONS])
async def test_C01_nobody_is_registered_for_half_of_it(world: World, case: str, changed: dict[str, Any]) -> None:
    asked = {
        "client_id": "half",
        "client_name": "Half",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": [EXCHANGE],
        "exchange_resources": [API],
        **changed,
    }
    answer = await world.admin("POST", "/api/v1/organizations/default/clients", json=asked)
    assert 422 == answer.status_code, answer.text


async def test_C01_no_client_gives_itself_leave(guarded: World) -> None:
    asked = {"grant_types": ["authorization_code", EXCHANGE], "exchange_resources": [API]}
    answer = await register(guarded, await initial_token(guarded), **asked)
    assert (400, "invalid_client_metadata") == (answer.status_code, answer.json()["error"])
    made = await register(guarded, await initial_token(guarded), exchange_resources=[API])
    assert 201 == made.status_code
    shown = await guarded.admin("GET", f"/api/v1/organizations/default/clients/{made.json()['client_id']}")
    assert ([], ["authorization_code"]) == (shown.json()["exchange_resources"], shown.json()["grant_types"])


# C03: for what


async def test_C03_one_target_that_the_operator_allowed(world: World, jira: str, token: str) -> None:
    gateway, issuer = await Gateway.registered(world, jira, NOWHERE, API), world.auth.url
    right = gateway.resource
    rows: list[tuple[str, dict[str, Any], str]] = [
        ("unknown-connector", {"resource": "urn:connector:identos:unknown"}, "invalid_target"),
        ("allowed-but-not-provisioned", {"resource": NOWHERE}, "invalid_target"),
        ("two", {"resource": [right, API]}, "invalid_target"),
        ("two-in-one", {"resource": f"{right} {API}"}, "invalid_target"),
        ("none", {"resource": None}, "invalid_target"),
        ("empty", {"resource": ""}, "invalid_target"),
        ("own-issuer", {"resource": issuer}, "invalid_target"),
        ("own-issuer-slash", {"resource": f"{issuer}/"}, "invalid_target"),
        ("slash", {"resource": f"{right}/"}, "invalid_target"),
        ("api-slash", {"resource": f"{API}/"}, "invalid_target"),
        ("api-dots", {"resource": f"{API}/x/.."}, "invalid_target"),
        ("case", {"resource": right.upper()}, "invalid_target"),
        ("audience-that-differs", {"audience": API}, "invalid_target"),
        ("audience-outside", {"resource": None, "audience": "https://evil.example"}, "invalid_target"),
        ("audience-twice", {"resource": None, "audience": [right, API]}, "invalid_request"),
    ]
    for case, changed, error in rows:
        assert (400, error) == refused(await gateway.exchange(token, **changed)), f"C03-{case}"
    rights: list[dict[str, Any]] = [{"audience": right}, {"audience": right, "resource": None}]
    for more in rights:
        assert 200 == (await gateway.exchange(token, **more)).status_code, more


async def test_C03_a_connector_that_was_taken_away_is_no_target_and_gets_no_token_of_ours(world: World) -> None:
    idp = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, idp)
    token = await access_token(Person(world), app, idp_hint=idp)
    assert 200 == (await gateway.exchange(token)).status_code
    await world.publish(deprovisioned(f"jira-{idp}", idp), by="provisioner")
    assert (400, "invalid_target") == refused(await gateway.exchange(token))


async def test_C03_a_token_that_was_meant_for_another_is_not_exchanged(world: World, jira: str) -> None:
    """RFC 8693, section 2.2.2: a subject token that is not acceptable is an invalid_request."""
    app = await world.register_client(resources=[DEEPER])
    gateway = await Gateway.registered(world, jira)
    lent = await access_token(Person(world), app, idp_hint=jira, resource=DEEPER)
    assert (400, "invalid_request") == refused(await gateway.exchange(lent))
    answers = [await Gateway.registered(world, jira, resources=[DEEPER]), gateway]
    assert 200 == (await answers[0].exchange(lent)).status_code, "it is a resource of this gateway's own"
    meant = await access_token(Person(world), app, idp_hint=jira, resource=gateway.resource)
    assert 200 == (await gateway.exchange(meant)).status_code, "it was asked for with the target"


# C04: with which scopes


async def test_C04_no_more_than_the_users_token_and_the_client_have(world: World, jira: str) -> None:
    gateway = await Gateway.registered(world, jira, API, scopes=["openid", "profile", "email"])
    app = await world.register_client(scopes=["openid", "profile", "groups"])
    token = await access_token(Person(world), app, idp_hint=jira, scope="openid profile groups")
    rows = [
        ("of the subject token alone", "profile groups", None),
        ("of the client alone", "email", None),
        ("of neither", "admin", None),
        ("who the user is, is not passed on", "openid", None),
        ("nothing named", None, "profile"),
        ("named", "profile", "profile"),
        ("named twice", "profile profile", "profile"),
    ]
    for case, asked, expected in rows:
        answer = await gateway.exchange(token, resource=API, scope=asked)
        if expected is None:
            assert (400, "invalid_scope") == refused(answer), f"C04-{case}"
        else:
            claims = await app.access_token(answer.json()["access_token"])
            assert (expected, expected) == (answer.json()["scope"], claims["scope"]), f"C04-{case}"


async def test_C04_upstream_scopes_are_those_that_the_connector_declares(world: World, jira: str, token: str) -> None:
    gateway = await Gateway.registered(world, jira)
    for scope in (CONFLUENCE[0], f"{JIRA[0]} manage:jira-project", "openid", "READ:JIRA-WORK"):
        assert (400, "invalid_scope") == refused(await gateway.exchange(token, scope=scope)), scope
    assert 200 == (await gateway.exchange(token, scope=f"{JIRA[0]} {JIRA[0]}")).status_code


# C06: bound to a key


async def test_C06_a_token_that_is_bound_to_a_key_is_exchanged_by_its_holder_alone(world: World, jira: str) -> None:
    app, alice = await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=jira)
    holder, url = Holder(), f"{world.auth.url}/oauth2/token"
    bound = await swap(world, app, await a_code(world, app, alice, jira), holder.proof("POST", url))
    token, gateway = bound.json()["access_token"], await Gateway.registered(world, jira, API)
    for target in (gateway.resource, API):
        assert (400, "invalid_request") == refused(await gateway.exchange(token, resource=target)), "no proof"
        other = {"dpop": Holder().proof("POST", url)}
        answer = await gateway.exchange(token, resource=target, headers=other)
        assert (400, "invalid_request") == refused(answer), "another key's"
        proof = {"dpop": holder.proof("POST", url)}
        right = await gateway.exchange(token, resource=target, headers=proof)
        assert 200 == right.status_code, right.text
        assert ("DPoP" if target == API else "Bearer") == right.json()["token_type"]
        again = await gateway.exchange(token, resource=target, headers=proof)
        assert (400, "invalid_dpop_proof") == refused(again), "a proof is good once"
    assert {"jkt": holder.jkt} == claims_of((await _own(gateway, token, holder))["access_token"])["cnf"]


async def _own(gateway: Gateway, token: str, holder: Holder) -> Any:
    proof = {"dpop": holder.proof("POST", f"{gateway.app.world.auth.url}/oauth2/token")}
    return (await gateway.exchange(token, resource=API, headers=proof)).json()


# C07: what the stored token lacks


async def test_C07_it_is_logged_once_a_minute_for_a_user_idp_and_set_of_scopes(world: World) -> None:
    idp = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, idp)
    alice, bob = [await access_token(Person(world, name), app, idp_hint=idp) for name in ("alice", "bob")]
    more = (*JIRA_SCOPES, *CONFLUENCE[:2])
    await world.publish(provisioned(f"jira-{idp}", more, idp, "2.0.0"), by="provisioner")
    asked = (None, CONFLUENCE[0], f"{CONFLUENCE[1]} {CONFLUENCE[0]}", f"{CONFLUENCE[0]} {CONFLUENCE[1]}")
    for token in (alice, bob):
        for _ in range(2):
            for scope in asked:
                answer = await gateway.exchange(token, scope=scope)
                assert (403, "insufficient_scope") == refused(answer)
    found = Counter((one.user, frozenset(one.missing)) for one in await world.said(TokenInsufficient, idp))
    users, lacks = [subject_of(alice), subject_of(bob)], [frozenset(CONFLUENCE[:1]), frozenset(CONFLUENCE[:2])]
    assert {(user, lack) for user in users for lack in lacks} == set(found)
    assert max(found.values()) <= 2, found  # a minute may have ended in between; some were told six times


# C08: whose


async def test_C08_a_call_reaches_the_row_of_its_own_subject_alone(world: World, jira: str) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    victim = Person(world, "alice")
    alice = await access_token(victim, app, idp_hint=jira)
    bob = await access_token(Person(world, "bob"), app, idp_hint=jira)
    named = subject_of(alice)
    wishes = {"sub": named, "user": named, "user_id": named, "login_hint": named, "subject": named, "act": named}
    cookies = "; ".join(f"{one.name}={one.value}" for one in victim.browser.jar.jar)
    assert cookies
    for token, email in ((alice, "alice@sandbox.example"), (bob, "bob@sandbox.example")):
        answer = await gateway.exchange(token, headers={"cookie": cookies}, **wishes)
        assert 200 == answer.status_code, answer.text
        me = await at_stand_in(world, "atlassian", "me", answer.json()["access_token"])
        assert email == me.json()["email"]


async def test_C08_nothing_but_a_living_access_token_of_a_user_is_a_subject(world: World, jira: str) -> None:
    app = await world.register_client(**REFRESHING)
    gateway = await Gateway.registered(world, jira, grant_types=[EXCHANGE, "client_credentials"])
    mine = await tokens_of(app, jira)
    token = mine["access_token"]
    good = claims_of(token)
    head, body, signature = token.split(".")
    own = await call(world, "/oauth2/token", {"grant_type": "client_credentials"}, auth=_basic(gateway))
    assert 200 == own.status_code, own.text
    rows: list[tuple[str, str, str | None]] = [
        ("id-token", mine["id_token"], ACCESS_TOKEN),
        ("id-token-as-jwt", mine["id_token"], JWT),
        ("id-token-as-itself", mine["id_token"], NO_JWT),
        ("refresh-token", mine["refresh_token"], ACCESS_TOKEN),
        ("refresh-token-as-itself", mine["refresh_token"], "urn:ietf:params:oauth:token-type:refresh_token"),
        ("no-type", token, None),
        ("another-type", token, "urn:ietf:params:oauth:token-type:saml2"),
        ("clients-own", own.json()["access_token"], ACCESS_TOKEN),
        ("tampered", f"{head}.{body[:-4]}AAAA.{signature}", ACCESS_TOKEN),
        ("no-signature", f"{head}.{body}.", ACCESS_TOKEN),
        ("expired", await _signed(world, {**good, "exp": int(time.time()) - 1}), ACCESS_TOKEN),
        ("other-issuer", await _signed(world, {**good, "iss": f"{world.auth.url}/default"}), ACCESS_TOKEN),
        ("no-family", await _signed(world, {**good, "grant_id": None}), ACCESS_TOKEN),
        ("unknown-family", await _signed(world, {**good, "grant_id": "g_nobody"}), ACCESS_TOKEN),
        ("upstreams", (await gateway.exchange(token)).json()["access_token"], ACCESS_TOKEN),
        ("garbage", "x", ACCESS_TOKEN),
        ("long", "x" * 20_000, ACCESS_TOKEN),
        ("empty", "", ACCESS_TOKEN),
    ]
    for case, text, kind in rows:
        answer = await gateway.exchange(text, subject_token_type=kind)
        assert (400, "invalid_request") == refused(answer), f"C08-{case}"
    for name in ("actor_token", "actor_token_type", "requested_token_type"):
        assert (400, "invalid_request") == refused(await gateway.exchange(token, **{name: "x"})), name
    assert 200 == (await gateway.exchange(await _signed(world, good))).status_code, "what was forged above was right"
    there = await gateway.exchange(token, at=f"{world.auth.url}/default")
    assert (400, "invalid_request") == refused(there), "C08-at-another-issuer"
    await call(world, "/oauth2/revoke", {"token": token, "client_id": app.id})
    assert (400, "invalid_request") == refused(await gateway.exchange(token)), "C08-revoked"


def _basic(gateway: Gateway) -> tuple[str, str]:
    return gateway.app.id, str(gateway.app.secret)


async def _signed(world: World, claims: dict[str, Any]) -> str:
    """An access token with these claims, under the server's own key: as if it had issued it."""
    async with vault(world) as opened:
        keys = keys_of((await opened.signing_ring())[0])
    told = {name: value for name, value in claims.items() if value is not None}
    head = {"alg": "ES256", "typ": "at+jwt", "kid": str(keys.es256.kid)}
    return jwt.encode(head, told, keys.es256, ["ES256"])


# C09: our own token for another resource


async def test_C09_it_says_who_acts_for_whom_through_how_many_hands(world: World, jira: str) -> None:
    app = await world.register_client()
    first = await Gateway.registered(world, jira, API)
    second = await Gateway.registered(world, jira, DEEPER, resources=[API])
    server = await resource_server(world, resources=[DEEPER])
    token = await access_token(Person(world), app, idp_hint=jira)
    once = (await first.exchange(token, resource=API)).json()
    twice = (await second.exchange(once["access_token"], resource=DEEPER)).json()
    claims, before = await app.access_token(twice["access_token"]), claims_of(token)
    acts = {"sub": second.app.id, "act": {"sub": first.app.id}}
    assert (before["sub"], DEEPER, acts, second.app.id) == tuple(
        claims[name] for name in ("sub", "aud", "act", "client_id")
    )
    assert [before[name] for name in ("sid", "grant_id", "auth_time")] == [
        claims[name] for name in ("sid", "grant_id", "auth_time")
    ]
    assert (claims["exp"] <= before["exp"], "refresh_token" in twice) == (True, False)
    assert before["exp"] - 600 <= claims["iat"] <= claims["exp"] - twice["expires_in"]
    told = await introspected(server, twice["access_token"])
    assert (True, acts) == (told["active"], told["act"])
    stranger = await Gateway.registered(world, jira, DEEPER)
    answer = await stranger.exchange(once["access_token"], resource=DEEPER)
    assert (400, "invalid_request") == refused(answer), "it was meant for the first's target"


ENDS = ["family", "user", "session", "itself", "the app", "the gateway"]


@pytest.mark.parametrize("by", ENDS, ids=[f"C09-{by.replace(' ', '-')}" for by in ENDS])
async def test_C09_it_dies_with_what_it_came_from(world: World, jira: str, by: str) -> None:
    app, alice = await world.register_client(**REFRESHING), Person(world)
    gateway, server = await Gateway.registered(world, jira, API), await resource_server(world, resources=[API])
    mine = await tokens_of(app, jira, scope=OFFLINE if by == "family" else "openid profile email", person=alice)
    answer = await gateway.exchange(mine["access_token"], resource=API)
    token = answer.json()["access_token"]
    assert (await introspected(server, token))["active"]
    claims, clients = claims_of(token), "/api/v1/organizations/default/clients"
    match by:
        case "family":
            ended = await call(world, "/oauth2/revoke", {"token": mine["refresh_token"], "client_id": app.id})
        case "user":
            ended = await world.admin("DELETE", f"/v1/users/{claims['sub']}/grants")
        case "session":
            ended = await world.admin("DELETE", f"/v1/users/{claims['sub']}/sessions")
        case "itself":
            ended = await call(world, "/oauth2/revoke", {"token": token}, auth=_basic(gateway))
        case "the app":
            ended = await world.admin("DELETE", f"{clients}/{app.id}")
        case _:
            ended = await world.admin("DELETE", f"{clients}/{gateway.app.id}")
    assert ended.status_code in (200, 204), ended.text
    assert {"active": False} == await introspected(server, token)
    if by not in ("itself", "the gateway"):
        assert (400, "invalid_request") == refused(await gateway.exchange(mine["access_token"], resource=API))
