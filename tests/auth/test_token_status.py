"""Who may learn what a token is worth (RFC 7662), and who may end it (RFC 7009)."""

from typing import Any

from tests.auth.tokens import OFFLINE, REFRESHING, call, introspected, refresh, resource_server, tokens_of
from tests.auth.world import App, Person, World

PATHS = ("/oauth2/introspect", "/oauth2/revoke")


async def granted(world: World, **changed: Any) -> tuple[App, Any, tuple[str, str]]:
    """A confidential app, its tokens, and its credentials."""
    kind = {**REFRESHING, "token_endpoint_auth_method": "client_secret_basic"}
    app = await world.register_client(**{**kind, **changed})
    code = await Person(world).log_in(app, idp_hint=await world.idp_with_jira(), scope=OFFLINE)
    mine = (app.id, str(app.secret))
    answer = await call(world, "/oauth2/token", app.swap_form(code, client_id=None), auth=mine)
    assert 200 == answer.status_code, answer.text
    return app, answer.json(), mine


async def test_an_access_token_is_told_of_as_it_says_itself(world: World) -> None:
    app, tokens, _ = await granted(world)
    user = (await app.verified(tokens["id_token"]))["sub"]
    for server in (app, await resource_server(world)):
        told = await introspected(server, tokens["access_token"])
        assert (True, "Bearer", app.id, user) == (told["active"], told["token_type"], told["client_id"], told["sub"])
        assert (world.auth.url, world.auth.url, OFFLINE) == (told["iss"], told["aud"], told["scope"])
        assert {"exp", "iat", "jti", "auth_time", "grant_id"} <= set(told)
    kept = await introspected(app, tokens["refresh_token"], token_type_hint="refresh_token")
    assert (True, app.id, user, OFFLINE) == (kept["active"], kept["client_id"], kept["sub"], kept["scope"])
    assert kept["exp"] > (await introspected(app, tokens["access_token"]))["exp"]
    for hint in ("refresh_token", "access_token", "no-such"):
        assert (await introspected(app, tokens["access_token"], token_type_hint=hint))["active"], "a hint is a hint"


async def test_C10_C12_who_a_token_is_not_for_learns_nothing(world: World) -> None:
    app, tokens, _ = await granted(world)
    other, _, _ = await granted(world)
    server = await resource_server(world)
    assert {"active": False} == await introspected(other, tokens["access_token"]), (
        "another client is no resource server"
    )
    for stranger in (other, server):
        assert {"active": False} == await introspected(stranger, tokens["refresh_token"])
    public = await world.register_client(**REFRESHING)
    for credentials in (None, (app.id, "wrong"), (public.id, "x")):
        form = {"token": tokens["access_token"], "client_id": None if credentials else public.id}
        answer = await call(world, "/oauth2/introspect", form, auth=credentials)
        assert (401, "invalid_client") == (answer.status_code, answer.json()["error"])
        assert "active" not in answer.text
    for garbage in ("x", "x" * 200_000, "a.b.c", "rt_x", tokens["id_token"], tokens["access_token"] + "x", "\x00", "é"):
        assert {"active": False} == await introspected(server, garbage), garbage[:20]
    missing = await call(world, "/oauth2/introspect", {}, auth=(server.id, str(server.secret)))
    assert (400, "invalid_request") == (missing.status_code, missing.json()["error"])


async def test_C14_a_refresh_token_that_is_given_back_ends_all_of_its_authorization(world: World) -> None:
    app, tokens, mine = await granted(world)
    server = await resource_server(world)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    second = (await call(world, "/oauth2/token", form, auth=mine)).json()
    answer = await call(world, "/oauth2/revoke", {"token": second["refresh_token"]}, auth=mine)
    assert (200, "no-store") == (answer.status_code, answer.headers["cache-control"])
    for token in (tokens["access_token"], second["access_token"], second["refresh_token"]):
        assert {"active": False} == await introspected(app, token)
    assert {"active": False} == await introspected(server, second["access_token"])
    again = await call(world, "/oauth2/token", {**form, "refresh_token": second["refresh_token"]}, auth=mine)
    assert (400, "invalid_grant") == (again.status_code, again.json()["error"])
    assert 200 == (await call(world, "/oauth2/revoke", {"token": second["refresh_token"]}, auth=mine)).status_code


async def test_an_access_token_that_is_given_back_is_over_and_the_others_go_on(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client(**REFRESHING)
    server, tokens = await resource_server(world), await tokens_of(app, idp)
    form = {"token": tokens["access_token"], "client_id": app.id, "token_type_hint": "refresh_token"}
    for _ in range(2):
        assert 200 == (await call(world, "/oauth2/revoke", form)).status_code
        assert {"active": False} == await introspected(server, tokens["access_token"])
    second = await refresh(app, tokens["refresh_token"])
    assert 200 == second.status_code
    assert (await introspected(server, second.json()["access_token"]))["active"]


async def test_B22_C12_nobody_ends_what_is_anothers(world: World) -> None:
    app, tokens, _ = await granted(world)
    _, _, theirs = await granted(world)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        answer = await call(world, "/oauth2/revoke", {"token": token}, auth=theirs)
        assert (400, "invalid_grant") == (answer.status_code, answer.json()["error"])
        assert (await introspected(app, token))["active"]
    for nothing in ("x", "x" * 200_000, "a.b.c", "\x00"):
        assert 200 == (await call(world, "/oauth2/revoke", {"token": nothing}, auth=theirs)).status_code
    assert 401 == (await call(world, "/oauth2/revoke", {"token": "x"}, auth=(app.id, "wrong"))).status_code


async def test_B26_every_answer_to_a_client_is_kept_out_of_caches(world: World) -> None:
    app, tokens, mine = await granted(world)
    for path in PATHS:
        for credentials in (mine, (app.id, "wrong")):
            answer = await call(world, path, {"token": tokens["access_token"]}, auth=credentials)
            assert ("no-store", "no-cache") == (answer.headers["cache-control"], answer.headers["pragma"])
            assert answer.headers["content-type"].startswith("application/json")
