"""Who is in which group: those whom an operator put there, and those whom their IdP says to be in it.

Groups stand sealed in the vault, with each user, and in no index: all of them are read, up to a bound.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from scopefold.auth.store.buckets import Bucket
from scopefold.auth.store.vault import Vault

MOST_READ: Final = 5_000
AT_ONCE: Final = 50


class TooManyMembers(RuntimeError):
    """More rows of the vault would have to be read than this service reads for one question."""


async def groups_of_all(bucket: Bucket, vault: Vault, idps: Collection[str]) -> dict[str, frozenset[str]]:
    """By user, the groups: of everybody who is in one. `idps` are those that tell groups. Raises `TooManyMembers`."""
    patterns = ["groups.*", *(f"token.*.{idp}" for idp in sorted(idps))]
    if (rows := sum([await bucket.count(pattern) for pattern in patterns])) > MOST_READ:
        raise TooManyMembers(
            f"Groups are looked up among at most {MOST_READ} rows of the vault, and there are {rows}. Ask by user."
        )
    names = [name for pattern in patterns for name in await bucket.keys(pattern)]
    found: dict[str, frozenset[str]] = {}
    for start in range(0, len(names), AT_ONCE):
        told = await asyncio.gather(*(_groups_in(vault, name) for name in names[start : start + AT_ONCE]))
        for user, groups in told:
            if groups:
                found[user] = found.get(user, frozenset()) | frozenset(groups)
    return found


async def _groups_in(vault: Vault, name: str) -> tuple[str, tuple[str, ...]]:
    """Whose a row of the vault is, and the groups that it tells."""
    kind, user, *idp = name.split(".")
    if kind == "groups":
        return user, await vault.groups(user)
    found = await vault.token(user, idp[0])
    return user, found[0].identity.groups if found is not None else ()
