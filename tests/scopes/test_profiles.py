"""Profiles are checked when they are read, and say what a request and an address need."""

from pathlib import Path

import msgspec
import pytest

from scopefold.scopes.addresses import BadDiscovery, BadParameter, addresses, discovered, is_issuer
from scopefold.scopes.canonical import canonical, closure
from scopefold.scopes.classify import kind_of
from scopefold.scopes.coverage import AnyOf, Grant
from scopefold.scopes.diagnoses_page import diagnoses_page
from scopefold.scopes.documents import provider_page, seconds_in_words
from scopefold.scopes.grammar import MAX_TEXT_LENGTH, BadScope, parse, told_scopes
from scopefold.scopes.partition import at_site, partition, token_requests
from scopefold.scopes.profile import PLAIN, Endpoints, Profile
from scopefold.scopes.shipped import general_errors, profile_named, profiles, read_profiles
from scopefold.scopes.union import request_parameters, to_request
from scopefold.scopes.update import consented_after, step_up

ROOT = Path(__file__).parents[2]
SHIPPED = {
    "asana", "atlassian", "auth0", "bitbucket", "box", "dropbox", "github", "gitlab", "google", "hubspot", "linear",
    "microsoft", "microsoft-china", "microsoft-dod", "microsoft-gcc", "microsoft-gcc-high", "notion", "oidc", "okta",
    "okta-custom", "salesforce", "slack", "zoom",
}  # fmt: skip
SMALL = """
name = "small"
title = "Small"
hosts = { login = "login.example" }
[endpoints]
authorize = "https://{login}/{tenant}"
[identity]
subject = "sub"
email = "email"
name = "name"
"""
GRAPH, OUTLOOK = "https://graph.microsoft.com", "https://outlook.office.com"


def test_these_providers_have_a_profile() -> None:
    assert SHIPPED == set(profiles())


@pytest.mark.parametrize("told", profiles().values(), ids=lambda profile: profile.name)
def test_a_profile_says_what_an_operator_needs(told: Profile) -> None:
    assert told.about
    assert told.documents
    assert told.errors or told.same_scopes_as
    assert {family for one in told.exclusions for family in one.families} <= told.families.keys()
    assert all(parameter.default is None or parameter.title for parameter in told.parameters.values())
    assert set(told.virtual.values()) <= {"identity", "refresh_token"}
    assert not told.offline_scope or kind_of(told, told.offline_scope) == "virtual"
    examples = {name: one.default or one.examples[0] for name, one in told.parameters.items()}
    found = addresses(told, examples)
    for address in (found.authorize, found.token, found.identity or found.discovery):
        assert address.startswith("https://") or told.name in {"oidc", "notion"}, address
    assert "{" not in found.authorize + found.token


@pytest.mark.parametrize(
    "wrong",
    [
        "colour = 'red'",
        "grant_update = 'sometimes'",
        "name = 7",
        "[refresh]\nidle_days = 90",
        "[families.x]\npattern = '('",
    ],
)
def test_a_profile_that_is_not_as_it_must_be_is_refused(wrong: str) -> None:
    text = wrong + SMALL.replace('name = "small"\n', "" if wrong.startswith("name") else 'name = "small"\n')
    text = SMALL + wrong if wrong.startswith("[") else text
    with pytest.raises((msgspec.MsgspecError, ValueError)):
        list(read_profiles(text.encode()))


def test_a_variant_is_the_file_with_its_table_laid_over_it() -> None:
    variant = '[variants.there]\ntitle = "There"\n[variants.there.hosts]\nlogin = "login.there"\n'
    here, there = read_profiles((SMALL + variant).encode())
    assert ("small", "https://login.example/{tenant}") == (here.name, here.endpoints.authorize)
    assert ("small-there", "There", "https://login.there/{tenant}") == (
        there.name, there.title, there.endpoints.authorize,
    )  # fmt: skip
    assert here.identity == there.identity


ADDRESSES: list[tuple[str, dict[str, str], str | None]] = [
    ("microsoft", {}, "https://login.microsoftonline.com/common/oauth2/v2.0/token"),
    ("microsoft", {"tenant": "organizations"}, "https://login.microsoftonline.com/organizations/oauth2/v2.0/token"),
    ("microsoft", {"tenant": "acme.example"}, "https://login.microsoftonline.com/acme.example/oauth2/v2.0/token"),
    ("microsoft-gcc-high", {"tenant": "9188040d-6c67-4c5b-b112-36a304b66dad"},
     "https://login.microsoftonline.us/9188040d-6c67-4c5b-b112-36a304b66dad/oauth2/v2.0/token"),
    ("microsoft", {"tenant": "../evil"}, None),
    ("microsoft", {"tenant": "a@b.example/x"}, None),
    ("microsoft", {"domain": "x"}, None),
    ("gitlab", {}, "https://gitlab.com/oauth/token"),
    ("gitlab", {"host": "git.acme.example:8443"}, "https://git.acme.example:8443/oauth/token"),
    ("gitlab", {"host": "evil.example/?x="}, None),
    ("okta", {}, None),
    ("okta", {"domain": "acme.okta.com"}, "https://acme.okta.com/oauth2/v1/token"),
    ("okta-custom", {"domain": "acme.okta.com"}, "https://acme.okta.com/oauth2/default/v1/token"),
    ("okta-custom", {"domain": "acme.okta.com", "server": "aus1"}, "https://acme.okta.com/oauth2/aus1/v1/token"),
    ("atlassian", {"tenant": "x"}, None),
    ("hubspot", {}, "https://api.hubapi.com/oauth/v1/token"),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "given", "token"), ADDRESSES)
def test_addresses_are_made_of_a_profile_and_its_parameters(
    profile: str, given: dict[str, str], token: str | None
) -> None:
    if token is not None:
        assert token == addresses(profile_named(profile), given).token
        return
    with pytest.raises(BadParameter):
        addresses(profile_named(profile), given)


DOCUMENT: dict[str, object] = {
    "issuer": "https://id.example",
    "authorization_endpoint": "https://id.example/auth",
    "token_endpoint": "https://id.example/token",
    "userinfo_endpoint": "https://id.example/me",
}
ANY_TENANT = "https://login.microsoftonline.com/{tenantid}/v2.0"
ONE_TENANT = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
DOCUMENTS: list[tuple[str, dict[str, object], bool]] = [
    ("https://id.example", DOCUMENT, True),
    ("https://id.example", {**DOCUMENT, "userinfo_endpoint": None}, True),
    (ONE_TENANT, {**DOCUMENT, "issuer": ANY_TENANT}, True),
    ("https://login.microsoftonline.com/a/b/v2.0", {**DOCUMENT, "issuer": ANY_TENANT}, False),
    ("https://id.example/", DOCUMENT, False),
    ("https://evil.example", DOCUMENT, False),
    ("https://id.example", {**DOCUMENT, "issuer": None}, False),
    ("https://id.example", {**DOCUMENT, "issuer": "https://id.example.evil.example"}, False),
    ("https://id.example", {**DOCUMENT, "token_endpoint": "http://id.example/token"}, False),
    ("https://id.example", {**DOCUMENT, "token_endpoint": 7}, False),
    ("https://id.example", {"issuer": "https://id.example"}, False),
    ("https://id.example", {**DOCUMENT, "jwks_uri": "http://127.0.0.1/jwks"}, False),
    ("https://id.example", {**DOCUMENT, "token_endpoint": "https://user@id.example/token"}, False),
    ("https://id.example", {**DOCUMENT, "token_endpoint": "https:///token"}, False),
    ("https://id.example", {**DOCUMENT, "token_endpoint": "https://[/token"}, False),
]


@pytest.mark.parametrize(("issuer", "document", "taken"), DOCUMENTS)
def test_a_discovery_document_is_taken_from_its_issuer_only(
    issuer: str, document: dict[str, object], taken: bool
) -> None:
    if taken:
        found = discovered(Endpoints(), issuer, document).endpoints
        assert ("https://id.example/auth", "https://id.example/token") == (found.authorize, found.token)
        return
    with pytest.raises(BadDiscovery):
        discovered(Endpoints(), issuer, document)


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        ("http://127.0.0.1:90/jwks", True),
        ("http://localhost/jwks", True),
        ("http://[::1]/jwks", True),
        ("http://127.0.0.1.evil.example/jwks", False),
        ("http://id.example/jwks", False),
    ],
)
def test_only_an_issuer_at_http_on_this_machine_may_name_such_addresses(keys: str, taken: bool) -> None:
    issuer = "http://127.0.0.1:90/oidc"
    document = {**DOCUMENT, "issuer": issuer, "jwks_uri": keys}
    if taken:
        assert keys == discovered(Endpoints(), issuer, document).jwks
        return
    with pytest.raises(BadDiscovery):
        discovered(Endpoints(), issuer, document)


COMMON = "https://login.microsoftonline.com/common/v2.0"
ISSUERS: list[tuple[str, str, bool, bool]] = [
    # told, asked, whether every tenant is an issuer, whether they are one
    (ONE_TENANT, ONE_TENANT, False, True),
    (ANY_TENANT, COMMON, True, True),
    (ONE_TENANT, COMMON, True, True),
    (ONE_TENANT, COMMON, False, False),
    ("https://login.microsoftonline.com/contoso.example/v2.0", COMMON, True, False),
    (ONE_TENANT.replace("login", "evil"), COMMON, True, False),
    (ONE_TENANT.replace("v2.0", "v1.0"), COMMON, True, False),
    (f"{ONE_TENANT}/x", COMMON, True, False),
]


@pytest.mark.parametrize(("told", "asked", "tenants", "same"), ISSUERS)
def test_an_issuer_is_who_was_asked(told: str, asked: str, tenants: bool, same: bool) -> None:
    assert same == is_issuer(told, asked, tenant_issuers=tenants)


def test_the_discovery_document_of_an_issuer_is_at_one_slash() -> None:
    for issuer in ("https://id.example", "https://id.example/"):
        found = addresses(profile_named("oidc"), {"issuer": issuer})
        assert found.discovery == "https://id.example/.well-known/openid-configuration"


REQUESTS: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
    ("atlassian", ("openid", "read:jira-work"), {"scope": "read:jira-work read:me"}),
    ("github", ("repo", "gist", "repo:status", "user"), {"scope": "repo gist user"}),
    ("github", (), {"scope": "read:user"}),
    ("slack", ("chat:write", "user:search:read", "channels:read"),
     {"scope": "chat:write,channels:read", "user_scope": "search:read"}),
    ("slack", ("user:search:read",), {"user_scope": "search:read"}),
    ("linear", ("write",), {"scope": "write,read"}),
    ("notion", ("read_content",), {}),
    ("zoom", ("user:read",), {}),
    ("google", ("email", "https://www.googleapis.com/auth/userinfo.email"), {"scope": "email openid"}),
    ("microsoft", ("Mail.Read", f"{GRAPH}/mail.read", "User.Read"), {"scope": "Mail.Read User.Read openid"}),
    ("microsoft", (f"{GRAPH}/offline_access", "offline_access"), {"scope": f"{GRAPH}/offline_access openid"}),
    ("salesforce", ("offline_access", "refresh_token", "api"), {"scope": "offline_access api openid"}),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "wanted", "parameters"), REQUESTS)
def test_what_a_request_says(profile: str, wanted: tuple[str, ...], parameters: dict[str, str]) -> None:
    told = profile_named(profile)
    assert parameters == request_parameters(told, to_request(told, wanted))


def test_a_token_request_at_microsoft_names_one_resource() -> None:
    """AADSTS28000. What belongs to no resource goes with the first."""
    wanted = ("openid", "Mail.Read", f"{OUTLOOK}/IMAP.AccessAsUser.All", "offline_access", "User.Read")
    microsoft = profile_named("microsoft")
    assert token_requests(microsoft, wanted) == (
        ("Mail.Read", "User.Read", "openid", "offline_access"),
        (f"{OUTLOOK}/IMAP.AccessAsUser.All",),
    )
    assert set(partition(microsoft, wanted)) == {"", f"{GRAPH}/".lower(), f"{OUTLOOK}/".lower()}
    assert token_requests(microsoft, ()) == ((),)
    assert set(partition(profile_named("slack"), ("chat:write", "user:chat:write"))) == {"bot", "user"}


def test_a_grant_at_atlassian_holds_site_by_site() -> None:
    atlassian = profile_named("atlassian")
    grant = Grant(("read:me", "read:jira-work", "read:confluence-user"), ("refresh_token",))
    site = at_site(atlassian, grant, ["read:jira-work", "write:jira-work"])
    assert site == Grant(("read:jira-work", "read:me"), ("refresh_token",))
    assert at_site(atlassian, Grant(None), ["read:jira-work"]).scopes == ("read:jira-work",)
    assert at_site(profile_named("github"), grant, []) is grant


def test_what_a_new_grant_does_to_the_one_before() -> None:
    needed, missing = ("read:me", "read:jira-work", "write:jira-work"), ("write:jira-work",)
    atlassian, box = profile_named("atlassian"), profile_named("box")
    assert step_up(atlassian, needed, missing) == needed
    assert consented_after(atlassian, needed[:2], missing) == {"write:jira-work"}
    microsoft = profile_named("microsoft")
    wanted = ("Mail.Read", "User.Read", "offline_access")
    assert step_up(microsoft, wanted, ("User.Read",)) == ("User.Read", "offline_access", "openid")
    assert consented_after(box, ("root_readonly",), ("root_readwrite",)) == {"root_readonly"}


@pytest.mark.parametrize(
    "answer",
    [
        {"scope": 7},
        {"scope": {"a": 1}},
        {"scope": ["a", 7]},
        {"scope": ["a b"]},
        {"scope": 'say "hi"'},
        {"scope": ["\x00"]},
        {"scope": "s" * (64 * 1024)},
        {"scope": ["s" * 255] * 100},
        {"scope": "a " * (32 * 1024)},
        {"scope": True},
    ],
)
def test_an_answer_that_tells_no_list_of_scopes_is_refused_in_few_words(answer: dict[str, object]) -> None:
    with pytest.raises(BadScope) as refused:
        told_scopes(profile_named("atlassian"), answer)
    assert len(str(refused.value)) < 200
    assert str(refused.value).isprintable()


def test_a_list_of_64_kib_is_refused() -> None:
    with pytest.raises(BadScope, match=str(MAX_TEXT_LENGTH)):
        parse(profile_named("atlassian"), "a " * (32 * 1024))


def test_a_requirement_that_nothing_could_meet_is_refused() -> None:
    with pytest.raises(ValueError, match="clause"):
        AnyOf(())


def test_the_page_on_providers_is_what_the_profiles_give() -> None:
    page = ROOT / "docs" / "providers.md"
    assert page.read_text(encoding="utf-8") == provider_page(profiles()), "run: python -m scopefold.scopes"


def test_the_page_on_diagnoses_is_what_the_known_errors_give() -> None:
    page = ROOT / "docs" / "diagnoses.md"
    made = diagnoses_page(profiles(), general_errors())
    assert page.read_text(encoding="utf-8") == made, "run: python -m scopefold.scopes"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "no limit is known"),
        (1, "1 second"),
        (600, "10 minutes"),
        (3600, "1 hour"),
        (3599, "3599 seconds"),
        (7776000, "90 days"),
    ],
)
def test_clocks_are_told_in_words(seconds: int | None, words: str) -> None:
    assert words == seconds_in_words(seconds)


def test_an_alias_is_found_in_any_case_and_its_name_gets_the_default_resource() -> None:
    profile = msgspec.structs.replace(profile_named("microsoft"), aliases={"Post": "Mail.Read"})
    assert canonical(profile, ["POST", "mail.read"]) == (f"{GRAPH}/mail.read",)
    plain = msgspec.structs.replace(PLAIN, ignores_case=True, aliases={"Post": "Mail"}, implies={"Post": ("Read",)})
    assert closure(plain, ["MAIL"]) == {"mail", "read"}


def test_of_scopes_that_imply_each_other_the_first_is_asked_for() -> None:
    profile = msgspec.structs.replace(PLAIN, drops_implied=True, implies={"a": ("b", "c"), "b": ("a",)})
    assert to_request(profile, ("c", "b", "a")) == ("b",)
    assert to_request(profile, ("a", "b", "c", "d")) == ("a", "d")
