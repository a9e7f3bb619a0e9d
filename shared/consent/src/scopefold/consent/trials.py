"""With which newly asked scopes has no login come through yet, and who failed on the way?

Some IdPs refuse a whole login over one scope that they do not like. When people begin to fail right after a
connector was provisioned, what it newly asks for is the suspect until somebody comes through with it.
"""

from collections.abc import Set
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scopefold.contracts.events import AuthorizationFailed, ConnectorProvisioned, TokenStored
from scopefold.contracts.recorded import Cause
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.classify import kind_of
from scopefold.scopes.profile import Profile

SUSPECT_AFTER: Final = 3
MAX_TRIALS: Final = 20
MAX_FAILED: Final = 50


class Trial(Struct, frozen=True):
    """What one provisioning newly asks of an IdP, until the first login comes through with any of it.

    `failed` tells who has failed with it: users, where they were known, else login attempts; the first 50.
    """

    cause: Cause
    connector: str
    title: str
    scopes: tuple[str, ...]
    failed: tuple[str, ...] = ()
    last: Cause | None = None
    last_error: str = ""

    @property
    def suspect(self) -> bool:
        """So many have failed with these scopes, and nobody has come through, that they are likely why."""
        return len(self.failed) >= SUSPECT_AFTER


Trials = tuple[Trial, ...]


def begun(
    trials: Trials, profile: Profile, before: tuple[str, ...], event: ConnectorProvisioned, cause: Cause
) -> Trials:
    """The trials after a provisioning at an IdP whose union was `before`."""
    known = set(canonical(profile, before))
    new = tuple(
        scope
        for scope in dict.fromkeys(event.upstream_scopes)
        if canonical_name(profile, scope) not in known and kind_of(profile, scope) != "unsupported"
    )
    return (*trials, Trial(cause, event.connector, event.title, new))[-MAX_TRIALS:] if new else trials


def failed(trials: Trials, profile: Profile, event: AuthorizationFailed, cause: Cause) -> Trials:
    """The trials after somebody failed. Only what the IdP may have refused for its scopes counts."""
    if not trials or not _may_be_due_to_scopes(event):
        return trials
    who, asked = event.user or event.attempt, set(canonical(profile, event.requested))

    def after(trial: Trial) -> Trial:
        if who in trial.failed or asked.isdisjoint(canonical(profile, trial.scopes)):
            return trial
        return replace(trial, failed=(*trial.failed, who)[:MAX_FAILED], last=cause, last_error=event.error)

    return _same_or(trials, tuple(after(trial) for trial in trials))


def came_through(trials: Trials, profile: Profile, event: TokenStored) -> Trials:
    """The trials after somebody came back with a token: what was asked of the IdP then is no suspect any more."""
    if not trials or event.cause == "refresh":
        return trials
    asked = set(canonical(profile, event.requested))
    return _same_or(trials, tuple(one for one in trials if asked.isdisjoint(canonical(profile, one.scopes))))


def restarted(trials: Trials, profile: Profile, scopes: tuple[str, ...]) -> Trials:
    """The trials after an operator has mended what kept these scopes from being given."""
    mended = set(canonical(profile, scopes))
    return tuple(
        one if mended.isdisjoint(canonical(profile, one.scopes)) else replace(one, failed=(), last=None, last_error="")
        for one in trials
    )


def without(trials: Trials, profile: Profile, gone: Set[str]) -> Trials:
    """The trials after these scopes, by canonical names, are asked for no more."""

    def left(trial: Trial) -> Trial:
        scopes = tuple(scope for scope in trial.scopes if canonical_name(profile, scope) not in gone)
        return trial if scopes == trial.scopes else replace(trial, scopes=scopes)

    return _same_or(trials, tuple(one for one in map(left, trials) if one.scopes))


def _may_be_due_to_scopes(event: AuthorizationFailed) -> bool:
    return event.error == "invalid_scope" or (event.stage == "authorize" and event.error != "temporarily_unavailable")


def _same_or(before: Trials, after: Trials) -> Trials:
    """What did not change stays the same object: whoever holds it need not look at it again."""
    unchanged = len(before) == len(after) and all(one is other for one, other in zip(before, after, strict=True))
    return before if unchanged else after
