"""Who may do what on the bus: every service tries everything at a real nats-server, and what it may do is written here.

The table is written by hand, on purpose: what the code works out from its own tables must come to the same.
"""

from typing import Final

import pytest

from tests.bus.guarded import COMMANDER, EVERYTHING, EXCHANGER, GATEWAY, READER, Guarded

IDP_EVENTS: Final = (
    "idp-registered", "connector-provisioned", "connector-deprovisioned", "scopes-withheld", "scopes-restored",
)  # fmt: skip
USER_EVENTS: Final = (
    "user-logged-in", "token-stored", "token-insufficient", "consent-declined", "authorization-failed", "grant-revoked",
    "user-erased",
)  # fmt: skip
EVENTS: Final = {
    **{name: f"ledger.default.idp.atlassian.{name}" for name in IDP_EVENTS},
    **{name: f"ledger.default.user.7.atlassian.{name}" for name in USER_EVENTS},
    "in another tenant": "ledger.other.user.7.atlassian.token-insufficient",
    "on a subject of no event": "ledger.default.idp.atlassian.nothing",
    "a user's on an IdP's": "ledger.default.idp.atlassian.token-insufficient",
}
MANAGING: Final = {
    f"{verb} {stream}": f"$JS.API.STREAM.{verb}.{stream}"
    for stream in ("LEDGER", "KV_vault", "ANOTHER")
    for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN")
}
CONSUMING: Final = {
    f"consumer {verb} {stream}{name}": f"$JS.API.CONSUMER.{verb}.{stream}{name}"
    for stream in ("LEDGER", "KV_vault")
    for verb, name in (
        ("CREATE", ""), ("CREATE", ".mine"), ("CREATE", ".mine.ledger.>"), ("DURABLE.CREATE", ".mine"),
        ("INFO", ".his"), ("DELETE", ".his"), ("MSG.NEXT", ".his"), ("PAUSE", ".his"), ("RESET", ".his"),
        ("LIST", ""), ("NAMES", ""),
    )
}  # fmt: skip
SERVER: Final = {
    subject: subject
    for subject in (
        "$JS.API.ACCOUNT.PURGE.scopefold", "$JS.API.SERVER.REMOVE", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.INFO",
        "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO",
        "$JS.ACK.LEDGER.his.1.1.1.1.1", "_INBOX_auth.x.y", "_INBOX.x.y", "_R_.x",
    )
}  # fmt: skip
READING: Final = {
    "the log": "$JS.API.DIRECT.GET.LEDGER",
    "the log's last of a subject": "$JS.API.DIRECT.GET.LEDGER.ledger.default.idp.atlassian.idp-registered",
    "the log's leader": "$JS.API.STREAM.MSG.GET.LEDGER",
    "what log there is": "$JS.API.STREAM.INFO.LEDGER",
    "the vault": "$JS.API.DIRECT.GET.KV_vault",
    "a row of the vault": "$JS.API.DIRECT.GET.KV_vault.$KV.vault.kek",
    "the vault's leader": "$JS.API.STREAM.MSG.GET.KV_vault",
    "what vault there is": "$JS.API.STREAM.INFO.KV_vault",
    "the sessions' leader": "$JS.API.STREAM.MSG.GET.KV_sessions",
}
SEGMENTS: Final = {
    "the segments": "$JS.API.DIRECT.GET.OBJ_SEGMENTS",
    "what segments there are": "$JS.API.STREAM.INFO.OBJ_SEGMENTS",
    "the segments' leader": "$JS.API.STREAM.MSG.GET.OBJ_SEGMENTS",
    "a chunk of a segment": "$O.SEGMENTS.C.AnId",
    "a segment's name": "$O.SEGMENTS.M.c2VhbA==",
    "another object store": "$JS.API.DIRECT.GET.OBJ_OTHERS",
    "a chunk elsewhere": "$O.OTHERS.C.AnId",
    "a consumer of segments": "$JS.API.CONSUMER.CREATE.OBJ_SEGMENTS",
}
WRITING: Final = {f"{bucket}": f"$KV.{bucket}.a.row" for bucket in ("vault", "sessions", "clients", "grants", "none")}
COMMANDS: Final = {"a command": "command.default.provision-connector", "another's": "command.other.provision-connector"}
EXCHANGING: Final = {
    f"exchange as {name}": f"exchange.default.{name}" for name in (EXCHANGER, EVERYTHING, GATEWAY, READER, "nobody")
} | {"exchange elsewhere": "exchange.other.exchanger", "exchange as two": "exchange.default.exchanger.everything"}
SECRETS: Final = READING | WRITING

AUTH_EVENTS: Final = {*EVENTS} & {
    "idp-registered", "scopes-withheld", "scopes-restored", "user-logged-in", "token-stored", "token-insufficient",
    "consent-declined", "authorization-failed", "grant-revoked", "user-erased",
}  # fmt: skip
LOG: Final = {"the log", "what log there is"}
LEADERS: Final = {"the log's leader", "the vault's leader", "what vault there is", "the sessions' leader"}
# fmt: off
MAY: Final[dict[str, dict[str, set[str]]]] = {
    "J02": {
        "operator": set(), "auth": AUTH_EVENTS, "provisioner": {"connector-provisioned", "connector-deprovisioned"},
        "analyst": set(), GATEWAY: {"token-insufficient"}, READER: {"token-insufficient"},
        COMMANDER: {"token-insufficient"}, EXCHANGER: {"token-insufficient"}, EVERYTHING: {"token-insufficient"},
    },
    "J03": {
        "operator": {*MANAGING, "$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES"},
        "auth": {
            "PURGE KV_vault", "MSG.DELETE KV_vault",
            "consumer CREATE KV_vault", "consumer INFO KV_vault.his", "consumer DELETE KV_vault.his",
        },
        "provisioner": set(), "analyst": set(), GATEWAY: set(), READER: set(), COMMANDER: set(), EXCHANGER: set(),
        EVERYTHING: set(),
    },
    "J05": {
        "operator": LOG | LEADERS,
        "auth": LOG | LEADERS | set(WRITING) - {"none"},
        "provisioner": LOG, "analyst": LOG, GATEWAY: set(), READER: LOG, COMMANDER: set(), EXCHANGER: set(),
        EVERYTHING: LOG,
    },
    "segments": {
        "operator": set(SEGMENTS) - {"another object store", "a chunk elsewhere", "a consumer of segments"},
        "analyst": {"the segments", "what segments there are"}, "auth": set(), "provisioner": set(), GATEWAY: set(),
        READER: set(), COMMANDER: set(), EXCHANGER: set(), EVERYTHING: set(),
    },
    "commands": {
        "operator": {"a command"}, "auth": set(), "provisioner": set(), "analyst": set(),
        GATEWAY: set(), READER: set(), COMMANDER: {"a command"}, EXCHANGER: set(), EVERYTHING: {"a command"},
    },
    "exchanges": {
        "operator": set(), "auth": set(), "provisioner": set(), "analyst": set(), GATEWAY: set(), READER: set(),
        COMMANDER: set(), EXCHANGER: {"exchange as exchanger"}, EVERYTHING: {"exchange as everything"},
    },
}
# fmt: on
TRIED: Final = {
    "J02": EVENTS,
    "J03": MANAGING | CONSUMING | SERVER,
    "J05": SECRETS,
    "segments": SEGMENTS,
    "commands": COMMANDS,
    "exchanges": EXCHANGING,
}
NAMES: Final = tuple(MAY["J02"])
LISTENING: Final = (
    ">", "*", "*.>", "_INBOX.>", "_INBOX_auth.>", "_INBOX_operator.>", "_INBOX_analyst.>", "_R_.>",
    "$KV.>", "$KV.vault.>", "$JS.>", "$JS.EVENT.ADVISORY.>", "$SYS.>", "ledger.>", "ledger.*.>", "command.>",
    "ledger.other.>", "command.other.*", "exchange.>", "exchange.other.*", "$O.>", "$O.SEGMENTS.>",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", MAY)
async def test_J02_J03_J05_a_service_may_do_what_the_table_says_and_nothing_else(
    bus: Guarded, case: str, name: str
) -> None:
    """J02: events of others. J03: what manages streams, consumers, servers. J05: reads outside one's own view."""
    async with bus.as_(name) as person:
        may = await person.may_publish(TRIED[case].values())
    assert MAY[case][name] == {what for what, subject in TRIED[case].items() if subject in may}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("queue", ["", "q"], ids=["alone", "in-a-queue"])
async def test_J04_nobody_hears_what_is_not_meant_for_it(bus: Guarded, name: str, queue: str) -> None:
    own = {f"_INBOX_{name}.>", f"_INBOX_{name}.x.*"}
    async with bus.as_(name) as person:
        assert own == await person.may_subscribe({*LISTENING, *own}, queue)


@pytest.mark.parametrize("name", NAMES)
async def test_J04_the_log_is_heard_by_who_may_read_it(bus: Guarded, name: str) -> None:
    """Auth hears that the log has moved; the provisioner reads it when it is asked something."""
    async with bus.as_(name) as person:
        heard = await person.may_subscribe(["ledger.default.>"])
    assert (name in {"operator", "auth", "analyst", READER, EVERYTHING}) is bool(heard)


@pytest.mark.parametrize(("subject", "answers"), [("command.default.*", "provisioner"), ("exchange.default.*", "auth")])
async def test_J04_one_service_alone_hears_what_is_asked(bus: Guarded, subject: str, answers: str) -> None:
    hears = set()
    for name in NAMES:
        async with bus.as_(name) as person:
            if await person.may_subscribe([subject], answers):
                hears.add(name)
    assert {answers} == hears


@pytest.mark.parametrize("name", ["analyst", "provisioner", GATEWAY, READER, COMMANDER, EXCHANGER, EVERYTHING])
async def test_H13_who_does_not_keep_the_vault_neither_reads_nor_writes_it(bus: Guarded, name: str) -> None:
    async with bus.as_(name) as person:
        may = await person.may_publish(SECRETS.values())
    assert {what for what, subject in SECRETS.items() if subject in may} <= LOG


def test_the_table_names_everybody() -> None:
    names = set(NAMES)
    assert dict.fromkeys(MAY, names) == {case: set(rows) for case, rows in MAY.items()}
