"""From when does a scope that a connector newly needs send users to consent, where several installs are gathered?

A window begins with the first connector that newly needs something, and lasts a given time. What is needed meanwhile is
asked for when it ends, all at once. The next window begins with the next install after that.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Lack


def waiting_until(idp: Idp, lacks: Iterable[Lack], window: timedelta, now: datetime) -> datetime | None:
    """From when what a user lacks sends them to consent, to all of it; None where it does now, or nothing is lacking.

    Of each scope, whoever needed it first counts. An IdP's own base scopes wait for nothing. Nothing waits longer than
    a window after its need arose.
    """
    if not window:
        return None
    ends = _ends(_installs(idp), window)
    first = min(
        (
            because.cause.at if because.connector is None else ends.get(because.cause.at, because.cause.at)
            for lack in lacks
            for because in lack.because
        ),
        default=now,
    )
    return first if first > now else None


def _installs(idp: Idp) -> Iterator[datetime]:
    """When connectors began to need something. Since when a list would serve instead, is not known: it may be as late
    as the connector was last provisioned.
    """
    for one in idp.connectors.values():
        yield from (need.cause.at for need in one.needs)
        if one.alternatives:
            yield one.cause.at


def _ends(installs: Iterable[datetime], window: timedelta) -> dict[datetime, datetime]:
    """When the window ends into which each of these times falls."""
    ends: dict[datetime, datetime] = {}
    end: datetime | None = None
    for at in sorted(set(installs)):
        if end is None or at >= end:
            end = at + window
        ends[at] = end
    return ends
