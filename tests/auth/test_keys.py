"""Signing keys take turns, and one that leaked is taken out: D11, D12, D13."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from msgspec.structs import replace

from scopefold.auth.core.keys import (
    ALGORITHMS,
    MOST_REVOKED,
    RETIRING,
    Ring,
    SigningAlgorithm,
    begun,
    cleaned,
    due,
    is_full,
    revoked,
    rotated,
)
from scopefold.auth.oauth.keys import keys_of, new_key
from scopefold.auth.web.signing_keys import READ_SECONDS
from tests.auth.holders import some_ring
from tests.auth.providers import vault
from tests.auth.world import Person, World, query_of, until
from tests.support.process import Service

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Forge:
    """Makes keys that are nothing but names."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, alg: SigningAlgorithm) -> tuple[str, str]:
        self.made += 1
        return f"{alg}-{self.made}", "{}"


def states(ring: Ring, alg: str = "ES256") -> list[tuple[str, str]]:
    return [(key.kid.rpartition("-")[2], key.state) for key in ring.keys if key.alg == alg]


def one_of_each() -> tuple[Ring, Forge]:
    forge = Forge()
    return begun(Ring(), forge, NOW), forge


def test_a_key_that_stays_in_the_ring_is_not_imported_again() -> None:
    ring = some_ring()
    before = keys_of(ring)
    after = keys_of(rotated(ring, new_key, NOW, ["ES256"]), before)
    old, new = ({key.kid: key for key in keys.verifying.keys} for keys in (before, after))
    assert len(ring.keys) + 1 == len(new)
    assert all(new[kid] is key for kid, key in old.items())
    assert after.es256.kid == next(key.kid for key in ring.keys if (key.alg, key.state) == ("ES256", "next"))
    gone = ring.current("RS256").kid
    leaked = revoked(ring, gone, new_key, NOW)
    assert leaked is not None
    assert gone not in {key.kid for key in keys_of(leaked, before).verifying.keys}


def test_given_nothing_when_it_begins_then_every_algorithm_has_a_current_and_a_next_key() -> None:
    ring, forge = one_of_each()
    assert [(alg, state) for alg in ALGORITHMS for state in ("current", "next")] == [
        (key.alg, key.state) for key in ring.keys
    ]
    assert ring is begun(ring, forge, NOW)


def test_given_a_ring_when_it_turns_then_the_next_signs_and_the_old_one_still_verifies() -> None:
    ring, forge = one_of_each()
    turned = rotated(ring, forge, NOW)
    assert ["retiring", "current", "next"] == [state for _, state in states(turned)]
    before = {key.kid for key in ring.verifying()}
    assert before <= {key.kid for key in turned.verifying()}, "D11: nothing that verified is gone"
    assert [key.kid for key in ring.keys if (key.alg, key.state) == ("ES256", "next")] == [turned.current("ES256").kid]


def test_D11_a_retired_key_goes_when_nothing_it_signed_can_live() -> None:
    ring, forge = one_of_each()
    turned = rotated(ring, forge, NOW)
    old = ring.current("ES256").kid
    for age, there in ((RETIRING - timedelta(seconds=1), True), (RETIRING, False)):
        assert there is (old in {key.kid for key in cleaned(turned, NOW + age).keys})


def test_D12_a_revoked_key_verifies_nothing_signs_nothing_and_is_forgotten() -> None:
    ring, forge = one_of_each()
    for kid in [key.kid for key in ring.keys]:
        after = revoked(ring, kid, forge, NOW)
        assert after is not None
        assert kid not in {key.kid for key in after.verifying()}
        assert "" == next(key.jwk for key in after.keys if key.kid == kid)
        for alg in ALGORITHMS:
            found = [key.state for key in after.verifying() if key.alg == alg]
            assert (1, 1) == (found.count("current"), found.count("next"))
        assert after == revoked(after, kid, forge, NOW), "twice is once"
    assert revoked(ring, "no-such", forge, NOW) is None


def test_the_list_of_revoked_keys_is_bounded() -> None:
    ring, forge = one_of_each()
    for _ in range(MOST_REVOKED + 5):
        after = revoked(ring, ring.current("ES256").kid, forge, NOW)
        assert after is not None
        ring = after
    assert MOST_REVOKED == sum(key.state == "revoked" for key in ring.keys)


def test_keys_cannot_be_turned_without_end() -> None:
    ring, forge = one_of_each()
    turns = 0
    while not is_full(ring):
        ring, turns = rotated(ring, forge, NOW), turns + 1
    assert 10 == turns
    assert not is_full(cleaned(ring, NOW + RETIRING))


DUE: list[tuple[int, tuple[str, ...]]] = [(0, ()), (89, ()), (90, ALGORITHMS), (400, ALGORITHMS)]


@pytest.mark.parametrize(("age_days", "expected"), DUE)
def test_when_a_ring_is_due(age_days: int, expected: tuple[str, ...]) -> None:
    ring, _ = one_of_each()
    assert expected == due(ring, NOW + timedelta(days=age_days), timedelta(days=90))


async def jwks(url: str) -> Any:
    async with httpx.AsyncClient(timeout=20) as http:
        answer = await http.get(f"{url}/oauth2/jwks")
    assert "public, max-age=60" == answer.headers["cache-control"]
    return answer.json()


def verifies(token: str, keys: Any, alg: str = "ES256") -> bool:
    try:
        jwt.decode(token, KeySet.import_key_set(keys), algorithms=[alg])
    except (JoseError, InvalidKeyIdError, ValueError):
        return False
    return True


async def tokens(world: World, person: Person, idp: str, **client: Any) -> Mapping[str, Any]:
    app = await world.register_client(**client)
    answer = await app.swap(query_of(await person.browser.get(app.address(idp_hint=idp)))["code"])
    assert 200 == answer.status_code, answer.text
    found: Mapping[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_an_id_token_is_signed_as_the_client_registered_it(world: World, alg: str) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    await alice.log_in(await world.register_client(), idp_hint=idp)
    found = await tokens(world, alice, idp, id_token_signed_response_alg=alg)
    assert verifies(found["id_token"], await jwks(world.auth.url), alg)
    other = "ES256" if alg == "RS256" else "RS256"
    assert not verifies(found["id_token"], await jwks(world.auth.url), other)


async def test_D11_D12_D13_keys_turn_and_leak_at_every_replica(world: World, strict: Service) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    await alice.log_in(await world.register_client(), idp_hint=idp)
    before, old = await jwks(world.auth.url), await tokens(world, alice, idp)
    assert before == await jwks(strict.url)
    rotation = await world.admin("POST", "/v1/keys/rotate")
    assert (200, False) == (rotation.status_code, '"d"' in rotation.text or '"jwk"' in rotation.text), "D13"
    new = await tokens(world, alice, idp)
    both = await jwks(world.auth.url)
    assert [True] * 4 == [
        verifies(one["access_token"], both) and verifies(one["id_token"], both, "RS256") for one in (old, new)
    ] * 2
    assert verifies(new["access_token"], before), "who kept the keys from before knows the next one"
    assert not ({"d", "p", "q", "k"} & {name for key in both["keys"] for name in key})

    async def same() -> bool:
        return bool(await jwks(strict.url) == both)

    await until(same, READ_SECONDS + 5)
    listed = (await world.admin("GET", "/v1/keys")).json()["items"]
    leaked = next(key["kid"] for key in listed if (key["alg"], key["state"]) == ("ES256", "current"))
    assert 200 == (await world.admin("POST", f"/v1/keys/{leaked}/revoke")).status_code

    async def refused() -> bool:
        return not verifies(new["access_token"], await jwks(strict.url))

    assert not verifies(new["access_token"], await jwks(world.auth.url)), "D12: at once here"
    await until(refused, READ_SECONDS + 5)
    after = await tokens(world, alice, idp)
    assert verifies(after["access_token"], await jwks(world.auth.url))
    assert verifies(old["access_token"], await jwks(world.auth.url)), "other keys' tokens live on"
    assert 404 == (await world.admin("POST", "/v1/keys/no-such/revoke")).status_code


async def test_D11_keys_turn_by_schedule_once_for_all_replicas(world: World, strict: Service) -> None:
    """One algorithm's key has signed for 91 days; the setting is 90, and both replicas look every two seconds."""
    before = await jwks(world.auth.url)
    async with vault(world) as opened:
        ring, revision = await opened.signing_ring()
        old = ring.current("EdDSA")
        since = old.since - timedelta(days=91)
        aged = [replace(key, since=since) if key.kid == old.kid else key for key in ring.keys]
        await opened.put_signing_ring(replace(ring, keys=tuple(aged)), revision=revision)

    async def turned() -> bool:
        return bool(before != await jwks(world.auth.url) == await jwks(strict.url))

    await until(turned, READ_SECONDS * 2 + 5)
    async with vault(world) as opened:
        after, _ = await opened.signing_ring()
    turning = {(key.kid, key.state) for key in ring.keys if key.alg == "EdDSA"}
    announced = next(kid for kid, state in turning if state == "next")
    assert ("retiring", announced) == (_state(after, old.kid), after.current("EdDSA").kid)
    assert len(ring.keys) + 1 == len(after.keys), "one turn, of one algorithm"
    assert {key["kid"] for key in before["keys"]} < {key["kid"] for key in (await jwks(strict.url))["keys"]}


def _state(ring: Ring, kid: str) -> str:
    return next(key.state for key in ring.keys if key.kid == kid)
