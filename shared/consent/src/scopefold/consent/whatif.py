"""What would become of an IdP and its users if an event were appended now?

The hypothetical event goes through the very folds and the very judgement that the real one would, so what is told here
is what would happen. Users are judged by grant set: the cost does not depend on how many there are.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from scopefold.consent import idp_scopes
from scopefold.consent.attribution import unwanted
from scopefold.consent.idp_scopes import Idp, State
from scopefold.consent.reconsent import Judgement, Lack, judge
from scopefold.consent.requirements import requirements
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned, IdpRegistered, ScopesPruned
from scopefold.contracts.recorded import Recorded
from scopefold.scopes.canonical import canonical_name
from scopefold.scopes.coverage import Grant, held

Hypothetical = ConnectorProvisioned | ConnectorDeprovisioned | ScopesPruned
Foretold = Hypothetical | IdpRegistered
"""A registration is made of an operator's command alone: nobody may ask about one that would be refused."""
Change = Literal["newly", "more", "no-longer", "same"]


class Holding(Struct, frozen=True):
    """A canonical grant at the IdP, the name of its grant set, how many users hold it, and what it is worth now."""

    key: str
    grant: Grant
    users: int
    judged: Judgement


class Verdict(Struct, frozen=True):
    """What a grant set would be worth. `serves`: it has all that the connector needs already."""

    holding: Holding
    after: Judgement
    serves: bool

    @property
    def before(self) -> Judgement:
        """What it is worth now."""
        return self.holding.judged

    @property
    def asked(self) -> tuple[Lack, ...]:
        """What its users would be asked for and are not now."""
        lacked = {lack.scope for lack in self.before.lacks}
        return tuple(lack for lack in self.after.lacks if lack.scope not in lacked)

    @property
    def change(self) -> Change:
        """Its users would come onto the worklist, would be asked for more than now, or would leave it."""
        if self.after.status == "missing" and self.before.status != "missing":
            return "newly"
        if self.before.status == "missing" and self.after.status != "missing":
            return "no-longer"
        return "more" if self.asked else "same"


class Counts(Struct, frozen=True):
    """How many users: known at the IdP; would have to consent again, of these newly, or to more than now; would no
    longer; of how many it would not be known; and who has all that the connector needs already.
    """

    users: int
    must_consent: int
    newly: int
    more: int
    no_longer: int
    unknown: int
    serves: int


class WhatIf(Struct, frozen=True):
    """The IdP now and after the event, and every grant set's verdict, in the order of their names."""

    before: Idp
    after: Idp
    verdicts: tuple[Verdict, ...]

    @property
    def added(self) -> tuple[str, ...]:
        """What would join the union."""
        return tuple(scope for scope in self.after.union if scope not in self.before.union)

    @property
    def removed(self) -> tuple[str, ...]:
        """What would leave the union."""
        return tuple(scope for scope in self.before.union if scope not in self.after.union)

    @property
    def released(self) -> tuple[str, ...]:
        """What would stay in the union, and nobody would want any more."""
        already = set(unwanted(self.before))
        return tuple(scope for scope in unwanted(self.after) if scope not in already)

    @property
    def holders(self) -> dict[str, int]:
        """By each scope that is added, removed or released, how many users' grants carry it now."""
        profile, concerned = self.before.profile, (*self.added, *self.removed, *self.released)
        names = {scope: canonical_name(profile, scope) for scope in concerned}
        found = dict.fromkeys(concerned, 0)
        for one in self.verdicts:
            carried = held(profile, one.holding.grant).carried
            for scope, name in names.items():
                found[scope] += one.holding.users if name in carried else 0
        return found

    @property
    def counts(self) -> Counts:
        """All users, counted."""

        def users(verdicts: Iterable[Verdict]) -> int:
            return sum(one.holding.users for one in verdicts)

        return Counts(
            users=users(self.verdicts),
            must_consent=users(one for one in self.verdicts if one.after.status == "missing"),
            newly=users(one for one in self.verdicts if one.change == "newly"),
            more=users(one for one in self.verdicts if one.change == "more"),
            no_longer=users(one for one in self.verdicts if one.change == "no-longer"),
            unknown=users(one for one in self.verdicts if one.after.status == "unknown"),
            serves=users(one for one in self.verdicts if one.serves),
        )


def what_if(state: State, holdings: Iterable[Holding], recorded: Recorded) -> WhatIf:
    """What a hypothetical event would change at the IdP that it names, of whose grant sets `holdings` are all.

    Raises `TypeError` for an event of another kind.
    """
    event = recorded.event
    if not isinstance(event, Foretold):
        raise TypeError(f"{type(event).__name__} changes nothing that could be asked of users")
    before = state.idp(event.idp)
    after = idp_scopes.fold(state, recorded).idps.get(event.idp) or before
    needs = requirements(after)
    kind = event.resource_type if isinstance(event, ConnectorProvisioned) else None
    needed = requirements(after, kind) if kind is not None else None

    def verdict(one: Holding) -> Verdict:
        return Verdict(
            holding=one,
            after=judge(after, one.grant, needs),
            serves=needed is not None and judge(after, one.grant, needed).status == "covered",
        )

    return WhatIf(before, after, tuple(map(verdict, sorted(holdings, key=lambda one: one.key))))
