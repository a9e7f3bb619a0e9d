"""What a command tells of a right that the bus denies it: whose credentials, and which right."""

import asyncio

import pytest

from scopefold.cli import main
from scopefold.cli.failure import REFUSED
from tests.bus.guarded import GATEWAY, READER, Guarded, declared

ASKED: list[tuple[str, tuple[str, ...], str]] = [
    # who asks, for what, and the right that is lacking
    (GATEWAY, ("log", "read"), 'publish to "jetstream.stream.info.ledger"'),
    (READER, ("bus", "init"), 'publish to "jetstream.stream.info.kv_'),
]


@pytest.mark.parametrize(("name", "line", "right"), ASKED, ids=["reading", "declaring"])
async def test_J05_a_right_that_the_bus_denies_is_told_as_that(
    bus: Guarded, capsys: pytest.CaptureFixture[str], name: str, line: tuple[str, ...], right: str
) -> None:
    await declared(bus)
    seed = bus.directory.seed(name)
    place = ("--nats-url", bus.server.url, "--nats-credentials", str(seed))
    code = await asyncio.to_thread(main.run, [*line, *place])
    said = capsys.readouterr().err
    assert (REFUSED, 1) == (code, len(said.splitlines())), said
    assert f"The bus does not allow this: The credentials in {seed} may not {right}" in said
