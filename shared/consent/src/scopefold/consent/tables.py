"""The state of consent as flat tables, for who asks in SQL. Says what the folds say, and folds nothing itself."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from scopefold.consent.attribution import attributed
from scopefold.consent.reasons import reasons_in
from scopefold.consent.reconsent import State, grant_key, judge, worklist
from scopefold.scopes.canonical import canonical, canonical_name


class GrantLine(Struct, frozen=True, kw_only=True):
    """What one user has granted at one IdP, and what that is worth. `scopes` is null where the IdP did not say."""

    user: str
    idp: str
    status: str
    scopes: tuple[str, ...] | None
    evidence: tuple[str, ...]
    disproved: tuple[str, ...]
    generation: int
    known_by: str
    stored_seq: int
    stored_at: datetime
    stored_event: str
    cleared: str | None
    access_expires_at: datetime | None
    idle_expires_at: datetime | None
    absolute_expires_at: datetime | None


class UnionLine(Struct, frozen=True, kw_only=True):
    """A scope that an IdP is asked for: who wants it now, if anybody, and since which event. A connector wants what it
    needs, and what serves it as a part of one of several lists.
    """

    idp: str
    scope: str
    position: int
    connectors: tuple[str, ...]
    since_seq: int | None
    since_at: datetime | None
    withheld: bool


class WorklistLine(Struct, frozen=True, kw_only=True):
    """A user who must consent again at an IdP. `missing`, `why` and `connectors` go together, an entry for each scope:
    the connectors that need it are joined by commas; the IdP's own base scopes have none.
    """

    user: str
    idp: str
    missing: tuple[str, ...]
    why: tuple[str, ...]
    connectors: tuple[str, ...]
    since_seq: int
    since_at: datetime
    since_event: str
    known_by: str
    stored_seq: int
    stored_at: datetime
    reported_by: tuple[str, ...]
    cleared: str | None
    declined_seq: int | None
    declined_at: datetime | None


def grants(state: State) -> Iterator[GrantLine]:
    """All grants, ordered by IdP and user."""
    judged: dict[tuple[str, str], str] = {}
    for held in sorted(state.present(), key=lambda held: (held.idp, held.user)):
        name, key = held.idp, (held.idp, grant_key(held.grant))
        if key not in judged:
            judged[key] = judge(state.scopes.idp(name), held.grant).status
        yield GrantLine(
            user=held.user,
            idp=name,
            status=judged[key],
            scopes=held.grant.scopes,
            evidence=held.grant.evidence,
            disproved=held.grant.disproved,
            generation=held.generation,
            known_by="disproved" if held.grant.disproved else held.known_by,
            stored_seq=held.stored.seq,
            stored_at=held.stored.at,
            stored_event=held.stored.event_id,
            cleared=held.cleared.reason if held.cleared else None,
            access_expires_at=held.deadlines.access,
            idle_expires_at=held.deadlines.idle,
            absolute_expires_at=held.deadlines.absolute,
        )


def unions(state: State) -> Iterator[UnionLine]:
    """Every scope of every IdP's union, in its order."""
    for name, idp in sorted(state.scopes.idps.items()):
        withheld = canonical(idp.profile, idp.withheld)
        for position, one in enumerate(attributed(idp)):
            since = min((want.cause for want in one.wanted_by), default=None)
            yield UnionLine(
                idp=name,
                scope=one.scope,
                position=position,
                connectors=tuple(sorted({want.connector for want in one.wanted_by if want.connector is not None})),
                since_seq=since.seq if since else None,
                since_at=since.at if since else None,
                withheld=canonical_name(idp.profile, one.scope) in withheld,
            )


def listed(state: State) -> Iterator[WorklistLine]:
    """Everyone who must consent again, in the order of `reconsent.worklist`."""
    why = reasons_in(state)
    for row in worklist(state):
        told = why.of(row)
        yield WorklistLine(
            user=row.user,
            idp=row.idp,
            missing=tuple(lack.scope for lack in row.missing),
            why=tuple(told[lack.scope] for lack in row.missing),
            connectors=tuple(",".join(one.connector for one in lack.because if one.connector) for lack in row.missing),
            since_seq=row.since.seq,
            since_at=row.since.at,
            since_event=row.since.event_id,
            known_by=row.known_by,
            stored_seq=row.stored.seq,
            stored_at=row.stored.at,
            reported_by=tuple(dict.fromkeys(report.publisher for report in row.reports)),
            cleared=row.cleared.reason if row.cleared else None,
            declined_seq=row.declined.cause.seq if row.declined else None,
            declined_at=row.declined.cause.at if row.declined else None,
        )
