"""Scopefold as a client of IdPs: what browsers bring back, and what IdPs say."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from scopefold.auth.store.buckets import hashed
from scopefold.auth.store.declared import FLOW_SECONDS
from scopefold.auth.store.records import Attempt
from scopefold.auth.web.browser import SESSION_COOKIE
from scopefold.contracts.events import AuthorizationFailed, ConsentDeclined, TokenStored
from tests.attacks.stored import buckets_of
from tests.auth.oidc import oidc_idp, through_oidc, tokens_of
from tests.auth.test_security import is_shown_here, ready_to_come_back
from tests.auth.world import App, Person, World, query_of, told_by
from tests.sandbox import issuer as issuers
from tests.support.browsing import Window
from tests.support.logs import provisioned

SCOPES = ["openid", "email", "api:read", "api:write"]


@pytest.fixture
def issuer() -> Iterator[issuers.Issuer]:
    """An IdP that says whatever a test wants."""
    with issuers.running() as running:
        yield running


async def idp_at(world: World, issuer: issuers.Issuer) -> str:
    """An OpenID provider whose UserInfo says who a user is."""
    base = issuer.address
    endpoints = {"authorize": f"{base}/authorize", "token": f"{base}/oauth2/token", "identity": f"{base}/userinfo"}
    idp = await oidc_idp(world, base_scopes=SCOPES[:2], endpoints=endpoints, client_id="us")
    await world.publish(provisioned(f"api-{idp}", SCOPES, idp), by="provisioner")
    return idp


async def back_from(
    world: World,
    issuer: issuers.Issuer,
    idp: str,
    app: App,
    *,
    userinfo: dict[str, Any],
    subject: str = "u_12345678",
    browser: Window | None = None,
) -> httpx.Response:
    """The answer of our callback to a login whose ID token is of this subject, and whose UserInfo says this."""
    browser = browser or Window(world.auth.url)
    sent = query_of(await browser.get(app.address(idp_hint=idp, prompt="login")))
    issuer.challenge, issuer.userinfo = sent["code_challenge"], userinfo
    claims = issuer.good_claims("none")
    issuer.claims = {**claims, "aud": "us", "sub": subject, "auth_time": claims["iat"] + 1}
    back = httpx.QueryParams({"code": "c", "state": sent["state"]})
    return await browser.get(f"/oauth2/callback/{idp}?{back}")


async def user_of(app: App, answer: httpx.Response) -> str:
    return str((await app.verified((await tokens_of(app, answer))["id_token"]))["sub"])


async def test_F02_a_login_that_took_too_long_is_over(world: World, jira: str) -> None:
    """Who comes back after ten minutes finds nothing: the bus has forgotten the login."""
    app = await world.register_client()
    alice, callback = await ready_to_come_back(world, jira, app)
    async with buckets_of(world) as found, world.log() as log:
        config = (await log.js.stream_info("KV_flows")).config
        name = hashed(httpx.URL(callback).params["state"])
        (key,) = [one for one in await found.flows.keys("attempt.>") if one.endswith(name)]
        stored = await found.flows.get(key, Attempt)
        assert stored is not None
        await found.flows.take(key, stored[1])  # as if the time had passed
    assert (timedelta(seconds=config.max_age or 0), 600) == (timedelta(seconds=FLOW_SECONDS), FLOW_SECONDS)
    assert is_shown_here(await alice.browser.get(callback))
    assert SESSION_COOKIE not in alice.browser.jar


WRONG_SUBJECTS: list[tuple[str, dict[str, Any], bool]] = [
    ("F07-same", {"sub": "u_12345678"}, True),
    ("F07-other", {"sub": "u_somebody"}, False),
    ("F07-none", {"email": "a@b.example"}, False),
    ("F07-empty", {"sub": ""}, False),
    ("F07-list", {"sub": ["u_12345678"]}, False),
    ("F07-longer", {"sub": "u_12345678 "}, False),
]


@pytest.mark.parametrize(("case", "userinfo", "good"), WRONG_SUBJECTS, ids=[case for case, _, _ in WRONG_SUBJECTS])
async def test_F07_userinfo_speaks_of_whom_the_id_token_speaks_of(
    world: World, issuer: issuers.Issuer, case: str, userinfo: dict[str, Any], good: bool
) -> None:
    """OpenID Connect Core 1.0, section 5.3.2 (oidcc-client-test-userinfo-invalid-sub)."""
    idp, app = await idp_at(world, issuer), await world.register_client()
    answer = await back_from(world, issuer, idp, app, userinfo=userinfo)
    if good:
        assert "code" in query_of(answer), case
        return
    assert "server_error" == told_by(answer)["error"], case
    assert [] == await world.said(TokenStored, idp)
    (failed,) = await world.said(AuthorizationFailed, idp)
    assert "identity" == failed.stage


async def test_F09_an_address_links_no_account_however_it_is_written(world: World, issuer: issuers.Issuer) -> None:
    """Not at one IdP, not between two, verified or not."""
    idp, other, app = await idp_at(world, issuer), await idp_at(world, issuer), await world.register_client()
    addresses = [
        "victim@b.example",
        "VICTIM@B.EXAMPLE",
        "victim@b.example ",
        "v\u0131ctim@b.example",
        "victim@b.example",
    ]
    users: list[str] = []
    for n, email in enumerate(addresses):
        for verified in (True, False):
            who = {"sub": f"s{n}{verified}", "email": email, "email_verified": verified}
            for place in (idp, other):
                answer = await back_from(world, issuer, place, app, userinfo=who, subject=f"s{n}{verified}")
                users.append(await user_of(app, answer))
    assert len(users) == len(set(users))


async def test_F09_what_one_person_proved_is_not_anothers_in_the_same_browser(
    world: World, issuer: issuers.Issuer
) -> None:
    """A second account that comes back in the first one's session takes nothing of it over."""
    idp, app, browser = await idp_at(world, issuer), await world.register_client(), Window(world.auth.url)
    found: list[str] = []
    for subject in ("one", "two", "one"):
        answer = await back_from(world, issuer, idp, app, userinfo={"sub": subject}, subject=subject, browser=browser)
        found.append(await user_of(app, answer))
    assert (found[0], 2) == (found[2], len(set(found)))


async def test_F13_who_says_no_goes_back_and_may_try_again_without_a_loop(world: World, jira: str) -> None:
    app, alice = await world.register_client(), Person(world)
    for _ in range(3):
        told = query_of(await alice.come_back(app, decision="cancel", idp_hint=jira))
        assert ("access_denied", world.auth.url) == (told["error"], told["iss"])
        assert SESSION_COOKIE not in alice.browser.jar
    assert 3 <= len(await world.said(ConsentDeclined, jira))
    assert "code" in query_of(await alice.come_back(app, idp_hint=jira))


GRANTS: list[tuple[str, str | None, set[str] | None]] = [
    # case, what the token answer says, what is kept as granted
    ("F14-fewer", "openid email api:read", {"openid", "email", "api:read"}),
    ("F14-more", "openid email api:read api:write admin:all", {*SCOPES, "admin:all"}),
    ("F14-reordered", "api:write email openid api:read", set(SCOPES)),
    ("F14-doubled", "openid openid email email api:read api:read api:write", set(SCOPES)),
    ("F14-all", "openid email api:read api:write", set(SCOPES)),
    ("F14-none-said", None, None),
    ("F14-none", "", set()),
]


@pytest.mark.parametrize(("case", "said", "kept"), GRANTS, ids=[case for case, _, _ in GRANTS])
async def test_F14_what_was_granted_is_kept_not_what_was_asked_for(
    world: World, issuer: issuers.Issuer, case: str, said: str | None, kept: set[str] | None
) -> None:
    idp, app, issuer.scope = await idp_at(world, issuer), await world.register_client(), said
    answer = await back_from(world, issuer, idp, app, userinfo={"sub": "u_12345678"})
    assert "code" in query_of(answer), case
    (stored,) = await world.said(TokenStored, idp)
    assert set(SCOPES) <= set(stored.requested)
    if kept is None:  # RFC 6749, section 5.1: left out where it is what was asked for
        assert set(stored.granted or stored.requested) >= set(SCOPES)
    else:
        assert (kept, len(kept)) == (set(stored.granted or ()), len(stored.granted or ())), case
    lacking = {"api:read", "api:write"} - (kept if kept is not None else set(SCOPES))
    await world.caught_up()
    rows = (await world.worklist(idp=idp))["items"]
    assert lacking == {one["scope"] for row in rows for one in row["missing"]}, "judged by what was granted"


async def test_F10_F14_no_login_comes_of_a_token_answer_without_a_token(world: World, issuer: issuers.Issuer) -> None:
    idp, app = await idp_at(world, issuer), await world.register_client()
    issuer.scope = 'openid "quoted\\'
    answer = await back_from(world, issuer, idp, app, userinfo={"sub": "u_12345678"})
    assert "server_error" == told_by(answer)["error"]
    assert [] == await world.said(TokenStored, idp)


async def test_F04_the_path_of_a_callback_must_name_the_idp_of_the_login(world: World, directory: str) -> None:
    """Whatever a session says: two IdPs, one browser that is logged in at both, codes crossed."""
    other = await world.idp_with_jira()
    app, alice = await world.register_client(), Person(world)
    await through_oidc(alice, app, idp_hint=directory)
    callback = await alice.press(await alice.at_consent(app, idp_hint=other, prompt="login"))
    crossed = callback.replace(f"/oauth2/callback/{other}", f"/oauth2/callback/{directory}")
    before = alice.browser.jar[SESSION_COOKIE]
    assert is_shown_here(await alice.browser.get(crossed))
    assert ([], before) == (await world.said(TokenStored, other), alice.browser.jar[SESSION_COOKIE])
    assert "code" in query_of(await alice.browser.get(callback))
