"""oidcc-backchannel-rp-initiated-logout-certification-test-plan."""

import time

from tests.auth.oidc import EVENT, receiver, signed_by_us
from tests.auth.world import World
from tests.conformance.client import certification_client, login, metadata
from tests.conformance.test_rp_initiated_logout import is_logged_in, log_out

PLAN = "oidcc-backchannel-rp-initiated-logout-certification-test-plan"


async def test_oidcc_backchannel_logout_discovery_endpoint_verification(world: World) -> None:
    said = await metadata(world)
    assert said["end_session_endpoint"].startswith(f"{world.auth.url}/")
    assert said["backchannel_logout_supported"] is True
    assert said["backchannel_logout_session_supported"] is True


async def test_oidcc_backchannel_rp_initiated_logout(world: World) -> None:
    async with receiver() as listening:
        client = await certification_client(
            world, backchannel_logout_uri=listening.address, backchannel_logout_session_required=True
        )
        one = await login(world, client)
        answer = await log_out(one)
        assert 303 == answer.status_code, answer.text
        (told,) = listening.received
    token = await signed_by_us(world, told["logout_token"])
    said = token.claims
    assert {"logout_token"} == told.keys()
    assert "RS256" == token.header["alg"]
    assert (world.auth.url, client.id) == (said["iss"], said["aud"])
    assert [one.claims[name] for name in ("sub", "sid")] == [said[name] for name in ("sub", "sid")]
    assert {EVENT: {}} == said["events"]
    assert "nonce" not in said
    assert said["jti"]
    assert abs(time.time() - said["iat"]) < 60
    assert said["exp"] > time.time()
    assert not await is_logged_in(one)
