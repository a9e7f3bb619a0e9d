"""How an IdP is registered, what is discovered of it, and whose answers it then believes: tables, the outcome last."""

import pytest
from msgspec.structs import replace

from scopefold.auth.core.idps import (
    Refused,
    RegisterIdp,
    ToDiscover,
    decide,
    discovery_address,
    from_another_issuer,
    known_issuer,
    read_discovery,
    to_discover,
)
from scopefold.consent.idp_scopes import State
from scopefold.consent.reconsent import replay
from scopefold.contracts.events import EndpointOverrides, Event, IdpRegistered
from scopefold.contracts.words import MAX_SCOPES
from scopefold.scopes.shipped import profile_named
from tests.support.logs import JIRA, log_of, provisioned

COMMAND = RegisterIdp(idp="atlassian", profile="atlassian", client_id="acme", client_secret="secret")
EVENT = IdpRegistered(
    idp="atlassian", profile="atlassian", client_id="acme", base_scopes=("openid", "email", "profile")
)
BY_HAND = EndpointOverrides(authorize="https://a.example", token="https://t.example", identity="https://i.example")
MANY = tuple("s" * 250 + str(n) for n in range(300))
AT_ASANA = replace(COMMAND, idp="asana", profile="asana", base_scopes=("openid",))
ASANA = replace(EVENT, idp="asana", profile="asana", base_scopes=("openid",))
FULL, TASKS = provisioned("full", ("default",), "asana"), provisioned("tasks", ("tasks:read",), "asana")
FULL_OF_THEM = provisioned("many", tuple(f"s{n}" for n in range(MAX_SCOPES - 1)), "asana")
REGISTRATIONS: list[tuple[tuple[Event, ...], RegisterIdp, IdpRegistered | str | None]] = [
    ((), COMMAND, EVENT),
    ((EVENT,), COMMAND, None),
    ((EVENT,), replace(COMMAND, client_secret="another"), None),
    ((EVENT,), replace(COMMAND, client_id="other"), replace(EVENT, client_id="other")),
    ((provisioned("jira-user", JIRA),), COMMAND, EVENT),
    ((), replace(COMMAND, profile="no-such"), "unknown-profile"),
    ((), replace(COMMAND, authorize_params={"prompt": "login"}), replace(EVENT, authorize_params={"prompt": "login"})),
    *(
        ((), replace(COMMAND, authorize_params={name: "x"}), "reserved-parameter")
        for name in ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge")
    ),
    ((), replace(COMMAND, base_scopes=MANY), "too-large"),
    ((), replace(COMMAND, parameters={"tenant": "acme"}), "bad-parameter"),
    ((), replace(COMMAND, profile="microsoft"), replace(EVENT, profile="microsoft")),
    ((), replace(COMMAND, profile="microsoft", parameters={"tenant": "common"}), replace(EVENT, profile="microsoft")),
    (
        (),
        replace(COMMAND, profile="microsoft", parameters={"tenant": "acme.example"}),
        replace(
            EVENT,
            profile="microsoft",
            endpoints=EndpointOverrides(
                authorize="https://login.microsoftonline.com/acme.example/oauth2/v2.0/authorize",
                token="https://login.microsoftonline.com/acme.example/oauth2/v2.0/token",
                discovery="https://login.microsoftonline.com/acme.example/v2.0/.well-known/openid-configuration",
            ),
        ),
    ),
    ((), replace(COMMAND, profile="microsoft", parameters={"tenant": "a/../b"}), "bad-parameter"),
    ((), replace(COMMAND, profile="okta"), "bad-parameter"),
    (
        (),
        replace(COMMAND, profile="okta", parameters={"domain": "acme.okta.com"}),
        replace(
            EVENT,
            profile="okta",
            endpoints=EndpointOverrides(
                authorize="https://acme.okta.com/oauth2/v1/authorize",
                token="https://acme.okta.com/oauth2/v1/token",
                identity="https://acme.okta.com/oauth2/v1/userinfo",
                discovery="https://acme.okta.com/.well-known/openid-configuration",
            ),
        ),
    ),
    ((), replace(COMMAND, profile="okta", endpoints=BY_HAND), replace(EVENT, profile="okta", endpoints=BY_HAND)),
    ((), replace(COMMAND, profile="oidc", parameters={"issuer": "https://id.example"}), "no-endpoints"),
    ((), replace(COMMAND, profile="oidc", endpoints=BY_HAND), replace(EVENT, profile="oidc", endpoints=BY_HAND)),
    ((), replace(COMMAND, authorize_params={"nonce": "x"}), "reserved-parameter"),
    ((), replace(COMMAND, profile="microsoft", endpoints=BY_HAND), "no-discovery"),
    ((ASANA, FULL), replace(AT_ASANA, base_scopes=("openid", "tasks:read")), "scopes-clash"),
    ((), replace(AT_ASANA, base_scopes=("default", "tasks:read")), "scopes-clash"),
    ((ASANA, FULL, TASKS), replace(AT_ASANA, client_id="other"), replace(ASANA, client_id="other")),
    ((EVENT, provisioned("jira-user", JIRA)), replace(COMMAND, profile="bitbucket"), "scopes-clash"),
    ((EVENT,), replace(COMMAND, profile="bitbucket"), replace(EVENT, profile="bitbucket")),
    ((EVENT,), replace(COMMAND, base_scopes=("repository",)), "scopes-clash"),
    ((ASANA, FULL_OF_THEM), replace(AT_ASANA, base_scopes=("openid", "more")), "too-many-scopes"),
    (
        (ASANA, FULL_OF_THEM, provisioned("wiki", ("more",), "asana")),
        replace(AT_ASANA, base_scopes=("openid", "more")),
        replace(ASANA, base_scopes=("openid", "more")),
    ),
]


@pytest.mark.parametrize(("events", "command", "expected"), REGISTRATIONS)
def test_registering_an_idp(
    events: tuple[Event, ...], command: RegisterIdp, expected: IdpRegistered | str | None
) -> None:
    decision = decide(replay(log_of(*events)).scopes, command)
    assert expected == (decision.kind if isinstance(decision, Refused) else decision)


ISSUER = "https://id.example"
WELL_KNOWN = f"{ISSUER}/.well-known/openid-configuration"
BY_DOCUMENT = replace(COMMAND, profile="oidc", endpoints=EndpointOverrides(discovery=WELL_KNOWN))
DOCUMENT: dict[str, object] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://a.example",
    "token_endpoint": "https://t.example",
    "userinfo_endpoint": "https://i.example",
}
FOUND = EndpointOverrides(
    authorize="https://a.example",
    token="https://t.example",
    identity="https://i.example",
    discovery=WELL_KNOWN,
    issuer=ISSUER,
)
DISCOVERIES: list[tuple[RegisterIdp, dict[str, object], EndpointOverrides | str | None]] = [
    # the command, the document, and what the log then says; None: nothing is to be discovered
    (BY_DOCUMENT, DOCUMENT, FOUND),
    (replace(COMMAND, profile="oidc", parameters={"issuer": ISSUER}), DOCUMENT, FOUND),
    (
        replace(COMMAND, profile="oidc", parameters={"issuer": f"{ISSUER}/"}),
        {**DOCUMENT, "issuer": f"{ISSUER}/"},
        replace(FOUND, issuer=f"{ISSUER}/"),
    ),
    (
        replace(BY_DOCUMENT, endpoints=EndpointOverrides(discovery=WELL_KNOWN, token="https://proxy.example")),
        DOCUMENT,
        replace(FOUND, token="https://proxy.example"),
    ),
    (
        replace(BY_DOCUMENT, endpoints=EndpointOverrides(discovery="https://id.example/meta", issuer=ISSUER)),
        DOCUMENT,
        replace(FOUND, discovery="https://id.example/meta"),
    ),
    (replace(BY_DOCUMENT, endpoints=EndpointOverrides(discovery="https://id.example/meta")), {}, "bad-discovery"),
    (replace(BY_DOCUMENT, endpoints=EndpointOverrides(discovery="http://id.example/x")), {}, "bad-discovery"),
    (BY_DOCUMENT, {**DOCUMENT, "issuer": "https://evil.example"}, "bad-discovery"),
    (BY_DOCUMENT, {"issuer": ISSUER}, "bad-discovery"),
    (BY_DOCUMENT, {**DOCUMENT, "userinfo_endpoint": None}, "no-endpoints"),
    # what a document leaves out is not taken from the profile: Google's address would get another issuer's token
    (replace(BY_DOCUMENT, profile="google"), {**DOCUMENT, "userinfo_endpoint": None}, "no-endpoints"),
    (replace(BY_DOCUMENT, profile="google"), DOCUMENT, FOUND),
    (replace(COMMAND, profile="oidc"), {}, "bad-parameter"),
    (replace(COMMAND, profile="oidc", endpoints=BY_HAND), {}, None),
    (replace(COMMAND, profile="google"), {}, None),
    (replace(COMMAND, profile="microsoft", parameters={"tenant": "acme.example"}), {}, None),
    (replace(COMMAND, profile="no-such"), {}, None),
]


@pytest.mark.parametrize(("command", "document", "expected"), DISCOVERIES)
def test_what_is_discovered_of_an_idp(
    command: RegisterIdp, document: dict[str, object], expected: EndpointOverrides | str | None
) -> None:
    wanted = to_discover(command)
    if not isinstance(wanted, ToDiscover):
        assert expected == (wanted.kind if isinstance(wanted, Refused) else wanted)
        return
    found = read_discovery(command, wanted, document)
    decision = found if isinstance(found, Refused) else decide(State(), command, found)
    assert expected == (decision.kind if isinstance(decision, Refused) else decision and decision.endpoints)


ORIGINS: list[tuple[EndpointOverrides, str, str | None]] = [
    # what is registered of a Microsoft; the document that verifies its ID tokens, and the issuer
    (
        EndpointOverrides(),
        "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
        "https://login.microsoftonline.com/common/v2.0",
    ),
    (
        EndpointOverrides(token="https://login.microsoftonline.com/acme.example/oauth2/v2.0/token"),
        "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
        "https://login.microsoftonline.com/common/v2.0",
    ),
    (EndpointOverrides(token="https://login.microsoftonline.com.evil.example/t"), "", None),
    (EndpointOverrides(token="https://t.example", discovery=WELL_KNOWN), WELL_KNOWN, ISSUER),
    (EndpointOverrides(discovery="https://d.example", issuer=ISSUER), "https://d.example", ISSUER),
]


@pytest.mark.parametrize(("own", "address", "issuer"), ORIGINS)
def test_keys_are_read_only_where_they_speak_for_the_tokens(
    own: EndpointOverrides, address: str, issuer: str | None
) -> None:
    microsoft = profile_named("microsoft")
    assert (address, issuer) == (discovery_address(microsoft, own), known_issuer(microsoft, own))


TENANT = "5a4db0c5-0000-4000-8000-000000000365"
LOGIN = "https://login.microsoftonline.com"
ANSWERS: list[tuple[str, EndpointOverrides, str | None, bool]] = [
    # the profile and what is registered, the `iss` of an answer, and whether it is another's
    ("google", EndpointOverrides(), None, False),
    ("google", EndpointOverrides(), "https://accounts.google.com", False),
    ("google", EndpointOverrides(), "https://accounts.google.com/", False),
    ("google", EndpointOverrides(), "https://evil.example", True),
    ("google", EndpointOverrides(), "", True),
    ("google", EndpointOverrides(issuer=ISSUER), ISSUER, False),
    ("google", EndpointOverrides(issuer=ISSUER), f"{ISSUER}/", True),
    ("google", BY_HAND, "https://a.example", False),
    ("atlassian", EndpointOverrides(), "https://a.example", False),
    ("microsoft", EndpointOverrides(), f"{LOGIN}/{TENANT}/v2.0", False),
    ("microsoft", EndpointOverrides(), f"{LOGIN}/acme.example/v2.0", True),
    ("microsoft", EndpointOverrides(), f"{LOGIN}/{{tenantid}}/v2.0", True),
    ("microsoft", EndpointOverrides(issuer=f"{LOGIN}/{{tenantid}}/v2.0"), f"{LOGIN}/{TENANT}/v2.0", False),
    ("microsoft", EndpointOverrides(issuer=f"{LOGIN}/{{tenantid}}/v2.0"), f"https://evil.example/{TENANT}/v2.0", True),
]


@pytest.mark.parametrize(("profile", "own", "told", "another"), ANSWERS)
def test_F03_whose_answer_it_is(profile: str, own: EndpointOverrides, told: str | None, another: bool) -> None:
    idp = replay(log_of(replace(EVENT, profile=profile, endpoints=own))).scopes.idps["atlassian"]
    assert another == from_another_issuer(idp, told)
