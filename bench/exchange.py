"""How fast gateways are answered: token exchange and forward authentication, with many users in the vault.

    just bench exchange [--users 100000] [--seconds 6] [--json]

One auth process with its nats-server on one core, the driver on the other. Every user has a token in the vault, a
grant, and an access token of ours; requests are for users at random. First each is asked for once (cold), then all is
in memory. `p99_ms` is at half the rate that is asked of it: 750 exchanges, 1,500 answers a second.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx
import nats
import psutil
import uvloop
from joserfc import jwt

from bench.driver import Act, FailedError, System, basic, measure
from bench.filled_log import SCOPES, provisioned
from bench.ours import ADMIN, alone, new_kek
from bench.report import tell
from bench.started import DRIVING, MEASURED, on_cpu
from bench.wire import Connection, request
from scopefold.auth.core.families import Family, family_id
from scopefold.auth.core.seal import keyed_hash, read_key
from scopefold.auth.core.stored_token import Identity, StoredToken
from scopefold.auth.oauth.access_claims import ALGORITHM, TYPE, AccessClaims, as_claims
from scopefold.auth.oauth.exchange import ACCESS_TOKEN, EXCHANGE
from scopefold.auth.oauth.keys import Keys, keys_of
from scopefold.auth.store import buckets
from scopefold.auth.store.grants import Grants
from scopefold.auth.store.vault import Vault
from scopefold.auth.web.login_log import token_stored
from scopefold.contracts.words import resource_type_of
from scopefold.ledger.append import MAX_BATCH, NewEvent, append
from scopefold.ledger.log import Log

IDP: Final = "atlassian"
CONNECTOR: Final = "acme.connector-0"
RESOURCE: Final = resource_type_of(CONNECTOR)
GRANTED: Final = ("read:me", *SCOPES[:3])
CONNECTIONS: Final = 16
AT_ONCE: Final = 256
COLD: Final = 500
ASKED_OF_EXCHANGE: Final = 1500
ASKED_OF_FORWARD_AUTH: Final = 3000


def stored(number: int, vault: Vault, now: datetime) -> StoredToken:
    """The upstream token of one user, as long as Atlassian's are."""
    return StoredToken(
        identity=Identity(f"712020:{number:036}", f"user{number}@example.com", f"User {number}"),
        access_token=f"{number:08}".ljust(1200, "a"),
        refresh_token=f"{number:08}".ljust(600, "r"),
        requested=GRANTED,
        granted=GRANTED,
        evidence=("identity", "refresh_token"),
        known_by="echoed",
        cause="login",
        generation=1,
        fingerprint=keyed_hash(vault.fingerprint_key, str(number)),
        predecessor=None,
        access_expires_at=now + timedelta(hours=1),
        idle_expires_at=now + timedelta(days=90),
        absolute_expires_at=None,
    )


def access_token(keys: Keys, issuer: str, user: str, grant: str, now: datetime) -> str:
    """An access token of ours, as the app of this user has one."""
    issued = int(now.timestamp())
    claims = AccessClaims(
        iss=issuer, sub=user, aud=issuer, client_id="gateway", exp=issued + 3600, iat=issued, jti=grant, grant_id=grant
    )
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": str(keys.es256.kid)}
    return jwt.encode(header, as_claims(claims), keys.es256, algorithms=[ALGORITHM])


async def fill(url: str, kek: bytes, issuer: str, users: int) -> list[str]:
    """Put the users where they would be after they logged in; their access tokens."""
    nc = await nats.connect(url)
    log, now = Log(nc), datetime.now(UTC)
    found = await buckets.connect(log.js)
    vault, grants = Vault(found.vault, "default", kek), Grants(found.grants)
    await vault.open()
    keys = keys_of((await vault.signing_ring())[0])
    connector = NewEvent("bench-connector", provisioned(CONNECTOR, SCOPES[:3]))
    await append(log, [connector], tenant="default", publisher="provisioner", now=now)
    turns = asyncio.Semaphore(AT_ONCE)
    tokens: list[str] = []

    async def put(number: int) -> NewEvent:
        user, handle = f"u_bench{number:012}", f"handle-{number:012}"
        family = Family(
            client_id="gateway",
            user=user,
            idp=IDP,
            scope="profile",
            issued_at=now,
            used_at=now,
            authenticated_at=now,
            issuer=issuer,
            user_ends=0,
            # With a refresh token, so that the bus remembers it for longer than a slow machine takes to fill the vault.
            current=handle,
            idle_seconds=86400,
            absolute_expires_at=now + timedelta(days=1),
        )
        row = stored(number, vault, now)
        async with turns:
            await vault.put_token(user, IDP, row, revision=0)
            await grants.keep(family_id(handle), family, revision=0, now=now)
        tokens.append(access_token(keys, issuer, user, family_id(handle), now))
        return NewEvent(f"bench-token-{number}", token_stored(user, IDP, row))

    for start in range(0, users, MAX_BATCH - 1):
        events = await asyncio.gather(*(put(number) for number in range(start, min(users, start + MAX_BATCH - 1))))
        await append(log, events, tenant="default", publisher="auth", now=now)
    await nc.close()
    return tokens


def registered(port: int) -> tuple[str, str]:
    """The IdP and the gateway; the gateway's id and secret."""
    place = "/api/v1/organizations/default/clients"
    idp = {"idp": IDP, "profile": "atlassian", "client_id": "bench", "client_secret": "bench-secret-of-no-worth"}
    gateway = {
        "client_id": "gateway",
        "client_name": "Gateway",
        "grant_types": [EXCHANGE],
        "exchange_resources": [RESOURCE],
        "scopes": ["profile"],
    }
    headers = {"authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as admin:
        admin.post("/v1/idps", json=idp).raise_for_status()
        made = admin.post(place, json=gateway).raise_for_status()
    return "gateway", str(made.json()["client_secret"])


def exchanges(port: int, gateway: tuple[str, str], token: Callable[[], str]) -> Act:
    """A gateway exchanges a user's token, over a connection of its own."""
    connection = Connection(port)
    rest = urlencode({"grant_type": EXCHANGE, "subject_token_type": ACCESS_TOKEN, "resource": RESOURCE})

    async def act() -> None:
        body = f"{rest}&subject_token={token()}".encode()
        answer = await connection.ask(request("POST", "/oauth2/token", port, headers=[basic(gateway)], body=body))
        if answer.status != 200:
            raise FailedError(f"exchange: {answer.status} {answer.body[:200]!r}")

    return act


def forward_auth(port: int, gateway: tuple[str, str], token: Callable[[], str]) -> Act:
    """A gateway asks about a user's request, over a connection of its own."""
    connection = Connection(port)
    target = f"/forward-auth?{urlencode({'resource': RESOURCE})}"
    credentials = ("x-gateway-authorization", basic(gateway)[1])

    async def act() -> None:
        headers = [credentials, ("authorization", f"Bearer {token()}")]
        answer = await connection.ask(request("GET", target, port, headers=headers))
        if answer.status != 200:
            raise FailedError(f"forward-auth: {answer.status} {answer.body[:200]!r}")

    return act


async def each_ms(act: Act, times: int) -> list[float]:
    """How long each of so many takes, one after the other."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        await act()
        taken.append(1000 * (time.perf_counter() - started))
    return taken


async def paced_p99_ms(workers: Sequence[Act], per_s: float, seconds: float) -> float:
    """The 99th percentile where so many come a second, whether or not the ones before were answered."""
    taken: list[float] = []
    begin = time.perf_counter()

    async def keep_on(act: Act, number: int) -> None:
        due = begin + number / per_s
        while due < begin + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await act()
            taken.append(1000 * (time.perf_counter() - due))
            due += len(workers) / per_s

    await asyncio.gather(*(keep_on(act, number) for number, act in enumerate(workers)))
    return statistics.quantiles(taken, n=100)[98]


async def run(system: System, gateway: tuple[str, str], tokens: Sequence[str], seconds: float) -> None:
    """Measure, and tell."""
    port, auth = system.port, psutil.Process(system.roots[0])

    def rss_mb() -> float:
        return float(auth.memory_info().rss) / 2**20

    users, each = len(tokens), iter(tokens)
    first = forward_auth(port, gateway, each.__next__)
    tell("exchange", "cold_p50_ms", statistics.median(await each_ms(first, min(COLD, users))), "ms", users=users)
    await each_ms(first, users - min(COLD, users))
    before = rss_mb()
    loads: list[tuple[str, Callable[[int, tuple[str, str], Callable[[], str]], Act], int]] = [
        ("exchanges_per_s", exchanges, ASKED_OF_EXCHANGE),
        ("forward_auth_per_s", forward_auth, ASKED_OF_FORWARD_AUTH),
    ]
    for metric, make, asked in loads:
        workers = [make(port, gateway, lambda: random.choice(tokens)) for _ in range(CONNECTIONS)]
        found = await measure(system, workers, seconds)
        tell("exchange", metric, found.per_s, "1/s", users=users, asked=asked, failed=found.failed)
        tell("exchange", "cpu_ms", found.cpu_ms, "ms", of=metric)
        p99 = await paced_p99_ms(workers, asked / 2, seconds)
        tell("exchange", "p99_ms", p99, "ms", of=metric, at_per_s=asked // 2)
    tell("exchange", "rss_mb", rss_mb(), "MB", users=users, before=round(before))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    kek = new_kek()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        with on_cpu(MEASURED):
            system, url = running.enter_context(alone(Path(folder), kek))
        with on_cpu(DRIVING), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            gateway = registered(system.port)
            tokens = runner.run(fill(url, read_key(kek), system.origin, asked.users))
            runner.run(run(system, gateway, tokens, asked.seconds))


if __name__ == "__main__":
    main()
