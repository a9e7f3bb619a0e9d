"""What the load is made of: the same seed gives the same commands in the same order, whatever is killed meanwhile."""

from collections.abc import Iterator
from random import Random
from typing import Final

from msgspec import Struct

from scopefold.contracts.commands import DeprovisionConnector, ProvisionConnector
from scopefold.contracts.events import TokenInsufficient, TokenStored, UserLoggedIn
from scopefold.ledger.append import NewEvent
from tests.support.logs import CONFLUENCE, JIRA, REFRESH_TOKEN

IDP: Final = "atlassian"
GATEWAY: Final = "faults-gateway"
USERS_EACH: Final = 20
MOST_COMMANDS: Final = 50_000
LOST_ANSWERS: Final = 0.05
LONGEST_REST_SECONDS: Final = 0.03
Order = ProvisionConnector | DeprovisionConnector


class Append(Struct, frozen=True):
    """Events to append in one piece. No two appends of a campaign have a payload in common.

    `answer_is_lost`: the sender does not hear the first answer, and so must send it again.
    """

    publisher: str
    events: tuple[NewEvent, ...]
    answer_is_lost: bool
    rest_seconds: float


class Command(Struct, frozen=True):
    """A connector command. Sent again under its key, it is answered alike."""

    order: Order
    answer_is_lost: bool
    rest_seconds: float


class Visit(Struct, frozen=True):
    """A login: in a new browser, or in the one of the last visit."""

    anew: bool
    rest_seconds: float


def appends(seed: int, worker: int) -> Iterator[Append]:
    """What gateways and logins write: tokens stored, and reports that a token does not suffice."""
    random = Random(f"appends-{seed}-{worker}")
    generations: dict[str, int] = {}
    for number in range(MOST_COMMANDS):
        name = f"{seed}-{worker}-{number:06}"
        user = f"u_load-{worker}-{random.randrange(USERS_EACH):03}"
        if random.random() < 0.5 or user not in generations:
            generations[user] = generations.get(user, 0) + 1
            granted = tuple(random.sample(JIRA + CONFLUENCE[:2], random.randint(1, 6)))
            publisher = "auth"
            events: tuple[NewEvent, ...] = (
                NewEvent(f"logged-in-{name}", UserLoggedIn(user=user, idp=IDP, client=f"client-{name}")),
                NewEvent(f"stored-{name}", _token(name, user, generations[user], granted)),
            )
        else:
            publisher = GATEWAY
            about = random.choice([None, generations[user]])
            missing = (f"load:{name}", *random.sample(JIRA, 1))
            report = TokenInsufficient(
                user=user, idp=IDP, resource_type="urn:connector:identos:jira-user", missing=missing, generation=about
            )
            events = (NewEvent(f"report-{name}", report),)
        yield Append(publisher, events, random.random() < LOST_ANSWERS, random.uniform(0, LONGEST_REST_SECONDS))


def _token(name: str, user: str, generation: int, granted: tuple[str, ...]) -> TokenStored:
    return TokenStored(
        user=user,
        idp=IDP,
        requested=granted,
        granted=granted,
        evidence=REFRESH_TOKEN,
        known_by="echoed",
        cause="login",
        generation=generation,
        fingerprint=f"fingerprint-{name}",
    )


def commands(seed: int, connector: str, idp: str) -> Iterator[Command]:
    """One connector, provisioned and deprovisioned in turn: each of these commands changes something, once."""
    random = Random(f"commands-{seed}-{connector}")
    for number in range(MOST_COMMANDS):
        key = f"{connector}-{seed}-{number:06}"
        order: Order
        if number % 2 == 0:
            order = ProvisionConnector(connector=connector, idp=idp, idempotency_key=key)
        else:
            order = DeprovisionConnector(connector=connector, idempotency_key=key)
        yield Command(order, random.random() < LOST_ANSWERS, random.uniform(0, LONGEST_REST_SECONDS))


def visits(seed: int, person: str) -> Iterator[Visit]:
    """A person's logins."""
    random = Random(f"visits-{seed}-{person}")
    for _ in range(MOST_COMMANDS):
        yield Visit(random.random() < 0.7, random.uniform(0, 5 * LONGEST_REST_SECONDS))
