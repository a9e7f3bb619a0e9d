"""What happens next to a scope that a user's grant lacks: who must act, and how?"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Row
from scopefold.consent.ungiven import Why, given_up
from scopefold.scopes.canonical import canonical, canonical_name

SOON: Final = timedelta(days=14)

Step = Literal["next-login", "send-link", "restore", "mend-app", "register-idp"]
"""next-login: the user is asked at the next login. send-link: the same, but do not wait for it: the token is gone, dies
within 14 days, or the user said no before and should read why it is asked. The others wait for an operator. restore: it
is withheld from logins, or was asked for twice in vain; mend-app: the provider gives it to nobody, so its app lacks it;
register-idp: nobody can log in there."""


def next_steps(idp: Idp, row: Row, why: Mapping[str, Why], now: datetime) -> dict[str, Step]:
    """What happens next, by scope. `why` says why the grant lacks each; `now` is the moment that is asked about."""
    if idp.registration is None:
        return dict.fromkeys((lack.scope for lack in row.missing), "register-idp")
    withheld = frozenset(canonical(idp.profile, idp.withheld))
    in_vain = given_up(idp, row.ungiven)
    hurry = row.cleared is not None or _dies_soon(row, now)
    found: dict[str, Step] = {}
    for lack in row.missing:
        name = canonical_name(idp.profile, lack.scope)
        if why[lack.scope] == "not-given" and not _restored_since(idp, row, name):
            found[lack.scope] = "mend-app"
        elif name in withheld or name in in_vain:
            found[lack.scope] = "restore"
        else:
            found[lack.scope] = "send-link" if hurry or why[lack.scope] == "not-allowed" else "next-login"
    return found


def _dies_soon(row: Row, now: datetime) -> bool:
    """Will what renews the token be dead? Where nothing does, the user has to come every few hours in any case."""
    return row.dies is not None and row.dies.by != "access" and row.dies.at - now <= SOON


def _restored_since(idp: Idp, row: Row, name: str) -> bool:
    """Has an operator mended it since this user was asked for it the last time?"""
    return name in idp.restored and all(one.last < idp.restored[name] for one in row.ungiven if one.scope == name)
