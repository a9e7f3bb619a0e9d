"""Logouts that an IdP tells of (OpenID Connect Back-Channel Logout 1.0): which tokens count, and what ends."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from scopefold.auth.core.id_token import LEEWAY_SECONDS, BadIdToken, UnknownKey
from scopefold.auth.core.logout_token import EVENT, MAX_AGE_SECONDS, read_logout_token
from tests.auth.oidc import oidc_idp, receiver, signed_by_us, through_oidc
from tests.auth.test_id_token import NOW, PUBLIC, RSA, SECONDS, by_hand, microsoft_at, signed
from tests.auth.test_logout import is_logged_in
from tests.auth.tokens import OFFLINE, REFRESHING, refresh
from tests.auth.world import App, Person, World, query_of
from tests.sandbox import issuer as issuers
from tests.support.browsing import Window

ISSUER = "https://id.example"
RIGHT: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "us",
    "iat": SECONDS,
    "exp": SECONDS + 120,
    "jti": "one",
    "sub": "alice",
    "sid": "there",
    "events": {EVENT: {}},
}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in RIGHT.items() if name not in names}


AGED = SECONDS - MAX_AGE_SECONDS - LEEWAY_SECONDS
CLAIMS: list[tuple[str, dict[str, Any], str | None]] = [
    ("all of it", RIGHT, None),
    ("sub alone", without("sid"), None),
    ("sid alone", without("sub"), None),
    ("no exp, as in drafts", without("exp"), None),
    ("one of several audiences, without azp", {**RIGHT, "aud": ["them", "us"]}, None),
    ("members in the event", {**RIGHT, "events": {EVENT: {"why": "x"}, "urn:other": {}}}, None),
    ("iss of another", {**RIGHT, "iss": "https://evil.example"}, "id_token_issuer"),
    ("no iss", without("iss"), "id_token_issuer"),
    ("aud of another client", {**RIGHT, "aud": "them"}, "audience"),
    ("aud in the text of another", {**RIGHT, "aud": "us2"}, "audience"),
    ("no aud", without("aud"), "audience"),
    ("no events", without("events"), "events"),
    ("another event", {**RIGHT, "events": {"urn:other": {}}}, "events"),
    ("events as a list", {**RIGHT, "events": [EVENT]}, "events"),
    ("an event that is no object", {**RIGHT, "events": {EVENT: True}}, "events"),
    ("a nonce", {**RIGHT, "nonce": "n"}, "nonce"),
    ("an empty nonce", {**RIGHT, "nonce": None}, "nonce"),
    ("neither sub nor sid", without("sub", "sid"), "sub_and_sid"),
    ("sub that is no text", {**RIGHT, "sub": 7}, "sub"),
    ("an empty sid", {**RIGHT, "sid": ""}, "sid"),
    ("a sid too long", {**RIGHT, "sid": "x" * 256}, "sid"),
    ("no jti", without("jti"), "jti"),
    ("jti that is no text", {**RIGHT, "jti": []}, "jti"),
    ("no iat", without("iat"), "iat"),
    ("issued in the future", {**RIGHT, "iat": SECONDS + LEEWAY_SECONDS + 1}, "iat"),
    ("expired", {**RIGHT, "exp": SECONDS - LEEWAY_SECONDS}, "expired"),
    ("exp as text", {**RIGHT, "exp": "never"}, "expired"),
    ("too old, whatever exp says", {**RIGHT, "iat": AGED, "exp": SECONDS + 9999}, "expired"),
    ("too old, without exp", {**without("exp"), "iat": AGED}, "expired"),
]


def read(token: str, keys: Any = PUBLIC) -> Any:
    return read_logout_token(token, keys, issuer=ISSUER, client_id="us", now=NOW)


@pytest.mark.parametrize(("case", "claims", "code"), CLAIMS, ids=[case for case, _, _ in CLAIMS])
def test_G07_what_a_logout_token_claims(case: str, claims: dict[str, Any], code: str | None) -> None:
    token = signed(claims, typ="logout+jwt")
    if code is None:
        said = read(token)
        assert (claims.get("sub"), claims.get("sid"), "one") == (said.sub, said.sid, said.jti)
        until = min(claims.get("exp", SECONDS + MAX_AGE_SECONDS), SECONDS + MAX_AGE_SECONDS) + LEEWAY_SECONDS
        assert until == said.good_until
        return
    with pytest.raises(BadIdToken) as refused:
        read(token)
    assert code == refused.value.code


FOREIGN = ECKey.generate_key("P-256", auto_kid=True)
SIGNATURES: list[tuple[str, str, str]] = [
    ("D01 alg none", by_hand({"alg": "none"}, RIGHT), "id_token_algorithm"),
    ("D02 HS256", by_hand({"alg": "HS256", "kid": RSA.kid}, RIGHT, b"x"), "id_token_algorithm"),
    ("no signature", signed(RIGHT).rpartition(".")[0] + ".", "id_token_signature"),
    ("a foreign key", signed(RIGHT, FOREIGN), "id_token_unknown_key"),
    ("D08 an access token", signed(RIGHT, typ="at+jwt"), "typ"),
    ("no token", "x", "id_token_malformed"),
]


@pytest.mark.parametrize(("case", "token", "code"), SIGNATURES, ids=[case for case, _, _ in SIGNATURES])
def test_G07_D01_D02_who_signed_a_logout_token(case: str, token: str, code: str) -> None:
    with pytest.raises(BadIdToken) as refused:
        read(token)
    assert (code, "unknown" in code) == (refused.value.code, isinstance(refused.value, UnknownKey))


def test_the_type_of_a_logout_token_may_be_left_out() -> None:
    for typ in (None, "JWT", "logout+jwt", "application/logout+jwt"):
        assert "alice" == read(signed(RIGHT, typ=typ)).sub


class There:
    """An IdP that tells of logouts, as one that is registered under a name of its own."""

    def __init__(self, world: World, issuer: issuers.Issuer, idp: str) -> None:
        self.world = world
        self.issuer = issuer
        self.idp = idp

    async def log_in(self, app: App, *, browser: Window | None = None, **claims: Any) -> dict[str, Any]:
        """A login there with an ID token that claims this; the app's tokens."""
        browser = browser or Window(self.world.auth.url)
        sent = query_of(await browser.get(app.address(idp_hint=self.idp, scope=OFFLINE, prompt="login")))
        self.issuer.challenge = sent["code_challenge"]
        self.issuer.claims = {**self.issuer.good_claims(sent["nonce"]), "aud": "us", **claims}
        back = httpx.QueryParams({"code": "c", "state": sent["state"]})
        answer = await browser.get(f"/oauth2/callback/{self.idp}?{back}")
        swapped = await app.swap(query_of(answer)["code"])
        assert 200 == swapped.status_code, swapped.text
        return dict(swapped.json())

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a logout token that is right, but for what is changed; None leaves one out."""
        now = int(time.time())
        right = {"iss": self.issuer.address, "aud": "us", "iat": now, "exp": now + 120, "jti": secrets.token_hex(8)}
        whole = {**right, "events": {EVENT: {}}, **changed}
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, key: ECKey | None = None, **changed: Any) -> str:
        """A logout token of this IdP."""
        header = {"alg": "ES256", "kid": str(self.issuer.key.kid), "typ": "logout+jwt"}
        content = json.dumps(self.claims(**changed)).encode()
        return jws.serialize_compact(header, content, key or self.issuer.key, algorithms=["ES256"])

    async def tell(self, token: str, *, below: str = "", form: dict[str, str] | None = None) -> httpx.Response:
        """Send it to us."""
        async with httpx.AsyncClient(base_url=self.world.auth.url, timeout=20) as http:
            path = f"{below}/oauth2/backchannel-logout/{self.idp}"
            return await http.post(path, data=form if form is not None else {"logout_token": token})

    async def sessions(self, tokens: dict[str, Any], app: App) -> int:
        """How many sessions the user of these tokens has."""
        user = (await app.verified(tokens["id_token"]))["sub"]
        answer = await self.world.admin("GET", f"/v1/users/{user}/sessions")
        return len(answer.json()["items"])


@pytest.fixture
async def there(world: World) -> AsyncIterator[There]:
    with issuers.running() as issuer:
        idp = f"telling-{secrets.token_hex(4)}"
        await microsoft_at(world, issuer, idp)
        yield There(world, issuer, idp)


@pytest.fixture
async def app(world: World) -> App:
    return await world.register_client(**REFRESHING)


def is_done(answer: httpx.Response) -> bool:
    """Section 2.8: 200, and no cache keeps it."""
    return (200, "no-store", b"") == (answer.status_code, answer.headers["cache-control"], answer.content)


def is_refused(answer: httpx.Response, why: str = "") -> bool:
    """Section 2.8: 400 with an error as of RFC 6749, section 5.2."""
    told = answer.json()
    known = (400, "no-store", "invalid_request") == (answer.status_code, answer.headers["cache-control"], told["error"])
    return known and why in told["error_description"]


async def test_G07_who_logs_out_there_is_logged_out_here_and_of_every_client(world: World, there: There) -> None:
    async with receiver() as one:
        app = await world.register_client(**REFRESHING, backchannel_logout_uri=one.address)
        tokens = await there.log_in(app, sub="alice", sid="first")
        claims = await app.verified(tokens["id_token"])
        lasting = await there.log_in(app, sub="alice", sid="second")
        assert is_done(await there.tell(there.token(sub="alice", sid="first")))
        (told,) = one.received
        said = (await signed_by_us(world, told["logout_token"])).claims
        assert (claims["sub"], claims["sid"], app.id) == (said["sub"], said["sid"], said["aud"])
        assert 1 == await there.sessions(tokens, app), "of the other session there nothing was said"
        assert 200 == (await refresh(app, lasting["refresh_token"])).status_code


async def test_G07_what_ends_with_the_session_is_what_ends_with_our_own_logout(there: There, app: App) -> None:
    """Section 2.7: refresh tokens without offline_access are revoked, those with it stay."""
    online = {**REFRESHING, "scopes": ["openid", "profile", "email"]}
    short = await there.world.register_client(**online)
    browser = Window(there.world.auth.url)
    staying = await there.log_in(app, browser=browser, sub="alice", sid="s")
    sent = await browser.get(short.address(idp_hint=there.idp))
    going = (await short.swap(query_of(sent)["code"])).json()
    code = query_of(await browser.get(short.address(idp_hint=there.idp)))["code"]
    assert is_done(await there.tell(there.token(sid="s")))
    assert "invalid_grant" == (await refresh(short, going["refresh_token"])).json()["error"]
    assert "invalid_grant" == (await short.swap(code)).json()["error"]
    assert 200 == (await refresh(app, staying["refresh_token"])).status_code
    asked = query_of(await browser.get(short.address(idp_hint=there.idp, prompt="none")))
    assert "login_required" == asked["error"]


async def test_G07_by_sub_every_session_that_came_through_that_idp_ends(world: World, there: There, app: App) -> None:
    both = [await there.log_in(app, sub="alice"), await there.log_in(app, sub="alice", sid="x")]
    other = await there.log_in(app, sub="bob")
    assert [2, 1] == [await there.sessions(one, app) for one in (both[0], other)]
    assert is_done(await there.tell(there.token(sub="alice")))
    assert [0, 1] == [await there.sessions(one, app) for one in (both[0], other)]
    assert is_done(await there.tell(there.token(sub="alice"))), "already logged out (section 2.7)"
    assert is_done(await there.tell(there.token(sub="nobody")))
    assert is_done(await there.tell(there.token(sid="nowhere")))
    assert 1 == await there.sessions(other, app)


async def test_G07_a_session_whose_upstream_session_is_not_known_ends_with_its_user(there: There, app: App) -> None:
    unnamed, named = await there.log_in(app, sub="alice"), await there.log_in(app, sub="alice", sid="kept")
    assert is_done(await there.tell(there.token(sub="alice", sid="another")))
    assert 1 == await there.sessions(unnamed, app)
    assert is_done(await there.tell(there.token(sid="kept")))
    assert 0 == await there.sessions(named, app)


async def test_G07_a_session_follows_the_last_login_there(there: There, app: App) -> None:
    browser = Window(there.world.auth.url)
    await there.log_in(app, browser=browser, sub="alice", sid="old")
    tokens = await there.log_in(app, browser=browser, sub="alice", sid="new")
    assert is_done(await there.tell(there.token(sid="old")))
    assert 1 == await there.sessions(tokens, app)
    assert is_done(await there.tell(there.token(sid="new")))
    assert 0 == await there.sessions(tokens, app)


LIES: list[tuple[str, dict[str, Any], str]] = [
    ("no-events", {"events": None}, "events"),
    ("nonce", {"nonce": "n"}, "nonce"),
    ("wrong-aud", {"aud": "them"}, "audience"),
    ("wrong-iss", {"iss": "https://evil.example"}, "issuer"),
    ("no-jti", {"jti": None}, "jti"),
    ("expired", {"exp": 1}, "expired"),
    ("sub-and-sid-of-two", {"sub": "bob"}, "another user"),
    ("sub-of-nobody-and-sid", {"sub": "nobody"}, "another user"),
]


async def test_G07_whatever_is_wrong_ends_nothing(there: There, app: App) -> None:
    tokens, _ = await there.log_in(app, sub="alice", sid="s"), await there.log_in(app, sub="bob", sid="t")
    for case, changed, why in LIES:
        answer = await there.tell(there.token(**{"sub": "alice", "sid": "s", **changed}))
        assert is_refused(answer, why), (case, answer.text)
    unsigned = by_hand({"alg": "none"}, there.claims(sub="alice"))
    forms: list[dict[str, str]] = [{}, {"logout_token": ""}, {"logout_token": "x"}, {"logout_token": unsigned}]
    for form in forms:
        assert is_refused(await there.tell("", form=form)), form
    id_token = {**there.claims(sub="alice"), "nonce": "n"}
    del id_token["events"]
    assert is_refused(await there.tell(there.token(events=None, nonce="n", sub="alice")))
    there.idp, known = "unknown-idp", there.idp
    assert is_refused(await there.tell(there.token(sub="alice")), "no such identity provider")
    there.idp = known
    assert 1 == await there.sessions(tokens, app)


async def test_G07_a_logout_token_counts_once(there: There, app: App) -> None:
    await there.log_in(app, sub="alice", sid="s")
    token = there.token(sub="alice")
    assert [200, *[400] * 7] == sorted(
        one.status_code for one in await asyncio.gather(*(there.tell(token) for _ in range(8)))
    )
    again = await there.log_in(app, sub="alice", sid="s")
    assert is_refused(await there.tell(token), "used before")
    assert 1 == await there.sessions(again, app), "a replay ends no later session"


async def test_G07_a_refused_token_is_not_used_up(there: There, app: App) -> None:
    await there.log_in(app, sub="alice", sid="s")
    await there.log_in(app, sub="bob", sid="t")
    jti = secrets.token_hex(8)
    assert is_refused(await there.tell(there.token(sub="bob", sid="s", jti=jti)))
    assert is_done(await there.tell(there.token(sub="alice", sid="s", jti=jti)))


async def test_G07_tokens_of_unknown_keys_do_not_make_us_ask_the_idp_again_and_again(there: There, app: App) -> None:
    tokens = await there.log_in(app, sub="alice")
    read_so_far = there.issuer.keys_read
    for _ in range(3):
        foreign = ECKey.generate_key("P-256", auto_kid=True)
        header = {"alg": "ES256", "kid": str(foreign.kid)}
        content = json.dumps(there.claims(sub="alice")).encode()
        token = jws.serialize_compact(header, content, foreign, algorithms=["ES256"])
        assert is_refused(await there.tell(token), "unknown_key")
        assert is_refused(await there.tell(there.token(foreign, sub="alice")), "signature")
    assert (read_so_far, 1) == (there.issuer.keys_read, await there.sessions(tokens, app))


async def test_G07_an_openid_provider_logs_somebody_out_everywhere(world: World) -> None:
    """The whole way, at the sandbox's provider: by its discovery document and its keys, whose users UserInfo tells."""
    discovery = f"{world.sandbox.url}/oidc/.well-known/openid-configuration"
    idp, app = await oidc_idp(world, endpoints={"discovery": discovery}), await world.register_client()
    alice, bob = Person(world), Person(world, "bob")
    for person in (alice, bob):
        await through_oidc(person, app, idp_hint=idp)
    address = (await world.admin("GET", f"/v1/idps/{idp}")).json()["backchannel_logout"]
    assert f"{world.auth.url}/oauth2/backchannel-logout/{idp}" == address
    checkup = (await world.admin("GET", f"/v1/idps/{idp}/doctor")).json()["checks"]
    assert [address] == [one["paste"][0]["value"] for one in checkup if one["check"] == "logout"]
    async with httpx.AsyncClient(base_url=world.sandbox.url, timeout=20) as http:
        told = await http.post("/oidc/console/logout", json={"user": "alice", "address": address})
    assert {"status": 200, "body": ""} == told.json()
    assert [False, True] == [await is_logged_in(who, app, idp) for who in (alice, bob)]


async def test_G07_an_idp_whose_word_cannot_be_verified_ends_nothing(world: World, jira: str) -> None:
    app, alice = await world.register_client(), Person(world)
    await alice.log_in(app, idp_hint=jira)
    assert "" == (await world.admin("GET", f"/v1/idps/{jira}")).json()["backchannel_logout"]
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        form = {"logout_token": signed(RIGHT)}
        assert is_refused(await http.post(f"/oauth2/backchannel-logout/{jira}", data=form), "no_discovery")
    assert await is_logged_in(alice, app, jira)


async def test_an_organisation_is_told_as_the_service_is_and_each_client_by_the_issuer_it_knows(
    world: World, there: There
) -> None:
    async with receiver() as one, receiver() as two:
        mine = await world.register_client(**REFRESHING, backchannel_logout_uri=one.address)
        theirs = await world.register_client(backchannel_logout_uri=two.address)
        browser = Window(world.auth.url)
        await there.log_in(mine, browser=browser, sub="alice", sid="s")
        answer = await browser.get(f"/default{theirs.address(idp_hint=there.idp)}")
        assert f"{world.auth.url}/default" == query_of(answer)["iss"]
        assert is_done(await there.tell(there.token(sid="s"), below="/default"))
        issuers_told = [
            (await signed_by_us(world, each.received[0]["logout_token"])).claims["iss"] for each in (one, two)
        ]
        assert [world.auth.url, f"{world.auth.url}/default"] == issuers_told
