"""What is wrong with an IdP, found without a user, and who can mend it how."""

import secrets
from typing import Any

import pytest

from scopefold.auth.core.doctor import Check, Probed, Verdict, examine, facts_of, first_difference
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import replay
from scopefold.contracts.events import Event, IdpRegistered
from scopefold.scopes.diagnosis import Failure
from tests.auth.providers import registered_at
from tests.auth.world import World
from tests.support.logs import BASE, JIRA, failed, log_of, provisioned, registered, stored, withheld

CALLBACK = "https://scopefold.example/oauth2/callback/atlassian"
READY: tuple[Event, ...] = (registered(), provisioned("jira-user", JIRA), stored("u_user0001", JIRA))
ASKED = (*JIRA, "read:wiki")
FAILED = tuple(failed(f"attempt-{n}", ASKED) for n in range(3))
WIKI = provisioned("wiki", ["read:wiki"])


def idp_of(*events: Event) -> Idp:
    return replay(log_of(*events)).scopes.idps["atlassian"]


def found(
    *events: Event,
    probed: Probed | None = None,
    in_vain: dict[str, bool] | None = None,
    console: str | None = None,
    seen: str | None = None,
) -> dict[str, Check]:
    """The checks by name, the first of each."""
    idp = idp_of(*(events or READY))
    probed = probed or Probed(has_secret=True)
    checks = examine(idp, facts_of(idp, CALLBACK), probed, in_vain or {}, console=console, seen=seen)
    return {check.check: check for check in reversed(checks)}


def test_a_healthy_idp_has_nothing_wrong() -> None:
    healthy = found(probed=Probed(has_secret=True, token_endpoint=Failure("token", "invalid_grant", status=403)))
    assert {"good", "not-known"} == {check.verdict for check in healthy.values()}
    assert ["callback"] == [name for name, check in healthy.items() if check.verdict == "not-known"]
    assert CALLBACK in [paste.value for paste in healthy["callback"].paste]


@pytest.mark.parametrize(
    ("console", "says"),
    [
        (CALLBACK, None),
        (f"{CALLBACK}/", "It has a slash at its end."),
        (f" {CALLBACK}", "It has white space around it."),
        (CALLBACK.upper().replace("HTTPS", "https"), "Upper and lower case differ."),
        (CALLBACK.replace("https", "http"), "from byte 5 on: '://scopefold.example"),
        (CALLBACK.replace("https", "http"), "The scheme differs."),
        (CALLBACK.replace("example", "example:443"), "The host and port differs."),
        ("http://localhost:8080/oauth2/callback", "The scheme and the host and port and the path differ."),
        (CALLBACK[:-3], "nothing in place of 'ian'"),
        (f"{CALLBACK}?x=1", "The query differs."),
        ("", "nothing in place of"),
        ("http://[broken", "differs from byte 5 on"),
    ],
)
def test_a_callback_address_is_compared_byte_for_byte(console: str, says: str | None) -> None:
    told = first_difference(CALLBACK, console)
    assert (says is None) == (told is None)
    assert says is None or says in str(told)
    assert ("good" if says is None else "wrong") == found(console=console)["callback"].verdict


ANSWERS: list[tuple[Failure, Verdict, str | None]] = [
    (Failure("token", "invalid_grant", "Invalid authorization code", 403), "good", None),
    (Failure("token", "access_denied", "Unauthorized", 401), "wrong", "atlassian.wrong-secret"),
    (Failure("token", "invalid_client", status=401), "wrong", "oauth.invalid-client"),
    (Failure("token", "ConnectError"), "wrong", "net.unreachable"),
    (Failure("token", "http_404", status=404), "wrong", "net.not-found"),
    (Failure("token", "ReadTimeout"), "not-known", None),
    (Failure("token", "http_503", status=503), "not-known", None),
    (Failure("token", "invalid_request", status=400), "wrong", "oauth.invalid-request"),
]


@pytest.mark.parametrize(("answer", "verdict", "diagnosis"), ANSWERS)
def test_the_app_is_known_where_only_the_code_is_refused(
    answer: Failure, verdict: Verdict, diagnosis: str | None
) -> None:
    check = found(probed=Probed(has_secret=True, token_endpoint=answer))["credentials"]
    assert (verdict, diagnosis) == (check.verdict, check.diagnosis and check.diagnosis.id)


def of(**changed: Any) -> tuple[Event, ...]:
    fields = {"idp": "atlassian", "profile": "atlassian", "client_id": "acme", "base_scopes": BASE, **changed}
    return (IdpRegistered(**fields), *READY[1:])


CASES: list[tuple[str, tuple[Event, ...], str, Verdict, str]] = [
    ("an unknown profile", of(profile="no-such"), "registration", "wrong", "no profile no-such"),
    (
        "another audience",
        of(authorize_params={"audience": "x"}),
        "parameters",
        "doubtful",
        "audience=api.atlassian.com",
    ),
    ("no audience", of(authorize_params={"audience": ""}), "parameters", "wrong", "audience=api.atlassian.com"),
    ("one more parameter", of(authorize_params={"owner": "me"}), "parameters", "good", "owner=me"),
    ("a scope of another IdP", (*READY, provisioned("bb", ["repository"])), "union", "wrong", "identos.bb"),
    ("classic and granular", (*READY, provisioned("g", ["read:issue:jira"])), "union", "doubtful", "identos.g"),
    ("a suspect", (*READY, WIKI, *FAILED), "suspect", "wrong", "identos.wiki"),
    ("nobody has tried", (*READY, WIKI), "suspect", "not-known", "read:wiki"),
    ("withheld", (*READY, WIKI, withheld("read:wiki")), "withheld", "doubtful", "read:wiki"),
    ("failures in the log", (*READY, *FAILED), "failures", "doubtful", "3 logins failed with invalid_scope"),
]


@pytest.mark.parametrize(("case", "events", "check", "verdict", "says"), CASES, ids=[case[0] for case in CASES])
def test_what_is_wrong_is_found(case: str, events: tuple[Event, ...], check: str, verdict: Verdict, says: str) -> None:
    told = [one for one in _all(*events) if one.check == check and one.verdict == verdict]
    assert any(says in one.says for one in told), (case, told)


def _all(*events: Event) -> tuple[Check, ...]:
    idp = idp_of(*events)
    return examine(idp, facts_of(idp, CALLBACK), Probed(has_secret=True), {}, console=None, seen=None)


def test_what_to_do_about_a_suspect_can_be_pasted() -> None:
    pasted = [paste.value for paste in found(*READY, WIKI, *FAILED)["suspect"].paste]
    assert ["scopefold idp withhold atlassian", "read:wiki"] == pasted


def test_without_a_secret_nothing_else_of_the_app_matters() -> None:
    assert "wrong" == found(probed=Probed(has_secret=False))["registration"].verdict


@pytest.mark.parametrize(("nobody", "verdict"), [(True, "wrong"), (False, "doubtful")])
def test_what_was_asked_for_in_vain_is_told_apart(nobody: bool, verdict: Verdict) -> None:
    check = found(in_vain={"read:wiki": nobody})["in-vain"]
    assert verdict == check.verdict
    assert "scopefold idp restore atlassian --scope read:wiki" in [paste.value for paste in check.paste]


def test_words_of_a_page_are_recognised_and_other_words_are_not() -> None:
    check = found(seen="https://id.atlassian.com/error?error=server_error")["seen"]
    assert ("wrong", True) == (check.verdict, check.diagnosis is not None)
    assert "not-known" == found(seen="the weather is fine")["seen"].verdict


async def test_a_registered_stand_in_is_healthy_and_a_wrong_secret_is_found(world: World) -> None:
    for profile in ("google", "microsoft", "slack", "github", "bitbucket", "oidc"):
        idp = await registered_at(world, profile, *(["api:read"] if profile == "oidc" else []))
        answer = await world.admin("GET", f"/v1/idps/{idp}/doctor")
        assert 200 == answer.status_code, answer.text
        told = {check["check"]: check["verdict"] for check in answer.json()["checks"]}
        assert ("good", "good", 0) == (told["registration"], told["credentials"], answer.json()["wrong"]), profile
    idp = await registered_at(world, "microsoft", client_secret=secrets.token_hex(8))
    answer = await world.admin("GET", f"/v1/idps/{idp}/doctor")
    (wrong,) = [check for check in answer.json()["checks"] if check["verdict"] == "wrong"]
    assert ("credentials", "microsoft.wrong-secret") == (wrong["check"], wrong["diagnosis"]["id"])
    assert "AADSTS" not in world.auth.said()


@pytest.mark.parametrize(
    ("query", "status"), [("seen=" + "x" * 9000, 400), ("probe=maybe", 400), ("other=1", 400), ("probe=false", 200)]
)
async def test_a_query_that_breaks_a_rule_is_refused(world: World, query: str, status: int) -> None:
    idp = await world.idp_with_jira()
    assert status == (await world.admin("GET", f"/v1/idps/{idp}/doctor?{query}")).status_code
    assert 404 == (await world.admin("GET", "/v1/idps/none/doctor")).status_code
