"""UserInfo, and the claims that it and ID tokens carry."""

import secrets
from pathlib import Path

import httpx
import pytest

from tests.auth.oidc import through_oidc, tokens_of, userinfo
from tests.auth.world import Person, World, files_below

EVERY = "openid profile email address phone groups"
SCOPES = EVERY.split()


async def test_claims_are_the_same_in_the_id_token_and_at_userinfo(world: World, directory: str) -> None:
    idp = directory
    app, alice = await world.register_client(scopes=SCOPES), Person(world)
    tokens = await tokens_of(app, await through_oidc(alice, app, idp_hint=idp, scope=EVERY))
    claims = await app.verified(tokens["id_token"])
    told = (await userinfo(world, tokens["access_token"])).json()
    expected = {
        "sub": claims["sub"],
        "name": "Alice Arden",
        "given_name": "Alice",
        "family_name": "Arden",
        "preferred_username": "alice",
        "email": "alice@sandbox.example",
        "email_verified": True,
        "groups": ["staff", "team-alice"],
    }
    assert expected == told
    assert expected == {name: claims[name] for name in expected}
    assert {"at_hash", "auth_time", "acr", "sid"} <= claims.keys()


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", set()),
        ("openid profile", {"name", "given_name", "family_name", "preferred_username"}),
        ("email openid", {"email", "email_verified"}),
        ("openid address phone", set()),
        ("openid groups", {"groups"}),
    ],
)
async def test_a_scope_opens_its_claims_and_no_others(
    world: World, directory: str, scope: str, names: set[str]
) -> None:
    idp, app, bob = directory, await world.register_client(scopes=SCOPES), Person(world, "bob")
    tokens = await tokens_of(app, await through_oidc(bob, app, idp_hint=idp, scope=scope))
    assert {"sub"} | names == (await userinfo(world, tokens["access_token"])).json().keys()
    assert names == (await app.verified(tokens["id_token"])).keys() & {"groups", "name", "given_name", "family_name",
        "preferred_username", "email", "email_verified"}  # fmt: skip


async def test_a_claim_asked_for_by_name_is_told_as_far_as_the_client_is_registered_for_it(
    world: World, directory: str
) -> None:
    idp, bob = directory, Person(world, "bob")
    app = await world.register_client(scopes=["openid", "profile"])
    asked = '{"userinfo":{"name":{"essential":true},"email":{"essential":true}},"id_token":{"shoe_size":null}}'
    tokens = await tokens_of(app, await through_oidc(bob, app, idp_hint=idp, scope="openid", claims=asked))
    assert {"sub", "name"} == (await userinfo(world, tokens["access_token"])).json().keys()


async def test_an_address_is_never_called_verified_where_the_idp_did_not_say_so(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    tokens = await tokens_of(app, await alice.come_back(app, idp_hint=idp))
    told = (await userinfo(world, tokens["access_token"])).json()
    assert (True, False) == ("email" in told, "email_verified" in told)


async def test_the_token_comes_in_the_header_or_in_a_form(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    token = (await tokens_of(app, await alice.come_back(app, idp_hint=idp)))["access_token"]
    answers = [
        await userinfo(world, token),
        await userinfo(world, token, "POST"),
        await userinfo(world, token, "POST", headers={}, data={"access_token": token}),
        await userinfo(world, token, headers={"authorization": f"bearer {token}"}),
    ]
    assert [200] * 4 == [answer.status_code for answer in answers]
    assert 1 == len({answer.json()["sub"] for answer in answers})
    assert {"no-store"} == {answer.headers["cache-control"] for answer in answers}


async def test_C15_a_token_in_the_address_or_given_twice_opens_nothing(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    token = (await tokens_of(app, await alice.come_back(app, idp_hint=idp)))["access_token"]
    header = {"authorization": f"Bearer {token}"}
    in_address = await userinfo(world, token, headers={}, params={"access_token": token})
    told = in_address.headers["www-authenticate"]
    assert (401, True) == (in_address.status_code, told.startswith('Bearer realm="scopefold"'))
    assert "error" not in told
    assert f'resource_metadata="{world.auth.url}/.well-known/oauth-protected-resource"' in told
    twice = await userinfo(world, token, "POST", headers=header, data={"access_token": token})
    two_headers = await userinfo(world, token, headers=[("authorization", f"Bearer {token}")] * 2)
    form = {"content-type": "application/x-www-form-urlencoded"}
    two_fields = await userinfo(world, token, "POST", headers=form, content=f"access_token={token}&access_token=x")
    for answer in (twice, two_headers, two_fields):
        assert (400, "invalid_request") == (answer.status_code, answer.json()["error"])
        assert 'error="invalid_request"' in answer.headers["www-authenticate"]
    large = await userinfo(world, token, "POST", headers=form, content=b"a=" + b"x" * 2**20)
    assert 413 == large.status_code


async def test_C18_D08_what_is_no_access_token_for_us_opens_nothing(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    tokens = await tokens_of(app, await alice.come_back(app, idp_hint=idp))
    access = tokens["access_token"]
    head, body, signature = access.split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0"
    bad = [tokens["id_token"], f"{none}.{body}.", f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", "x", "x.y.z",
        access[:-2], "x" * 20_000, f"{access} {access}"]  # fmt: skip
    for token in bad:
        answer = await userinfo(world, token)
        assert (401, "invalid_token") == (answer.status_code, answer.json()["error"]), token[:40]
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    for header in ("Basic eDp4", "Bearer", "", f"DPoP {access}"):
        scheme = "DPoP" if header.startswith("DPoP") else "Bearer"
        answer = await userinfo(world, access, headers={"authorization": header})
        assert (401, True) == (answer.status_code, answer.headers["www-authenticate"].startswith(scheme)), header


async def test_C18_a_token_without_openid_or_of_a_session_that_ended_opens_nothing(world: World, jira: str) -> None:
    idp, app, alice = jira, await world.register_client(), Person(world)
    poor = (await tokens_of(app, await alice.come_back(app, idp_hint=idp, scope="profile")))["access_token"]
    answer = await userinfo(world, poor)
    assert (403, "insufficient_scope") == (answer.status_code, answer.json()["error"])
    tokens = await tokens_of(app, await alice.browser.get(app.address(idp_hint=idp)))
    assert 200 == (await userinfo(world, tokens["access_token"])).status_code
    user = (await app.verified(tokens["id_token"]))["sub"]
    assert 200 == (await world.admin("DELETE", f"/v1/users/{user}/sessions")).status_code
    answer = await userinfo(world, tokens["access_token"])
    assert (401, "invalid_token") == (answer.status_code, answer.json()["error"])


async def test_groups_are_set_by_operators_join_those_of_the_idp_and_are_kept_sealed(
    world: World, directory: str
) -> None:
    idp = directory
    app, carol, group = await world.register_client(scopes=SCOPES), Person(world, "carol"), secrets.token_hex(8)
    tokens = await tokens_of(app, await through_oidc(carol, app, idp_hint=idp, scope="openid groups"))
    user = (await app.verified(tokens["id_token"]))["sub"]
    path = f"/v1/users/{user}/groups"
    assert {"groups": []} == (await world.admin("GET", path)).json()
    answer = await world.admin("PUT", path, json={"groups": [group, "staff", group]})
    assert (200, {"groups": sorted([group, "staff"])}) == (answer.status_code, answer.json())
    told = (await userinfo(world, tokens["access_token"])).json()
    assert sorted([group, "staff", "team-carol"]) == told["groups"]
    for content in (content for _, content in files_below(Path(world.directory))):
        assert group.encode() not in content
    assert {"groups": []} == (await world.admin("PUT", path, json={"groups": []})).json()


@pytest.mark.parametrize(
    ("user", "body", "status"),
    [
        ("u_nobody_has_this", {"groups": ["a"]}, 404),
        ("short", {"groups": ["a"]}, 404),
        ("u_nobody_has_this", {"groups": [""]}, 422),
        ("u_nobody_has_this", {"groups": ["a\nb"]}, 422),
        ("u_nobody_has_this", {"groups": ["a"] * 201}, 422),
        ("u_nobody_has_this", {}, 422),
    ],
)
async def test_groups_of_nobody_and_groups_that_are_none_are_refused(
    world: World, user: str, body: dict[str, object], status: int
) -> None:
    answer = await world.admin("PUT", f"/v1/users/{user}/groups", json=body)
    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])


async def test_userinfo_is_named_in_the_metadata(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        said = (await http.get("/.well-known/openid-configuration")).json()
    assert f"{world.auth.url}/oauth2/userinfo" == said["userinfo_endpoint"]
    assert {*SCOPES, "offline_access"} == set(said["scopes_supported"])
    assert said["claims_parameter_supported"]
