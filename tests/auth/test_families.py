"""The decisions over a family of tokens, at every moment of its life."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import nats
import pytest
from msgspec.structs import replace

from scopefold.auth.core.families import (
    ABSOLUTE_SECONDS,
    IDLE_SECONDS,
    REMEMBER_SECONDS,
    Family,
    Presented,
    family_id,
    handle_of,
    is_over,
    judge,
    keep_seconds,
    read_refresh_token,
    rotated,
    with_lifetime,
    write_refresh_token,
)
from scopefold.auth.oauth.loaded import ACCESS_SECONDS, CODE_SECONDS
from scopefold.auth.store import buckets, declared
from scopefold.auth.store.grants import Grants
from scopefold.auth.store.records import Code
from scopefold.cli.nats_server import NatsServer
from tests.auth.world import until

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HANDLE, SECRET, NEXT = "h" * 43, "s" * 43, "t" * 43
HOUR, DAY = 3600, 86400


def family(scope: str = "openid offline_access", **changed: Any) -> Family:
    begun = Family(
        client_id="app",
        user="u_user0001",
        idp="atlassian",
        scope=scope,
        authenticated_at=NOW,
        issued_at=NOW,
        used_at=NOW,
        user_ends=0,
    )
    return replace(begun, **changed)


def living(scope: str = "openid offline_access", *, idle: int | None = None, absolute: int | None = None) -> Family:
    timed = with_lifetime(family(scope), idle_seconds=idle, absolute_seconds=absolute, session_seconds=12 * HOUR)
    return rotated(timed, SECRET, NOW)


def shown(secret: str) -> Presented:
    found = read_refresh_token(write_refresh_token(HANDLE, secret))
    assert found is not None
    return found


LIVES: list[tuple[str, Family, int, str]] = [
    # case, family, seconds later, verdict on its present token
    ("at once", living(), 0, "good"),
    ("just before it idles out", living(), IDLE_SECONDS - 1, "good"),
    ("idle", living(), IDLE_SECONDS, "refused"),
    ("the client's own idle time", living(idle=60), 60, "refused"),
    ("used, but too old", replace(living(), used_at=NOW + timedelta(days=80)), ABSOLUTE_SECONDS, "refused"),
    ("the client's own age", living(absolute=HOUR), HOUR, "refused"),
    ("without offline_access, in its session", living("openid"), 12 * HOUR - 1, "good"),
    ("without offline_access, after its session", living("openid"), 12 * HOUR, "refused"),
    ("ended", replace(living(), ended="client"), 0, "refused"),
    ("without a refresh token", family(), 0, "refused"),
]


@pytest.mark.parametrize(("case", "of", "later", "verdict"), LIVES)
def test_a_refresh_token_lives_as_long_as_it_may(case: str, of: Family, later: int, verdict: str) -> None:
    assert verdict == judge(of, shown(SECRET), "app", NOW + timedelta(seconds=later)), case


def test_B17_B20_every_secret_but_the_present_one_was_used_up() -> None:
    once = living()
    twice = rotated(once, NEXT, NOW)
    thrice = rotated(twice, "v" * 43, NOW)
    assert ("good", "reused") == (judge(once, shown(SECRET), "app", NOW), judge(twice, shown(SECRET), "app", NOW))
    assert ["reused", "reused"] == [judge(thrice, shown(secret), "app", NOW) for secret in (SECRET, NEXT)]
    assert "reused" == judge(replace(twice, ended="client"), shown(SECRET), "app", NOW)
    assert "refused" == judge(twice, shown(SECRET), "other", NOW), "another client ends nothing"
    assert "refused" == judge(None, shown(SECRET), "app", NOW)


def test_what_ends_a_family_from_outside() -> None:
    for scope, sid, over in (("openid", True, True), ("openid offline_access", True, False), ("openid", False, False)):
        assert over == is_over(family(scope), user_ends=0, session_ended=sid, idp_since=7)
    assert is_over(family(), user_ends=1, session_ended=False, idp_since=7)
    assert not is_over(family(user_ends=1), user_ends=1, session_ended=False, idp_since=7)


def test_a_family_is_over_with_its_idp_and_stays_so_where_that_is_registered_anew() -> None:
    for noted, since, over in ((7, 7, False), (7, None, True), (7, 9, True), (0, 9, False), (0, None, True)):
        begun = family(idp_since=noted)
        assert over == is_over(begun, user_ends=0, session_ended=False, idp_since=since), (noted, since)


def test_B01_C14_it_is_remembered_for_longer_than_anything_of_it_lives() -> None:
    assert REMEMBER_SECONDS >= max(600, CODE_SECONDS + ACCESS_SECONDS)
    assert REMEMBER_SECONDS == keep_seconds(family(), NOW) == keep_seconds(replace(living(), ended="client"), NOW)
    assert IDLE_SECONDS + REMEMBER_SECONDS == keep_seconds(living(), NOW)
    assert REMEMBER_SECONDS == keep_seconds(living(), NOW + timedelta(days=400))
    assert declared.GRANT_SECONDS > 365 * DAY + REMEMBER_SECONDS


def test_H11_names_lead_forward_and_never_back() -> None:
    """Code to handle to id: who knows one knows the next, and not the one before."""
    assert (43, 22) == (len(handle_of("code")), len(family_id(handle_of("code"))))
    assert handle_of("code") != handle_of("Code")
    assert SECRET not in str(living())
    for text in (
        "",
        "rt_",
        f"rt_{HANDLE}",
        f"rt_{HANDLE}.{SECRET}\n",
        f"rt_{HANDLE}.{SECRET}x",
        f"RT_{HANDLE}.{SECRET}",
    ):
        assert read_refresh_token(text) is None


def test_a_code_of_before_still_decodes() -> None:
    class OldCode(msgspec.Struct):
        client_id: str
        redirect_uri: str
        scope: str
        user: str
        idp: str
        nonce: str | None
        code_challenge: str | None
        authenticated_at: datetime
        issued_at: datetime

    old = OldCode("app", "https://app.example", "openid", "u_user0001", "atlassian", None, None, NOW, NOW)
    assert () == msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Code).resource


async def test_the_bus_forgets_a_family_by_itself_and_renews_what_is_used(own_nats: NatsServer) -> None:
    """Real time: an entry of one second is gone, one that was replaced meanwhile lives on."""
    nc = await nats.connect(own_nats.url)
    await declared.declare(nc.jetstream())
    bucket = (await buckets.connect(nc.jetstream())).grants
    grants = Grants(bucket)
    await bucket.create("family.short", living(), keep_seconds=1)
    revision = await bucket.create("family.renewed", living(), keep_seconds=1)
    await bucket.update("family.renewed", living(), revision=revision, keep_seconds=600)
    with pytest.raises(buckets.Taken):
        await bucket.update("family.renewed", living(), revision=revision, keep_seconds=600)

    async def gone() -> bool:
        return await grants.family("short") is None

    await until(gone)
    assert await grants.family("renewed") is not None
    assert [True, False] == [await grants.spend("ended.token.x", keep_seconds=60) for _ in range(2)]
    await grants.end_session("sid", NOW)
    await grants.end_session("sid", NOW)
    mark = await grants.session_end("sid")
    assert (2, None) == (mark.count if mark else 0, await grants.session_end("other"))
    await nc.close()
