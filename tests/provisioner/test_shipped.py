"""The connectors that ship: what each needs and where it fits, and that it can be provisioned there."""

from datetime import UTC, datetime
from functools import reduce

import pytest

from scopefold.contracts.commands import ProvisionConnector
from scopefold.contracts.events import ConnectorProvisioned, IdpRegistered
from scopefold.contracts.recorded import Recorded
from scopefold.provisioner import catalogue
from scopefold.provisioner.core.decide import Append, decide
from scopefold.provisioner.core.installed import EMPTY, State, fold
from scopefold.provisioner.core.manifest import fitting_profiles
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.coverage import COVERED, Grant, covers
from scopefold.scopes.lint import lint
from scopefold.scopes.shipped import profile_named, profiles
from scopefold.scopes.union import to_request

MANIFESTS = catalogue.load(None)
JIRA = ("read:me", "read:jira-user", "read:jira-work", "write:jira-work", "offline_access")
DESK = ("read:servicedesk-request", "write:servicedesk-request", "manage:servicedesk-customer")
OPS = tuple(
    f"{verb}:{area}:jira-service-management"
    for area in ("ops-alert", "ops-config")
    for verb in ("read", "write", "delete")
)
CONFLUENCE = (
    "read:me", "read:confluence-user", "read:confluence-space.summary", "read:confluence-content.all",
    "write:confluence-content", "offline_access",
)  # fmt: skip
BITBUCKET = ("account", "repository", "repository:write", "pullrequest", "pullrequest:write", "issue")
GOOGLE = "https://www.googleapis.com/auth/"
EVENTS = f"{GOOGLE}calendar.events"
WORLD = ("microsoft",)
US_GOV = ("microsoft-gcc-high", "microsoft-dod")
NEEDS: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "identos.bitbucket-user": (("bitbucket",), (BITBUCKET,)),
    "identos.confluence-user": (("atlassian",), (CONFLUENCE,)),
    "identos.gmail-user": (("google",), ((f"{GOOGLE}gmail.modify",),)),
    "identos.google-calendar-user": (
        ("google",),
        ((EVENTS, f"{GOOGLE}calendar.calendarlist.readonly"), (EVENTS, f"{GOOGLE}calendar.readonly")),
    ),
    "identos.google-drive-user": (("google",), ((f"{GOOGLE}drive",),)),
    "identos.jira-service-management": (("atlassian",), ((*JIRA, *DESK),)),
    "identos.jira-user": (("atlassian",), (JIRA,)),
    "identos.opsgenie-user": (("atlassian",), (("read:me", *OPS, "offline_access"),)),
    "identos.outlook-graph-shared-user": (
        (*WORLD, *US_GOV),
        (("Mail.ReadWrite", "Mail.ReadWrite.Shared", "offline_access"),),
    ),
    "identos.outlook-graph-user": ((*WORLD, *US_GOV), (("Mail.ReadWrite", "offline_access"),)),
    "identos.outlook-imap-user": (WORLD, (("https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"),)),
    "identos.outlook-imap-usgov-user": (
        US_GOV,
        (("https://outlook.office365.us/IMAP.AccessAsUser.All", "offline_access"),),
    ),
    "identos.outlook-pop-user": (WORLD, (("https://outlook.office.com/POP.AccessAsUser.All", "offline_access"),)),
    "identos.outlook-pop-usgov-user": (
        US_GOV,
        (("https://outlook.office365.us/POP.AccessAsUser.All", "offline_access"),),
    ),
}
PLACES = [(name, profile) for name, manifest in MANIFESTS.items() for profile in fitting_profiles(manifest)]


def test_these_connectors_ship_and_need_these_scopes_in_this_order() -> None:
    needs = {name: one.auth.idp_passthrough for name, one in MANIFESTS.items()}
    assert {name: (MANIFESTS[name].profiles, one.lists) for name, one in needs.items() if one is not None} == NEEDS


@pytest.mark.parametrize(("connector", "profile_name"), PLACES)
def test_a_shipped_connector_fits_each_of_its_profiles(connector: str, profile_name: str) -> None:
    """No login breaks over it, nothing of it is lost on the way, and what is asked for is what it needs."""
    profile, (_, lists) = profile_named(profile_name), NEEDS[connector]
    for scopes in lists:
        findings = lint(profile, {connector: scopes}, profiles().values())
        assert [one.says for one in findings if one.severity == "hard" or one.rule in ("unknown", "offline")] == []
        assert set(scopes) <= set(to_request(profile, scopes))
        assert len(scopes) == len(names := canonical(profile, scopes)), "two spellings of one scope"
        assert names == canonical(profile, names)
        assert COVERED == covers(profile, Grant(names, ("identity", "refresh_token")), scopes)


@pytest.mark.parametrize("profile_name", sorted({profile for _, profile in PLACES}))
def test_all_shipped_connectors_of_a_profile_can_be_provisioned_at_one_idp(profile_name: str) -> None:
    state = after(EMPTY, 1, IdpRegistered(idp="there", profile=profile_name, client_id="app"))
    fitting = [name for name, profile in PLACES if profile == profile_name]
    for seq, name in enumerate(fitting, start=2):
        decision = decide(state, MANIFESTS, ProvisionConnector(connector=name, idp="there"), f"event-{seq:04}")
        assert isinstance(decision, Append), decision
        assert isinstance(decision.event, ConnectorProvisioned)
        assert NEEDS[name][1] == (decision.event.upstream_scopes, *decision.event.alternatives)
        state = after(state, seq, decision.event)
    assert sorted(fitting) == sorted(one.connector for one in state.resources)


@pytest.mark.parametrize(
    ("profile", "graph"),
    [
        ("microsoft", "https://graph.microsoft.com/mail.readwrite"),
        ("microsoft-gcc", "https://graph.microsoft.com/mail.readwrite"),
        ("microsoft-gcc-high", "https://graph.microsoft.us/mail.readwrite"),
        ("microsoft-dod", "https://dod-graph.microsoft.us/mail.readwrite"),
    ],
)
def test_one_manifest_means_the_graph_of_each_cloud(profile: str, graph: str) -> None:
    assert ("identos.outlook-graph-user", profile) in PLACES
    assert graph == canonical_name(profile_named(profile), NEEDS["identos.outlook-graph-user"][1][0][0])


def after(state: State, seq: int, event: IdpRegistered | ConnectorProvisioned) -> State:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return reduce(fold, [Recorded(seq, at, "default", f"event-{seq:04}", "any", event)], state)
