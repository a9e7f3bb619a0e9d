"""Several replicas race to renew the same upstream tokens, at a provider that takes each refresh token once.

A round: a user's token has come near its end, and every replica is asked for it at once, several times. The provider
counts: exactly one renewal of each round, no refresh token sent twice, so that no family of tokens is revoked.

In some rounds one replica more is asked first, and dies at a named place of the renewal; the others are asked while its
lease still holds. Only where it dies between the provider's answer and the vault is the token lost, and told as lost.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from math import ceil
from pathlib import Path
from typing import Any, Final, Literal

import httpx
from msgspec import Struct

from scopefold.contracts.events import TokenCleared
from tests.auth.gateways import Gateway, access_token, asked_again, atlassian, atlassian_seen
from tests.auth.world import App, Person, World, auth, new_world, until_ready
from tests.support.logs import JIRA, provisioned
from tests.support.process import Service

Mode = Literal["calm", "slow", "leeway", "failing"]
MODES: Final[tuple[Mode, ...]] = ("calm", "slow", "leeway", "failing")
Place = Literal["renewal.begun", "renewal.answered", "renewal.stored"]
PLACES: Final[tuple[Place, ...]] = ("renewal.begun", "renewal.answered", "renewal.stored")
"""Where a replica dies."""
REPLICAS: Final = (2, 3, 4)
NAMES: Final = ("alice", "bob", "carol", "dave")
USERS: Final = 24
ASKED_OF_EACH: Final = 3
MOST_LATENCY_MS: Final = 5_000
DYING_AT_ONCE: Final = 4
SHORT_SECONDS: Final = "6"
"""How long a renewal may take at a replica that will die: the others are kept away for half as long again."""
OTHERS_SECONDS: Final = ("12", "40", "60")
"""How long a renewal may take at the replicas beside the first: none may judge another's lease by its own setting."""
DEATH_SECONDS: Final = 20


class Cell(Struct, frozen=True):
    """What is tried: rounds in one mode, or with a death at one place, at so many replicas."""

    mode: Mode | Place
    replicas: int
    rounds: int


def plan(rounds: int) -> tuple[Cell, ...]:
    """So many rounds at least, dealt out evenly to every mode and number of replicas; and deaths, a tenth as many."""
    races = [(mode, count) for mode in MODES for count in REPLICAS]
    deaths = [(place, count) for place in PLACES for count in REPLICAS]
    return (
        *(Cell(mode, count, ceil(rounds / len(races))) for mode, count in races),
        *(Cell(place, count, ceil(rounds / 10 / len(deaths))) for place, count in deaths),
    )


class Raced(Struct, frozen=True):
    """What came of the rounds of one cell."""

    mode: Mode | Place
    replicas: int
    rounds: int
    asked: int
    renewals: int
    """As the provider counted them."""
    sent_twice: int
    families_revoked: int
    refused: int
    """Answers that brought no token."""
    differing: int
    """Rounds in which not all who asked got the same token."""
    lost: int = 0
    """Tokens that the log tells as lost."""

    @property
    def holds(self) -> bool:
        """One renewal a round, nothing sent twice, everybody served; or each token lost once, and told as lost."""
        lost = self.rounds if self.mode == "renewal.answered" else 0
        refused = self.asked if lost else 0
        expected = (self.rounds, 0, lost, refused, 0, lost)  # a token sent twice ends its family at once
        return expected == (
            *(self.renewals, self.sent_twice, self.families_revoked, self.refused, self.differing, self.lost),
        )


class User(Struct, frozen=True):
    """One of the stand-in's four people at one of its IdPs here, and the gateway that acts for them."""

    name: str
    idp: str
    gateway: Gateway

    async def log_in(self, app: App) -> str:
        """With a new browser; the access token that the app gets."""
        return await access_token(Person(self.gateway.app.world, self.name), app, idp_hint=self.idp)


async def users_of(world: World, count: int) -> list[User]:
    """So many users, who can all be renewed."""
    found: list[User] = []
    while len(found) < count:
        idp = await world.idp_with_jira()
        await world.publish(provisioned(f"jira-{idp}", JIRA, idp), by="provisioner")
        gateway = await Gateway.registered(world, idp)
        found += [User(name, idp, gateway) for name in NAMES[: count - len(found)]]
    return found


async def near_the_end(world: World, app: App, users: Sequence[User]) -> list[str]:
    """Let them log in and get upstream tokens that live for a second; their access tokens of ours."""
    async with atlassian(world, access_seconds=1):
        return [await user.log_in(app) for user in users]


async def race(world: World, replicas: Sequence[str], seed: int, rounds: int, mode: Mode) -> Raced:
    """So many rounds in one mode, `USERS` at a time. `replicas` are their addresses."""
    chance = random.Random(f"{seed} {mode} {len(replicas)}")
    refused = differing = asked = done = 0
    app, users = await world.register_client(), await users_of(world, min(USERS, rounds))
    before = await atlassian_seen(world)
    while done < rounds:
        tokens = await near_the_end(world, app, users[: rounds - done])
        leeway, told = 600 if mode == "leeway" else 0, _faults(mode, chance, len(tokens))
        async with atlassian(world, refresh_leeway_seconds=leeway), atlassian(world, "faults", **told):
            got = await asyncio.gather(*(_ask(*one, replicas) for one in zip(users, tokens, strict=False)))
        asked += sum(len(answers) for answers in got)
        refused += sum(one is None for answers in got for one in answers)
        differing += sum(len(set(answers)) != 1 for answers in got)
        done += len(tokens)
    after = await atlassian_seen(world)
    return Raced(
        mode=mode,
        replicas=len(replicas),
        rounds=rounds,
        asked=asked,
        renewals=after["renewals"] - before["renewals"],
        sent_twice=after["repeats"] - before["repeats"],
        families_revoked=after["breaches"] - before["breaches"],
        refused=refused,
        differing=differing,
    )


async def die(world: World, replicas: Sequence[str], place: Place, rounds: int, directory: Path) -> Raced:
    """So many rounds in which one replica more dies at this place; the others are asked then, all at once."""
    app, users = await world.register_client(), await users_of(world, min(DYING_AT_ONCE, rounds))
    before, answers, done = await atlassian_seen(world), list[list[str | None]](), 0
    while done < rounds:
        some = users[: rounds - done]
        with ExitStack() as stack:
            settings = {**world.settings, "renewal_seconds": SHORT_SECONDS, "crash_at": place}
            dying = [stack.enter_context(auth(directory / f"dying-{done + n}", **settings)) for n in range(len(some))]
            for one in dying:
                await until_ready(one)
            tokens = await near_the_end(world, app, some)
            async with atlassian(world, refresh_leeway_seconds=0):
                await asyncio.gather(*(_kill(*one) for one in zip(dying, some, tokens, strict=True)))
                answers += await asyncio.gather(
                    *(_ask(user, token, replicas) for user, token in zip(some, tokens, strict=True))
                )
        done += len(some)
    after = await atlassian_seen(world)
    idps = {user.idp for user in users}
    lost = [one for idp in sorted(idps) for one in await world.said(TokenCleared, idp) if one.reason == "lost"]
    return Raced(
        mode=place,
        replicas=len(replicas) + 1,
        rounds=rounds,
        asked=sum(map(len, answers)),
        renewals=after["renewals"] - before["renewals"],
        sent_twice=after["repeats"] - before["repeats"],
        families_revoked=after["breaches"] - before["breaches"],
        refused=sum(one is None for got in answers for one in got),
        differing=sum(len(set(got)) != 1 for got in answers),
        lost=len(lost),
    )


async def _kill(service: Service, user: User, token: str) -> None:
    """Ask a replica that dies of it."""
    with suppress(httpx.HTTPError):
        answer = await user.gateway.exchange(token, at=service.url)
        raise AssertionError(f"it did not die, and answered {answer.status_code}: {answer.text}")
    await asyncio.to_thread(service.process.wait, DEATH_SECONDS)


def _faults(mode: Mode, chance: random.Random, users: int) -> dict[str, Any]:
    """No more errors than so many users meet while they are patient: each is left alone for longer after each."""
    match mode:
        case "slow" | "leeway":
            return {"at": "token", "latency_ms": chance.randrange(MOST_LATENCY_MS)}
        case "failing":
            return {"at": "token", "latency_ms": chance.randrange(200), "server_errors": chance.randrange(2 * users)}
    return {}


async def _ask(user: User, token: str, replicas: Sequence[str]) -> list[str | None]:
    """Ask every replica at once, several times; the upstream tokens, None for a refusal."""
    places = [replica for replica in replicas for _ in range(ASKED_OF_EACH)]
    answers = await asyncio.gather(*(asked_again(user.gateway, token, at=place) for place in places))
    return [answer.json().get("access_token") if answer.status_code == 200 else None for answer in answers]


def campaign(seed: int, cells: Sequence[Cell], directory: Path) -> Iterator[Raced]:
    """Every cell, one after the other, on one world; told as each is done."""
    with ExitStack() as stack:
        world = stack.enter_context(new_world(directory / "world"))
        most = max(cell.replicas for cell in cells)
        others = [
            stack.enter_context(auth(directory / f"replica-{n}", **world.settings, renewal_seconds=seconds))
            for n, seconds in enumerate(OTHERS_SECONDS[: most - 1], 1)
        ]
        for one in others:
            asyncio.run(until_ready(one))
        urls = [world.auth.url, *(one.url for one in others)]
        for number, cell in enumerate(cells):
            match cell.mode:
                case "renewal.begun" | "renewal.answered" | "renewal.stored" as place:
                    own = directory / f"cell-{number}"
                    own.mkdir()  # one of the replicas is the one that dies
                    yield asyncio.run(die(world, urls[: cell.replicas - 1], place, cell.rounds, own))
                case "calm" | "slow" | "leeway" | "failing" as mode:
                    yield asyncio.run(race(world, urls[: cell.replicas], seed, cell.rounds, mode))
