"""What one who may say something says too often, and one who is asked says too late."""

import asyncio
from datetime import UTC, datetime, timedelta

from scopefold.auth.web.outgoing import MOST_OF_ONE_HOST, Http
from scopefold.consent.reconsent import MOST_REPORTED, fold_grant
from scopefold.contracts.events import TokenInsufficient, TokenStored
from scopefold.contracts.recorded import Recorded
from scopefold.scopes.shipped import profile_named
from tests.auth.canary import canary, json_page

START = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
STORED = TokenStored(
    user="u_12345678",
    idp="atlassian",
    requested=("read:me",),
    granted=("read:me",),
    evidence=(),
    known_by="echoed",
    cause="login",
    generation=1,
    fingerprint="f" * 22,
)


def test_J06_reports_of_one_service_make_no_users_row_grow_without_end() -> None:
    """Any service may report any scope, of anybody."""
    profile = profile_named("atlassian")
    held = fold_grant(None, Recorded(1, START, "default", "event-0001", "auth", STORED), profile)
    for seq in range(2, 52):
        missing = tuple(f"s{seq}-{n}" for n in range(100))
        event = TokenInsufficient(
            user=STORED.user, idp=STORED.idp, resource_type="urn:connector:a:b", missing=missing, generation=10**30
        )
        at = START + timedelta(seconds=seq)
        held = fold_grant(held, Recorded(seq, at, "default", f"event-{seq:04}", "rogue", event), profile)
    assert held is not None
    reported = [scope for report in held.reports for scope in report.missing]
    assert (MOST_REPORTED, "s2-0", "s4-99") == (len(reported), reported[0], reported[-1]), "the first ones are kept"


async def test_F16_an_idp_that_does_not_answer_keeps_nobody_from_the_others() -> None:
    """Its requests wait for each other, within their bound, and for nothing else."""
    http, waiting = Http(), asyncio.Event()
    never = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent_connections.append(writer)
        if len(silent_connections) == MOST_OF_ONE_HOST:
            waiting.set()
        await never.wait()

    silent_connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(silent, "127.0.0.1", 0, backlog=2 * MOST_OF_ONE_HOST)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    async with canary() as other:
        other.pages["/"] = json_page({})
        asked = [
            asyncio.create_task(http.ask("POST", address, headers={}, content=b"x"))
            for _ in range(MOST_OF_ONE_HOST + 10)
        ]
        try:
            await asyncio.wait_for(waiting.wait(), 30)
            answer = await http.ask("GET", f"{other.url}/", headers={})
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            never.set()
            for writer in silent_connections:
                writer.close()
            server.close()
            await http.aclose()
    assert (200, MOST_OF_ONE_HOST) == (answer.status, len(silent_connections))
