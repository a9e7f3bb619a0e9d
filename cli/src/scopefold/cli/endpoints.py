"""Where the parts of a running Scopefold are: the file that `scopefold up` keeps in its data directory."""

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from scopefold.cli.reach import Reach
from scopefold.ledger.credentials import SUFFIX

FILE: Final = "endpoints.json"
DEFAULT_DATA: Final = Path(".scopefold")


class Endpoints(Struct, frozen=True, kw_only=True):
    """Base addresses, the file with the admin token, the directory of the bus's credentials, process ids by part."""

    auth: str
    provisioner: str
    nats: str
    nats_credentials: str
    sandbox: str | None = None
    admin_token_file: str
    pids: dict[str, int] = {}

    def bus(self, identity: str) -> Reach:
        """The bus, as this service comes to it."""
        return Reach(self.nats, Path(self.nats_credentials) / f"{identity}{SUFFIX}")


def read(data: Path) -> Endpoints | None:
    """The endpoints of the Scopefold that runs on this data directory; None where none is said to run."""
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=Endpoints)
    except (OSError, msgspec.MsgspecError):
        return None


def write(data: Path, endpoints: Endpoints) -> None:
    """Say where everything is, to the owner of the directory alone. A reader sees the old file or the new one."""
    text = msgspec.json.format(msgspec.json.encode(endpoints)) + b"\n"
    fresh = data / (FILE + ".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(text)
    fresh.replace(data / FILE)


def remove(data: Path) -> None:
    """Nothing runs here any more."""
    (data / FILE).unlink(missing_ok=True)
