"""The worklist of a projection counted: by IdP, connector, scope, and why."""

from scopefold.auth.store.listing import chosen_sets
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.rows import GrantSet
from scopefold.consent import tallies as counted
from scopefold.consent.chosen import Filters
from scopefold.consent.reasons import Reasons
from scopefold.consent.tallies import By, Tally


def reasons_of(projection: Projection) -> Reasons:
    """Why grants lack scopes, as this projection has it."""
    return Reasons(projection.scopes, users_with=projection.users_with, ungiven=projection.ungiven)


def tallies(projection: Projection, filters: Filters, by: By) -> list[Tally]:
    """The rows that these filters leave, counted."""
    return counted.tallies(chosen_sets(projection, filters), by, reasons_of(projection), GrantSet.standing)
