"""What is wrong with what connectors ask of one provider, before any user meets it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.classify import family_of, is_known, kind_of, known_names
from scopefold.scopes.grammar import BadScope, check_scope
from scopefold.scopes.profile import Exclusion, Profile, Severity
from scopefold.scopes.union import request_parameters, to_request, union

Asks = Mapping[str, tuple[str, ...]]
"""Who asks for which scopes: connectors by their ids, and whatever else one asks for, under any name."""


class Finding(Struct, frozen=True):
    """Something wrong with the union of what is asked: which scopes, and who asks for them."""

    rule: str
    severity: Severity
    scopes: tuple[str, ...]
    asked_by: tuple[str, ...]
    says: str


class _Case(Struct, frozen=True):
    profile: Profile
    others: tuple[Profile, ...]
    asks: Asks

    @property
    def every(self) -> tuple[str, ...]:
        return union(*self.asks.values())

    @property
    def requested(self) -> tuple[str, ...]:
        return to_request(self.profile, self.every)

    def who(self, scopes: Iterable[str]) -> tuple[str, ...]:
        """Who asks for any of these, under any spelling."""
        wanted = set(canonical(self.profile, scopes))
        return tuple(name for name, asked in self.asks.items() if wanted & set(canonical(self.profile, asked)))

    def told(self, rule: str, severity: Severity, scopes: Iterable[str], says: str) -> Finding:
        found = tuple(scopes)
        return Finding(rule, severity, found, self.who(found), says)


def lint(profile: Profile, asks: Mapping[str, Iterable[str]], others: Iterable[Profile] = ()) -> tuple[Finding, ...]:
    """Everything that is wrong, the hard findings first.

    `others` are the profiles among which the owner of a scope is looked for that this provider does not know.
    """
    given = {name: tuple(scopes) for name, scopes in asks.items()}
    malformed = tuple(_malformed(_Case(profile, (), given)))
    bad = {scope for finding in malformed for scope in finding.scopes}
    readable = {name: tuple(scope for scope in scopes if scope not in bad) for name, scopes in given.items()}
    case = _Case(profile, tuple(one for one in others if one.name != profile.name), readable)
    found = [*malformed, *(finding for rule in RULES for finding in rule(case))]
    return tuple(sorted(found, key=lambda finding: finding.severity != "hard"))


def _malformed(case: _Case) -> Iterator[Finding]:
    for scope in case.every:
        try:
            check_scope(scope)
        except BadScope as error:
            yield case.told("grammar", "hard", [scope], f"{error}.")


def _unsupported(case: _Case) -> Iterator[Finding]:
    """Soft: the request is made without them. Base scopes such as `openid` are given before a profile is chosen."""
    found = [scope for scope in case.every if kind_of(case.profile, scope) == "unsupported"]
    if found:
        says = f"{case.profile.title} refuses {', '.join(found)}; a request leaves them out."
        yield case.told("unsupported", "soft", found, says)


def _retired(case: _Case) -> Iterator[Finding]:
    for retired in case.profile.retired:
        gone = {canonical_name(case.profile, scope) for scope in retired.scopes}
        found = [scope for scope in case.every if canonical_name(case.profile, scope) in gone]
        if found:
            yield case.told("retired", retired.severity, found, f"{', '.join(found)}: {retired.why}")


def _foreign(case: _Case) -> Iterator[Finding]:
    """A scope that only the tables of other providers name was meant for one of them."""
    if case.profile.custom_scopes:
        return
    for scope in case.requested:
        if canonical_name(case.profile, scope) in known_names(case.profile):
            continue
        owners = dict.fromkeys(other.title.partition(" (")[0] for other in case.others if _owns(other, scope))
        if owners:
            says = (
                f"{scope} is no scope of {case.profile.title}, but one of {' or '.join(owners)}, "
                "another authorization server: that is another IdP, with an app of its own."
            )
            yield case.told("foreign", "hard", [scope], says)


def _owns(other: Profile, scope: str) -> bool:
    return kind_of(other, scope) == "grantable" and canonical_name(other, scope) in known_names(other)


def _unknown(case: _Case) -> Iterator[Finding]:
    if not case.profile.complete:
        return
    found = [scope for scope in case.requested if not is_known(case.profile, scope)]
    found = [scope for scope in found if not any(_owns(other, scope) for other in case.others)]
    if found:
        says = f"{case.profile.title} is not known to have {', '.join(found)}; look at the spelling."
        yield case.told("unknown", "soft", found, says)


def _excluded(case: _Case) -> Iterator[Finding]:
    """One finding for each exclusion and each two askers that clash over it, with all scopes of both sides."""
    for exclusion in case.profile.exclusions:
        one, other = (
            tuple(scope for scope in case.requested if family_of(case.profile, scope) == family)
            for family in exclusion.families
        )
        if one and other:
            yield from _clashes(case, exclusion, one, other)


def _clashes(case: _Case, exclusion: Exclusion, one: tuple[str, ...], other: tuple[str, ...]) -> Iterator[Finding]:
    """Whoever asks for both, and every two of whom one asks for the one and the other for the other."""
    left, right = case.who(one), case.who(other)
    pairs = [(name, name) for name in left if name in right]
    pairs += [
        (a, b)
        for a, b in combinations(case.asks, 2)
        if (a in left) != (a in right) and (b in left) != (b in right) and (a in left) != (b in left)
    ]
    titles = [case.profile.families[family].title for family in exclusion.families]
    for a, b in pairs:
        who = (a,) if a == b else (a, b)
        scopes = tuple(scope for scope in (*one, *other) if set(case.who([scope])) & set(who))
        verb = "asks" if a == b else "ask"
        says = f"{' and '.join(who)} {verb} for {titles[0]} and {titles[1]} together: {exclusion.why}"
        yield Finding("exclusion", exclusion.severity, scopes, who, says)


def _offline(case: _Case) -> Iterator[Finding]:
    wanted = case.profile.offline_scope
    if not wanted or not case.every:
        return
    name = canonical_name(case.profile, wanted)
    if all(canonical_name(case.profile, scope) != name for scope in case.requested):
        says = (
            f"Nothing asks for {wanted}, so {case.profile.title} gives no refresh token: users must log in again "
            "whenever an access token expires."
        )
        yield Finding("offline", "soft", (wanted,), tuple(case.asks), says)


def _count(case: _Case) -> Iterator[Finding]:
    limit, asked = case.profile.limits.scopes, case.requested
    if limit is not None and len(asked) > limit:
        says = f"{len(asked)} scopes are asked for at once; {case.profile.title} recommends no more than {limit}."
        yield Finding("count", "soft", asked, case.who(asked), says)


def _length(case: _Case) -> Iterator[Finding]:
    limit, asked = case.profile.limits.url_length, case.requested
    length = len(urlencode(request_parameters(case.profile, asked)))
    if length > limit:
        says = f"The scopes alone make the authorize address {length} characters long; {limit} is the limit."
        yield Finding("length", "hard", asked, case.who(asked), says)


RULES: Final[tuple[Callable[[_Case], Iterator[Finding]], ...]] = (
    _unsupported,
    _retired,
    _foreign,
    _unknown,
    _excluded,
    _offline,
    _count,
    _length,
)
"""Each rule stands alone. What is no scope at all is told before them, and kept from them."""
