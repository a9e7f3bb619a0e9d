"""A diagnosis is always found, can be shown as it is, and gives away nothing of what was seen."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scopefold.scopes.diagnosis import (
    MAX_SEEN_LENGTH,
    MOST_RECOGNISED,
    WHAT,
    Diagnosis,
    Facts,
    Failure,
    diagnose,
    named,
    recognise,
)
from scopefold.scopes.errors import KnownError, Where, blanks
from scopefold.scopes.profile import PLAIN, Profile
from scopefold.scopes.shipped import general_errors, profile_named, profiles, read_errors, read_profiles

IDS = Path(__file__).parent / "diagnosis_ids.txt"
ID = re.compile(r"[a-z0-9.-]{1,80}")
CALLBACK = "https://a.example/oauth2/callback/acme"
FACTS = Facts(
    "acme",
    callback=CALLBACK,
    client_id="the-client",
    requested=("read:me", "offline_access"),
    missing=("write:jira-work",),
    resource_type="urn:connector:jira",
    connector="jira",
)
ATLASSIAN = profile_named("atlassian")
EVERY_PROFILE = [PLAIN, *profiles().values()]
KNOWN = [error for errors in (general_errors(), *(one.errors for one in EVERY_PROFILE)) for error in errors]
SIGNS = [sign for error in KNOWN for sign in error.met]
SECRET = "s3cr3t-of-somebody"

CODES = st.sampled_from(sorted({sign.error for sign in SIGNS})) | st.from_regex(r"http_\d{3}(_\w{1,8})?") | st.text()
TEXTS = st.sampled_from(sorted({sign.text for sign in SIGNS})) | st.text()
WHERES = st.sampled_from(get_args(Where))
STATUSES = st.none() | st.integers(-1, 1000)
FAILURES = st.builds(Failure, WHERES, CODES, st.builds(" ".join, st.lists(TEXTS, max_size=3)), STATUSES)
WORDS = st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=20)
SOME_FACTS = st.just(FACTS) | st.builds(
    Facts,
    WORDS,
    callback=WORDS,
    requested=st.lists(WORDS).map(tuple),
    authorize_params=st.dictionaries(WORDS, WORDS) | st.just({"audience": "api.atlassian.com"}),
)
MISSING_AUDIENCE = "There seems to be an issue with your identity provider"
INCOMPLETE = """
[[errors]]
id = "x.y"
met = [{ where = "page" }]
cause = "It rained."
who = "nobody"
how = "Wait."
basis = "memory"
"""


def shown(found: Diagnosis) -> None:
    """It fits the log, and a person can read it."""
    assert ID.fullmatch(found.id)
    for text in (found.what, found.cause, found.how, *found.also):
        assert text.strip(), found.id
        assert "\n" not in text, found.id
    assert all(paste.label and paste.value for paste in found.paste)


@given(st.sampled_from(EVERY_PROFILE), FAILURES, SOME_FACTS)
def test_there_is_always_a_diagnosis(profile: Profile, failure: Failure, facts: Facts) -> None:
    found = diagnose(profile, failure, facts)
    shown(found)
    assert found.id in {error.id for error in (*profile.errors, *general_errors())}


@given(
    st.sampled_from(EVERY_PROFILE), st.lists(CODES | TEXTS | st.just("https://[::1/?error="), max_size=5), SOME_FACTS
)
@example(PLAIN, ["https://x.example/?" + "a&" * MAX_SEEN_LENGTH], FACTS)
def test_anything_may_be_pasted(profile: Profile, seen: list[str], facts: Facts) -> None:
    found = recognise(profile, " ".join(seen), facts)
    assert len({one.id for one in found}) == len(found) <= MOST_RECOGNISED
    for one in found:
        shown(one)


@pytest.mark.parametrize("profile", EVERY_PROFILE, ids=lambda profile: profile.name)
def test_with_every_fact_known_no_blank_is_left(profile: Profile) -> None:
    for error in (*profile.errors, *general_errors()):
        found = named(profile, error.id, FACTS)
        assert found is not None
        shown(found)
        told = [found.what, found.cause, found.how, *found.also]
        told += [text for paste in found.paste for text in (paste.label, paste.value)]
        assert [text for text in told if list(blanks(text))] == []
        assert len(found.paste) == len(error.paste)


def test_a_value_that_is_not_known_is_not_offered_for_pasting() -> None:
    mismatch = Failure("page", "unauthorized_client")
    assert [paste.value for paste in diagnose(ATLASSIAN, mismatch, FACTS).paste] == [CALLBACK]
    assert diagnose(ATLASSIAN, mismatch, Facts("acme")).paste == ()


def test_an_id_is_for_ever() -> None:
    """The log keeps it. An id that goes, or that changes what it stands for, makes old events unreadable."""
    kept = IDS.read_text(encoding="utf-8").split()
    assert kept == sorted({error.id for error in KNOWN}), "add the new ids; never take one out"


def test_an_id_stands_for_one_error() -> None:
    by_id: dict[str, KnownError] = {}
    for profile in EVERY_PROFILE:
        for error in profile.errors:
            assert error.id.startswith(f"{profile.name.partition('-')[0]}.")
            assert by_id.setdefault(error.id, error) == error
    general = [error.id for error in general_errors()]
    assert len(set(general)) == len(general)
    assert set(general).isdisjoint(by_id)


def test_nothing_of_what_was_seen_gets_into_a_diagnosis() -> None:
    for sign in SIGNS:
        for profile in (PLAIN, ATLASSIAN, profile_named("microsoft")):
            failure = Failure(sign.where or "page", sign.error, f"{SECRET} {sign.text} {SECRET}", sign.status)
            assert SECRET not in msgspec.json.encode(diagnose(profile, failure, FACTS)).decode()
            assert SECRET not in msgspec.json.encode(recognise(profile, failure.text, FACTS)).decode()


def test_every_place_has_words_for_what_happened() -> None:
    assert set(WHAT) == set(get_args(Where))
    assert (
        diagnose(ATLASSIAN, Failure("refresh", "invalid_grant"), FACTS).what
        == "Atlassian did not renew the user's token."
    )


def test_of_causes_that_share_a_wording_the_likeliest_comes_first_and_the_others_are_told() -> None:
    seen = Failure("page", "server_error", MISSING_AUDIENCE)
    found = diagnose(ATLASSIAN, seen, FACTS)
    assert found.id == "atlassian.audience-missing"
    assert [paste.value for paste in found.paste] == ["audience=api.atlassian.com"]
    assert any("Permissions tab" in cause for cause in found.also)


def test_what_the_request_had_cannot_have_been_missing() -> None:
    seen = Failure("page", "server_error", MISSING_AUDIENCE)
    sent = msgspec.structs.replace(FACTS, authorize_params={"audience": "api.atlassian.com", "prompt": "consent"})
    wrong = msgspec.structs.replace(FACTS, authorize_params={"audience": "another"})
    assert diagnose(ATLASSIAN, seen, sent).id == "atlassian.scope-not-on-app"
    assert diagnose(ATLASSIAN, seen, wrong).id == "atlassian.audience-missing"
    assert [one.id for one in recognise(ATLASSIAN, MISSING_AUDIENCE, sent)] == [
        "atlassian.scope-not-on-app",
        "atlassian.audience-missing",
    ]


PASTED: list[tuple[str, str, list[str]]] = [
    ("atlassian", "https://id.atlassian.com/error?error=server_error",
     ["atlassian.audience-missing", "atlassian.scope-not-on-app"]),
    ("atlassian", "There  seems to be an issue with\nyour identity provider!",
     ["atlassian.audience-missing", "atlassian.scope-not-on-app"]),
    ("atlassian", "https://id.atlassian.com/error?error=unauthorized_client&error_description="
     "redirect_uri%20is%20not%20registered%20for%20client%3A+https://a.example/cb", ["atlassian.callback-mismatch"]),
    ("atlassian", "https://id.atlassian.com/error?error=invalid_request&error_description=Incorrect+request+parameters",
     ["atlassian.request-expired", "atlassian.mcp-client", "atlassian.audience-missing"]),
    ("atlassian", "Something went wrong\nThere\u2019s nothing here", ["atlassian.openid-scope"]),
    ("atlassian", "invalid_scope", ["atlassian.scope-not-on-app", "atlassian.mixed-families"]),
    ("atlassian", f"{CALLBACK}?error=access_denied&state=1", ["atlassian.declined"]),
    ("microsoft", "AADSTS50011: The redirect URI in the request does not match", ["microsoft.callback-mismatch"]),
    ("microsoft-china", "AADSTS700082", ["microsoft.refresh-token-idle"]),
    ("google", "Error 400: redirect_uri_mismatch", ["google.callback-mismatch"]),
    ("google", "Access blocked. Error 403: org_internal", ["google.org-internal"]),
    ("okta", "https://x.example/cb#error=access_denied&error_description=User+is+not+assigned+to+the+client+application.",
     ["okta.not-assigned", "okta.declined"]),
    ("github", "Please say yes", []),
    ("github", "https://github.com/login/oauth/authorize?redirect_uri=x&scope=invalid_scope", []),
    ("github", "", []),
    ("plain", "Groups not syncing", ["app.groups-not-synced"]),
    ("atlassian", "The app that sent you here asked in a way that cannot be answered. The body is no form. Reason: "
     "invalid_request", ["app.bad-request"]),
    ("atlassian", "The app that sent you here asked in a way that cannot be answered. The Redirect URI is none that "
     "this client registered. Reason: invalid_request", ["app.redirect-unregistered", "app.bad-request"]),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "seen", "diagnoses"), PASTED)
def test_what_an_operator_pastes_is_recognised(profile: str, seen: str, diagnoses: list[str]) -> None:
    found = recognise(PLAIN if profile == "plain" else profile_named(profile), seen, FACTS)
    assert [one.id for one in found] == diagnoses


def test_of_a_long_text_the_beginning_is_read() -> None:
    code = "AADSTS50011"
    for length, found in ((MAX_SEEN_LENGTH - len(code) - 1, True), (MAX_SEEN_LENGTH, False)):
        assert bool(recognise(profile_named("microsoft"), f"{'x' * length} {code}", FACTS)) is found


def test_where_an_address_leads_tells_a_users_no_from_a_wrong_secret() -> None:
    (first, *_) = recognise(ATLASSIAN, f"{CALLBACK}?error=access_denied", FACTS)
    assert (first.id, first.who) == ("atlassian.declined", "user")


def test_a_diagnosis_is_found_again_by_the_id_in_the_log() -> None:
    found = diagnose(ATLASSIAN, Failure("token", "access_denied", status=401), FACTS)
    assert named(ATLASSIAN, found.id, FACTS) == found
    assert named(profile_named("google"), found.id, FACTS) is None


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ('id = "x.y"', 'id = "X y"'),
        ('id = "x.y"', 'id = "x.y\\n"'),
        ('id = "x.y"', f'id = "{"x" * 81}"'),
        ('{ where = "page" }', ""),
        ('{ where = "page" }', '{ where = "moon" }'),
        ('who = "nobody"', 'who = "somebody"'),
        ("Wait.", "Wait for {client_secret}."),
        ("It rained.", "It rained on {user}."),
        ('basis = "memory"', 'basis = "memory"\npaste = [{ label = "x", value = "{secret}" }]'),
        ('basis = "memory"', 'basis = "memory"\nalso = ["{callback}"]'),
        ('basis = "memory"', 'basis = "memory"\ncolour = "red"'),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused(change: str, to: str) -> None:
    assert len(read_errors(INCOMPLETE.encode())) == 1
    wrong = INCOMPLETE.replace(change, to)
    assert wrong != INCOMPLETE
    profile = 'name = "x"\ntitle = "X"\nendpoints = {}\nidentity = { subject = "a", email = "b", name = "c" }\n'
    for read in (lambda: read_errors(wrong.encode()), lambda: list(read_profiles((profile + wrong).encode()))):
        with pytest.raises(msgspec.ValidationError):
            read()
