"""The log and the vault keep each other: strays are set aside, a crash between the two heals, the past stays."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import nats
import pytest
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from joserfc.jwk import ECKey
from msgspec.structs import replace
from nats.aio.client import Client

from scopefold.auth.core.seal import read_key
from scopefold.auth.core.stored_token import Identity, StoredToken, TokenPart
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.private_key_jwt import ASSERTION_TYPE
from scopefold.auth.oauth.server import redeem
from scopefold.auth.store import buckets, records
from scopefold.auth.store.history import History
from scopefold.auth.store.vault import Vault
from scopefold.contracts.events import TokenStored, UserLoggedIn
from scopefold.ledger.log import Log, LogUnavailable, last_seq_on
from scopefold.ledger.read import read
from tests.auth.holders import some_keys
from tests.auth.tokens import REFRESHING, call
from tests.auth.world import (
    APP_REDIRECT,
    KEK,
    VERIFIER,
    App,
    Person,
    World,
    challenge_of,
    files_below,
    new_world,
    query_of,
)
from tests.support.logs import JIRA, provisioned, stored
from tests.support.process import ADMIN


async def vault_of(nc: Client) -> Vault:
    """The vault, opened as auth opens it."""
    found = await buckets.connect(nc.jetstream())
    vault = Vault(found.vault, "default", read_key(KEK))
    await vault.open()
    return vault


STRAYS: list[tuple[str, bytes, str]] = [
    # subject below ledger.default, payload, what the reason says
    ("idp.stray.idp-registered", b"{", "undecodable"),
    ("idp.stray.idp-registered", b"\xff\xfe", "undecodable"),
    ("user.1.stray.token-stored", b'{"type":"token-stored.v99"}', "undecodable"),
    ("idp.stray.connector-deprovisioned", b'{"type":"connector-deprovisioned.v1"}', "undecodable"),
    (
        "idp.elsewhere.connector-deprovisioned",
        b'{"type":"connector-deprovisioned.v1","resource_type":"urn:connector:a:b","connector":"a.b","idp":"stray"}',
        "headers",
    ),
]


async def test_J06_strays_are_set_aside_and_everything_goes_on(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client()
    async with world.log() as log:
        sequences = [(await log.js.publish(f"ledger.default.{subject}", payload)).seq for subject, payload, _ in STRAYS]
    await world.folded(sequences[-1])
    items = (await world.admin("GET", "/v1/quarantine")).json()["items"]
    found = {item["seq"]: item for item in items}
    for seq, (subject, _, reason) in zip(sequences, STRAYS, strict=True):
        assert f"ledger.default.{subject}" == found[seq]["subject"]
        assert reason in found[seq]["reason"]
    assert await Person(world).log_in(app, idp_hint=idp)


async def test_a_token_that_the_log_does_not_know_is_told_to_it_once(world: World) -> None:
    """As after a crash between the vault and the log."""
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=idp)
    nc = await nats.connect(world.bus.url)
    vault = await vault_of(nc)
    found = await vault.token(user, idp)
    assert found is not None
    lost = replace(found[0], generation=2, fingerprint="f" * 22, predecessor=found[0].fingerprint)
    await vault.put_token(user, idp, lost, revision=found[1])
    await nc.close()
    answers = await asyncio.gather(*(alice.browser.get(app.address(idp_hint=idp)) for _ in range(4)))
    answers.append(await alice.browser.get(app.address(idp_hint=idp)))
    assert [303] * 5 == [answer.status_code for answer in answers]
    assert [1, 2] == [event.generation for event in await world.said(TokenStored, idp)]
    assert 1 == len(await world.said(UserLoggedIn, idp))


def test_rows_of_before_are_read_as_they_were_meant() -> None:
    """A token without parts is one that carries everything; a login under way that knew no nonce."""
    moment = datetime.now(UTC)
    row = StoredToken(
        Identity("subject"), "access", "refresh", ("a",), ("a",), ("identity",), "echoed", "login", 1, "f" * 22,
        None, moment, None, None, (TokenPart("x", "y"),),
    )  # fmt: skip
    old = msgspec.to_builtins(row, builtin_types=(datetime,))
    del old["parts"]
    assert replace(row, parts=()) == msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=StoredToken)
    begun = records.Attempt("a", "idp", records.AuthorizeRequest({}), "b", "v", (), None, moment, "nonce")
    old = msgspec.to_builtins(begun, builtin_types=(datetime,))
    del old["nonce"]
    assert replace(begun, nonce=None) == msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=records.Attempt)


async def test_the_worklist_of_an_earlier_moment(world: World) -> None:
    idp = await world.idp_with_jira()
    users = [f"u_past{n:04}" for n in range(5)]
    await world.publish(*(stored(user, ["read:me"], idp=idp) for user in users), by="auth")
    async with world.log() as log:
        before = await last_seq_on(log, "ledger.>")
    live = await world.worklist(idp=idp)
    await world.publish(*(stored(user, ["read:me"], generation=2, idp=idp) for user in users[:2]), by="auth")
    await world.publish(provisioned(f"wiki-{idp}", ["write:wiki"], idp), by="provisioner")
    past = await world.worklist(idp=idp, at=before)
    assert (before, live["items"], live["total"]) == (past["as_of"]["seq"], past["items"], past["total"])
    assert past == await world.worklist(idp=idp, at=past["as_of"]["at"])
    assert live["items"] != (await world.worklist(idp=idp))["items"]
    turned: list[Any] = []
    cursor = None
    for _ in range(3):
        page = await world.worklist(idp=idp, at=before, limit=2, **({"cursor": cursor} if cursor else {}))
        turned += page["items"]
        cursor = page["next"]
    assert (None, live["items"]) == (cursor, turned)
    nothing = await world.worklist(at=0)
    assert ({"seq": 0, "at": None}, []) == (nothing["as_of"], nothing["items"])
    for beyond in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert 400 == (await world.admin("GET", "/v1/reconsent", params={"at": beyond})).status_code


async def test_a_moment_that_came_half_way_is_not_kept(world: World, tmp_path: Path) -> None:
    idp = await world.idp_with_jira()
    await world.publish(stored("u_half0001", ["read:me"], idp=idp), by="auth")
    history = History("default", tmp_path)
    async with world.log() as log:
        last = await last_seq_on(log, "ledger.>")
        with pytest.raises(LogUnavailable):
            async with history.at(_Dying(log), last):
                pass
        async with history.at(log, last) as (projection, _):
            assert 1 == projection.count("missing", idp)
    await history.forget()
    assert [] == os.listdir(tmp_path)  # noqa: PTH208  # the pathlib way is refused in a coroutine


class _Dying(Log):
    """A connection that answers what the log is, and is then lost."""

    def __init__(self, log: Log) -> None:
        super().__init__(log.nc)
        self._asked = 0

    @property
    def nc(self) -> Client:
        self._asked += 1
        if self._asked > 2:
            raise OSError("the connection was lost")
        return self._nc

    @nc.setter
    def nc(self, nc: Client) -> None:
        self._nc = nc


AGES = [(0, 200), (59, 200), (60, 200), (61, 400), (3600, 400)]


@pytest.mark.parametrize(("age_seconds", "status"), AGES)
def test_B04_a_code_dies_after_a_minute(age_seconds: int, status: int) -> None:
    now = datetime.now(UTC)
    issued = now - timedelta(seconds=age_seconds)
    issuer, challenge = "https://login.example", challenge_of(VERIFIER)
    code = records.Code(
        "app", APP_REDIRECT, "openid", "u_user0001", "atlassian", None, challenge, issued, issued, issuer=issuer
    )
    loaded = Loaded(
        issuer=issuer,
        keys=some_keys(),
        client_secret_key=b"k" * 32,
        now=now,
        client=records.Client("app", "App", (APP_REDIRECT,), ("authorization_code",), ("openid",), "none"),
        code=code,
        identity=Identity("subject"),
    )
    form = {"grant_type": "authorization_code", "client_id": "app", "code": "c", "redirect_uri": APP_REDIRECT}
    found, body, _ = redeem(loaded, {**form, "code_verifier": VERIFIER}, {})
    assert (status, status == 200) == (found, "access_token" in body)


def test_H01_H02_H03_H08_no_secret_is_in_any_log_file_or_event(tmp_path: Path) -> None:
    """Everything that a login handles, looked for in all that is on disk after a run at DEBUG."""
    with new_world(tmp_path, log_level="DEBUG") as world:
        canaries, marker = asyncio.run(_everything_secret_of_a_login(world))
        world.auth.process.terminate()  # what is in a write-ahead log goes into its file
        world.auth.process.wait(15)
        events = asyncio.run(_every_message(world))
        files = files_below(tmp_path)
    assert marker.encode() in events
    assert any(marker.encode() in content for path, content in files if "jetstream" in path.parts)
    assert any(marker.encode() in content for path, content in files if path.suffix == ".db")
    assert 2 == len([path for path, _ in files if path.suffix == ".stderr"])
    for name, canary in canaries.items():
        assert len(canary) >= 8, name
        assert canary.encode() not in events, name
        assert [] == [str(path) for path, content in files if canary.encode() in content], name


async def _every_message(world: World) -> bytes:
    async with world.log() as log:
        messages = [message async for page in read(log) for message in page]
    return b"\n".join(repr((one.subject, one.headers, one.payload)).encode() for one in messages)


async def _everything_secret_of_a_login(world: World) -> tuple[dict[str, str], str]:
    """What must not be found, and a text that must."""
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(**{**REFRESHING, "token_endpoint_auth_method": "client_secret_post"})
    await world.publish(provisioned(f"more-{idp}", JIRA, idp), by="provisioner")
    callback = await alice.press(await alice.at_consent(app))
    answer = await alice.browser.get(callback)
    code = query_of(answer)["code"]
    swapped = (await app.swap(code, client_secret=app.secret)).json()
    proof, refreshed = await _use_up(world, app, swapped)
    user = str((await app.verified(swapped["id_token"]))["sub"])
    await app.swap(code, client_secret=app.secret)
    await _stumble(world, app, alice)
    nc = await nats.connect(world.bus.url)
    found = await (await vault_of(nc)).token(user, idp)
    await nc.close()
    assert found is not None
    token: StoredToken = found[0]
    upstream = httpx.URL(callback).params
    canaries = {
        "upstream access token": token.access_token,
        "upstream refresh token": str(token.refresh_token),
        "upstream subject": token.identity.subject,
        "e-mail": str(token.identity.email),
        "name": str(token.identity.name),
        "upstream code": upstream["code"],
        "state": upstream["state"],
        "code": code,
        "access token": swapped["access_token"],
        "id token": swapped["id_token"],
        "refresh token": swapped["refresh_token"],
        "refresh token's handle": swapped["refresh_token"].split(".")[0],
        "refresh token's secret": swapped["refresh_token"].split(".")[1],
        "next refresh token": refreshed,
        "client assertion": proof,
        "verifier": VERIFIER,
        "client secret": str(app.secret),
        "secret at the IdP": "sandbox-atlassian-secret",
        "admin token": ADMIN,
        "key-encryption key": KEK,
        **{f"cookie {cookie.name}": str(cookie.value) for cookie in alice.browser.jar.jar},
    }
    return canaries, idp


async def _use_up(world: World, app: App, tokens: dict[str, str]) -> tuple[str, str]:
    """Everything that clients send to the endpoints for them, rightly and wrongly; an assertion and the next token."""
    key = ECKey.generate_key("P-256")
    keys = {"keys": [key.as_dict(private=False)]}
    own = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt", "jwks": keys}
    signer = await world.register_client(**own, scopes=["reports:read"], resource_server=True)
    proof = private_key_jwt_sign(key, signer.id, world.auth.url, alg="ES256")
    signed = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": proof}
    secret = {"client_id": app.id, "client_secret": app.secret}
    by_refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], **secret}
    for _ in range(2):
        await call(world, "/oauth2/token", {"grant_type": "client_credentials", **signed})
    for path in ("/oauth2/introspect", "/oauth2/revoke"):
        await call(world, path, {"token": tokens["access_token"], **signed})
        await call(world, path, {"token": tokens["access_token"], **secret})
    refreshed = (await call(world, "/oauth2/token", by_refresh)).json()["refresh_token"]
    await call(world, "/oauth2/token", by_refresh)
    await call(world, "/oauth2/revoke", {"token": refreshed, **secret})
    return proof, str(refreshed)


async def _stumble(world: World, app: App, alice: Person) -> None:
    """What goes wrong is logged too."""
    await alice.browser.get(app.address(redirect_uri="https://evil.example"))
    await alice.browser.get("/oauth2/callback?state=x&code=y")
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        await http.get("/v1/idps", headers={"authorization": f"Bearer {ADMIN}x"})
        await http.post("/oauth2/token", data={"code": "x"}, auth=(app.id, str(app.secret)))
