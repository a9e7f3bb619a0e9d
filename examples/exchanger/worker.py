"""A worker that calls an API for users: it exchanges their access tokens over the bus, with its key and no secret.

    scopefold bus add-service tickets-worker --exchange                 # once: it may ask on the bus
    scopefold client register tickets-worker --auth-method client_secret_basic \\
        --exchange urn:connector:identos:jira-user                      # once: for which resource type
    python worker.py nats://127.0.0.1:4222 .scopefold/bus/tickets-worker.nk urn:connector:identos:jira-user < jobs.jsonl

Each line of the input is a job: the access token of the user for whom it is done. It needs `scopefold-contracts` and
`nats-py[nkeys]`, and nothing else of Scopefold.
"""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import nats
from msgspec import Struct

from scopefold.contracts.exchange import ExchangeToken, NotExchanged, exchange
from scopefold.contracts.publish import BusUnavailable, Connection, NotAllowed, Refused

TRIES: Final = 5
TRY_LATER: Final = 503


class Job(Struct):
    """Something to do for a user, whose access token came with it."""

    name: str
    access_token: str


async def do(nc: Connection, service: str, resource: str, job: Job) -> str:
    """Get the user's token and work with it; what became of it. Raises `NotAllowed`, `BusUnavailable`, `Refused`."""
    asked = ExchangeToken(subject_token=job.access_token, resource=resource)
    for _ in range(TRIES):
        try:
            answer = await exchange(nc, asked, service=service)
        except NotExchanged as refused:
            why = refused.answer
            if why.status == TRY_LATER:
                await asyncio.sleep(why.retry_after or 1)
                continue
            return f"{why.error}: send the user to {why.step_up_uri}" if why.step_up_uri else f"{why.error}: {refused}"
        return f"called with a token that carries {answer.scope}"  # here the API is called with answer.access_token
    return "not now: ask again later"


async def work(nc: Connection, service: str, resource: str, jobs: Iterable[Job]) -> int:
    """Do each, and say what became of it; the exit code."""
    for job in jobs:
        try:
            print(f"{job.name}: {await do(nc, service, resource, job)}")
        except (NotAllowed, BusUnavailable, Refused) as error:
            print(f"{job.name}: {error}", file=sys.stderr)
            return 1
    return 0


async def main(url: str, credentials: Path, resource: str) -> int:
    """Connect as the service that the file of credentials is named after."""
    service = credentials.stem
    nc = await nats.connect(url, nkeys_seed=str(credentials), inbox_prefix=f"_INBOX_{service}", error_cb=_silent)
    try:
        return await work(nc, service, resource, [msgspec.json.decode(line, type=Job) for line in sys.stdin])
    finally:
        await nc.close()


async def _silent(_: Exception) -> None:
    """What the bus complains of comes back from `exchange`, in words."""


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
