"""openid-client, the library of most apps for Node, as it comes: told an issuer, an id, a secret or key, no more."""

from pathlib import Path
from typing import Any, Final

from joserfc.jwk import ECKey

from tests.auth.world import World
from tests.clients import program
from tests.clients.recipes import register
from tests.clients.visitor import Visitor

REDIRECT: Final = "https://app.example.com/callback"
REQUEST: Final = sorted(
    ["client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "response_type", "scope", "state"]
)
SCOPES: Final = ["openid", "profile", "email", "offline_access"]


async def client_of(world: World, **changed: Any) -> dict[str, Any]:
    """What the client is told once an operator has registered it."""
    grants = ["authorization_code", "refresh_token"]
    app = await world.register_client(redirect_uris=[REDIRECT], scopes=SCOPES, grant_types=grants, **changed)
    return {"issuer": world.auth.url, "client_id": app.id, "redirect_uri": REDIRECT}


def expected(told: dict[str, Any], **changed: Any) -> dict[str, Any]:
    right = {
        "audience": told["client_id"],
        "name": "Alice Arden",
        "email": "alice@sandbox.example",
        "asked": REQUEST,
        "tokenType": "bearer",
        "mixedUp": "OAUTH_INVALID_RESPONSE",
        "rotated": True,
        "renewedSubject": True,
        "active": True,
        "activeAfterRevocation": False,
        "refreshAfterRevocation": "invalid_grant",
    }
    return {**right, **changed}


async def test_it_logs_in_with_a_secret(world: World, scripts: Path) -> None:
    app = await register(world, "node.md", "node-app")
    told = {"issuer": world.auth.url, "client_id": app.id, "client_secret": app.secret, "redirect_uri": REDIRECT}
    assert expected(told) == await program.run(scripts, "openid_client.mjs", Visitor(world), **told)


def key() -> dict[str, Any]:
    made = ECKey.generate_key("P-256", {"kid": "the-key", "use": "sig", "alg": "ES256"})
    return dict(made.as_dict(private=True))


def public(private: dict[str, Any]) -> dict[str, Any]:
    return {"keys": [{name: value for name, value in private.items() if name != "d"}]}


async def test_it_logs_in_with_a_key_of_its_own(world: World, scripts: Path) -> None:
    own = key()
    told = await client_of(world, token_endpoint_auth_method="private_key_jwt", jwks=public(own))
    assert expected(told) == await program.run(scripts, "openid_client.mjs", Visitor(world), **told, key=own)


async def test_it_pushes_its_request_and_binds_its_tokens_to_a_key(world: World, scripts: Path) -> None:
    own = key()
    told = await client_of(
        world,
        token_endpoint_auth_method="private_key_jwt",
        jwks=public(own),
        require_pushed_authorization_requests=True,
        dpop_bound_access_tokens=True,
    )
    came = await program.run(scripts, "openid_client.mjs", Visitor(world), **told, key=own, pushed=True)
    assert expected(told, asked=["client_id", "request_uri"], tokenType="dpop", rotated=False) == came
