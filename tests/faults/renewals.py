"""Several replicas race to renew the same upstream tokens, at a provider that takes each refresh token once.

A round: a user's token has come near its end, and every replica is asked for it at once, several times. The provider
counts: exactly one renewal of each round, no refresh token sent twice, so that no family of tokens is revoked.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from tests.auth.gateways import Gateway, access_token, atlassian, atlassian_seen
from tests.auth.world import App, Person, World, auth, new_world, until_ready
from tests.support.logs import JIRA, provisioned

Mode = Literal["calm", "slow", "leeway", "failing"]
MODES: Final[tuple[Mode, ...]] = ("calm", "slow", "leeway", "failing")
NAMES: Final = ("alice", "bob", "carol", "dave")
USERS: Final = 24
ASKED_OF_EACH: Final = 3
MOST_LATENCY_MS: Final = 5_000


class Raced(Struct, frozen=True):
    """What came of the rounds of one mode."""

    mode: Mode
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

    @property
    def holds(self) -> bool:
        """One renewal a round, nothing sent twice, everybody served."""
        wrong = (self.sent_twice, self.families_revoked, self.refused, self.differing)
        return self.renewals == self.rounds and not any(wrong)


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
    chance = random.Random(f"{seed} {mode}")
    refused = differing = asked = done = 0
    app, users = await world.register_client(), await users_of(world, min(USERS, rounds))
    before = await atlassian_seen(world)
    while done < rounds:
        tokens = await near_the_end(world, app, users[: rounds - done])
        leeway = 600 if mode == "leeway" else 0
        async with atlassian(world, refresh_leeway_seconds=leeway), atlassian(world, "faults", **_faults(mode, chance)):
            got = await asyncio.gather(*(_ask(*one, replicas) for one in zip(users, tokens, strict=False)))
        asked += sum(len(answers) for answers in got)
        refused += sum(one is None for answers in got for one in answers)
        differing += sum(len(set(answers)) != 1 for answers in got)
        done += len(tokens)
    after = await atlassian_seen(world)
    return Raced(
        mode=mode,
        rounds=rounds,
        asked=asked,
        renewals=after["renewals"] - before["renewals"],
        sent_twice=after["repeats"] - before["repeats"],
        families_revoked=after["breaches"] - before["breaches"],
        refused=refused,
        differing=differing,
    )


def _faults(mode: Mode, chance: random.Random) -> dict[str, Any]:
    match mode:
        case "slow" | "leeway":
            return {"at": "token", "latency_ms": chance.randrange(MOST_LATENCY_MS)}
        case "failing":
            return {"at": "token", "latency_ms": chance.randrange(200), "server_errors": chance.randrange(3)}
    return {}


async def _ask(user: User, token: str, replicas: Sequence[str]) -> list[str | None]:
    """Ask every replica at once, several times; the upstream tokens, None for a refusal."""
    places = [replica for replica in replicas for _ in range(ASKED_OF_EACH)]
    answers = await asyncio.gather(*(user.gateway.exchange(token, at=place) for place in places))
    return [answer.json().get("access_token") if answer.status_code == 200 else None for answer in answers]


def campaign(
    seed: int, rounds: int, directory: Path, *, modes: Sequence[Mode] = MODES, replicas: int = 3
) -> list[Raced]:
    """Every mode, one after the other, on a world of its own."""
    with ExitStack() as stack:
        world = stack.enter_context(new_world(directory / "world"))
        others = [stack.enter_context(auth(directory / f"replica-{n}", **world.settings)) for n in range(1, replicas)]
        for one in others:
            asyncio.run(until_ready(one))
        places = [world.auth.url, *(one.url for one in others)]
        return [asyncio.run(race(world, places, seed, rounds, mode)) for mode in modes]
