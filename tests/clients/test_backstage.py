"""Backstage's OIDC sign-in, by the library that its module stands on: docs/recipes/backstage.md."""

from pathlib import Path
from typing import Final

from tests.auth.world import World
from tests.clients import program
from tests.clients.recipes import register
from tests.clients.visitor import Visitor

REDIRECT: Final = "https://backstage.example.com/api/auth/oidc/handler/frame"


async def test_it_signs_people_in_renews_and_signs_out(world: World, scripts: Path) -> None:
    app = await register(world, "backstage.md", "backstage")
    told = {"issuer": world.auth.url, "client_id": app.id, "client_secret": app.secret, "redirect_uri": REDIRECT}
    came = await program.run(scripts, "backstage.mjs", Visitor(world), **told)
    assert {
        "withoutPage": "login_required",
        "verifiedEmail": "alice@sandbox.example",
        "username": "alice",
        "displayName": "Alice Arden",
        "expiresInSeconds": True,
        "renewedSubject": True,
        "refreshAfterRevocation": "invalid_grant",
    } == came
