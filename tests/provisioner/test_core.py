"""Given events, when a command, then events: the rules of what may be provisioned where."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce

import msgspec
import pytest

from scopefold.contracts.commands import DeprovisionConnector, ProvisionConnector
from scopefold.contracts.events import (
    ConnectorDeprovisioned,
    ConnectorProvisioned,
    Event,
    IdpRegistered,
    IdpRemoved,
    UserLoggedIn,
)
from scopefold.contracts.recorded import Recorded
from scopefold.contracts.words import EVENT_ID_PATTERN, MAX_SCOPES
from scopefold.provisioner import catalogue
from scopefold.provisioner.core.decide import Answer, Append, Command, Refused, decide, event_id_of
from scopefold.provisioner.core.installed import EMPTY, State, fold
from scopefold.provisioner.core.manifest import AnyOf, AuthOptions, Manifest, Passthrough
from tests.provisioner.running import ATLASSIAN, BITBUCKET, SECOND_ATLASSIAN

MANIFESTS = catalogue.load(None)
JIRA_SCOPES = ("read:me", "read:jira-user", "read:jira-work", "write:jira-work", "offline_access")
JIRA = ConnectorProvisioned(
    resource_type="urn:connector:identos:jira-user",
    connector="identos.jira-user",
    connector_version="1.0.0",
    title="Jira",
    auth_mode="idp_passthrough",
    idp="atlassian",
    upstream_scopes=JIRA_SCOPES,
)
REMOVED = IdpRemoved(idp="atlassian", by="operator")
OLD_JIRA = msgspec.structs.replace(JIRA, connector_version="0.9.0")
NARROW_JIRA = msgspec.structs.replace(JIRA, upstream_scopes=JIRA_SCOPES[:2])
JIRA_GONE = ConnectorDeprovisioned(resource_type=JIRA.resource_type, connector="identos.jira-user", idp="atlassian")
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
ID = "of-this-command"


def provision(
    connector: str = "identos.jira-user", idp: str = "atlassian", key: str | None = None
) -> ProvisionConnector:
    return ProvisionConnector(connector=connector, idp=idp, idempotency_key=key)


def deprovision(connector: str = "identos.jira-user", key: str | None = None) -> DeprovisionConnector:
    return DeprovisionConnector(connector=connector, idempotency_key=key)


def given(*events: Event, ids: Sequence[str] = ()) -> State:
    """The state after these events; the last ones carry `ids`, the others ids of their own."""
    named = [f"event-{n:04}" for n in range(len(events) - len(ids))] + list(ids)
    recorded = [
        Recorded(n, STARTED + timedelta(seconds=n), "default", event_id, "any", event)
        for n, (event_id, event) in enumerate(zip(named, events, strict=True), start=1)
    ]
    return reduce(fold, recorded, EMPTY)


@pytest.mark.parametrize(
    ("before", "command", "event"),
    [
        ((ATLASSIAN,), provision(), JIRA),
        ((ATLASSIAN, OLD_JIRA), provision(), JIRA),
        ((ATLASSIAN, NARROW_JIRA), provision(), JIRA),
        ((ATLASSIAN, JIRA, JIRA_GONE), provision(), JIRA),
        ((ATLASSIAN, SECOND_ATLASSIAN, JIRA, JIRA_GONE), provision(), JIRA),
        ((ATLASSIAN, JIRA), deprovision(), JIRA_GONE),
    ],
    ids=["first time", "newer version", "other scopes", "again after it was gone", "beside another IdP", "gone"],
)
def test_a_command_that_changes_something_gives_one_event(
    before: tuple[Event, ...], command: Command, event: ConnectorProvisioned | ConnectorDeprovisioned
) -> None:
    assert decide(given(*before), MANIFESTS, command, ID) == Append(event)


@pytest.mark.parametrize(
    ("before", "command", "status", "kind"),
    [
        ((ATLASSIAN,), provision("identos.nothing"), 404, "unknown-connector"),
        ((), provision("identos.nothing"), 404, "unknown-connector"),
        ((ATLASSIAN,), provision("test.no-modes"), 422, "unsupported-auth-mode"),
        ((), provision(), 409, "unknown-idp"),
        ((JIRA,), provision(), 409, "unknown-idp"),
        ((BITBUCKET,), provision(), 409, "unknown-idp"),
        ((ATLASSIAN, JIRA, REMOVED), provision(), 409, "unknown-idp"),
        ((ATLASSIAN, JIRA, REMOVED), deprovision(), 404, "not-provisioned"),
        ((ATLASSIAN,), provision("identos.bitbucket-user"), 409, "profile-mismatch"),
        ((BITBUCKET,), provision(idp="bitbucket"), 409, "profile-mismatch"),
        ((ATLASSIAN, SECOND_ATLASSIAN, JIRA), provision(idp="atlassian-2"), 409, "routed-elsewhere"),
        ((ATLASSIAN,), deprovision(), 404, "not-provisioned"),
        ((ATLASSIAN, JIRA, JIRA_GONE), deprovision(), 404, "not-provisioned"),
        ((ATLASSIAN, JIRA), deprovision("identos.confluence-user"), 404, "not-provisioned"),
    ],
)
def test_a_command_against_a_rule_is_refused(
    before: tuple[Event, ...], command: Command, status: int, kind: str
) -> None:
    no_modes = msgspec.structs.replace(MANIFESTS["identos.jira-user"], connector="test.no-modes", auth=AuthOptions())
    decision = decide(given(*before), {**MANIFESTS, "test.no-modes": no_modes}, command, ID)
    assert isinstance(decision, Refused)
    assert (status, kind) == (decision.status, decision.kind)
    assert decision.detail.endswith(".")


ASANA = IdpRegistered(idp="asana", profile="asana", client_id="acme", base_scopes=("openid",))
FULL = Manifest(
    connector="acme.full",
    version="1.0.0",
    title="Everything",
    description="Full permissions.",
    profiles=("asana",),
    auth=AuthOptions(idp_passthrough=Passthrough(upstream_scopes=("default",))),
)
TASKS = msgspec.structs.replace(
    FULL, connector="acme.tasks", auth=AuthOptions(idp_passthrough=Passthrough(upstream_scopes=("tasks:read",)))
)
FULL_THERE = ConnectorProvisioned(
    resource_type="urn:connector:acme:full",
    connector="acme.full",
    connector_version="1.0.0",
    title="Everything",
    auth_mode="idp_passthrough",
    idp="asana",
    upstream_scopes=("default",),
)
FULL_GONE = ConnectorDeprovisioned(resource_type="urn:connector:acme:full", connector="acme.full", idp="asana")
CLASHES: list[tuple[str, tuple[Event, ...], str | None]] = [
    ("nothing else is there", (ASANA,), None),
    ("one that needs the other kind is there", (ASANA, FULL_THERE), "acme.full and acme.tasks"),
    ("it was there, and the union keeps its scope", (ASANA, FULL_THERE, FULL_GONE), "before at asana"),
    (
        "the IdP asks for the other kind itself",
        (msgspec.structs.replace(ASANA, base_scopes=("default",)),),
        "the base scopes of asana",
    ),
]


@pytest.mark.parametrize(("case", "before", "told"), CLASHES)
def test_F20_scopes_that_would_break_every_login_are_refused_with_who_clashes(
    case: str, before: tuple[Event, ...], told: str | None
) -> None:
    decision = decide(given(*before), {"acme.tasks": TASKS}, provision("acme.tasks", "asana"), ID)
    if told is None:
        assert isinstance(decision, Append), case
        return
    assert isinstance(decision, Refused), case
    assert (409, "scopes-clash") == (decision.status, decision.kind)
    assert told in decision.detail
    assert "acme.tasks" in decision.detail


@pytest.mark.parametrize(("count", "fits"), [(MAX_SCOPES - 10, True), (MAX_SCOPES, False)])
def test_F20_more_scopes_than_a_login_can_ask_for_are_refused_but_what_is_there_may_be_said_again(
    count: int, fits: bool
) -> None:
    base = msgspec.structs.replace(ASANA, base_scopes=tuple(f"s{n}" for n in range(count)))
    manifests = {"acme.tasks": msgspec.structs.replace(TASKS, auth=any_of(("one-more",)))}
    decision = decide(given(base), manifests, provision("acme.tasks", "asana"), ID)
    assert fits is isinstance(decision, Append), decision
    if isinstance(decision, Refused):
        assert (409, "too-many-scopes") == (decision.status, decision.kind)
    there = msgspec.structs.replace(FULL_THERE, connector="acme.tasks", upstream_scopes=("one-more",))
    again = decide(given(base, there), manifests, provision("acme.tasks", "asana"), ID)
    assert not isinstance(again, Refused), again


@pytest.mark.parametrize(
    ("cloud", "fits"), [("microsoft", True), ("microsoft-gcc", True), ("microsoft-gcc-high", False), ("gitlab", False)]
)
def test_a_connector_for_one_cloud_fits_another_where_their_scopes_are_the_same(cloud: str, fits: bool) -> None:
    mail = msgspec.structs.replace(
        FULL,
        profiles=("microsoft",),
        auth=AuthOptions(idp_passthrough=Passthrough(upstream_scopes=("Mail.Read", "offline_access"))),
    )
    idp = IdpRegistered(idp="there", profile=cloud, client_id="acme")
    decision = decide(given(idp), {"acme.full": mail}, provision("acme.full", "there"), ID)
    assert fits is isinstance(decision, Append)


def test_a_refusal_names_every_profile_that_fits() -> None:
    mail = msgspec.structs.replace(MANIFESTS["identos.outlook-graph-user"], profiles=("microsoft", "microsoft-dod"))
    decision = decide(given(ATLASSIAN), {mail.connector: mail}, provision(mail.connector), ID)
    assert isinstance(decision, Refused)
    assert "needs an IdP of profile microsoft or microsoft-dod or microsoft-gcc; atlassian is of" in decision.detail


def any_of(*lists: tuple[str, ...]) -> AuthOptions:
    return AuthOptions(idp_passthrough=Passthrough(upstream_scopes=AnyOf(any_of=lists)))


def test_of_several_lists_the_first_is_asked_for_and_the_others_serve_as_well() -> None:
    either = msgspec.structs.replace(TASKS, auth=any_of(("tasks:read",), ("default",), ("projects:read",)))
    decision = decide(given(ASANA), {"acme.tasks": either}, provision("acme.tasks", "asana"), ID)
    assert isinstance(decision, Append)
    assert isinstance(decision.event, ConnectorProvisioned)
    assert ("tasks:read",) == decision.event.upstream_scopes
    assert (("default",), ("projects:read",)) == decision.event.alternatives


@pytest.mark.parametrize(
    ("lists", "fits"), [((("tasks:read",), ("default",)), True), ((("default",), ("tasks:read",)), False)]
)
def test_only_what_is_asked_for_can_clash(lists: tuple[tuple[str, ...], ...], fits: bool) -> None:
    """`default` beside a named scope would break every login at Asana; as an alternative it is never requested."""
    either = msgspec.structs.replace(TASKS, auth=any_of(*lists))
    there = msgspec.structs.replace(FULL_THERE, upstream_scopes=("projects:read",), alternatives=(("default",),))
    decision = decide(given(ASANA, there), {"acme.tasks": either}, provision("acme.tasks", "asana"), ID)
    assert fits is isinstance(decision, Append)


@pytest.mark.parametrize(
    ("alternatives", "changes"),
    [((("read:issue:jira",),), False), ((), True), ((("read:issue:jira",), ("read:user:jira",)), True)],
)
def test_other_alternatives_are_another_provisioning_and_the_same_ones_are_not(
    alternatives: tuple[tuple[str, ...], ...], changes: bool
) -> None:
    there = msgspec.structs.replace(JIRA, alternatives=alternatives)
    manifest = msgspec.structs.replace(MANIFESTS["identos.jira-user"], auth=any_of(JIRA_SCOPES, ("read:issue:jira",)))
    decision = decide(given(ATLASSIAN, there), {"identos.jira-user": manifest}, provision(), ID)
    assert changes is isinstance(decision, Append)
    if isinstance(decision, Answer):
        assert (("read:issue:jira",),) == decision.resource.alternatives


def test_what_is_provisioned_exactly_so_needs_no_event() -> None:
    state = given(ATLASSIAN, JIRA, ids=["event-of-jira"])
    decision = decide(state, MANIFESTS, provision(), ID)
    assert isinstance(decision, Answer)
    assert decision.changed is False
    assert (decision.resource.event_id, decision.resource.seq) == ("event-of-jira", 2)


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ((ATLASSIAN, JIRA), provision(key="key-0001")),
        ((ATLASSIAN, OLD_JIRA), provision(key="key-0001")),
        ((ATLASSIAN, JIRA, JIRA_GONE), deprovision(key="key-0001")),
    ],
    ids=["provision", "provision, before the manifest grew", "deprovision"],
)
def test_a_command_whose_event_the_log_holds_is_answered_as_before(before: tuple[Event, ...], command: Command) -> None:
    event_id = event_id_of("default", "key-0001")
    state = given(*before, ids=[event_id])
    decision = decide(state, MANIFESTS, command, event_id)
    assert Answer(True, state.answers[event_id].resource) == decision


def test_the_answer_under_a_key_stays_when_others_have_changed_the_resource_since() -> None:
    event_id = event_id_of("default", "key-0001")
    state = given(ATLASSIAN, JIRA, JIRA_GONE, ids=[event_id, "event-gone"])
    decision = decide(state, MANIFESTS, provision(key="key-0001"), event_id)
    assert isinstance(decision, Answer)
    assert (True, event_id) == (decision.changed, decision.resource.event_id)


@pytest.mark.parametrize(
    "other",
    [
        provision("identos.confluence-user", key="key-0001"),
        provision(idp="atlassian-2", key="key-0001"),
        deprovision(key="key-0001"),
    ],
)
def test_a_key_belongs_to_the_command_that_used_it_first(other: Command) -> None:
    event_id = event_id_of("default", "key-0001")
    decision = decide(given(ATLASSIAN, SECOND_ATLASSIAN, JIRA, ids=[event_id]), MANIFESTS, other, event_id)
    assert isinstance(decision, Refused)
    assert (decision.status, decision.kind) == (422, "idempotency-key-reused")


def test_a_deprovisioning_answers_with_the_last_resource() -> None:
    state = given(ATLASSIAN, JIRA, JIRA_GONE, ids=["event-jira", "event-gone"])
    assert state.resources == ()
    assert state.answers["event-gone"].resource == state.answers["event-jira"].resource


def test_a_deprovisioning_at_another_idp_leaves_the_resource_and_answers_nothing() -> None:
    elsewhere = msgspec.structs.replace(JIRA_GONE, idp="atlassian-2")
    state = given(ATLASSIAN, JIRA, elsewhere, ids=["event-jira", "event-elsewhere"])
    assert [one.connector for one in state.resources] == ["identos.jira-user"]
    assert {"event-jira"} == state.answers.keys()


def test_events_of_users_change_nothing() -> None:
    state = given(ATLASSIAN, JIRA)
    logged_in = UserLoggedIn(user="user-0001", idp="atlassian", client="playground")
    assert state == fold(state, Recorded(3, STARTED, "default", "event-user", "auth", logged_in))


def test_a_key_gives_the_same_event_id_for_ever_and_another_one_to_another_tenant() -> None:
    assert event_id_of("default", "key-0001") == "8c72eb9c-3fcd-5996-b4fa-08aef5f46714"
    assert event_id_of("default", "key-0001") != event_id_of("other", "key-0001")


def test_an_event_id_is_one_that_the_log_accepts() -> None:
    assert re.match(EVENT_ID_PATTERN, event_id_of("default", "key-0001"))


def test_a_manifest_of_other_scopes_provisions_those() -> None:
    narrower = msgspec.structs.replace(
        MANIFESTS["identos.jira-user"],
        auth=AuthOptions(idp_passthrough=Passthrough(upstream_scopes=("read:jira-work",))),
    )
    manifests: dict[str, Manifest] = {"identos.jira-user": narrower}
    decision = decide(given(ATLASSIAN, JIRA), manifests, provision(), ID)
    assert Append(msgspec.structs.replace(JIRA, upstream_scopes=("read:jira-work",))) == decision
