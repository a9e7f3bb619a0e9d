"""A log with many users, as bench measures need it: real events on a real nats-server, appended in large batches."""

from collections.abc import Iterator
from datetime import UTC, datetime

from scopefold.contracts.events import ConnectorProvisioned, Event, IdpRegistered, TokenStored, UserLoggedIn
from scopefold.contracts.words import resource_type_of
from scopefold.ledger.append import MAX_BATCH, NewEvent, append
from scopefold.ledger.log import Log

GRANT_SETS = 200
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCOPES = tuple(f"{verb}:{thing}" for verb in ("read", "write") for thing in "abcdefghijklmnop")


def idp_events() -> Iterator[tuple[str, Event]]:
    """An IdP and ten connectors: who may publish each, and the event."""
    yield (
        "auth",
        IdpRegistered(
            idp="atlassian", profile="atlassian", client_id="app", base_scopes=("openid", "email", "profile")
        ),
    )
    for number in range(10):
        yield "provisioner", provisioned(f"acme.connector-{number}", SCOPES[number : number + 3])


def provisioned(connector: str, scopes: tuple[str, ...], version: str = "1.0.0") -> ConnectorProvisioned:
    """A connector that needs these scopes of the one IdP."""
    return ConnectorProvisioned(
        resource_type=resource_type_of(connector),
        connector=connector,
        connector_version=version,
        title=connector,
        auth_mode="idp_passthrough",
        idp="atlassian",
        upstream_scopes=scopes,
    )


def granted(number: int) -> tuple[str, ...]:
    """One of 200 different grants: every user of this number modulo 200 holds it."""
    kind = number % GRANT_SETS
    return (
        "read:me",
        *(scope for place, scope in enumerate(SCOPES) if (kind * 2654435761 >> place) & 1),
        f"set:{kind}",
    )


def token_stored(number: int) -> TokenStored:
    """The token of one user."""
    scopes = granted(number)
    return TokenStored(
        user=f"u_{number * 2654435761 % 2**32:010x}{number:08x}",
        idp="atlassian",
        requested=scopes,
        granted=scopes,
        evidence=("identity", "refresh_token"),
        known_by="echoed",
        cause="login",
        generation=1,
        fingerprint=f"{number:022x}",
        access_expires_at=NOW,
        idle_expires_at=NOW,
    )


async def fill(log: Log, users: int, *, logins: bool) -> int:
    """Append the IdP, its connectors, and a token (with its login, if `logins`) of every user; how many events."""
    count = 0
    for count, (publisher, event) in enumerate(idp_events(), start=1):
        new = [NewEvent(f"idp-event-{count:04}", event)]
        await append(log, new, tenant="default", publisher=publisher, now=NOW)
    waiting: list[NewEvent] = []
    for number in range(users):
        token = token_stored(number)
        if logins:
            logged_in = UserLoggedIn(user=token.user, idp="atlassian", client="playground")
            waiting.append(NewEvent(f"logged-in-{number}", logged_in))
        waiting.append(NewEvent(f"token-{number:08}", token))
        if len(waiting) >= MAX_BATCH - 1 or number == users - 1:
            await append(log, waiting, tenant="default", publisher="auth", now=NOW)
            count += len(waiting)
            waiting = []
    return count
