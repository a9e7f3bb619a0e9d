"""Does what was granted cover what is required?"""

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from scopefold.scopes.canonical import canonical, canonical_name, closure, tables
from scopefold.scopes.profile import Profile


class Grant(Struct, frozen=True, cache_hash=True):
    """What a token is known to carry.

    `scopes` is what the provider says it granted (None: it did not say), `evidence` what else its answer proved,
    `disproved` what a call has since shown to be missing although it was granted.
    """

    scopes: tuple[str, ...] | None
    evidence: tuple[str, ...] = ()
    disproved: tuple[str, ...] = ()


class AnyOf(Struct, frozen=True):
    """A requirement that any one of its clauses meets, each a list of scopes that must all be there.

    Providers document needs so: one classic scope, or all of these granular ones. Raises `ValueError` without a clause,
    which nothing could meet.
    """

    clauses: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.clauses:
            raise ValueError("a requirement needs at least one clause; an empty clause requires nothing")


Required = Iterable[str] | AnyOf
"""A plain list requires all that it names."""


class Covered(Struct, frozen=True):
    """The grant carries everything that is required."""


class Missing(Struct, frozen=True):
    """The grant lacks these scopes, in the order and spelling in which they were required, each once.

    Of several clauses it tells the one that lacks least, the first of those.
    """

    scopes: tuple[str, ...]


class Unknown(Struct, frozen=True):
    """The provider did not say what it granted, and nothing has shown that it is too little."""


Coverage = Covered | Missing | Unknown
COVERED, UNKNOWN = Covered(), Unknown()


class Held(Struct, frozen=True):
    """A grant in canonical names, ready to be compared: what it surely carries, and what it surely does not."""

    profile: Profile
    carried: frozenset[str]
    disproved: frozenset[str]
    told: bool


class Clause(Struct, frozen=True):
    """Scopes that must all be there: each as it is first spelled and by its canonical name, and all canonical names."""

    named: tuple[tuple[str, str], ...]
    names: frozenset[str]


def all_of(requirements: Iterable[Required]) -> AnyOf:
    """The requirement that all of these are met. As many clauses as there are ways to choose one of each."""
    clauses: tuple[tuple[str, ...], ...] = ((),)
    for requirement in requirements:
        chosen = requirement.clauses if isinstance(requirement, AnyOf) else (tuple(requirement),)
        clauses = tuple(dict.fromkeys((*one, *other) for one in clauses for other in chosen))
    return AnyOf(clauses)


@lru_cache(maxsize=4096)
def canonical_grant(profile: Profile, grant: Grant) -> Grant:
    """The grant in the one form that all grants equal to it share: users are counted by it.

    What was disproved but neither granted nor proved says nothing more than the grant itself, so it is left out.
    """
    disproved = canonical(profile, grant.disproved)
    if grant.scopes is None:
        return Grant(None, tuple(sorted(set(grant.evidence))), disproved)
    carried = closure(profile, grant.scopes)
    virtual = tables(profile).virtual
    return Grant(
        canonical(profile, grant.scopes),
        tuple(sorted(set(grant.evidence))),
        tuple(scope for scope in disproved if scope in carried or virtual.get(scope) in grant.evidence),
    )


@lru_cache(maxsize=4096)
def held(profile: Profile, grant: Grant) -> Held:
    """The grant, ready to be compared. Evidence speaks for virtual scopes; what was disproved is not carried."""
    disproved = frozenset(canonical(profile, grant.disproved))
    virtual = tables(profile).virtual
    proved = {name for name, evidence in virtual.items() if evidence in grant.evidence}
    carried = closure(profile, grant.scopes or ()) | proved
    return Held(profile, carried - disproved, disproved, grant.scopes is not None)


def carries(profile: Profile, grant: Grant, scope: str) -> bool:
    """Does the grant surely carry this scope?"""
    return canonical_name(profile, scope) in held(profile, grant).carried


def needs(profile: Profile, required: Required) -> tuple[Clause, ...]:
    """The requirement's clauses, ready to be compared. What the provider refuses is never required."""
    if isinstance(required, AnyOf):
        return tuple(clause for scopes in required.clauses for clause in clauses_of(profile, scopes))
    return clauses_of(profile, tuple(required))


def covers(profile: Profile, grant: Grant, required: Required) -> Coverage:
    """Does the grant carry what is required?

    A virtual scope is covered by its evidence, an unsupported one is never required, a disproved one is missing
    whatever the provider said. Unknown where no clause is covered and one of them may be.
    """
    have = held(profile, grant)
    clauses = clauses_of(profile, required) if isinstance(required, tuple) else needs(profile, required)
    for clause in clauses:
        if clause.names <= have.carried:
            return COVERED
    lacks = [_missing(have, clause) for clause in clauses]
    return Missing(min(lacks, key=len)) if all(lacks) else UNKNOWN


@lru_cache(maxsize=4096)
def clauses_of(profile: Profile, scopes: tuple[str, ...]) -> tuple[Clause, ...]:
    """A plain list as the one clause that it is."""
    unsupported = tables(profile).unsupported
    spelled: dict[str, str] = {}
    for scope in scopes:
        spelled.setdefault(canonical_name(profile, scope), scope)
    needed = {name: scope for name, scope in spelled.items() if name not in unsupported}
    return (Clause(tuple((scope, name) for name, scope in needed.items()), frozenset(needed)),)


def _missing(grant: Held, clause: Clause) -> tuple[str, ...]:
    """What of a clause is surely lacking. Where the provider did not say, only what it cannot have left unsaid."""
    carried = grant.carried
    if grant.told:
        return tuple([scope for scope, name in clause.named if name not in carried])
    virtual = tables(grant.profile).virtual
    lacking = [(scope, name) for scope, name in clause.named if name not in carried]
    return tuple([scope for scope, name in lacking if name in grant.disproved or name in virtual])
