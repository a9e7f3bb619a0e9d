"""What of a stored token a call may have, and when a token is dead: tables, the outcome last. Pure."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scopefold.auth.core.handout import (
    RENEW_AHEAD_SECONDS,
    BadWish,
    is_dead,
    missing_scopes,
    must_renew,
    needs_user,
    part_for,
    wanted_scopes,
    why_ended,
)
from scopefold.auth.core.stored_token import Piece, StoredToken
from scopefold.auth.oauth.access_claims import AccessClaims
from scopefold.auth.oauth.access_token import exchanged
from scopefold.auth.oauth.loaded import ACCESS_SECONDS, Exchange
from scopefold.auth.web.turns import MOST, RESTS, Renewals, Told
from scopefold.consent.idp_scopes import Connector, Idp
from scopefold.consent.reconsent import replay
from scopefold.scopes.shipped import profile_named, profiles
from tests.auth.test_stored_token import GRAPH, IMAP, OUTLOOK, row
from tests.support.logs import CONFLUENCE, JIRA, log_of, provisioned, registered

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KIND = "urn:connector:identos:jira-user"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# why a provider takes a refresh token no more

ENDED: list[tuple[str, dict[str, Any], int, bool, str]] = [
    # what the row says, the log's generation, a renewal was begun before: the reason
    ("nothing else is known", {}, 1, False, "revoked"),
    ("the log is behind", {}, 0, False, "revoked"),
    ("it lay unused", {"idle_expires_at": at(0)}, 1, False, "expired"),
    ("it grew too old", {"absolute_expires_at": at(-1)}, 1, False, "expired"),
    ("it is not yet too old", {"absolute_expires_at": at(1)}, 1, False, "revoked"),
    ("no clock is known", {"idle_expires_at": None, "absolute_expires_at": None}, 1, False, "revoked"),
    ("the log knows a later one", {}, 2, False, "raced"),
    ("an answer may have been lost", {}, 1, True, "lost"),
    ("too old before all", {"idle_expires_at": at(0)}, 2, True, "expired"),
    ("later before lost", {}, 2, True, "raced"),
]


@pytest.mark.parametrize(("case", "changed", "logged", "begun", "expected"), ENDED, ids=[case for case, *_ in ENDED])
def test_why_a_token_ended(case: str, changed: dict[str, Any], logged: int, begun: bool, expected: str) -> None:
    token: StoredToken = row("read:jira-work", **changed)
    assert expected == why_ended(token, logged_generation=logged, begun_before=begun, now=NOW)


# which refusals say that it is dead

LIVING = [
    ("invalid_client", ""),
    ("invalid_request", ""),
    ("unauthorized_client", ""),
    ("unsupported_grant_type", ""),
    ("invalid_scope", ""),
    ("temporarily_unavailable", ""),
    ("server_error", ""),
    ("slow_down", ""),
    ("ratelimited", ""),
    ("http_500", ""),
    ("http_503_not_json", "invalid_grant"),
    ("http_429", ""),
    ("ReadTimeout", ""),
    ("ConnectError", ""),
    ("malformed_token_answer", ""),
    ("no_client_secret", ""),
    ("INVALID_GRANT", ""),
    ("", "invalid_grant"),
]
DEAD: list[tuple[str, str, str]] = [
    ("atlassian", "unauthorized_client", "refresh_token is invalid"),
    ("atlassian", "unauthorized_client", "The Refresh_Token is invalid."),
    ("github", "bad_refresh_token", "The refresh token passed is incorrect or expired."),
    ("slack", "invalid_refresh_token", ""),
    ("slack", "token_revoked", ""),
    ("slack", "token_expired", ""),
    ("slack", "account_inactive", ""),
]
USER: list[tuple[str, str, str, bool, bool]] = [
    # the provider, what it says: is the token dead, does it want to see the user?
    ("microsoft", "interaction_required", "", False, True),
    ("microsoft", "consent_required", "", False, True),
    ("microsoft", "login_required", "", False, True),
    ("microsoft", "invalid_grant", "AADSTS50076: Due to a configuration change", False, True),
    ("microsoft", "invalid_grant", "AADSTS50078: Presented multi-factor authentication has expired", False, True),
    ("microsoft-gcc-high", "invalid_grant", "AADSTS50079: Due to a configuration change", False, True),
    ("microsoft", "invalid_grant", "AADSTS53003: Access has been blocked", False, True),
    ("microsoft", "invalid_grant", "AADSTS65001: The user has not consented", False, True),
    ("microsoft", "invalid_grant", "AADSTS70043: The refresh token has expired", True, False),
    ("microsoft", "invalid_grant", "AADSTS700082: The refresh token has expired", True, False),
    ("microsoft", "invalid_grant", "AADSTS50173: revoked", True, False),
    ("microsoft", "invalid_grant", "AADSTS500761: a number that begins alike", True, False),
    ("microsoft", "invalid_grant", "", True, False),
    ("microsoft", "invalid_client", "AADSTS50076: of another error", False, False),
    ("google", "invalid_grant", "AADSTS50076: of another provider", True, False),
    ("google", "interaction_required", "", False, False),
]
NAMES = sorted(profiles())


@pytest.mark.parametrize("name", NAMES)
def test_F16_at_every_provider_invalid_grant_alone_is_death_and_what_may_pass_is_not(name: str) -> None:
    profile = profile_named(name)
    for description in ("", "Unknown or invalid refresh token.", "Token has been expired or revoked."):
        assert is_dead(profile, "invalid_grant", description)
    assert [] == [one for one in LIVING if is_dead(profile, *one)]


@pytest.mark.parametrize(("name", "error", "words"), DEAD)
def test_F16_some_spell_it_otherwise_and_nobody_else_means_that_by_it(name: str, error: str, words: str) -> None:
    own = {one.partition(": ")[0] for one in profile_named(name).refresh.dead_errors}
    assert error in own
    for other in NAMES:
        spellings = {one.partition(": ")[0] for one in profile_named(other).refresh.dead_errors}
        assert is_dead(profile_named(other), error, words) is (other == name or error in spellings)


def test_F16_every_spelling_that_a_profile_names_is_in_the_table() -> None:
    names = [name for name in NAMES if not name.startswith("microsoft-")]  # its other clouds speak alike
    named = {(name, one.partition(": ")[0]) for name in names for one in profile_named(name).refresh.dead_errors}
    assert named == {(name, error) for name, error, _ in DEAD}


@pytest.mark.parametrize(("name", "error", "words", "dead", "user"), USER)
def test_F16_a_provider_that_wants_the_user_does_not_say_that_the_token_is_dead(
    name: str, error: str, words: str, dead: bool, user: bool
) -> None:
    profile = profile_named(name)
    assert (dead, user) == (is_dead(profile, error, words), needs_user(profile, error, words))


# when it is renewed before it is handed out

RENEWED: list[tuple[str, float | None, bool]] = [
    # the provider, in how many seconds the token ends: is it renewed?
    ("atlassian", None, False),
    ("atlassian", -1, True),
    ("atlassian", 0, True),
    ("atlassian", RENEW_AHEAD_SECONDS, True),
    ("atlassian", RENEW_AHEAD_SECONDS + 1, False),
    ("oidc", RENEW_AHEAD_SECONDS, True),
    ("notion", RENEW_AHEAD_SECONDS + 1, False),
]


@pytest.mark.parametrize(("name", "seconds", "expected"), RENEWED)
def test_a_token_is_renewed_a_minute_ahead(name: str, seconds: float | None, expected: bool) -> None:
    piece = Piece("", "at", "rt", None if seconds is None else at(seconds))
    assert expected is must_renew(profile_named(name), piece, NOW)


@given(st.floats(-1e6, 1e6), st.sampled_from(NAMES))
def test_what_is_not_renewed_lives(seconds: float, name: str) -> None:
    piece = Piece("", "at", "rt", at(seconds))
    assert must_renew(profile_named(name), piece, NOW) or piece.lives(NOW)


# which token, and what it lacks


def connector_of(profile: str, *scopes: str, alternatives: tuple[tuple[str, ...], ...] = ()) -> tuple[Idp, Connector]:
    event = provisioned("jira-user", scopes, "idp", alternatives=alternatives)
    idp = replay(log_of(registered("idp", profile), event)).scopes.idps["idp"]
    return idp, idp.connectors[KIND]


PARTS: list[tuple[str, str, tuple[str, ...], tuple[str, ...], str | None]] = [
    # the provider, what the connector needs, what the call names: the part, None for none
    ("one token", "atlassian", JIRA, (), ""),
    ("Graph by default", "microsoft", ("Mail.Read", "offline_access"), (), GRAPH),
    ("Outlook", "microsoft", (IMAP, "offline_access"), (), OUTLOOK),
    ("of two, the named one", "microsoft", (IMAP, "Mail.Read"), ("Mail.Read",), GRAPH),
    ("two at once", "microsoft", (IMAP, "Mail.Read"), (), None),
    ("two named", "microsoft", (IMAP, "Mail.Read"), (IMAP, "Mail.Read"), None),
    ("what any token carries", "microsoft", ("offline_access",), (), ""),
    ("the bot's", "slack", ("chat:write",), (), "bot"),
    ("the user's", "slack", ("user:search:read",), (), "user"),
    ("both", "slack", ("chat:write", "user:search:read"), (), None),
]


@pytest.mark.parametrize(("case", "profile", "needs", "named", "expected"), PARTS, ids=[case for case, *_ in PARTS])
def test_C04_one_token_or_none(
    case: str, profile: str, needs: tuple[str, ...], named: tuple[str, ...], expected: str | None
) -> None:
    idp, connector = connector_of(profile, *needs)
    if expected is None:
        with pytest.raises(BadWish):
            part_for(idp.profile, connector, named)
    else:
        assert expected == part_for(idp.profile, connector, named)


def test_C04_a_call_names_what_the_connector_declares_or_nothing() -> None:
    _, connector = connector_of("atlassian", *JIRA, alternatives=(CONFLUENCE[:1],))
    assert () == wanted_scopes(connector, ())
    assert (CONFLUENCE[0], JIRA[0]) == wanted_scopes(connector, (CONFLUENCE[0], JIRA[0], CONFLUENCE[0]))
    for wrong in (CONFLUENCE[1], JIRA[0].upper(), ""):
        with pytest.raises(BadWish):
            wanted_scopes(connector, (JIRA[0], wrong))


LACKS: list[tuple[str, dict[str, Any], tuple[str, ...], tuple[str, ...]]] = [
    ("everything is there", {"granted": JIRA}, (), ()),
    ("F14-fewer", {"granted": JIRA[:1]}, (), JIRA[1:]),
    ("F14-reordered", {"granted": JIRA[::-1]}, (), ()),
    ("F14-duplicates", {"granted": (*JIRA, *JIRA)}, (), ()),
    ("F14-more", {"granted": (*JIRA, *CONFLUENCE)}, (), ()),
    ("F14-none, and nobody knows", {"granted": None}, (), ()),
    ("what is named is there", {"granted": JIRA[:1]}, JIRA[:1], ()),
    ("what is named is not", {"granted": JIRA[:1]}, JIRA[1:2], JIRA[1:2]),
    ("asked is not granted", {"granted": JIRA[:1], "requested": JIRA}, JIRA[1:2], JIRA[1:2]),
]


@pytest.mark.parametrize(("case", "changed", "named", "expected"), LACKS, ids=[case for case, *_ in LACKS])
def test_F14_what_is_missing_is_judged_by_what_was_granted(
    case: str, changed: dict[str, Any], named: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    idp, _ = connector_of("atlassian", *JIRA)
    found = missing_scopes(idp, KIND, named, row(*JIRA, **changed), None)
    assert set(expected) - {"offline_access"} == set(found)


# one renewal for all, and rests


async def test_all_who_ask_meanwhile_get_what_one_renewal_brings() -> None:
    turns, gate, begun = Renewals(), asyncio.Event(), []

    async def renew() -> StoredToken:
        begun.append(1)
        await gate.wait()
        return row("x")

    waiting = [asyncio.create_task(turns.join(("u", "i", ""), renew)) for _ in range(5)]
    other = asyncio.create_task(turns.join(("u", "i", "part"), renew))
    await asyncio.sleep(0)
    waiting[0].cancel()  # who gives up takes nothing away from the others
    await asyncio.sleep(0)
    gate.set()
    found = await asyncio.gather(*waiting[1:], other)
    assert (2, [row("x")] * 5) == (len(begun), found)
    await turns.join(("u", "i", ""), renew)
    assert 3 == len(begun), "what is over is not told again"


async def test_a_renewal_that_fails_fails_for_all_and_the_next_begins_anew() -> None:
    turns = Renewals()

    async def fail() -> StoredToken:
        raise LookupError

    async def renew() -> StoredToken:
        return row("x")

    found = await asyncio.gather(*(turns.join(("u", "i", ""), fail) for _ in range(3)), return_exceptions=True)
    assert [LookupError] * 3 == [type(one) for one in found]
    assert row("x") == await turns.join(("u", "i", ""), renew)
    await turns.close()


async def test_rests_grow_with_each_failure_in_a_row_to_a_bound_and_end_with_a_success() -> None:
    turns = Renewals()
    assert 0 == turns.rest("u", "i")
    for usual in (*RESTS, RESTS[-1], RESTS[-1]):
        assert 0.75 * usual <= turns.failed("u", "i") <= 1.25 * usual
        assert 0 < turns.rest("u", "i") <= 1.25 * usual
    assert (0, 0) == (turns.rest("u", "other"), turns.rest("other", "i"))
    turns.succeeded("u", "i")
    assert 0 == turns.rest("u", "i")
    assert turns.failed("u", "i") <= 1.25 * RESTS[0]


async def test_what_a_process_remembers_is_bounded() -> None:
    turns, told = Renewals(), Told()
    for number in range(MOST + 5):
        turns.failed(str(number), "i")
        told.note(str(number))
    assert (0, True) == (turns.rest("0", "i"), turns.rest(str(MOST + 4), "i") > 0)
    assert (False, True) == (told.has("0"), told.has(str(MOST + 4)))


# our own token in exchange for another

SUBJECT = AccessClaims("https://us.example", "u_user0001", "https://us.example", "app", 1000, 500, "j", "profile")


@given(st.integers(0, 2000))
def test_C09_it_ends_with_the_one_before_it_at_the_latest(now: int) -> None:
    told = exchanged(Exchange(SUBJECT, "https://api.example", ()), "gateway", now)
    assert min(SUBJECT.exp, now + ACCESS_SECONDS) == told["exp"]
