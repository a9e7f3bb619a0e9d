"""Two moments' projections, compared in their files: who is as before, and is judged as before, is never looked at."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import asdict

from scopefold.auth.store.database import reading
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.rows import NOBODYS
from scopefold.consent.difference import Comparison, Diff
from scopefold.consent.named import look_up_in_either
from scopefold.contracts.recorded import AsOf, Recorded

AT_ONCE: Final = 500
"""Users who are compared before others have their turn."""
_MOVED: Final = """
SELECT g.idp, g.user, was.grant_set, was.held, g.grant_set, g.held
FROM grants g LEFT JOIN earlier.grants was ON was.idp = g.idp AND was.user = g.user
WHERE (:idp IS NULL OR g.idp = :idp) AND NOT (
    was.held IS g.held
    AND (was.grant_set, g.grant_set) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:steady))
)
ORDER BY g.idp, g.user"""


async def compared(
    first: tuple[Path, Projection],
    second: tuple[Path, Projection],
    between: Iterable[Recorded],
    *,
    places: tuple[AsOf, AsOf],
    idp: str | None,
    limit: int,
) -> Diff:
    """What changed between two projections of one log. Their grant sets may be numbered otherwise.

    `between` and the rest are as `Comparison` has them. Nothing is folded into either meanwhile. Raises `NotThere`.
    """
    (earlier, before), (later, after) = first, second
    look_up_in_either(before.scopes, after.scopes, places[1], idp)
    comparison = Comparison(before.scopes, after.scopes, between, idp=idp, limit=limit)
    keys = {(one.idp, one.key): one for one in before.grant_sets()}
    pairs = [(keys.get((one.idp, one.key)), one) for one in after.grant_sets()]
    same = [
        (old.id, new.id)
        for old, new in pairs
        if old is not None
        and old.judgement == new.judgement
        and before.scopes.idp(old.idp).profile.name == after.scopes.idp(new.idp).profile.name
    ]
    steady = [(NOBODYS, NOBODYS), *same]
    asked = {"idp": idp, "steady": msgspec.json.encode(steady).decode()}
    async with reading(later) as database:
        await database.execute("ATTACH ? AS earlier", (str(earlier),))
        async with database.execute(_MOVED, asked) as cursor:
            while rows := list(await cursor.fetchmany(AT_ONCE)):
                for name, user, old_set, old, new_set, new in rows:
                    one = None if old_set is None else before.user_grant(name, user, old_set, old)
                    comparison.take(one, after.user_grant(name, user, new_set, new))
    found = comparison.found(before.count("missing", idp))
    return Diff(first=places[0], second=places[1], **asdict(found))
