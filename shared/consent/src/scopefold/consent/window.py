"""From when does a scope that a connector newly needs send users to consent, where several installs are gathered?

A window begins with the first connector that newly needs something, and lasts a given time. What is needed meanwhile is
asked for when it ends, all at once. The next window begins with the next install after that.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Lack


def waiting_until(idp: Idp, lacks: Iterable[Lack], window: timedelta, now: datetime) -> datetime | None:
    """From when what a user lacks sends them to consent, to all of it; None where it does now, or nothing is lacking.

    Of each scope, whoever needed it first counts. Nothing waits longer than a window after its need arose, and what no
    connector newly needs waits for nothing, such as an IdP's own base scopes.
    """
    if not window:
        return None
    ends = _ends((need.cause.at for one in idp.connectors.values() for need in one.needs), window)
    needed = (because.cause.at for lack in lacks for because in lack.because)
    first = min((ends.get(at, at) for at in needed), default=now)
    return first if first > now else None


def _ends(installs: Iterable[datetime], window: timedelta) -> dict[datetime, datetime]:
    """When the window ends into which each of these times falls."""
    ends: dict[datetime, datetime] = {}
    end: datetime | None = None
    for at in sorted(set(installs)):
        if end is None or at >= end:
            end = at + window
        ends[at] = end
    return ends
