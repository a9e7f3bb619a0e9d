"""What is needed at an IdP now, by whom, and since when?"""

from msgspec import Struct

from scopefold.consent.idp_scopes import Connector, Idp, Need, TakenAway
from scopefold.contracts.recorded import Cause
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.coverage import AnyOf


class Because(Struct, frozen=True):
    """Who needs a scope and since which event. `connector` is None for an IdP's own base scopes, and so is `version`,
    else the connector's at that event.
    """

    connector: str | None
    title: str
    resource_type: str | None
    cause: Cause
    version: str | None = None


class Choice(Struct, frozen=True):
    """A connector that one of several lists of scopes serves. The first of `asked` is what the IdP is asked for."""

    because: Because
    since: dict[str, Need]
    any_of: AnyOf
    asked: AnyOf


class Requirements(Struct, frozen=True):
    """What is needed at an IdP: every scope of `scopes`, with everyone who needs it, and one list of each choice.

    A scope that is spelled in several ways stands there once, as who is told first spells it.
    """

    scopes: dict[str, tuple[Because, ...]]
    choices: tuple[Choice, ...] = ()
    taken_away: dict[str, tuple[TakenAway, ...]] = {}
    """By resource type, lists that served in place of what is needed, and do not any more."""


def requirements(idp: Idp, resource_type: str | None = None) -> Requirements:
    """What is needed at an IdP now: by everyone, or for one resource type, whoever else needs it too.

    In an order that the state alone gives, not the history of the mapping that holds it: base scopes first, then
    connectors by resource type.
    """
    profile = idp.profile
    spelled: dict[str, str] = {}
    needs: dict[str, tuple[Because, ...]] = {}
    choices = []

    def note(scope: str, because: Because) -> None:
        scope = spelled.setdefault(canonical_name(profile, scope), scope)
        if because not in needs.get(scope, ()):
            needs[scope] = (*needs.get(scope, ()), because)

    for need in idp.base:
        note(need.scope, Because(None, idp.idp, None, need.cause))
    for kind, connector in sorted(idp.connectors.items()):
        if connector.alternatives:
            if resource_type in (None, kind):
                choices.append(_choice(idp, connector))
            continue
        for need in connector.needs:
            note(need.scope, _because(connector, need))
    if resource_type is not None:
        wanted = idp.connectors[resource_type]
        listed = () if wanted.alternatives else wanted.upstream_scopes
        own = {canonical_name(profile, scope): scope for scope in reversed(listed)}
        needs = {own[name]: needs[scope] for name, scope in spelled.items() if name in own}
    taken_away = {kind: one.taken_away for kind, one in idp.connectors.items() if one.taken_away}
    return Requirements(needs, tuple(choices), taken_away)


def _choice(idp: Idp, connector: Connector) -> Choice:
    """A list of which the IdP is asked for nothing can serve, but a login will not bring it: it is not `asked`."""
    clauses = connector.clauses
    union = set(canonical(idp.profile, idp.union))
    asked = tuple(clause for clause in clauses if union.issuperset(canonical(idp.profile, clause)))
    return Choice(
        because=_because(connector, Need("", connector.cause, connector.version)),
        since={need.scope: need for need in (*connector.others, *connector.needs)},
        any_of=AnyOf(clauses),
        asked=AnyOf(asked or clauses[:1]),
    )


def _because(connector: Connector, need: Need) -> Because:
    return Because(connector.connector, connector.title, connector.resource_type, need.cause, need.version)
