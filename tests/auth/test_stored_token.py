"""What a renewal makes of a user's row in the vault: given a row, when an answer comes, then the next row. Pure."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.auth.core.leases import SKEW
from scopefold.auth.core.login import clocks, read_grant
from scopefold.auth.core.stored_token import (
    LEASE,
    MOST_RENEWAL_SECONDS,
    STALLED_SECONDS,
    Identity,
    Renewal,
    Renewing,
    StoredToken,
    TokenPart,
    begun,
    given_back,
    renewed,
    stalled,
)
from scopefold.auth.core.tokens import token_of, tokens_in
from scopefold.scopes.canonical import closure
from scopefold.scopes.profile import Profile
from scopefold.scopes.shipped import profile_named

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECONDS = 20
ATLASSIAN, GOOGLE, SLACK = profile_named("atlassian"), profile_named("google"), profile_named("slack")
MICROSOFT = profile_named("microsoft")
GRAPH, OUTLOOK = "https://graph.microsoft.com/", "https://outlook.office.com/"
IMAP = f"{OUTLOOK}IMAP.AccessAsUser.All"


def row(*granted: str, parts: tuple[TokenPart, ...] = (), **changed: Any) -> StoredToken:
    """A row that is at its end."""
    right: dict[str, Any] = {
        "identity": Identity("someone"),
        "access_token": "at-1",
        "refresh_token": "rt-1",
        "requested": granted,
        "granted": granted,
        "evidence": ("identity", "refresh_token"),
        "known_by": "echoed",
        "cause": "login",
        "generation": 1,
        "fingerprint": "of-rt-1",
        "predecessor": None,
        "access_expires_at": NOW,
        "idle_expires_at": NOW + timedelta(days=90),
        "absolute_expires_at": NOW + timedelta(days=365),
        "parts": parts,
        "renewing": Renewing("me", NOW, seconds=0),
    }
    return StoredToken(**{**right, **changed})


def came(profile: Profile, before: StoredToken, answer: dict[str, Any], part: str = "") -> Renewal:
    """What an IdP's answer to a renewal is taken for."""
    tokens = tokens_in(profile, before.requested, answer)
    token = token_of(profile, part, tokens)
    old = before.piece(part)
    assert old is not None
    return Renewal(
        part=part,
        token=token,
        refresh_token=token.refresh_token or old.refresh_token or "",
        granted=read_grant(profile, answer),
        clocks=clocks(profile, now=NOW, expires_in_seconds=token.expires_in, has_refresh_token=True),
        fingerprint=f"of-{token.refresh_token or old.refresh_token}",
    )


READ, WRITE, ME = "read:jira-work", "write:jira-work", "read:me"
SCOPES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("F14-same", {"scope": f"{READ} {WRITE} {ME}"}, (READ, WRITE, ME)),
    ("F14-fewer", {"scope": READ}, (READ,)),
    ("F14-none-named", {}, (READ, WRITE, ME)),
    ("F14-more", {"scope": f"{READ} {WRITE} {ME} manage:jira-project"}, (READ, WRITE, ME)),
    ("F14-others", {"scope": "manage:jira-project"}, ()),
    ("F14-reordered", {"scope": f"{ME} {WRITE} {READ}"}, (READ, WRITE, ME)),
    ("F14-duplicates", {"scope": f"{READ} {READ} {WRITE} {WRITE}"}, (READ, WRITE)),
]


@pytest.mark.parametrize(("case", "told", "expected"), SCOPES, ids=[case for case, *_ in SCOPES])
def test_F14_a_renewal_carries_what_it_says_and_no_more_than_before(
    case: str, told: dict[str, Any], expected: tuple[str, ...]
) -> None:
    before = row(READ, WRITE, ME)
    after = renewed(ATLASSIAN, before, came(ATLASSIAN, before, {"access_token": "at-2", "expires_in": 3600, **told}))
    assert sorted(expected) == sorted(after.granted or ())


def test_F14_scopes_that_no_answer_ever_named_stay_unknown_until_one_does() -> None:
    before = row(granted=None, known_by="assumed")
    silent = renewed(GOOGLE, before, came(GOOGLE, before, {"access_token": "at-2"}))
    assert (None, "assumed") == (silent.granted, silent.known_by)
    told = renewed(GOOGLE, before, came(GOOGLE, before, {"access_token": "at-2", "scope": "openid"}))
    assert (("openid",), "echoed") == (told.granted, told.known_by)


TOKENS: list[tuple[str, dict[str, Any], tuple[str, str]]] = [
    ("F15-omitted", {}, ("rt-1", "of-rt-1")),
    ("F15-empty", {"refresh_token": ""}, ("rt-1", "of-rt-1")),
    ("F15-null", {"refresh_token": None}, ("rt-1", "of-rt-1")),
    ("F15-the-same", {"refresh_token": "rt-1"}, ("rt-1", "of-rt-1")),
    ("F15-rotated", {"refresh_token": "rt-2"}, ("rt-2", "of-rt-2")),
]


@pytest.mark.parametrize(("case", "told", "expected"), TOKENS, ids=[case for case, *_ in TOKENS])
def test_F15_the_right_refresh_token_is_kept(case: str, told: dict[str, Any], expected: tuple[str, str]) -> None:
    before = row(READ)
    after = renewed(ATLASSIAN, before, came(ATLASSIAN, before, {"access_token": "at-2", "expires_in": 3600, **told}))
    assert (*expected, "of-rt-1", 2) == (after.refresh_token, after.fingerprint, after.predecessor, after.generation)
    assert ("at-2", "refresh", None) == (after.access_token, after.cause, after.renewing)
    assert (NOW + timedelta(hours=1), NOW + timedelta(days=90)) == (after.access_expires_at, after.idle_expires_at)
    assert before.absolute_expires_at == after.absolute_expires_at, "a renewal does not move the last end"


PARTS = (
    TokenPart(OUTLOOK, "imap-1", None, (IMAP,), NOW),
    TokenPart(GRAPH, "graph-1", None, ("Mail.Read", "User.Read"), NOW + timedelta(minutes=9)),
)
TWO = row(IMAP, "Mail.Read", "User.Read", parts=PARTS, access_token="imap-1")


def test_one_of_microsofts_tokens_is_renewed_and_the_other_stays() -> None:
    before = replace(TWO, requested=("Mail.Read",))
    answer = {"access_token": "graph-2", "refresh_token": "rt-2", "expires_in": 3599, "scope": "Mail.Read User.Read"}
    after = renewed(MICROSOFT, before, came(MICROSOFT, before, answer, GRAPH))
    assert ["imap-1", "graph-2"] == [one.access_token for one in after.parts]
    assert ("imap-1", "rt-2", NOW) == (after.access_token, after.refresh_token, after.access_expires_at)
    assert [None, None] == [one.refresh_token for one in after.parts]
    assert before.granted == after.granted


MORE: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = [
    ("F14-fewer", "User.Read", ("User.Read",), (IMAP, "User.Read")),
    ("F14-more", "Mail.Read User.Read Mail.Send", ("Mail.Read", "User.Read"), (IMAP, "Mail.Read", "User.Read")),
    ("F14-qualified", f"{GRAPH}mail.read {GRAPH}user.read", (), (IMAP, "Mail.Read", "User.Read")),
]


@pytest.mark.parametrize(("case", "told", "carried", "granted"), MORE, ids=[case for case, *_ in MORE])
def test_F14_what_one_of_several_tokens_lost_is_lost_for_the_whole_and_what_it_won_is_not_taken(
    case: str, told: str, carried: tuple[str, ...], granted: tuple[str, ...]
) -> None:
    before = replace(TWO, requested=("Mail.Read",))
    after = renewed(MICROSOFT, before, came(MICROSOFT, before, {"access_token": "x", "scope": told}, GRAPH))
    assert granted == after.granted
    if carried:
        assert carried == after.parts[1].scopes


def test_slack_answers_a_users_renewal_as_the_bots() -> None:
    bot = TokenPart("bot", "xoxb-1", "rt-bot", ("chat:write",), NOW)
    own = TokenPart("user", "xoxp-1", "rt-user", ("user:search:read",), NOW)
    before = row("chat:write", "user:search:read", parts=(bot, own), access_token="xoxb-1", refresh_token="rt-bot")
    answer = {"access_token": "xoxp-2", "refresh_token": "rt-user-2", "scope": "search:read", "token_type": "user"}
    after = renewed(SLACK, before, came(SLACK, before, answer, "user"))
    assert (bot, "xoxb-1", "rt-bot") == (after.parts[0], after.access_token, after.refresh_token)
    second = after.parts[1]
    assert ("xoxp-2", "rt-user-2", ("user:search:read",)) == (second.access_token, second.refresh_token, second.scopes)
    assert before.granted == after.granted
    first = renewed(SLACK, before, came(SLACK, before, {**answer, "scope": "chat:write"}, "bot"))
    assert ("xoxp-2", "rt-user-2", own) == (first.access_token, first.refresh_token, first.parts[1])


KNOWN = st.sampled_from([READ, WRITE, ME, "manage:jira-project", "offline_access", "read:jira-user", "x"])
SETS = st.none() | st.lists(KNOWN, max_size=8).map(tuple)


@given(SETS, st.lists(SETS, min_size=1, max_size=5), st.sampled_from(["atlassian", "google", "github", "gitlab"]))
def test_renewals_never_widen_and_count_one_by_one(
    granted: tuple[str, ...] | None, told: list[tuple[str, ...] | None], name: str
) -> None:
    profile = profile_named(name)
    chain = [row(*(granted or ()), granted=granted)]
    for turn, scopes in enumerate(told, 2):
        scope = {} if scopes is None else {"scope": profile.response_separators[0].join(scopes)}
        answer = {"access_token": f"at-{turn}", "refresh_token": f"rt-{turn}", **scope}
        chain.append(renewed(profile, chain[-1], came(profile, chain[-1], answer)))
    for before, after in pairwise(chain):
        assert (before.generation + 1, before.fingerprint) == (after.generation, after.predecessor)
        assert set(before.evidence) <= set(after.evidence)
        assert before.identity == after.identity
        if before.granted is not None:
            assert after.granted is not None
            assert closure(profile, after.granted) <= closure(profile, before.granted)
    assert len(chain) == len({one.fingerprint for one in chain})


@given(
    st.lists(st.sampled_from(["Mail.Read", "User.Read", "Mail.Send", "Mail.ReadWrite"]), max_size=4),
    st.sampled_from([GRAPH, OUTLOOK]),
)
def test_renewals_of_one_of_several_tokens_never_widen_and_leave_the_others(told: list[str], part: str) -> None:
    before = replace(TWO, requested=(IMAP,) if part == OUTLOOK else ("Mail.Read",))
    scope = " ".join(told) if part == GRAPH else IMAP
    after = renewed(MICROSOFT, before, came(MICROSOFT, before, {"access_token": "x", "scope": scope}, part))
    assert closure(MICROSOFT, after.granted or ()) <= closure(MICROSOFT, before.granted or ())
    for old, new in zip(before.parts, after.parts, strict=True):
        assert closure(MICROSOFT, new.scopes or ()) <= closure(MICROSOFT, old.scopes or ())
        assert (new == old) is (old.part != part)
        assert old.part == new.part


@given(
    held_seconds=st.sampled_from([4.0, SECONDS, 60.0]),
    taken_seconds=st.sampled_from([4.0, SECONDS, 60.0]),
    passed=st.floats(0, 200),
    ahead=st.floats(-60, 60),
)
def test_F16_who_has_begun_keeps_all_others_away_for_the_lease_and_not_for_long_after(
    held_seconds: float, taken_seconds: float, passed: float, ahead: float
) -> None:
    """However long the others may take, and though their clock is a minute ahead or behind."""
    mine = begun(row(READ, renewing=None), "me", NOW, held_seconds)
    assert mine is not None
    others_now = NOW + timedelta(seconds=passed + ahead)
    theirs = begun(mine, "them", others_now, taken_seconds)
    if passed < held_seconds * LEASE - 1e-3:
        assert theirs is None
    if passed > held_seconds * LEASE + 2 * SKEW.total_seconds():
        assert theirs is not None
    if theirs is not None:
        assert theirs.renewing is not None
        assert "them" == theirs.renewing.by
        assert replace(mine, renewing=None) == replace(theirs, renewing=None)


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=10), timedelta(days=400)])
def test_F16_a_lease_of_a_wrong_clock_is_not_taken_from_who_is_at_it_nor_does_it_outlive_who_died(
    ahead: timedelta,
) -> None:
    lease = SECONDS * LEASE
    theirs = begun(row(READ, renewing=None), "them", NOW + ahead, SECONDS)
    assert theirs is not None
    for watched, is_free in ((0.0, False), (lease - 1, False), (lease, True)):
        mine = begun(theirs, "me", NOW + timedelta(seconds=watched), 4.0, watched_seconds=watched)
        assert is_free is (mine is not None), watched


def test_a_lease_that_does_not_say_how_long_it_is_stands_for_the_longest() -> None:
    before = msgspec.msgpack.decode(msgspec.msgpack.encode({"by": "them", "until": NOW}), type=Renewing)
    assert MOST_RENEWAL_SECONDS * LEASE == before.seconds


@pytest.mark.parametrize(("answered", "remembered"), [(True, False), (False, True)])
def test_a_renewal_that_failed_lets_anybody_begin_and_is_remembered_where_it_may_have_come_through(
    answered: bool, remembered: bool
) -> None:
    mine = begun(row(READ, renewing=None), "me", NOW, SECONDS)
    assert mine is not None
    after = given_back(mine, answered=answered, now=NOW)
    assert remembered is (after.renewing is not None)
    assert begun(after, "them", NOW, SECONDS) is not None


def test_what_is_left_of_a_token_that_is_gone_is_no_secret() -> None:
    left = replace(TWO, refresh_token="rt-1").without_secrets("revoked", logged_generation=0)
    assert ("", None, (), None, "revoked") == (
        left.access_token,
        left.refresh_token,
        left.parts,
        left.renewing,
        left.cleared,
    )
    assert (TWO.identity, TWO.generation, TWO.fingerprint) == (left.identity, left.generation, left.fingerprint)
    text = repr(left)
    assert not [secret for secret in ("at-1", "rt-1", "imap-1", "graph-1") if f"'{secret}'" in text]


PIECES: list[tuple[str, StoredToken, str, tuple[str, str | None] | None]] = [
    ("one token", row(READ), "", ("at-1", "rt-1")),
    ("one token has no parts", row(READ), "bot", None),
    ("the first of several", TWO, "", ("imap-1", "rt-1")),
    ("another of several, renewed by the one refresh token", TWO, GRAPH, ("graph-1", "rt-1")),
    ("a part that the user has not", TWO, "https://vault.azure.net/", None),
    ("a part with a refresh token of its own", row(parts=(TokenPart("user", "x", "own"),)), "user", ("x", "own")),
]


@pytest.mark.parametrize(("case", "token", "part", "expected"), PIECES, ids=[case for case, *_ in PIECES])
def test_the_piece_of_a_part(case: str, token: StoredToken, part: str, expected: tuple[str, str | None] | None) -> None:
    found = token.piece(part)
    assert expected == (found and (found.access_token, found.refresh_token))


@pytest.mark.parametrize(("after_seconds", "waits"), [(0, True), (STALLED_SECONDS - 1, True), (STALLED_SECONDS, False)])
def test_a_part_whose_idp_wants_the_user_waits_for_a_while_and_keeps_its_secrets(
    after_seconds: float, waits: bool
) -> None:
    mine = begun(TWO, "me", NOW, SECONDS)
    assert mine is not None
    after, later = stalled(mine, GRAPH, NOW), NOW + timedelta(seconds=after_seconds)
    assert (waits, False) == (after.wants_user(later, GRAPH) > 0, after.wants_user(later, OUTLOOK) > 0)
    assert waits is (after.wants_user(later) > 0)
    assert replace(TWO, renewing=None) == replace(after, stalled=())
    assert after.stalled == stalled(stalled(after, OUTLOOK, NOW), OUTLOOK, NOW).stalled[:1]
    brought = renewed(MICROSOFT, after, came(MICROSOFT, after, {"access_token": "x", "scope": "Mail.Read"}, GRAPH))
    assert () == brought.stalled
