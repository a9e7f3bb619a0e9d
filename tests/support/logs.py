"""Logs for tests: events said in few words, and logs that a seed makes, random but plausible."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, Literal

import msgspec
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.consent import reconsent
from scopefold.contracts.events import (
    AuthorizationFailed,
    ConnectorDeprovisioned,
    ConnectorProvisioned,
    ConsentDeclined,
    Event,
    IdpRegistered,
    IdpRemoved,
    ScopesPruned,
    ScopesRestored,
    ScopesWithheld,
    TokenCleared,
    TokenInsufficient,
    TokenStored,
    UserErased,
    UserLoggedIn,
)
from scopefold.contracts.recorded import PUBLISHERS, Recorded
from scopefold.contracts.words import resource_type_of

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
CLIENT: Final = "playground"
BASE: Final = ("openid", "email", "profile")
JIRA: Final = ("read:me", "read:jira-user", "read:jira-work", "write:jira-work", "offline_access")
CONFLUENCE: Final = ("read:confluence-content.all", "write:confluence-content", "offline_access")
REFRESH_TOKEN: Final[tuple[Literal["identity", "refresh_token"], ...]] = ("identity", "refresh_token")


def registered(idp: str = "atlassian", profile: str = "atlassian", base: Sequence[str] = BASE) -> IdpRegistered:
    return IdpRegistered(idp=idp, profile=profile, client_id="acme-scopefold", base_scopes=tuple(base))


def provisioned(
    name: str,
    scopes: Sequence[str],
    idp: str = "atlassian",
    version: str = "1.0.0",
    alternatives: Sequence[Sequence[str]] = (),
) -> ConnectorProvisioned:
    connector = f"identos.{name}"
    return ConnectorProvisioned(
        resource_type=resource_type_of(connector),
        connector=connector,
        connector_version=version,
        title=name.title(),
        auth_mode="idp_passthrough",
        idp=idp,
        upstream_scopes=tuple(scopes),
        alternatives=tuple(tuple(one) for one in alternatives),
    )


def withheld(*scopes: str, idp: str = "atlassian") -> ScopesWithheld:
    return ScopesWithheld(idp=idp, scopes=scopes, by="operator")


def restored(*scopes: str, idp: str = "atlassian") -> ScopesRestored:
    return ScopesRestored(idp=idp, scopes=scopes)


def pruned(*scopes: str, idp: str = "atlassian") -> ScopesPruned:
    return ScopesPruned(idp=idp, scopes=scopes, by="operator")


def removed(idp: str = "atlassian") -> IdpRemoved:
    return IdpRemoved(idp=idp, by="operator")


def failed(
    who: str,
    requested: Sequence[str],
    *,
    error: str = "invalid_scope",
    stage: Literal["authorize", "token", "identity"] = "authorize",
    user: str | None = None,
    idp: str = "atlassian",
) -> AuthorizationFailed:
    """Somebody failed at an IdP: `who` names the attempt, which may be a user's."""
    return AuthorizationFailed(
        attempt=who, idp=idp, client=CLIENT, user=user, requested=tuple(requested), stage=stage, error=error
    )


def deprovisioned(name: str, idp: str = "atlassian") -> ConnectorDeprovisioned:
    connector = f"identos.{name}"
    return ConnectorDeprovisioned(resource_type=resource_type_of(connector), connector=connector, idp=idp)


def logged_in(user: str, idp: str = "atlassian") -> UserLoggedIn:
    return UserLoggedIn(user=user, idp=idp, client=CLIENT)


def stored(
    user: str,
    granted: Sequence[str] | None,
    *,
    generation: int = 1,
    cause: Literal["login", "step-up", "refresh"] = "login",
    evidence: tuple[Literal["identity", "refresh_token"], ...] = REFRESH_TOKEN,
    idp: str = "atlassian",
    requested: Sequence[str] | None = None,
) -> TokenStored:
    """A token came. What was asked for is what was granted, unless the test says otherwise."""
    return TokenStored(
        user=user,
        idp=idp,
        requested=tuple((granted or ()) if requested is None else requested),
        granted=None if granted is None else tuple(granted),
        evidence=evidence,
        known_by="assumed" if granted is None else "echoed",
        cause=cause,
        generation=generation,
        fingerprint=f"fingerprint-of-{generation:06}",
    )


def insufficient(
    user: str, *missing: str, generation: int | None = None, name: str = "jira-user", idp: str = "atlassian"
) -> TokenInsufficient:
    kind = resource_type_of(f"identos.{name}")
    return TokenInsufficient(user=user, idp=idp, resource_type=kind, missing=missing, generation=generation)


def cleared(user: str, *, generation: int = 1, reason: str = "revoked", idp: str = "atlassian") -> TokenCleared:
    return TokenCleared(user=user, idp=idp, generation=generation, reason=reason)


def erased(user: str, idp: str = "atlassian") -> UserErased:
    return UserErased(user=user, idp=idp)


def at_place(seq: int, event: Event, event_id: str | None = None) -> Recorded:
    """The event as the log has it at this place; each place is one second after the one before it."""
    publisher = PUBLISHERS[type(event)] or "jira-gateway"
    named = event_id or f"event-{seq:06}"
    return Recorded(seq, START + timedelta(seconds=seq), "default", named, publisher, event)


def log_of(*events: Event) -> list[Recorded]:
    """A log of these events, from sequence 1."""
    return [at_place(seq, event) for seq, event in enumerate(events, start=1)]


IDPS: Final = {"atlassian": "atlassian", "atlassian-eu": "atlassian", "bitbucket": "bitbucket", "other": "no-such"}
NAMES: Final = ("jira-user", "confluence-user", "bitbucket-user", "wiki", "search")
USERS: Final = tuple(f"u_user{n:04}" for n in range(6))
SCOPES: Final = (*BASE, *JIRA, *CONFLUENCE[:2], "repository", "repository:write", "pullrequest:write", "account")


RESPELLED: Final = "account"
SPELLINGS: Final = ("Mail.Read", "https://graph.microsoft.com/mail.read")


def random_log(random: Random, length: int) -> list[Recorded]:
    """A log as real ones are: IdPs and connectors come and go, users log in and refresh, some events stand twice.

    The same seed gives the same log. Nothing guarantees that an event makes sense where it stands: tokens arrive
    late, reports are stale, connectors leave that never came.
    """
    log: list[Recorded] = []
    generations: dict[tuple[str, str], int] = {}
    for seq in range(1, length + 1):
        if log and random.random() < 0.1:
            twin = random.choice(log)
            log.append(at_place(seq, twin.event, twin.event_id))
        else:
            log.append(at_place(seq, _random_event(random, generations)))
    return log


def logs(max_length: int = 60) -> st.SearchStrategy[list[Recorded]]:
    """`random_log` for Hypothesis, and in it what is rare: an IdP that is for a while of another profile, by mistake,
    and a scope that Microsoft takes in two spellings.
    """
    return st.builds(_rarer, st.randoms(use_true_random=False), st.integers(0, max_length))


def _rarer(random: Random, length: int) -> list[Recorded]:
    return [_mistaken(random, respelled(one)) for one in random_log(random, length)]


def _mistaken(random: Random, one: Recorded) -> Recorded:
    if not isinstance(one.event, IdpRegistered) or random.random() < 0.7:
        return one
    return replace(one, event=replace(one.event, profile="microsoft"))


def respelled(one: Recorded) -> Recorded:
    """The event, with one spelling or the other in place of one scope."""

    def other(scopes: tuple[Any, ...]) -> tuple[Any, ...]:
        spelling = SPELLINGS[one.seq % 2]
        return tuple(
            spelling if scope == RESPELLED else other(scope) if type(scope) is tuple else scope for scope in scopes
        )

    told = {name: getattr(one.event, name) for name in one.event.__struct_fields__}
    return replace(one, event=replace(one.event, **{k: other(v) for k, v in told.items() if isinstance(v, tuple)}))


def _random_event(random: Random, generations: dict[tuple[str, str], int]) -> Event:
    idp, user = random.choice(list(IDPS)), random.choice(USERS)
    some = tuple(random.sample(SCOPES, random.randint(1, 6)))
    kind = random.randint(0, 15)
    if kind == 0:
        return registered(idp, IDPS[idp], random.choice([BASE, some, ()]))
    if kind <= 2:
        others = random.choice([(), (), (some[:1],), (SCOPES[:2], SCOPES[5:8])])
        return provisioned(random.choice(NAMES), some, idp, alternatives=others)
    if kind == 12:
        return withheld(*some[:2], idp=idp) if random.random() < 0.5 else restored(*some[:2], idp=idp)
    if kind == 15:
        return pruned(*some, idp=idp)
    if kind == 13:
        return failed(f"attempt-{random.randint(0, 99):03}", some, idp=idp, user=random.choice([None, user]))
    if kind == 14:
        return cleared(user, generation=max(1, generations.get((idp, user), 0) + random.choice([0, 0, -1])), idp=idp)
    if kind == 3:
        return deprovisioned(random.choice(NAMES), idp)
    if kind == 4:
        chance = random.random()
        return erased(user, idp) if chance < 0.1 else removed(idp) if chance < 0.2 else logged_in(user, idp)
    if kind == 5:
        number = random.randint(0, 999)
        known_user = user if number % 4 else None
        return ConsentDeclined(attempt=f"attempt-{number:03}", idp=idp, client=CLIENT, user=known_user, requested=some)
    if kind == 6:
        return failed(f"attempt-{random.randint(0, 999):03}", some, idp=idp, stage="token", error="server_error")
    known = generations.get((idp, user), 0)
    if kind <= 8:
        about = random.choice([None, max(1, known), max(1, known - 1)])
        return insufficient(user, *some[:2], generation=about, name=random.choice(NAMES), idp=idp)
    generation = max(1, known + random.choice([1, 1, 1, 0, -1]))
    generations[idp, user] = max(known, generation)
    return stored(
        user,
        random.choice([some, SCOPES, None]),
        generation=generation,
        cause=random.choice(["login", "login", "refresh", "step-up"]),
        evidence=random.choice([REFRESH_TOKEN, ("identity",)]),
        idp=idp,
        requested=random.choice([None, (*some, *random.sample(SCOPES, 2))]),
    )


def canonical_dump(state: reconsent.State) -> bytes:
    """Everything that the state says, as bytes: equal states give equal bytes, in every process."""
    grants = [msgspec.to_builtins(state.grants[key]) for key in sorted(state.grants)]
    idps = [msgspec.to_builtins(state.scopes.idps[key]) for key in sorted(state.scopes.idps)]
    said = {"idps": idps, "grants": grants, "worklist": list(reconsent.worklist(state))}
    return msgspec.json.encode(said, order="deterministic")
