"""What a new answer of a provider does to a grant, and what a step-up must therefore send."""

from collections.abc import Iterable

from scopefold.scopes.canonical import canonical_name, closure
from scopefold.scopes.classify import kind_of
from scopefold.scopes.coverage import Grant
from scopefold.scopes.profile import Profile
from scopefold.scopes.union import to_request, union


def step_up(profile: Profile, needed: Iterable[str], missing: Iterable[str]) -> tuple[str, ...]:
    """What to ask for, so that afterwards all of `needed` is granted, of which a user lacks `missing`.

    Where a new grant replaces the one before it, everything: a narrower request would take the rest away. Where
    grants add up, what is missing, and what no provider echoes, because a token without it would lack its proof.
    Where the app's configuration decides, asking changes nothing, and everything is named for the record.
    """
    if profile.grant_update != "accumulate":
        return to_request(profile, needed)
    lacking = {canonical_name(profile, scope) for scope in missing}
    return to_request(
        profile,
        (s for s in needed if canonical_name(profile, s) in lacking or kind_of(profile, s) == "virtual"),
    )


def consented_after(profile: Profile, before: Iterable[str], asked: Iterable[str]) -> frozenset[str]:
    """What a user will have granted at the provider after granting all that is asked, by canonical names.

    `before` is what stood there already; where the app's configuration decides, that is what stands there still.
    """
    match profile.grant_update:
        case "replace":
            return closure(profile, asked)
        case "accumulate":
            return closure(profile, union(before, asked))
        case "fixed":
            return closure(profile, before)


def taken_as_told(
    profile: Profile, granted: tuple[str, ...] | None, requested: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The scopes that an answer grants: what it says, else what was asked where that is to be trusted, else None.

    RFC 6749, section 5.1: an answer may leave out scopes that are as requested. Where users can untick scopes, or
    the provider may leave some out, that is no knowledge.
    """
    if granted is None and profile.scope_absent == "as-requested":
        return requested
    return granted


def refreshed(profile: Profile, before: Grant, answer: Grant) -> Grant:
    """What a refreshed token carries: never more than the one before it (RFC 6749, section 6), the same where the
    provider does not say, and what was proved once: most answer a refresh without a new refresh token.
    """
    scopes = before.scopes if answer.scopes is None else answer.scopes
    if scopes is not None and before.scopes is not None:
        carried = closure(profile, before.scopes)
        scopes = tuple(scope for scope in scopes if closure(profile, [scope]) <= carried)
    return Grant(scopes, union(before.evidence, answer.evidence), before.disproved)
