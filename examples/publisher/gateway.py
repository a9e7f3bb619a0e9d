"""A gateway that reports what an API refused: an example of a service that publishes to Scopefold's log.

    scopefold bus add-service jira-gateway          # once, by whoever runs the bus
    python gateway.py nats://127.0.0.1:4222 .scopefold/bus/jira-gateway.nk < refused.jsonl

Each line of the input is a call that a gateway made for a user, and what the API answered. Where the answer says that
the user's token lacks a scope, this says so in the log; the user then stands on the worklist, and is asked for that
scope at the next login. It needs `scopefold-contracts` and `nats-py[nkeys]`, and nothing else of Scopefold.
"""

import asyncio
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import nats
from msgspec import Struct

from scopefold.contracts.events import TokenInsufficient
from scopefold.contracts.publish import BusUnavailable, Connection, NotAllowed, Refused, publish


class Refusal(Struct):
    """What an API answered to a call for a user, and the scopes that the call needs."""

    user: str
    idp: str
    resource_type: str
    needs: tuple[str, ...]
    status: int
    body: str


def insufficient(refusal: Refusal) -> TokenInsufficient | None:
    """The event that this refusal calls for, if any. Atlassian answers 401 with these words where one is missing."""
    if refusal.status not in (401, 403) or "scope does not match" not in refusal.body:
        return None
    return TokenInsufficient(
        user=refusal.user, idp=refusal.idp, resource_type=refusal.resource_type, missing=refusal.needs
    )


async def report(nc: Connection, service: str, refusals: Iterable[Refusal]) -> int:
    """Report each, and say what became of it; the exit code."""
    for refusal in refusals:
        event = insufficient(refusal)
        if event is None:
            print(f"{refusal.user}: {refusal.status} is not about scopes")
            continue
        try:
            done = await publish(nc, event, service=service, now=datetime.now(UTC))
        except NotAllowed as error:
            print(f"{error}. Ask whoever runs the bus for: scopefold bus add-service {service}", file=sys.stderr)
            return 1
        except (BusUnavailable, Refused) as error:
            print(f"{refusal.user}: {error}", file=sys.stderr)  # a gateway goes on: the next refused call reports again
            continue
        print(
            f"{refusal.user}: {'was reported already' if done.duplicate else 'reported'}, event {done.seq} of the log"
        )
    return 0


async def main(url: str, credentials: Path) -> int:
    """Connect as the service that the file of credentials is named after, and report what comes in."""
    service = credentials.stem
    nc = await nats.connect(url, nkeys_seed=str(credentials), inbox_prefix=f"_INBOX_{service}", error_cb=_silent)
    try:
        return await report(nc, service, [msgspec.json.decode(line, type=Refusal) for line in sys.stdin])
    finally:
        await nc.close()


async def _silent(_: Exception) -> None:
    """What the bus complains of comes back from `publish`, in words."""


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], Path(sys.argv[2]))))
