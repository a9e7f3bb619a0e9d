"""The directory of a bus's credentials: a seed for each service, and what the bus itself must be told of them.

    NAME.nk                the seed of a service's key: whoever has it is that service
    services.json          who there is, with public keys only; everything below `server` follows from it
    server/accounts.conf   for nats-server: who may come in, and what each may do
    server/routes.conf     for the servers of a cluster: what they show each other

Part of the server half: needs scopefold[server].
"""

import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import nkeys
from msgspec import Struct
from msgspec.structs import replace

from scopefold.cli.bus_config import accounts, routes
from scopefold.cli.bus_grants import OURS, Extra, Registered
from scopefold.cli.failure import refused, usage
from scopefold.contracts.words import SERVICE_PATTERN, Tenant
from scopefold.ledger.credentials import SUFFIX, public_key_in

MOST_SERVICES: Final = 200
MOST_KEYS: Final = 3
SEED_BYTES: Final = 32


class _Known(Struct, frozen=True, kw_only=True):
    tenant: Tenant
    services: tuple[Registered, ...] = ()


class BusDirectory:
    """The credentials of one bus. Every change writes what the server reads anew; it must then be told to read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.accounts = path / "server" / "accounts.conf"
        self._known = path / "services.json"
        self._routes = path / "server" / "routes.conf"

    def seed(self, service: str) -> Path:
        """The file with a service's seed."""
        return self.path / f"{service}{SUFFIX}"

    def services(self) -> tuple[Registered, ...]:
        """Who there is. Raises `Failure` where this is no such directory."""
        return self._read().services

    def make(self, tenant: str, servers: Sequence[str] = ()) -> None:
        """Make what is missing: our own services' keys, and what the server reads. What is there stays.

        `servers` are a cluster's, as `host:port` of their routes. Raises `Failure` where it serves another tenant.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._routes.parent.mkdir(mode=0o755, exist_ok=True)
        known = self._read() if self._known.exists() else _Known(tenant=tenant)
        if known.tenant != tenant:
            raise refused("This bus serves another tenant", f"{self.path} is of {known.tenant}")
        there = {one.name: one for one in known.services}
        ours = [there.get(name) or Registered(name=name, keys=(self._key_of(name),)) for name in OURS]
        others = [one for one in known.services if one.name not in OURS]
        self._write(replace(known, services=(*ours, *others)))
        if servers and not self._routes.exists():
            _put(self._routes, routes(secrets.token_hex(SEED_BYTES), servers))

    def add(self, name: str, extras: Sequence[Extra] = ()) -> Path:
        """Let another service in; the file with its seed. Raises `Failure` where it is there, or cannot be."""
        known = self._read()
        if re.match(SERVICE_PATTERN, name) is None:
            raise usage("No service can have this name", f"{name}: a to z, 0 to 9 and -, at most 63")
        if any(one.name == name for one in known.services):
            raise refused("The bus knows this service", f"For another key: scopefold bus new-key {name}")
        if len(known.services) >= MOST_SERVICES:
            raise refused("The bus has too many services", f"It takes {MOST_SERVICES}")
        added = Registered(name=name, keys=(self._key_of(name),), extras=tuple(sorted(set(extras))))
        self._write(replace(known, services=(*known.services, added)))
        return self.seed(name)

    def new_key(self, name: str) -> Path:
        """Give a service a new key; the old ones stay good until `drop_old_keys`. Raises `Failure`."""
        if len(self._registered(name).keys) >= MOST_KEYS:
            raise refused("The service has too many keys", f"Drop the old ones: scopefold bus drop-old-keys {name}")
        fresh = self.seed(name).with_name(f"new-{name}{SUFFIX}")
        _make_seed(fresh)
        self._change(name, lambda one: replace(one, keys=(public_key_in(fresh), *one.keys)))
        fresh.replace(self.seed(name))
        return self.seed(name)

    def drop_old_keys(self, name: str) -> int:
        """Leave a service its newest key alone; how many others there were. Raises `Failure`."""
        before = self._registered(name)
        self._change(name, lambda one: replace(one, keys=one.keys[:1]))
        return len(before.keys) - 1

    def remove(self, name: str) -> None:
        """Let another service in no more. Raises `Failure` where there is none, or it is one of ours."""
        self._registered(name)
        if name in OURS:
            raise refused("This service is part of Scopefold", f"For another key: scopefold bus new-key {name}")
        known = self._read()
        self._write(replace(known, services=tuple(one for one in known.services if one.name != name)))
        self.seed(name).unlink(missing_ok=True)

    def _registered(self, name: str) -> Registered:
        for one in self._read().services:
            if one.name == name:
                return one
        raise refused("The bus does not know this service", f"{name}. To let it in: scopefold bus add-service {name}")

    def _change(self, name: str, how: Callable[[Registered], Registered]) -> None:
        known = self._read()
        self._write(replace(known, services=tuple(how(one) if one.name == name else one for one in known.services)))

    def _key_of(self, name: str) -> str:
        """The public key of a service's seed, which is made where there is none."""
        if not self.seed(name).exists():
            _make_seed(self.seed(name))
        return public_key_in(self.seed(name))

    def _read(self) -> _Known:
        try:
            return msgspec.json.decode(self._known.read_bytes(), type=_Known)
        except (OSError, msgspec.MsgspecError) as error:
            detail = f"{self._known}: {error}. Make them with: scopefold bus init --credentials DIRECTORY"
            raise usage("There are no credentials of a bus here", detail) from None

    def _write(self, known: _Known) -> None:
        _put(self.accounts, accounts(known.services, known.tenant), mode=0o644)
        _put(self._known, msgspec.json.format(msgspec.json.encode(known)).decode() + "\n")


def _make_seed(path: Path) -> None:
    _put(path, nkeys.encode_seed(secrets.token_bytes(SEED_BYTES), nkeys.PREFIX_BYTE_USER).decode() + "\n")


def _put(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file that appears whole, with the mode it is to have from its first byte on."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=mode)
    fresh.write_text(text)
    fresh.replace(path)
