"""How did one user's grant at one IdP come to be what it is: event by event, in plain words?"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, assert_never

from msgspec import UNSET, Struct
from msgspec.structs import replace

from scopefold.consent import idp_scopes
from scopefold.consent.concerns import grant_concerned, idp_emptied
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Judgement, Lack, UserGrant, fold_grant, judge, row_of
from scopefold.consent.requirements import Because
from scopefold.consent.ungiven import given_up
from scopefold.contracts.events import (
    AuthorizationFailed,
    ConnectorDeprovisioned,
    ConnectorProvisioned,
    ConsentDeclined,
    GrantRevoked,
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
    name_of,
)
from scopefold.contracts.recorded import AsOf, Cause, Recorded
from scopefold.scopes.canonical import canonical_name

Status = Literal["covered", "missing", "unknown", "none"]


class Line(Struct, frozen=True, kw_only=True):
    """One event of the story: what happened, and, where that changed, what the user's grant is worth from then on.

    The same thing many times in a row is one line: `times`, until the event `until`.
    """

    seq: int
    at: datetime
    event_id: str
    event: str
    says: str
    then: str = ""
    times: int = 1
    until: Cause | None = None


class Present(Struct, frozen=True, kw_only=True):
    """Where the story ends. `none`: the log knows no token of the user's there."""

    status: Status
    says: str
    missing: tuple[Lack, ...] = ()
    since: Cause | None = None


class Story(Struct, frozen=True, kw_only=True):
    """All of it, the oldest line first."""

    user: str
    idp: str
    lines: tuple[Line, ...]
    present: Present


class Explained(Struct, frozen=True, kw_only=True):
    """A story as it is told, up to a place of the log. `total` counts all lines, however few are told."""

    as_of: AsOf
    user: str
    idp: str
    total: int
    lines: tuple[Line, ...]
    present: Present


class _Standing(Struct, frozen=True):
    """What is needed at the IdP and what the user holds there, at one place of the log."""

    idp: Idp
    held: UserGrant | None = None

    @property
    def judgement(self) -> Judgement | None:
        if self.held is None or not self.held.present:
            return None
        return judge(self.idp, self.held.grant)


def tell(user: str, idp: str, events: Iterable[Recorded]) -> Story:
    """The story of a user's grant at an IdP, from the events of all IdPs and of this user, in their order.

    Events of other users change nothing and are not told.
    """
    scopes, now, lines = idp_scopes.EMPTY, _Standing(Idp(idp)), list[Line]()
    for recorded in events:
        before, scopes = now, idp_scopes.fold(scopes, recorded)
        at_idp = scopes.idp(idp)
        held = before.held
        if grant_concerned(recorded) == (idp, user) or idp_emptied(recorded) == idp:
            held = fold_grant(held, recorded, at_idp.profile)
        now = _Standing(at_idp, held)
        if says := _says(recorded, user, before, now):
            _add(lines, _line(recorded, says, _then(before, now)))
    return Story(
        user=user,
        idp=idp,
        lines=tuple(lines),
        present=_present(user, now, there=idp in scopes.idps or idp in scopes.removed),
    )


def explained(story: Story, as_of: AsOf, limit: int) -> Explained:
    """The latest lines of a story, at most `limit`."""
    return Explained(
        as_of=as_of,
        user=story.user,
        idp=story.idp,
        total=len(story.lines),
        lines=story.lines[-limit:],
        present=story.present,
    )


def _line(recorded: Recorded, says: str, then: str) -> Line:
    return Line(
        seq=recorded.seq,
        at=recorded.at,
        event_id=recorded.event_id,
        event=name_of(type(recorded.event)),
        says=says,
        then=then,
    )


def _add(lines: list[Line], line: Line) -> None:
    """Another line, or one more time of the last one, where it only says again what that says."""
    last = lines[-1] if lines else None
    if last is None or line.then or (last.event, last.says) != (line.event, line.says):
        lines.append(line)
    else:
        lines[-1] = replace(last, times=last.times + 1, until=Cause(line.seq, line.at, line.event_id))


def _says(recorded: Recorded, user: str, before: _Standing, now: _Standing) -> str:
    """What an event means for this grant, in a sentence or two; empty where it means nothing."""
    event, idp = recorded.event, now.idp.idp
    if isinstance(event, ConnectorProvisioned):
        return _provisioned(event, before.idp, now.idp)
    if event.idp != idp or getattr(event, "user", user) != user:
        return ""
    match event:
        case IdpRegistered() | IdpRemoved():
            return _of_idp(event, before.idp)
        case ConnectorDeprovisioned():
            gone = [one for one in before.idp.connectors.values() if one.resource_type == event.resource_type]
            return "".join(
                f"{one.title} ({one.connector}) was deprovisioned: it needs nothing any more." for one in gone
            )
        case ScopesWithheld():
            by = "an operator" if event.by == "operator" else "the policy"
            return f"Logins leave out {_list(event.scopes)} for now: {by} decided so."
        case ScopesRestored():
            return f"Logins ask for {_list(event.scopes)} again, of everybody who lacks them."
        case ScopesPruned():
            pruned = [scope for scope in before.idp.union if scope not in now.idp.union]
            return f"An operator took {_list(pruned)} out of what logins ask for: nobody wanted it." if pruned else ""
        case UserLoggedIn():
            return f"The user was logged in to {event.client}."
        case TokenStored() | TokenInsufficient() | TokenCleared() | UserErased():
            return _of_token(event, recorded, before, now)
        case ConsentDeclined():
            return f"The user said no on the consent page, asked for {_list(event.requested)}."
        case AuthorizationFailed():
            taken = f", taken for {event.diagnosis}" if event.diagnosis is not UNSET else ""
            asked = _list(event.requested)
            return f"A login of the user failed at step {event.stage}: {event.error}{taken}. Asked for {asked}."
        case GrantRevoked():
            return f"What {event.client} was granted here ended ({event.reason}). The IdP's token is not touched."
    assert_never(event)


def _of_idp(event: IdpRegistered | IdpRemoved, before: Idp) -> str:
    if isinstance(event, IdpRemoved):
        return f"An operator removed {event.idp}: nothing is needed there, and what was granted there is gone."
    again = "again " if before.registration is not None else ""
    base = f"with the base scopes {_list(event.base_scopes)}" if event.base_scopes else "without base scopes"
    return f"{event.idp} was registered {again}as {event.profile}, {base}."


def _provisioned(event: ConnectorProvisioned, before: Idp, now: Idp) -> str:
    name = f"{event.title} ({event.connector} {event.connector_version})"
    known = before.connectors.get(event.resource_type)
    if event.idp != now.idp:
        return f"{name} moved to {event.idp}: it needs nothing here any more." if known else ""
    needs = f"its users need {_list(event.upstream_scopes)}"
    if event.alternatives:
        needs += ", or instead " + ", or ".join(map(_list, event.alternatives))
    if known is not None:
        same = (known.upstream_scopes, known.alternatives) == (event.upstream_scopes, event.alternatives)
        needs = "its users need the same" if same else f"{needs}; before, {_list(known.upstream_scopes)}"
    new = [scope for scope in now.union if scope not in before.union]
    union = f" New in what logins ask for: {_list(new)}." if new else ""
    return f"{name} was provisioned{' again' if known else ''}: {needs}.{union}"


def _of_token(
    event: TokenStored | TokenInsufficient | TokenCleared | UserErased,
    recorded: Recorded,
    before: _Standing,
    now: _Standing,
) -> str:
    if isinstance(event, TokenStored):
        return _stored(event, recorded, before, now)
    if isinstance(event, UserErased):
        return "The user was erased: all that was kept of them here is gone."
    if isinstance(event, TokenInsufficient):
        return _reported(event, recorded, before, now)
    return _cleared(event, before, now)


KNOWN_BY: Final = {
    "echoed": "as the IdP said",
    "assumed": "taken as asked, since the IdP did not say",
    "probed": "as was looked up",
}


def _stored(event: TokenStored, recorded: Recorded, before: _Standing, now: _Standing) -> str:
    if now.held is None or now.held is before.held:
        gone = now.held is not None and now.held.erased is not None
        why = "the user was erased before" if gone else "a newer one is stored already"
        return f"Token {event.generation} came late: {why}."
    if event.cause == "refresh":
        same = before.held is not None and before.held.grant == now.held.grant
        told = "The token was renewed." if same else f"The token was renewed{_extent(before.held, now.held)}."
        return told + _first_told(before.held, now.held)
    how = "logged in" if event.cause == "login" else "consented in a step-up"
    told = f"The user {how}, was asked for {_list(event.requested)} and granted "
    if now.held.grant.scopes is None:
        told += "what the IdP did not say."
    else:
        granted = event.requested if event.granted is None else event.granted
        told += f"{_list(granted)}, {KNOWN_BY[event.known_by]}."
    ungiven = [one for one in now.held.ungiven if one.last.seq == recorded.seq]
    if ungiven:
        times = max(one.times for one in ungiven)
        again = f", {times} times in a row" if times > 1 else ""
        told += f" Asked for in vain{again}: {_list([one.scope for one in ungiven])}."
    return told


def _first_told(before: UserGrant | None, now: UserGrant) -> str:
    """What a renewal is the first to tell of the login before it."""
    if before is None or before.not_told is None or now.not_told is not None:
        return ""
    lacks = [one.scope for one in now.ungiven if one.last == before.not_told.cause]
    return f" So the login at event {before.not_told.cause.seq} asked in vain for {_list(lacks)}." if lacks else ""


def _extent(before: UserGrant | None, now: UserGrant) -> str:
    """How a renewal changed what is granted."""
    was, scopes = set(before.grant.scopes or ()) if before else set[str](), set(now.grant.scopes or ())
    came, went = sorted(scopes - was), sorted(was - scopes)
    parts = [f"it gained {_list(came)}"] * bool(came) + [f"it lost {_list(went)}"] * bool(went)
    return ", and what it carries changed" + (f": {', '.join(parts)}" if parts else "")


def _reported(event: TokenInsufficient, recorded: Recorded, before: _Standing, now: _Standing) -> str:
    connector = now.idp.connectors.get(event.resource_type)
    called = connector.title if connector is not None else event.resource_type
    told = f"{recorded.publisher} reported that a call for {called} met the token without {_list(event.missing)}."
    if now.held is not before.held:
        return told
    if before.held is None or before.held.cleared is not None:
        return f"{told} There is no token: it counts for nothing."
    if event.generation is not None and event.generation < before.held.generation:
        return f"{told} It means an older token, and counts for nothing."
    return f"{told} That was known."


CLEARED: Final = {
    "operator": "an operator wanted it",
    "user": "the user wanted it",
    "expired": "it lay unused or grew older than the provider allows",
    "raced": "its refresh token had been used before",
    "lost": "a renewal's answer never came to be stored",
    "revoked": "the provider refuses it",
    "unreadable": "its row in the vault does not open",
    "missing": "the vault has no row of it",
}


def _cleared(event: TokenCleared, before: _Standing, now: _Standing) -> str:
    if now.held is before.held:
        return f"Token {event.generation} was to be cleared, but it is not the one that is stored."
    return f"The token was cleared: {CLEARED.get(event.reason, event.reason)}."


def _then(before: _Standing, now: _Standing) -> str:
    """What the grant is worth from here on, where that changed."""
    was, is_now = before.judgement, now.judgement
    if is_now is None or (was is not None and (was.status, _scopes(was)) == (is_now.status, _scopes(is_now))):
        return ""
    if is_now.status == "missing":
        return f"The user must consent again to {_list(_scopes(is_now))}."
    if is_now.status == "covered":
        return "The grant covers everything that is needed."
    return "Whether the grant covers what is needed is not known."


def _present(user: str, now: _Standing, *, there: bool) -> Present:
    idp, held, judged = now.idp.idp, now.held, now.judgement
    if held is not None and held.erased is not None:
        return Present(status="none", says=f"{user} was erased: nobody is known by that name any more.")
    if held is not None and held.removed is not None:
        return Present(status="none", says=f"{idp} was removed, and {user} has granted nothing there since.")
    if held is None or judged is None:
        nor = "" if there else ": there is no such identity provider"
        return Present(status="none", says=f"The log knows no token of {user} at {idp}{nor}.")
    if judged.status == "covered":
        return Present(status="covered", says=f"{user} has granted at {idp} everything that is needed there.")
    if judged.status == "unknown":
        says = f"{idp} did not say what {user} granted: whether that covers what is needed there is not known."
        return Present(status="unknown", says=says)
    row = row_of(held, judged, now.idp.profile)
    says = f"{user} must consent again at {idp} to {_list(_scopes(judged))}, {_because(judged.lacks)}, since "
    says += f"event {row.since.seq} of {row.since.at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}."
    if held.cleared is not None:
        says += " The token is gone."
    tried = given_up(now.idp, held.ungiven)
    if hopeless := [one for one in _scopes(judged) if canonical_name(now.idp.profile, one) in tried]:
        says += f" Asking did not bring {_list(hopeless)}: it was tried twice."
    return Present(status="missing", says=says, missing=judged.lacks, since=row.since)


def _because(lacks: Sequence[Lack]) -> str:
    """Who needs what of it, each of them once."""
    needed: dict[str, list[str]] = {}
    for lack in lacks:
        for because in lack.because:
            needed.setdefault(_who(because), []).append(lack.scope)
    if len(needed) == 1:
        return f"because {next(iter(needed))} needs {'it' if len(lacks) == 1 else 'them'}"
    return "because " + " and ".join(f"{who} needs {_list(scopes)}" for who, scopes in needed.items())


def _who(because: Because) -> str:
    return f"{because.title} ({because.connector})" if because.connector is not None else f"{because.title} itself"


def _scopes(judged: Judgement) -> tuple[str, ...]:
    return tuple(lack.scope for lack in judged.lacks)


def _list(scopes: Sequence[str]) -> str:
    return " ".join(scopes) or "nothing"
