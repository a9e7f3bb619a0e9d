"""A manifest whose connector any one of several lists of scopes serves: from its text to who must consent again."""

import msgspec

from scopefold.consent.reconsent import replay, worklist
from scopefold.contracts.commands import ProvisionConnector
from scopefold.contracts.events import ConnectorProvisioned, Event, IdpRegistered
from scopefold.provisioner import catalogue
from scopefold.provisioner.core.decide import Append, decide
from scopefold.provisioner.core.installed import EMPTY, fold
from tests.support.logs import log_of, registered, stored

ALICE, BOB, CAROL, DORA, ERIC = "u_alice001", "u_bob00001", "u_carol001", "u_dora0001", "u_eric0001"
AUTH = "https://www.googleapis.com/auth/"
EVENTS, LISTS, READ = f"{AUTH}calendar.events", f"{AUTH}calendar.calendarlist.readonly", f"{AUTH}calendar.readonly"
TEXT = b"""\
connector: acme.issues
version: "1.0.0"
title: Issues
description: Reads issues.
profiles: [atlassian]
auth:
  idp_passthrough:
    upstream_scopes:
      any_of:
        - [read:jira-work, offline_access]
        - [read:issue:jira, read:project:jira, offline_access]
"""


def provisioned(text: bytes | None, connector: str, idp: IdpRegistered) -> ConnectorProvisioned:
    """What the provisioner says in the log, as a reader of the log decodes it."""
    manifests = catalogue.load(None) if text is None else {connector: catalogue.parse("acme.yaml", text)}
    state = fold(EMPTY, *log_of(idp))
    decision = decide(state, manifests, ProvisionConnector(connector=connector, idp=idp.idp), "of-this-command")
    assert isinstance(decision, Append)
    return msgspec.json.decode(msgspec.json.encode(decision.event), type=ConnectorProvisioned)


def lacking(*events: Event) -> dict[str, list[str]]:
    return {row.user: [lack.scope for lack in row.missing] for row in worklist(replay(log_of(*events)))}


def test_whoever_granted_either_list_need_not_consent_again() -> None:
    idp = registered(base=())
    granular = ("read:issue:jira", "read:project:jira")
    classic = ["read:jira-work"]
    assert {CAROL: classic, DORA: [*classic, "offline_access"], ERIC: classic} == lacking(
        idp,
        provisioned(TEXT, "acme.issues", idp),
        stored(ALICE, ("read:jira-work",)),
        stored(BOB, granular),
        stored(CAROL, granular[:1]),
        stored(DORA, granular, evidence=("identity",)),
        stored(ERIC, ("write:jira-work",)),
    )


def test_the_calendar_is_served_by_a_wider_grant_too() -> None:
    idp = registered("google", "google", base=())
    assert {DORA: [LISTS], ERIC: [EVENTS, LISTS]} == lacking(
        idp,
        provisioned(None, "identos.google-calendar-user", idp),
        stored(ALICE, (EVENTS, LISTS), idp="google"),
        stored(BOB, (EVENTS, READ), idp="google"),
        stored(CAROL, (f"{AUTH}calendar",), idp="google"),
        stored(DORA, (EVENTS,), idp="google"),
        stored(ERIC, (), idp="google"),
    )
