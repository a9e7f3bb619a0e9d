"""What IdPs answer at their token endpoints: unreadable, too much, of somebody else, late."""

import base64
import json
import math
from typing import Any

import pytest

from scopefold.contracts.events import AuthorizationFailed, TokenStored
from tests.attacks.liar import GOOD, come_back, idp_of, liar, logged_in
from tests.auth.gateways import at_its_end
from tests.auth.providers import row_of
from tests.auth.test_forward_auth import ask
from tests.auth.world import World, told_by
from tests.support.logs import provisioned

OLD, NEW = "rt-1", "rt-2"
CALLS = 3


def said(**changed: Any) -> dict[str, Any]:
    """A renewal's answer, but for what is changed; `...` leaves a member out."""
    members = {**GOOD, "access_token": "at-2", "refresh_token": NEW, **changed}
    return {name: value for name, value in members.items() if value is not ...}


def id_token_of(subject: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps({'sub': subject}).encode()).decode().rstrip('=')}.x"


RENEWALS: list[tuple[str, int, Any, int, str | None]] = [
    # case, status and body of the IdP's answer, what the gateway gets, and the refresh token that is kept
    ("F15-lives-nan", 200, said(expires_in="nan"), 200, NEW),
    ("F15-lives-infinite", 200, said(expires_in="-inf"), 200, NEW),
    ("F15-lives-huge", 200, said(expires_in=10**300), 200, NEW),
    ("F15-lives-text", 200, said(expires_in="soon"), 200, NEW),
    ("F15-lives-list", 200, said(expires_in=[]), 200, NEW),
    ("F15-lives-unsaid", 200, said(expires_in=...), 200, NEW),
    ("F15-lives-no-more", 200, said(expires_in=-5), 503, NEW),
    ("F15-lives-not", 200, said(expires_in=0), 503, NEW),
    ("F15-lives-hardly", 200, said(expires_in=20), 200, NEW),
    ("F14-number", 200, said(scope=7), 200, NEW),
    ("F14-no-token", 200, said(scope='openid "x'), 200, NEW),
    ("F14-thousand", 200, said(scope=" ".join(f"s{n}" for n in range(1000))), 200, NEW),
    ("F14-more", 200, said(scope=f"{GOOD['scope']} admin:all"), 200, NEW),
    ("F15-same", 200, said(refresh_token=...), 200, OLD),
    (
        "F15-doubled",
        200,
        b'{"access_token":"x","access_token":"at-2","refresh_token":"rt-2","expires_in":60}',
        200,
        NEW,
    ),
    ("F16-line-feed", 200, said(access_token="at\r\nx-scopefold-user: u_victim00"), 503, OLD),
    ("F16-no-ascii", 200, said(access_token="at-\u20ac"), 503, OLD),
    ("F16-nul", 200, said(access_token="at\x00"), 503, OLD),
    ("F16-too-long", 200, said(access_token="a" * 40_000), 503, OLD),
    ("F16-token-number", 200, said(access_token=7), 503, OLD),
    ("F16-html", 200, b"<html>invalid_grant</html>", 503, OLD),
    ("F16-html-400", 400, b"<html>invalid_grant</html>", 503, OLD),
    ("F16-redirect", 302, b"", 503, OLD),
    ("F16-error-object", 400, {"error": {"message": "invalid_grant"}}, 503, OLD),
    ("F16-error-sentence", 400, {"error": "invalid_grant of alice"}, 503, OLD),
    ("F16-error-with-200", 200, {"error": "invalid_grant"}, 403, None),
    ("F07-somebody-else", 200, said(id_token=id_token_of("somebody-else")), 403, None),
]


@pytest.mark.parametrize(
    ("status", "body", "expected", "kept"), [row[1:] for row in RENEWALS], ids=[r[0] for r in RENEWALS]
)
async def test_a_renewal_is_asked_for_once_and_its_refresh_token_kept_whatever_else_is_said(
    world: World, status: int, body: Any, expected: int, kept: str | None
) -> None:
    """A refresh token that was answered is not sent again: where it is good once, that would end all that came of it.

    Nor does a token that is at its end when it comes make a renewal, and an event, of every call.
    """
    async with liar() as upstream:
        gateway, token, user, idp = await logged_in(world, upstream)
        await at_its_end(world, user, idp)
        upstream.status, upstream.said = status, body
        answers = [await ask(gateway, token) for _ in range(CALLS)]
        assert [expected] * CALLS == [answer.status_code for answer in answers], answers[0].text
        assert [OLD] == [one["refresh_token"] for one in upstream.asked]
        assert kept == (await row_of(world, user, idp)).refresh_token
        assert len(await world.said(TokenStored, idp)) == (2 if expected == 200 or kept == NEW else 1)
        for answer in answers:
            assert answer.headers.get("x-scopefold-user", user) == user
            if expected == 200:
                assert answer.headers["authorization"] in ("Bearer at-2", "Bearer at-1")


async def test_F14_a_renewal_brings_no_more_scopes_than_were_granted(world: World) -> None:
    async with liar() as upstream:
        gateway, token, user, idp = await logged_in(world, upstream)
        await at_its_end(world, user, idp)
        upstream.said = said(scope=f"{GOOD['scope']} admin:all")
        assert "admin:all" not in (await gateway.exchange(token)).json()["scope"]
        assert "admin:all" not in ((await row_of(world, user, idp)).granted or ())


PERSONAL = "alice.arden@example.com"
SECRET = "1//0gMi9secret-Refresh_Token"
ERRORS: list[tuple[str, Any, str]] = [
    # case, what the IdP calls its error, what the log keeps of it
    ("H03-code", "invalid_client", "invalid_client"),
    ("H03-other-code", "OAUTH_APP_BLOCKED", "OAUTH_APP_BLOCKED"),
    ("H03-sentence", f"the token {SECRET} of {PERSONAL} is bad", "unreadable_error"),
    ("H03-address", PERSONAL, "unreadable_error"),
    ("H03-token", SECRET, "unreadable_error"),
    ("H03-hexadecimal", "a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5", "unreadable_error"),
    ("H03-object", {"message": PERSONAL, "token": SECRET}, "unreadable_error"),
    ("H03-list", [SECRET], "unreadable_error"),
    ("H03-number", 42, "unreadable_error"),
]


@pytest.mark.parametrize(("case", "error", "kept"), ERRORS, ids=[case for case, _, _ in ERRORS])
async def test_H03_of_an_error_the_log_keeps_a_code_and_nothing_that_may_be_a_secret_or_a_person(
    world: World, case: str, error: Any, kept: str
) -> None:
    async with liar() as upstream:
        idp, app = await idp_of(world, upstream), await world.register_client()
        upstream.status, upstream.said = 400, {"error": error, "error_description": f"{SECRET} {PERSONAL}"}
        assert "server_error" == told_by(await come_back(world, idp, app))["error"]
        (failed,) = await world.said(AuthorizationFailed, idp)
        assert kept == failed.error, case
        said_there = world.auth.said()
        assert (SECRET not in said_there) and (PERSONAL not in said_there)


async def test_F14_how_long_a_token_lives_is_a_number_or_was_not_said(world: World) -> None:
    """Also at a login: no answer of an IdP is a failure of ours."""
    several: list[Any] = ["nan", "inf", math.pi, "soon", {}, True]
    for lives in several:
        async with liar() as upstream:
            upstream.said = {**GOOD, "expires_in": lives}
            idp, app = await idp_of(world, upstream), await world.register_client()
            assert 303 == (await come_back(world, idp, app)).status_code, lives


async def test_F20_an_idp_of_which_more_is_needed_than_a_login_can_ask_for_still_serves_what_it_gives(
    world: World,
) -> None:
    """The provisioner refuses that; a log may hold it all the same."""
    async with liar() as upstream:
        gateway, token, _, idp = await logged_in(world, upstream)
        for part in "ab":
            scopes = tuple(f"{part}:{number}" for number in range(200))
            await world.publish(provisioned(f"many-{part}-{idp}", scopes, idp), by="provisioner")
        app = await world.register_client()
        assert 303 == (await come_back(world, idp, app)).status_code
        assert 200 == (await gateway.exchange(token)).status_code
        upstream.status, upstream.said = 400, {"error": "invalid_client"}
        assert "server_error" == told_by(await come_back(world, idp, app))["error"]
        (failed,) = await world.said(AuthorizationFailed, idp)
        assert 290 < len(failed.requested) <= 300
