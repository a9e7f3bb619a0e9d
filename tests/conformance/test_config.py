"""oidcc-config-certification-test-plan: the discovery document and the keys."""

import httpx

from tests.auth.world import World
from tests.conformance.client import Warn, metadata

PLAN = "oidcc-config-certification-test-plan"
REQUIRED = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
)
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


async def test_oidcc_discovery_endpoint_verification(world: World, warn: Warn) -> None:
    warn("this issuer is on loopback, so its addresses are of http; the module demands https")
    said = await metadata(world)
    assert set(REQUIRED) <= said.keys()
    assert world.auth.url == said["issuer"]
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert said[name].startswith(f"{world.auth.url}/"), name
    assert "code" in said["response_types_supported"]
    assert "RS256" in said["id_token_signing_alg_values_supported"]
    assert "openid" in said["scopes_supported"]
    assert {"public", "pairwise"} >= set(said["subject_types_supported"])
    assert "sub" in said["claims_supported"]
    assert isinstance(said["claims_parameter_supported"], bool)
    assert said["request_uri_parameter_supported"] is False, "its default is true"
    async with httpx.AsyncClient(timeout=20) as http:
        keys = (await http.get(said["jwks_uri"])).json()["keys"]
    assert len(keys) == len({key["kid"] for key in keys})
    assert not any(PRIVATE & key.keys() for key in keys)
    assert any(key["kty"] == "RSA" and key.get("use", "sig") == "sig" for key in keys)
