"""What the bus's own configuration says of who may come in, and what each may do.

A permission says where a client may publish, not where it may have the answer sent to: the server itself sends that,
and asks nobody. Within one account, whoever may ask for anything could have an answer written into the vault. So
services that do not keep the vault live in accounts of their own, where no subject of another account exists but those
that are imported by name, and answers to them end there.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

from msgspec import Struct

from scopefold.cli.bus_grants import API, AUTH, EXTRAS, OURS, PROVISIONER, Grants, Registered, grants_of
from scopefold.cli.reach import ANALYST, OPERATOR
from scopefold.contracts.commands import COMMAND
from scopefold.ledger.credentials import inbox_of

KEEPER: Final = "scopefold"
"""The account that has the streams."""
KEEPERS: Final = (OPERATOR, AUTH)
"""Who lives in it: who declares the streams, and who keeps the vault."""
OTHERS: Final = "services"
"""The start of the names of the accounts in which other services live: those with the same rights share one."""
ANYBODY: Final = "*"
"""What stands for the name of a service where a subject has one, in what is imported for all of an account."""
MAPPED_API: Final = "jetstream"
"""In an account without streams, the server itself answers below `$JS.API`; so what is asked there is sent on here."""
ANSWER_SECONDS: Final = 30


class _Account(Struct, frozen=True):
    """An account without streams: what is imported into it, and who lives in it."""

    name: str
    grants: Grants
    residents: tuple[Registered, ...]


def accounts(services: Sequence[Registered], tenant: str) -> str:
    """The `accounts` block of nats-server's configuration. Whoever is not in it cannot connect at all.

    The accounts are always the same ones: what is imported into an account that is new at a reload does not work
    before the server is started again (measured at 2.15.1), while a user who is new there does.
    """
    rights = {service.name: grants_of(service, tenant) for service in services}
    apart = _accounts_apart(services, tenant)
    blocks = [_keeper([one for one in services if one.name in KEEPERS], rights, apart)]
    commanders = [KEEPER, *(one.name for one in apart if any(map(_is_command, one.grants.calls)))]
    blocks += [_apart(account, rights, commanders) for account in apart]
    return "# Written by `scopefold bus`. Do not edit: it is written anew whenever a service or a key changes.\n" + (
        f"accounts {{\n{''.join(blocks)}}}\n"
    )


def _accounts_apart(services: Sequence[Registered], tenant: str) -> list[_Account]:
    found = []
    for name in (PROVISIONER, ANALYST):
        residents = tuple(one for one in services if one.name == name)
        found.append(_Account(name, grants_of(Registered(name=name, keys=()), tenant), residents))
    others = [one for one in services if one.name not in OURS]
    for count in range(len(EXTRAS) + 1):
        for extras in combinations(EXTRAS, count):
            name = "-".join((OTHERS, *extras))
            residents = tuple(one for one in others if set(one.extras) == set(extras))
            anybody = Registered(name=ANYBODY, keys=(), extras=extras)
            found.append(_Account(name, grants_of(anybody, tenant), residents))
    return found


def routes(password: str, servers: Sequence[str]) -> str:
    """What each server of a cluster must show the others: for the `cluster` block."""
    addresses = _list(f"nats://route:{password}@{server}" for server in servers)
    return f"authorization {{ user: route, password: {_text(password)} }}\nroutes: {addresses}\n"


def _keeper(keepers: Sequence[Registered], rights: Mapping[str, Grants], apart: Sequence[_Account]) -> str:
    """The account of the streams: who lives in it, and what it offers each of the others."""
    calls = _users_of({one.name: one.grants.calls for one in apart})
    reads = _users_of({one.name: one.grants.reads for one in apart})
    hears = _users_of({one.name: one.grants.hears for one in apart})
    exports = [
        *(_export("service", subject, who) for subject, who in calls if not _is_command(subject)),
        *(_export("service", subject, who, ", response_type: stream") for subject, who in reads),
        *(_export("stream", subject, who) for subject, who in hears),
    ]
    commands = sorted({one for keeper in keepers for one in rights[keeper.name].calls if _is_command(one)})
    return (
        f"  {_text(KEEPER)} {{\n    jetstream: enabled\n"
        + _lines("users", [_user(key, one.name, rights[one.name]) for one in keepers for key in one.keys])
        + _lines("exports", exports)
        + _lines("imports", [_import("service", PROVISIONER, subject) for subject in commands])
        + "  }\n"
    )


def _apart(account: _Account, rights: Mapping[str, Grants], commanders: Sequence[str]) -> str:
    """An account with nothing in it but what is imported by name."""
    grants = account.grants
    imports = [
        *(_import("service", PROVISIONER if _is_command(one) else KEEPER, one) for one in grants.publishes),
        *(_import("stream", KEEPER, one) for one in grants.hears),
    ]
    users = [_user(key, one.name, _mapped_in(rights[one.name])) for one in account.residents for key in one.keys]
    return (
        f"  {_text(account.name)} {{\n"
        + _lines("users", users)
        + f"    mappings: {{ {_text(f'{API}.>')}: {_text(f'{MAPPED_API}.>')} }}\n"
        + _lines("exports", [_export("service", one, commanders) for one in grants.serves])
        + _lines("imports", imports)
        + "  }\n"
    )


def _mapped_in(grants: Grants) -> Grants:
    """These grants where the API is mapped: the server checks a publisher's rights after the mapping."""
    return Grants(calls=tuple(map(mapped, grants.publishes)), hears=grants.hears, serves=grants.serves)


def _user(key: str, name: str, grants: Grants) -> str:
    """One key, and its allow-lists. Neither may be empty: to the server an empty list is none, and allows all."""
    listen = [f"{inbox_of(name)}.>", *grants.hears, *grants.serves]
    answers = f', allow_responses: {{ max: 1, expires: "{ANSWER_SECONDS}s" }}' if grants.serves else ""
    assert grants.publishes, f"{name} may publish nothing"
    return (
        f"{{ nkey: {_text(key)}, permissions: {{ publish: {{ allow: {_list(grants.publishes)} }}, "
        f"subscribe: {{ allow: {_list(listen)} }}{answers} }} }}"
    )


def _users_of(subjects: Mapping[str, Sequence[str]]) -> list[tuple[str, list[str]]]:
    """Every subject, and the accounts that use it."""
    found: dict[str, list[str]] = {}
    for name, used in subjects.items():
        for subject in used:
            found.setdefault(subject, []).append(name)
    return sorted(found.items())


def _is_command(subject: str) -> bool:
    return subject.startswith(f"{COMMAND}.")


def mapped(subject: str) -> str:
    """What the server makes of a subject in an account without streams."""
    return subject.replace(API, MAPPED_API, 1) if subject.startswith(f"{API}.") else subject


def _export(kind: str, subject: str, accounts: Sequence[str], more: str = "") -> str:
    return f"{{ {kind}: {_text(subject)}, accounts: {_list(accounts)}{more} }}"


def _import(kind: str, account: str, subject: str) -> str:
    to = f", to: {_text(mapped(subject))}" if mapped(subject) != subject else ""
    return f"{{ {kind}: {{ account: {_text(account)}, subject: {_text(subject)} }}{to} }}"


def _lines(name: str, entries: Sequence[str]) -> str:
    body = "".join(f"      {entry}\n" for entry in entries)
    return f"    {name}: [\n{body}    ]\n" if entries else ""


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, texts))}]"


def _text(text: str) -> str:
    return json.dumps(text)
