"""Leaving scopes out of logins while an IdP refuses people over them, and asking for them again."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from scopefold.auth.core.idps import Refused
from scopefold.auth.core.login import EVENT_IDS
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.trials import Trial
from scopefold.contracts.events import ScopesRestored, ScopesWithheld
from scopefold.contracts.words import Scopes
from scopefold.scopes.canonical import canonical, canonical_name


class Withhold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leave scopes out of logins for now: where none are named, those that are suspect."""

    scopes: Annotated[Scopes, Meta(description="Scopes of the IdP's union.")] = ()


class Restore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for scopes again: where none are named, for all that are withheld or were asked for in vain."""

    scopes: Annotated[Scopes, Meta(description="Scopes of the IdP's union.")] = ()


def suspects(idp: Idp) -> Iterator[Trial]:
    """What is on trial, suspect, and still asked for."""
    withheld = set(canonical(idp.profile, idp.withheld))
    for trial in idp.trials:
        if trial.suspect and not set(canonical(idp.profile, trial.scopes)) <= withheld:
            yield trial


def withhold(idp: Idp, command: Withhold) -> ScopesWithheld | Refused | None:
    """The event after which logins leave the scopes out; None where they do already."""
    suspected = tuple(suspects(idp))
    named = command.scopes or tuple(scope for trial in suspected for scope in trial.scopes)
    if not named:
        detail = f"Nobody fails at {idp.idp} with what was newly asked for. Name the scopes to leave out."
        return Refused("nothing-suspect", "No scope is suspect", detail)
    scopes = of_the_union(idp, named)
    if isinstance(scopes, Refused):
        return scopes
    needed = set(canonical(idp.profile, idp.profile.identity_scopes))
    if kept := [scope for scope in scopes if canonical_name(idp.profile, scope) in needed]:
        detail = f"Without {', '.join(kept)}, {idp.profile.title} does not say who logs in."
        return Refused("identity-scope", "No login works without this scope", detail)
    if set(scopes) <= set(idp.withheld):
        return None
    cause = next((one.cause.event_id for one in suspected if set(one.scopes) & set(scopes)), None)
    return ScopesWithheld(idp=idp.idp, scopes=scopes, by="operator", suspect=cause)


def restore(idp: Idp, command: Restore, in_vain: Iterable[str]) -> ScopesRestored | Refused | None:
    """The event after which logins ask for the scopes again; None where there are none.

    `in_vain` are the canonical names of scopes that users were asked for and did not give.
    """
    if command.scopes:
        scopes = of_the_union(idp, command.scopes)
        return scopes if isinstance(scopes, Refused) else ScopesRestored(idp=idp.idp, scopes=scopes)
    vain = set(in_vain)
    scopes = tuple(s for s in idp.union if s in idp.withheld or canonical_name(idp.profile, s) in vain)
    return ScopesRestored(idp=idp.idp, scopes=scopes) if scopes else None


def by_policy(idp: Idp, trial: Trial) -> ScopesWithheld | None:
    """What an operator's standing order makes of a suspect; None where an operator has overruled it."""
    if not idp.restored.keys().isdisjoint(canonical(idp.profile, trial.scopes)):
        return None
    return ScopesWithheld(idp=idp.idp, scopes=trial.scopes, by="policy", suspect=trial.cause.event_id)


def policy_event_id(tenant: str, trial: Trial) -> str:
    """The same whichever replica is first."""
    return str(uuid.uuid5(EVENT_IDS, f"scopes-withheld:{tenant}:{trial.cause.event_id}"))


def of_the_union(idp: Idp, named: Iterable[str]) -> tuple[str, ...] | Refused:
    """The scopes as the union spells them."""
    spelled = {canonical_name(idp.profile, scope): scope for scope in reversed(idp.union)}
    wanted = {canonical_name(idp.profile, scope): scope for scope in named}
    if strange := [scope for name, scope in wanted.items() if name not in spelled]:
        detail = f"{idp.idp} is not asked for {', '.join(strange)}. See what it is with: scopefold idp show {idp.idp}"
        return Refused("unknown-scope", "The scope is not in the union", detail)
    return tuple(spelled[name] for name in wanted)


Standing = Literal["tell", "withhold"]
"""What to do when a newly asked scope becomes suspect: tell the operator only, or withhold it from logins, too."""
