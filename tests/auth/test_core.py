"""Auth's decisions, each as a table: one row a rule, the outcome last."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.auth.core.login import (
    MAX_LIFETIME_SECONDS,
    Clocks,
    GoTo,
    Granted,
    LetChoose,
    NoIdp,
    choose_idp,
    clocks,
    lacking,
    present_grant,
    read_grant,
    requested_scopes,
)
from scopefold.auth.core.seal import BadKey, CannotOpen, Place, Sealed, derive, keyed_hash, read_key, seal, unseal
from scopefold.auth.core.worklist import BadCursor, read_cursor, write_cursor
from scopefold.consent.chosen import Filters, Order
from scopefold.consent.reconsent import replay
from scopefold.contracts.events import Event
from scopefold.contracts.words import MAX_SCOPES
from scopefold.scopes.coverage import Grant
from scopefold.scopes.grammar import MAX_TEXT_LENGTH, BadScope
from scopefold.scopes.profile import RefreshClock
from scopefold.scopes.shipped import profile_named
from tests.support.logs import JIRA, insufficient, log_of, provisioned, registered, stored, withheld

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ATLASSIAN = profile_named("atlassian")
TWO = (registered("a"), registered("b"), provisioned("jira-user", JIRA, "b"), provisioned("wiki", JIRA, "unregistered"))
JIRA_KIND, WIKI_KIND = "urn:connector:identos:jira-user", "urn:connector:identos:wiki"

CHOICES: list[tuple[str, tuple[Event, ...], dict[str, Any], GoTo | LetChoose | type[NoIdp]]] = [
    (
        "the resource before all",
        TWO,
        {"resources": [JIRA_KIND], "hint": "a", "session_idp": "a", "default": "a"},
        GoTo("b"),
    ),
    ("an app's own resource", TWO, {"resources": ["https://api.example"], "hint": "a"}, GoTo("a")),
    ("an app's own beside a connector's", TWO, {"resources": ["https://api.example", JIRA_KIND]}, GoTo("b")),
    ("a resource at an IdP that is not registered", TWO, {"resources": [WIKI_KIND], "hint": "a"}, NoIdp),
    ("resources of two IdPs", TWO, {"resources": [WIKI_KIND, JIRA_KIND], "hint": "a"}, NoIdp),
    ("the hint before the session", TWO, {"hint": "a", "session_idp": "b", "default": "b"}, GoTo("a")),
    ("a hint at nothing", TWO, {"hint": "c", "session_idp": "b", "default": "b"}, NoIdp),
    ("a hint at what is not registered", TWO, {"hint": "unregistered"}, NoIdp),
    ("the session before the default", TWO, {"session_idp": "b", "default": "a"}, GoTo("b")),
    ("a session at an IdP that has gone", TWO, {"session_idp": "c", "default": "a"}, GoTo("a")),
    ("the default", TWO, {"default": "b"}, GoTo("b")),
    ("a default that is not registered", TWO, {"default": "c"}, LetChoose(("a", "b"))),
    ("nothing said", TWO, {}, LetChoose(("a", "b"))),
    ("only one", (registered("b"), TWO[3]), {}, GoTo("b")),
    ("only one, and another default", (registered("b"),), {"default": "c"}, GoTo("b")),
    ("none at all", (), {}, NoIdp),
    ("none that is registered", (TWO[3],), {}, NoIdp),
]


@pytest.mark.parametrize(("case", "events", "asked", "expected"), CHOICES)
def test_which_idp(case: str, events: tuple[Event, ...], asked: dict[str, Any], expected: Any) -> None:
    every: dict[str, Any] = {"resources": (), "hint": None, "session_idp": None, "default": None}
    choice = choose_idp(replay(log_of(*events)).scopes, **{**every, **asked})
    assert expected == (type(choice) if isinstance(choice, NoIdp) else choice), case


LACKS: list[tuple[tuple[str, ...] | None, tuple[str, ...], str | None, tuple[str, ...]]] = [
    # granted, evidence, for which resource, what it lacks
    (("read:jira-work", "write:x"), ("identity", "refresh_token"), None, ()),
    (("read:jira-work",), ("identity", "refresh_token"), None, ("write:x",)),
    (("read:jira-work",), ("identity", "refresh_token"), JIRA_KIND, ()),
    (("read:jira-work",), ("identity",), JIRA_KIND, ("offline_access",)),
    (("read:jira-work",), ("identity", "refresh_token"), WIKI_KIND, ("write:x",)),
    (("read:jira-work",), ("identity", "refresh_token"), "urn:connector:not:here", ("write:x",)),
    ((), ("identity", "refresh_token"), JIRA_KIND, ("read:jira-work",)),
    (None, ("identity", "refresh_token"), WIKI_KIND, ()),
    (None, ("identity",), JIRA_KIND, ("offline_access",)),
]


@pytest.mark.parametrize(("granted", "evidence", "resource", "expected"), LACKS)
def test_what_a_grant_lacks(
    granted: tuple[str, ...] | None, evidence: tuple[str, ...], resource: str | None, expected: tuple[str, ...]
) -> None:
    """Base scopes that Atlassian refuses are never lacking; offline_access is proved by a refresh token.

    What an IdP did not say lacks nothing: consenting again would not make it say more.
    """
    connectors = (provisioned("jira-user", ["read:jira-work", "offline_access"]), provisioned("wiki", ["write:x"]))
    idp = replay(log_of(registered(), *connectors)).scopes.idps["atlassian"]
    found = lacking(idp, Grant(granted, evidence), [resource] if resource else [])
    assert expected == tuple(lack.scope for lack in found)
    assert all(lack.because for lack in found)


@pytest.mark.parametrize(("generation", "disproved"), [(1, ("a",)), (2, ())])
def test_a_report_counts_against_the_token_that_it_is_about(generation: int, disproved: tuple[str, ...]) -> None:
    log = log_of(registered(), stored("u_user0001", ["a", "b"]), insufficient("u_user0001", "a"))
    held = replay(log).grants["atlassian", "u_user0001"]
    assert disproved == present_grant(("a", "b"), ("identity",), generation, held).disproved


MOST = tuple(f"s{n}" for n in range(MAX_SCOPES))
GRANTS: list[tuple[str | None, bool, Granted | type[BadScope]]] = [
    ("a b", True, Granted(("a", "b"), ("identity", "refresh_token"), "echoed")),
    ("b  a b ", False, Granted(("b", "a"), ("identity",), "echoed")),
    ("", False, Granted((), ("identity",), "echoed")),
    (None, True, Granted(None, ("identity", "refresh_token"), "assumed")),
    ('a "b"', True, BadScope),
    ("a\x00", True, BadScope),
    (" ".join(MOST), False, Granted(MOST, ("identity",), "echoed")),
    (" ".join((*MOST, "one-more")), True, BadScope),
    (" " * (MAX_TEXT_LENGTH + 1), True, BadScope),
]


@pytest.mark.parametrize(("scope", "refreshable", "expected"), GRANTS)
def test_what_a_token_answer_grants(scope: str | None, refreshable: bool, expected: Granted | type[BadScope]) -> None:
    answer = {name: told for name, told in (("scope", scope), ("refresh_token", "r" * refreshable)) if told is not None}
    if isinstance(expected, Granted):
        assert expected == read_grant(ATLASSIAN, answer)
    else:
        with pytest.raises(expected):
            read_grant(ATLASSIAN, answer)


LIFETIMES: list[tuple[float | None, float | None]] = [
    (None, None),
    (3600, 3600),
    (0, 0),
    (-5, 0),
    (1e300, MAX_LIFETIME_SECONDS),
]


@pytest.mark.parametrize(("said", "expected"), LIFETIMES)
def test_an_access_token_lives_as_long_as_it_is_said_within_bounds(said: float | None, expected: float | None) -> None:
    found = clocks(ATLASSIAN, now=NOW, expires_in_seconds=said, has_refresh_token=False)
    assert Clocks(None if expected is None else NOW + timedelta(seconds=expected), None, None) == found


def test_the_refresh_clocks_run_only_with_a_refresh_token() -> None:
    profile = replace(ATLASSIAN, refresh=RefreshClock(idle_seconds=60, absolute_seconds=600))
    found = clocks(profile, now=NOW, expires_in_seconds=None, has_refresh_token=True)
    assert Clocks(None, NOW + timedelta(seconds=60), NOW + timedelta(seconds=600)) == found
    assert Clocks(None, None, None) == clocks(profile, now=NOW, expires_in_seconds=None, has_refresh_token=False)


KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NONCE = b"n" * 12
PLACE = Place("default", "vault", "u_user0001", "atlassian", 1)


@given(st.binary(max_size=300), st.binary(min_size=12, max_size=12))
def test_what_was_sealed_opens_in_its_place(text: bytes, nonce: bytes) -> None:
    sealed = seal(KEY, PLACE, text, nonce)
    assert text == unseal(KEY, PLACE, sealed)
    assert not (len(text) > 3 and text in sealed.text)


ELSEWHERE: list[tuple[str, dict[str, Any], dict[str, Any], bytes]] = [
    ("tenant", {"tenant": "other"}, {}, KEY),
    ("bucket", {"bucket": "clients"}, {}, KEY),
    ("owner", {"owner": "u_user0002"}, {}, KEY),
    ("idp", {"idp": "bitbucket"}, {}, KEY),
    ("version of the place", {"version": 2}, {}, KEY),
    ("version of both", {"version": 2}, {"version": 2}, KEY),
    ("where one part ends", {"owner": "u_user0001atlas", "idp": "sian"}, {}, KEY),
    ("key", {}, {}, OTHER_KEY),
    ("key id", {}, {"key_id": "0" * 16}, KEY),
    ("nonce", {}, {"nonce": b"m" * 12}, KEY),
    ("nothing left", {}, {"text": b""}, KEY),
    ("a short nonce", {}, {"nonce": b"n"}, KEY),
]


@pytest.mark.parametrize(("case", "place", "row", "key"), ELSEWHERE)
def test_H04_a_row_opens_nowhere_else(case: str, place: dict[str, Any], row: dict[str, Any], key: bytes) -> None:
    sealed = seal(KEY, PLACE, b"the token", NONCE)
    with pytest.raises(CannotOpen):
        unseal(key, replace(PLACE, **place), replace(sealed, **row))


def test_H04_no_bit_of_a_row_may_change() -> None:
    sealed = seal(KEY, PLACE, b"the token", NONCE)
    for bit in range(len(sealed.text) * 8):
        changed = bytearray(sealed.text)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CannotOpen):
            unseal(KEY, PLACE, Sealed(sealed.key_id, sealed.nonce, bytes(changed), sealed.version))


RANDOM_KEY = hashlib.sha256(b"a key of the tests").digest()
KEYS: list[tuple[str, str, bytes | None]] = [
    ("base64url", base64.urlsafe_b64encode(RANDOM_KEY).decode(), RANDOM_KEY),
    ("base64", base64.b64encode(b"\xfb\xff" + RANDOM_KEY[2:]).decode(), b"\xfb\xff" + RANDOM_KEY[2:]),
    ("without padding", base64.urlsafe_b64encode(RANDOM_KEY).decode().rstrip("="), RANDOM_KEY),
    ("with a line feed", base64.urlsafe_b64encode(RANDOM_KEY).decode() + "\n", RANDOM_KEY),
    ("missing", "", None),
    ("short", base64.urlsafe_b64encode(RANDOM_KEY[:31]).decode(), None),
    ("long", base64.urlsafe_b64encode(RANDOM_KEY + b"x").decode(), None),
    ("zeros", base64.urlsafe_b64encode(bytes(32)).decode(), None),
    ("repeated", base64.urlsafe_b64encode(b"changeme" * 4).decode(), None),
    ("no base64", "?" * 43, None),
    ("not ascii", "é" * 43, None),
    ("hexadecimal", "0123456789abcdef" * 4, None),
    ("a series", base64.urlsafe_b64encode(bytes(range(64, 32, -1))).decode(), None),
    ("a text", base64.urlsafe_b64encode(b"Zq4!vX9@kL2#mB7$wR5%tY8^uP1&cD6*").decode(), None),
    ("half of it twice", base64.urlsafe_b64encode(RANDOM_KEY[:16] * 2).decode(), None),
    ("an example of NIST", "YD3rEBXKcb4rc67whX13gR81LAc7YQjXLZgQowkU3_Q", None),
    ("what tests used once", "BwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSY", None),
    ("two keys", base64.b64encode(RANDOM_KEY).decode() + "\n" + base64.b64encode(RANDOM_KEY).decode(), None),
]


@pytest.mark.parametrize(("case", "text", "expected"), KEYS)
def test_H07_only_a_good_key_is_taken(case: str, text: str, expected: bytes | None) -> None:
    if expected is not None:
        assert expected == read_key(text)
        return
    with pytest.raises(BadKey) as refused:
        read_key(text)
    assert not text or text.strip() not in str(refused.value)


def test_keys_for_different_purposes_differ() -> None:
    first, second = derive(KEY, "fingerprint"), derive(KEY, "client secret")
    assert 2 == len({first, second})
    assert keyed_hash(first, "token") != keyed_hash(second, "token") != keyed_hash(second, "token2")
    assert 22 == len(keyed_hash(first, "token"))


PRINTABLE = st.text(max_size=70).filter(lambda text: text.isprintable())


@given(st.tuples(st.integers(0, 2**40), st.floats(0, 1e18), PRINTABLE, PRINTABLE, PRINTABLE))
def test_a_cursor_names_its_place(place: tuple[float, float, str, str, str]) -> None:
    assert place == read_cursor(write_cursor(place, "since", Filters(scope="x")), "since", Filters(scope="x"))


@pytest.mark.parametrize(
    ("order", "filters"), [("user", Filters(idp="x")), ("idp", Filters()), ("idp", Filters(idp="x", since_after="1"))]
)
def test_a_cursor_of_another_order_or_of_other_filters_is_refused(order: Order, filters: Filters) -> None:
    cursor = write_cursor((0, 0, "x", "y", "z"), "idp", Filters(idp="x"))
    with pytest.raises(BadCursor, match="another order or other filters"):
        read_cursor(cursor, order, filters)


BAD_TEXTS = [b"nothing", b"[" * 300, b'["a","b"]', b'["a","b",1]', b"{}", b"null"]
BAD_CURSORS = ["x", "é", *(base64.urlsafe_b64encode(text).decode() for text in BAD_TEXTS)]


@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(cursor, "idp", Filters())


@pytest.mark.parametrize("profile", ["google", "atlassian", "slack"])
def test_F20_a_login_asks_for_all_that_was_let_in_and_where_more_was_for_the_first_and_what_identity_needs(
    profile: str,
) -> None:
    """What the provider refuses, and what identity needs and the union has already, take no other scope's place."""
    needed, refused = profile_named(profile).identity_scopes, min(profile_named(profile).unsupported)
    fitting = tuple(f"s{n}" for n in range(MAX_SCOPES - len(needed)))
    events = (registered("a", profile, (*needed, refused)), provisioned("wiki", fitting, "a"))
    asked = requested_scopes(replay(log_of(*events)).scopes.idps["a"])
    assert {*needed, *fitting} <= {*asked}
    crowded = replay(log_of(registered("a", profile, ()), *events[1:], provisioned("more", ("t", "u"), "a")))
    asked = requested_scopes(crowded.scopes.idps["a"])
    assert (MAX_SCOPES, {*needed, *fitting}) == (len(asked), {*asked})


def test_what_is_withheld_is_asked_for_under_no_spelling() -> None:
    scopes = ("Mail.Read", "https://graph.microsoft.com/mail.read", "Files.Read")
    events = (registered("graph", "microsoft", ()), provisioned("mail", scopes, "graph"))
    idp = replay(log_of(*events, withheld("Mail.Read", idp="graph"))).scopes.idps["graph"]
    assert ("Files.Read", "openid") == requested_scopes(idp)
