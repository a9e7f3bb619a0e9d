"""What the admin API tells, and how hard what must not be guessed is to guess."""

import re
from collections.abc import Mapping
from typing import Any

import httpx
import nats
import pytest

from tests.attacks.routes import auth_routes
from tests.auth.canary import canary
from tests.auth.providers import row_of
from tests.auth.test_client_documents import described
from tests.auth.test_registration import initial_token, registered
from tests.auth.tokens import OFFLINE, REFRESHING
from tests.auth.world import KEK, App, Person, World, query_of
from tests.sandbox.visitor import CLIENT_SECRET
from tests.support.process import ADMIN


class Found:
    """Everything secret of a login, and the ids by which an operator looks at it."""

    def __init__(self, secret: Mapping[str, str], ids: Mapping[str, str]) -> None:
        self.secret = secret
        self.ids = ids


async def everything(world: World) -> Found:
    """A login, a client that registered itself, an initial access token."""
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(**{**REFRESHING, "token_endpoint_auth_method": "client_secret_post"})
    waiting = await alice.log_in(app, idp_hint=idp, scope=OFFLINE)
    code = query_of(await alice.browser.get(app.address(idp_hint=idp, scope=OFFLINE)))["code"]
    tokens = (await app.swap(code, client_secret=app.secret)).json()
    user = str((await app.verified(tokens["id_token"]))["sub"])
    row = await row_of(world, user, idp)
    made = await registered(world, token_endpoint_auth_method="client_secret_post")
    secret = {
        "admin token": ADMIN,
        "key-encryption key": KEK,
        "secret at the IdP": CLIENT_SECRET,
        "client secret": str(app.secret),
        "secret of a client that registered itself": made["client_secret"],
        "registration access token": made["registration_access_token"],
        "initial access token": await initial_token(world),
        "code": waiting,
        **{name: tokens[name] for name in ("access_token", "refresh_token", "id_token")},
        "upstream access token": row.access_token,
        "upstream refresh token": str(row.refresh_token),
        **{cookie.name: str(cookie.value).rpartition(".")[2] for cookie in alice.browser.jar.jar},
    }
    return Found(
        secret, {"idp": idp, "client_id:path": app.id, "user": user, "org": "default", "made": made["client_id"]}
    )


async def test_H09_E14_no_answer_to_an_operator_holds_a_secret(guarded: World) -> None:
    """Every GET of the admin API, with ids that exist, and what turns keys: read from the routes."""
    found = await everything(guarded)
    sid = (await guarded.admin("GET", f"/v1/users/{found.ids['user']}/sessions")).json()["items"][0]["sid"]
    kid = (await guarded.admin("GET", "/v1/keys")).json()["items"][0]["kid"]
    ids = {**found.ids, "sid": sid, "kid": kid}
    paths = {route.path for route in auth_routes() if route.path.startswith(("/v1/", "/api/"))}
    readable = {route.path for route in auth_routes() if route.path in paths and "GET" in (route.methods or ())}
    of_alice = {"/v1/log/diff": "?from=1", "/v1/log/explain": f"?user={ids['user']}&idp={ids['idp']}"}
    addresses = [filled(path, ids) + of_alice.get(path, "") for path in sorted(readable)]
    addresses += [filled(path, {**ids, "client_id:path": ids["made"]}) for path in sorted(readable) if "client" in path]
    assert len(addresses) > 8
    answers = [await guarded.admin("GET", address) for address in addresses]
    answers.append(await guarded.admin("POST", "/v1/keys/rotate"))
    answers.append(await guarded.admin("PUT", f"/v1/users/{ids['user']}/groups", json={"groups": ["staff"]}))
    for answer in answers:
        assert 200 == answer.status_code, (answer.url, answer.text)
        for name, secret in found.secret.items():
            assert secret not in answer.text, (answer.url, name)
        assert not re.search(r"secret_hash|token_hash|\"(?:access|refresh|id)_token\":|\"d\":", answer.text), answer.url
    assert [] == [name for name, secret in found.secret.items() if secret in guarded.auth.said()]


def filled(path: str, ids: Mapping[str, str]) -> str:
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, path
    return path


TIMES = 12
BITS = 128


async def guessables(world: World, idp: str, site: Any) -> dict[str, str]:
    """One of each thing that must not be guessed, as it is sent, without its fixed beginning."""
    app, alice = await world.register_client(**REFRESHING), Person(world)
    confidential = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    sent = await alice.browser.get(app.address(idp_hint=idp))
    upstream = query_of(sent)
    code = await alice.log_in(app, idp_hint=idp, scope=OFFLINE)
    tokens = (await app.swap(code)).json()
    question = await alice.browser.get(App(world, described(site)).address(idp_hint=idp))
    ticket = re.search(r'name="ticket" value="([^"]+)"', question.text)
    assert ticket is not None
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        pushed = (await http.post("/oauth2/par", data=app.request())).json()["request_uri"]
    made = await registered(world, token_endpoint_auth_method="client_secret_post")
    cookies = {one.name: str(one.value) for one in alice.browser.jar.jar}
    session = cookies["__Host-scopefold-session"].split(".")
    claims = await app.access_token(tokens["access_token"])
    return {
        "code": code,
        "state": upstream["state"],
        "challenge": upstream["code_challenge"],
        "refresh token's handle": tokens["refresh_token"].split(".")[0].removeprefix("rt_"),
        "refresh token's secret": tokens["refresh_token"].split(".")[1],
        "ticket": ticket[1],
        "request_uri": pushed.rpartition(":")[2],
        "session": session[2],
        "sid": session[1].removeprefix("s_"),
        "browser": cookies["__Host-scopefold-browser"],
        "client secret": str(confidential.secret).removeprefix("cs_"),
        "own secret": made["client_secret"].removeprefix("cs_"),
        "registration token": made["registration_access_token"].removeprefix("rat_"),
        "initial token": (await initial_token(world)).removeprefix("iat_"),
        "user": session[0].removeprefix("u_"),
        "jti": str(claims["jti"]),
    }


PUBLIC_NAMES = {"user", "sid", "jti"}
"""Told to clients, and good for nothing by themselves: they are kept as they are."""


async def test_H11_nothing_can_be_guessed_nothing_repeats_and_nothing_is_kept_as_it_was_sent(welcoming: World) -> None:
    idp = await welcoming.idp_with_jira()
    async with canary() as site:
        found = [await guessables(welcoming, idp, site) for _ in range(TIMES)]
    for name in found[0]:
        values = [one[name] for one in found]
        assert len(set(values)) == (1 if name == "user" else TIMES), name
        for value in values:
            assert re.fullmatch(r"[A-Za-z0-9_-]+", value), name
            assert bits(value) >= (BITS if name != "jti" else 90), (name, len(value))
        assert len({value[:4] for value in values}) > 1 or name == "user", f"{name} has no fixed beginning"
    kept = await everything_kept(welcoming)
    for one in found:
        for name, value in one.items():
            assert name in PUBLIC_NAMES or value.encode() not in kept, f"{name} is kept as it was sent"


def bits(text: str) -> float:
    """How many bits a text of this length can hold in base64url, or in hexadecimal where it is that."""
    return len(text) * (4 if re.fullmatch(r"[0-9a-f]+", text) else 6)


async def everything_kept(world: World) -> bytes:
    """Every key and every value of every bucket."""
    nc = await nats.connect(world.bus.url)
    js = nc.jetstream()
    found: list[bytes] = []
    for info in await js.streams_info():
        name = str(info.config.name)
        if not name.startswith("KV_"):
            continue
        for seq in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            try:
                message = await js.get_msg(name, seq)
            except nats.js.errors.NotFoundError:
                continue
            found += [str(message.subject).encode(), message.data or b""]
    await nc.close()
    assert found
    return b"\n".join(found)


@pytest.mark.parametrize("times", [200])
async def test_H11_codes_in_a_row_tell_nothing_of_each_other(world: World, jira: str, times: int) -> None:
    app, alice = await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=jira)
    codes = [query_of(await alice.browser.get(app.address(idp_hint=jira)))["code"] for _ in range(times)]
    assert times == len(set(codes))
    for place in range(len(codes[0])):
        seen = {code[place] for code in codes}
        assert len(seen) > 25, f"of 64 letters at place {place}, 200 draws show nearly all"
