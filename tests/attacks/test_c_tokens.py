"""Tokens at resources: what a challenge says, and which tokens are for somebody else."""

import httpx
import pytest

from tests.auth.oidc import userinfo
from tests.auth.test_requests import API, claims_of
from tests.auth.tokens import OFFLINE, REFRESHING, call, introspected, resource_server
from tests.auth.world import Person, World


async def test_C18_a_token_for_another_resource_opens_nothing_here(world: World, jira: str) -> None:
    app, alice = await world.register_client(resources=[API]), Person(world)
    code = await alice.log_in(app, idp_hint=jira, resource=API)
    token = (await app.swap(code)).json()["access_token"]
    assert API == claims_of(token)["aud"]
    answer = await userinfo(world, token)
    assert (401, "invalid_token") == (answer.status_code, answer.json()["error"])


@pytest.mark.parametrize("prefix", ["", "/default"])
async def test_C16_every_challenge_leads_to_metadata_of_the_resource_that_was_asked(
    guarded: World, prefix: str
) -> None:
    """RFC 9728, section 3.3: a client must refuse metadata whose resource is another one."""
    base = guarded.auth.url + prefix
    async with httpx.AsyncClient(timeout=20) as http:
        challenges = [
            (await http.request(method, f"{base}{path}", headers=headers)).headers["www-authenticate"]
            for method, path in (("GET", "/oauth2/userinfo"), ("POST", "/oauth2/userinfo"))
            for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "DPoP x"})
        ]
        challenges.append(
            (await http.post(f"{base}/oauth2/register", json={"redirect_uris": []})).headers["www-authenticate"]
        )
        for challenge in challenges:
            assert 'resource_metadata="' in challenge, challenge
            address = challenge.partition('resource_metadata="')[2].partition('"')[0]
            document = (await http.get(address)).json()
            assert (base, [base]) == (document["resource"], document["authorization_servers"])
        for other in ("/default/x", "/other", "/evil.example"):
            assert (
                404 == (await http.get(f"{guarded.auth.url}/.well-known/oauth-protected-resource{other}")).status_code
            )


async def test_C12_nothing_that_is_sent_as_a_token_makes_introspection_or_revocation_fail(world: World) -> None:
    app, server = await world.register_client(**REFRESHING), await resource_server(world)
    code = await Person(world).log_in(app, idp_hint=await world.idp_with_jira(), scope=OFFLINE)
    tokens = (await app.swap(code)).json()
    mine = (server.id, str(server.secret))
    handle = tokens["refresh_token"].split(".")[0]
    garbage = [
        "\x00",
        "\ud7ff",
        "%00",
        ".",
        "..",
        "...",
        "a" * 250_000,
        handle,
        f"{handle}.",
        "rt_" + "A" * 86,
        "*",
        ">",
        " ",
    ]
    for text in garbage:
        assert {"active": False} == await introspected(server, text), text[:20]
        revoked = await call(world, "/oauth2/revoke", {"token": text}, auth=mine)
        assert (200, "no-store") == (revoked.status_code, revoked.headers["cache-control"]), text[:20]
    for path in ("/oauth2/introspect", "/oauth2/revoke"):
        large = await call(world, path, {"token": "x" * 2**20}, auth=mine)
        assert (413, "invalid_request") == (large.status_code, large.json()["error"])
    assert {"active": False} == await introspected(server, tokens["refresh_token"]), "another client's refresh token"
    assert (await introspected(server, tokens["access_token"]))["active"]
