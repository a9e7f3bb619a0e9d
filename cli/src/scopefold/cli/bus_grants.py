"""What each service may do on the bus, worked out from what the contracts and the services themselves declare.

Allow-lists only. Part of the server half: needs scopefold[server].
"""

from collections.abc import Iterable
from typing import Final, Literal, get_args

from msgspec import Struct

from scopefold.auth.store import declared
from scopefold.cli.reach import ANALYST, OPERATOR
from scopefold.contracts.commands import command_filter
from scopefold.contracts.events import Event
from scopefold.contracts.exchange import exchange_filter, exchange_subject
from scopefold.contracts.recorded import PUBLISHERS
from scopefold.contracts.subjects import event_filter, tenant_filter
from scopefold.contracts.words import Service
from scopefold.ledger.log import STREAM
from scopefold.ledger.segment_store import BUCKET

AUTH: Final = "auth"
PROVISIONER: Final = "provisioner"
OURS: Final = (OPERATOR, AUTH, PROVISIONER, ANALYST)
API: Final = "$JS.API"
READ_LOG: Final = f"{API}.DIRECT.GET.{STREAM}"
LOOK_AT_LOG: Final = f"{API}.STREAM.INFO.{STREAM}"
READ_SEGMENTS: Final = f"{API}.DIRECT.GET.OBJ_{BUCKET}"
LOOK_AT_SEGMENTS: Final = f"{API}.STREAM.INFO.OBJ_{BUCKET}"
WRITE_SEGMENTS: Final = f"$O.{BUCKET}.>"
Extra = Literal["log", "commands", "exchange"]
"""What another service may be given besides reporting: to read the log, to send the provisioner commands, to exchange
users' tokens."""
EXTRAS: Final[tuple[Extra, ...]] = get_args(Extra)


class Registered(Struct, frozen=True, kw_only=True):
    """A service that the bus knows: its name, and the public keys that it may come with."""

    name: Service
    keys: tuple[str, ...]
    extras: tuple[Extra, ...] = ()


class Grants(Struct, frozen=True, kw_only=True):
    """The subjects that a service may use, and how.

    It may publish to `calls`, which answer once, and to `reads`, which answer with many messages; it may subscribe to
    `hears`; it answers what others send to `serves`.
    """

    calls: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()

    @property
    def publishes(self) -> tuple[str, ...]:
        """Everything that it may publish to of its own accord."""
        return self.calls + self.reads


def grants_of(service: Registered, tenant: str) -> Grants:
    """What this service may do in this tenant's log, and nothing else."""
    match service.name:
        case "operator":
            # It declares streams, so it can delete them too: this is what an operator is trusted with.
            declare = (f"{API}.INFO", f"{API}.STREAM.>", "$JS.SNAPSHOT.>")  # the last: backups come and go there
            calls = (*declare, command_filter(tenant), WRITE_SEGMENTS)
            return Grants(calls=calls, reads=(READ_LOG, READ_SEGMENTS), hears=(tenant_filter(tenant),))
        case "auth":
            look = (LOOK_AT_LOG, f"{API}.STREAM.MSG.GET.{STREAM}")
            # To erase users. Whoever writes the vault could empty it in any case.
            erase = [f"{API}.STREAM.{verb}.KV_{declared.VAULT}" for verb in ("PURGE", "MSG.DELETE")]
            written = (*_events(tenant, AUTH, None), *_keeping(declared.NAMES), *erase)
            hears, serves = (tenant_filter(tenant),), (exchange_filter(tenant),)
            return Grants(calls=(*look, *written), reads=(READ_LOG,), hears=hears, serves=serves)
        case "provisioner":
            return Grants(
                calls=(LOOK_AT_LOG, *_events(tenant, PROVISIONER)), reads=(READ_LOG,), serves=(command_filter(tenant),)
            )
        case "analyst":
            asks, reads = (LOOK_AT_LOG, LOOK_AT_SEGMENTS), (READ_LOG, READ_SEGMENTS)
            return Grants(calls=asks, reads=reads, hears=(tenant_filter(tenant),))
        case _:
            return _of_another(service, tenant)


def _of_another(service: Registered, tenant: str) -> Grants:
    """Of a service that is none of ours: the events that any service may publish, and what it was given."""
    calls = _events(tenant, None)
    if "commands" in service.extras:
        calls += (command_filter(tenant),)
    if "exchange" in service.extras:
        calls += (exchange_subject(tenant, service.name),)
    if "log" not in service.extras:
        return Grants(calls=calls)
    return Grants(calls=(*calls, LOOK_AT_LOG), reads=(READ_LOG,), hears=(tenant_filter(tenant),))


def _events(tenant: str, *publishers: str | None) -> tuple[str, ...]:
    """Where the events stand that these may publish; None: those that any service may."""
    return tuple(event_filter(kind, tenant) for kind in get_args(Event) if PUBLISHERS[kind] in publishers)


def _keeping(names: Iterable[str]) -> tuple[str, ...]:
    """What auth does with its buckets: read, write, list keys; and make those again that are only in memory."""
    found: list[str] = []
    for name in names:
        stream = f"KV_{name}"
        found += [
            f"$KV.{name}.>",
            f"{API}.STREAM.INFO.{stream}",
            f"{API}.STREAM.MSG.GET.{stream}",
            f"{API}.CONSUMER.CREATE.{stream}",
            f"{API}.CONSUMER.INFO.{stream}.*",
            f"{API}.CONSUMER.DELETE.{stream}.*",
            f"$JS.FC.{stream}.>",
        ]
    return (*found, *(f"{API}.STREAM.CREATE.KV_{name}" for name in declared.IN_MEMORY))
