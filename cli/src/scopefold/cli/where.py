"""Where the services are, and with which credential: flags, then environment, then a local `scopefold up`."""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from msgspec import Struct

from scopefold.cli import endpoints
from scopefold.cli.api import Api
from scopefold.cli.endpoints import DEFAULT_DATA, Endpoints
from scopefold.cli.failure import usage
from scopefold.cli.reach import Reach
from scopefold.ledger.credentials import SUFFIX
from scopefold.ledger.moment import BadMoment, parse
from scopefold.runtime.secret import Secret

R = TypeVar("R")
CREDENTIALS: Final = "SCOPEFOLD_NATS_CREDENTIALS"


class Where(Struct, frozen=True, kw_only=True):
    """What the command line and the environment say about where things are.

    A flag outranks the environment, and so does a running Scopefold that was named with `--data`; a Scopefold that
    was only found (SCOPEFOLD_DATA, or ./.scopefold) stands last.
    """

    environ: Mapping[str, str]
    data: Path | None = None
    auth_url: str | None = None
    provisioner_url: str | None = None
    nats_url: str | None = None
    nats_credentials: Path | None = None
    admin_token_file: Path | None = None

    def auth(self) -> Api:
        """The auth service. Raises `Failure` (usage) where nothing says where it is, as the ones below."""
        url = self._address("auth", self.auth_url, lambda found: found.auth)
        return Api("auth", url, self.admin_token())

    def provisioner(self) -> Api:
        """The provisioner."""
        url = self._address("provisioner", self.provisioner_url, lambda found: found.provisioner)
        return Api("provisioner", url, self.admin_token())

    @property
    def names_bus(self) -> bool:
        """Was it said where the bus is? A Scopefold that was only found does not count."""
        return self.nats_url is not None or self.data is not None or "SCOPEFOLD_NATS_URL" in self.environ

    def bus(self, identity: str) -> Reach:
        """The bus, and the credentials to come with. A directory of credentials holds those of this identity.

        The credentials of a Scopefold that runs here are shown to its own bus and to no other.
        """
        url = self._address("nats", self.nats_url, lambda found: found.nats)
        named, found = (
            one.nats_credentials if one and one.nats == url else None for one in (self._named(), self._found())
        )
        told = named or self.environ.get(CREDENTIALS) or found
        path = self.nats_credentials or (Path(told) if told else None)
        if path is not None and path.is_dir():
            path = path / f"{identity}{SUFFIX}"
        return Reach(url, path)

    def sandbox(self) -> str:
        """The sandbox, which not every Scopefold runs with."""
        named = self._named()
        told = named.sandbox if named is not None else self.environ.get("SCOPEFOLD_SANDBOX_URL")
        found = self._found()
        if address := told or (found.sandbox if found is not None else None):
            return address
        detail = f"No sandbox runs on {self._data()}. Start one with `scopefold up --sandbox`, or set "
        raise usage("Nothing says where the sandbox is", f"{detail}SCOPEFOLD_SANDBOX_URL")

    @property
    def tenant(self) -> str:
        """The tenant whose log it is."""
        return self.environ.get("SCOPEFOLD_TENANT", "default")

    def admin_token(self) -> Secret:
        """The operator's credential."""
        if self.admin_token_file is not None:
            return _secret_in(self.admin_token_file)
        if (named := self._named()) is not None:
            return _secret_in(Path(named.admin_token_file))
        if (text := self.environ.get("SCOPEFOLD_ADMIN_TOKEN")) is not None:
            return _credential(text, "SCOPEFOLD_ADMIN_TOKEN")
        if (path := self.environ.get("SCOPEFOLD_ADMIN_TOKEN_FILE")) is not None:
            return _secret_in(Path(path))
        if (found := self._found()) is not None:
            return _secret_in(Path(found.admin_token_file))
        raise usage("No admin token", "Give --admin-token-file, or set SCOPEFOLD_ADMIN_TOKEN or ..._FILE")

    def _address(self, service: str, flag: str | None, of: Callable[[Endpoints], str]) -> str:
        variable = f"SCOPEFOLD_{service.upper()}_URL"
        if flag is not None:
            return flag
        if (named := self._named()) is not None:
            return of(named)
        if variable in self.environ:
            return self.environ[variable]
        if (found := self._found()) is not None:
            return of(found)
        raise usage(
            f"Nothing says where {service} is",
            f"No Scopefold runs on {self._data()}. Start one with `scopefold up`, name its data directory with --data, "
            f"or give --{service}-url or {variable}",
        )

    def _data(self) -> Path:
        return self.data or Path(self.environ.get("SCOPEFOLD_DATA", str(DEFAULT_DATA)))

    def _named(self) -> Endpoints | None:
        return endpoints.read(self.data) if self.data is not None else None

    def _found(self) -> Endpoints | None:
        return endpoints.read(self._data()) if self.data is None else None


def _secret_in(path: Path) -> Secret:
    try:
        return _credential(path.read_text(), str(path))
    except OSError as error:
        raise usage("The admin token cannot be read", f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise usage("The admin token cannot be read", f"{path} is no text") from None


def _credential(text: str, source: str) -> Secret:
    """The token in a text. A bad one is refused here: the HTTP library would show it in its complaint."""
    token = text.strip()
    if not token or not all("!" <= char <= "~" for char in token):
        raise usage("The admin token cannot be used", f"{source} is empty, or holds more than one line of plain ASCII")
    return Secret(token)


def located(command: Callable[..., R]) -> Callable[..., R]:
    """Gives a command the flags that say where Scopefold is, as its argument `where`."""

    @click.option(
        "--data", type=click.Path(path_type=Path), help="Data directory of a running `scopefold up` [SCOPEFOLD_DATA]."
    )
    @click.option("--auth-url", metavar="URL", help="Where auth is [SCOPEFOLD_AUTH_URL].")
    @click.option("--provisioner-url", metavar="URL", help="Where the provisioner is [SCOPEFOLD_PROVISIONER_URL].")
    @click.option("--nats-url", metavar="URL", help="Where the bus is [SCOPEFOLD_NATS_URL].")
    @click.option(
        "--nats-credentials",
        type=click.Path(path_type=Path),
        help="File NAME.nk to show the bus, or the directory with it [SCOPEFOLD_NATS_CREDENTIALS].",
    )
    @click.option(
        "--admin-token-file",
        type=click.Path(path_type=Path),
        help="File with the admin token [SCOPEFOLD_ADMIN_TOKEN, SCOPEFOLD_ADMIN_TOKEN_FILE].",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        data: Path | None,
        auth_url: str | None,
        provisioner_url: str | None,
        nats_url: str | None,
        nats_credentials: Path | None,
        admin_token_file: Path | None,
        **kwargs: Any,
    ) -> R:
        kwargs["where"] = Where(
            environ=os.environ,
            data=data,
            auth_url=auth_url,
            provisioner_url=provisioner_url,
            nats_url=nats_url,
            nats_credentials=nats_credentials,
            admin_token_file=admin_token_file,
        )
        return command(*args, **kwargs)

    return wrapped


as_json = click.option("--json", "json_wanted", is_flag=True, help="Print JSON, for programs.")
dry_option = click.option("--dry-run", is_flag=True, help="Tell what would happen, and to whom; change nothing.")


def moment_option(*names: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A flag that takes a moment. What is none is told before anybody is asked, so every command ends alike."""

    def checked(_context: click.Context, _flag: click.Parameter, text: str | None) -> str | None:
        try:
            if text is not None:
                parse(text)
        except BadMoment as error:
            raise usage("This is no moment", str(error).rstrip(".")) from None
        return text

    return click.option(*names, metavar="MOMENT", callback=checked, help=help)


at_option = moment_option("--at", help="As it was then: a sequence of the log, an RFC 3339 time, or an event's id.")


def told_or_agreed(json_wanted: bool, *, dry_run: bool, yes: bool) -> None:
    """Of a command that asks first: nobody can be asked where the answer is JSON. Raises `Failure`."""
    if json_wanted and not (dry_run or yes):
        raise usage("With --json nobody is asked", "Give --dry-run to see what would happen, or --yes to do it")


def somebody_to_ask(to: str) -> None:
    """Of a command that is about to ask, what `--yes` would let it do. Raises `Failure` where no terminal is there."""
    if not sys.stdin.isatty():
        raise usage("Nobody is there to ask", f"Give --yes to {to}")


def as_of(at: str | None) -> dict[str, str]:
    """The query of a request about this moment."""
    return {} if at is None else {"at": at}
