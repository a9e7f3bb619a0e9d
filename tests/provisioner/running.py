"""A real provisioner process on a free port, and the log's events as tests put and see them."""

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scopefold.contracts.events import Event, IdpRegistered
from scopefold.contracts.recorded import Recorded, examine
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log
from scopefold.ledger.read import read
from tests.support import process
from tests.support.process import Service

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
ATLASSIAN: Final = IdpRegistered(idp="atlassian", profile="atlassian", client_id="app-1")
SECOND_ATLASSIAN: Final = IdpRegistered(idp="atlassian-2", profile="atlassian", client_id="app-2")
BITBUCKET: Final = IdpRegistered(idp="bitbucket", profile="bitbucket", client_id="app-3")
GOOGLE: Final = IdpRegistered(idp="google", profile="google", client_id="app-4")


def provisioner(directory: Path, **settings: str) -> AbstractContextManager[Service]:
    """The process, up to its first answer; ended at the end, by force if it must."""
    return process.running("provisioner", directory, **settings)


def run_to_its_end(**settings: str) -> subprocess.CompletedProcess[str]:
    """A process that is expected to refuse to start."""
    return process.run_to_its_end("provisioner", **settings)


async def register(log: Log, *idps: IdpRegistered) -> None:
    """What the auth service does when an operator registers IdPs."""
    await put(log, idps, by="auth", ids="registered")


async def put(log: Log, events: Sequence[Event], *, by: str, ids: str) -> None:
    new = [NewEvent(f"{ids}-{n:04}", event) for n, event in enumerate(events)]
    await append(log, new, tenant="default", publisher=by, now=NOW)


async def provisioner_events(log: Log) -> list[Recorded]:
    """What the provisioner has said in the log."""
    found = [examine(message) async for page in read(log) for message in page]
    return [one for one in found if isinstance(one, Recorded) and one.publisher == "provisioner"]


def asking_for(connector: str, idp: str = "atlassian") -> Mapping[str, str]:
    return {"connector": connector, "idp": idp, "auth_mode": "idp_passthrough"}
