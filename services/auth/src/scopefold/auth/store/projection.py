"""The fold of the log, kept in SQLite: what IdPs need, what users have granted, and who must consent again.

Everything here is rebuilt by a replay of the log: deleting the file loses nothing. A grant set is stored and judged
once, however many users hold it, so a provisioned connector costs one judgement per grant set.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from scopefold.auth.core.webhook import Move
from scopefold.auth.store import rows, standings
from scopefold.auth.store.database import DUMP, Connection, StoreAway, discard, open_database
from scopefold.auth.store.moves import Moves, of_user
from scopefold.auth.store.rows import NOBODYS, GrantSet, user_grant
from scopefold.auth.store.standings import USUAL
from scopefold.consent import idp_scopes
from scopefold.consent.concerns import grant_concerned, idp_emptied
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reasons import Standing, standing_of
from scopefold.consent.reconsent import Judgement, UserGrant, fold_grant, grant_key, judge
from scopefold.consent.requirements import requirements
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.ledger.follow import Checkpoint
from scopefold.runtime.kept import Kept
from scopefold.runtime.logs import logger
from scopefold.scopes.coverage import Grant, carries
from scopefold.scopes.profile import PLAIN

KEPT: Final = 100_000
"""Users' grants that were asked for lately: every call for a user asks."""
Idle = tuple[float, str, str]
"""When a token dies unused, in seconds since 1970; its IdP; its user."""
log = logger(__name__)
_json = msgspec.json.Encoder(order="deterministic")


def _needs_differ(before: Idp | None, after: Idp) -> bool:
    """Whether what grants are judged against has changed, and not only how logins fare."""
    return before is None or any(
        getattr(before, name) is not getattr(after, name) for name in ("registration", "union", "connectors")
    )


class Projection:
    """One SQLite file, its one writer, and the small part of it that is kept in memory.

    In memory are the IdPs and the grant sets; users are only on disk.
    """

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.scopes: idp_scopes.State = idp_scopes.EMPTY
        self.checkpoint: Checkpoint | None = None
        self.quarantined: Counter[str] = Counter()
        """How many messages no fold may use, by what is wrong with them."""
        self._sets: dict[tuple[str, str], GrantSet] = {}
        self._sets_by_id: dict[int, GrantSet] = {}
        self._next_set_id = 1
        self._kept: Kept[tuple[str, str], tuple[UserGrant | None]] = Kept(KEPT)
        self._moved = asyncio.Condition()
        self._turn = asyncio.Lock()  # one connection: nobody reads in the middle of a batch
        self.moves = Moves(self._turn)
        self._db: Connection

    async def open(self, path: Path) -> None:
        """Open the file, or start an empty one where it is missing, damaged, or of another version."""
        try:
            await self._open(path)
        except (StoreAway, sqlite3.DatabaseError, msgspec.MsgspecError, LookupError) as error:
            if isinstance(error, StoreAway) and "unable to open" in str(error):
                raise
            log.warning("projection discarded, rebuilding from the log", path=str(path), reason=str(error))
            discard(path)
            await self._open(path)

    async def _open(self, path: Path) -> None:
        self._db = await open_database(path)
        try:
            await self._load()
        except BaseException:
            await self._db.close()
            raise

    async def _load(self) -> None:
        self._kept.clear()
        found = await self._db.execute_fetchall("SELECT content FROM checkpoint")
        self.checkpoint = next((msgspec.json.decode(content, type=Checkpoint) for (content,) in found), None)
        self.scopes = await rows.scopes(self._db)
        self._sets, self._sets_by_id = {}, {}
        for number, idp, key, content, users, judgement in await self._db.execute_fetchall(
            "SELECT id, idp, key, content, users, judgement FROM grant_sets"
        ):
            grant = msgspec.json.decode(content, type=Grant)
            judged = msgspec.json.decode(judgement, type=Judgement)
            self._remember(GrantSet(number, idp, key, grant, users, judged))
        for number, standing, users in await standings.load(self._db):
            self._sets_by_id[number].standings[standing] = users
        ((self._next_set_id,),) = await self._db.execute_fetchall("SELECT coalesce(max(id), 0) + 1 FROM grant_sets")
        await self.moves.load(self._db)
        kinds = await self._db.execute_fetchall(
            "SELECT substr(reason, 1, instr(reason, ':') - 1), count(*) FROM quarantine GROUP BY 1"
        )
        self.quarantined = Counter({str(kind): int(count) for kind, count in kinds})
        self._torn = False

    async def close(self) -> None:
        """Close the file. What was applied is in it."""
        await self._db.close()

    def _remember(self, found: GrantSet) -> None:
        self._sets[found.idp, found.key] = found
        self._sets_by_id[found.id] = found

    async def mend(self) -> None:
        """Read the file again where that failed after a batch that failed, before anything more is folded."""
        async with self._turn:
            if self._torn:
                await self._load()

    @property
    def damage(self) -> StoreAway | None:
        """What a question met of a file that is damaged: nobody may be folding anything."""
        return self._db.damage

    async def apply(self, batch: Sequence[Recorded | Quarantined], reached: Checkpoint) -> None:
        """Fold a batch and save the checkpoint, in one transaction."""
        async with self._turn:
            try:
                await self._db.execute("BEGIN IMMEDIATE")
                await self._apply(batch, reached)
                await self._db.execute("COMMIT")
            except BaseException:
                self._torn = True
                with contextlib.suppress(sqlite3.OperationalError, StoreAway):  # there may be nothing left to undo
                    await self._db.execute("ROLLBACK")
                await self._load()
                raise
            self.checkpoint = reached
        async with self._moved:
            self._moved.notify_all()

    async def _apply(self, batch: Sequence[Recorded | Quarantined], reached: Checkpoint) -> None:
        ours = [one for one in batch if isinstance(one, Recorded) and one.tenant == self.tenant]
        aside = [one for one in batch if isinstance(one, Quarantined)]
        for part in self.moves.parts(ours):
            if idp_emptied(part[0]):
                await self._remove(part[0])
            else:
                await self._fold(part)
        for one in aside:
            log.warning("message quarantined", seq=one.seq, subject=one.subject, reason=one.reason)
        await self._db.executemany(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?)",
            [(one.seq, one.at.isoformat(), one.subject, one.reason) for one in aside],
        )
        self.quarantined.update(one.kind for one in aside)
        await self._db.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)", (_json.encode(reached),))

    async def _fold(self, ours: Sequence[Recorded]) -> None:
        keys = {key for one in ours if (key := grant_concerned(one)) is not None}
        before = await self._held(keys)
        after, scopes = dict(before), self.scopes
        turns: list[tuple[Recorded, UserGrant | None, UserGrant]] = []
        for recorded in ours:
            scopes = idp_scopes.fold(scopes, recorded)
            if (key := grant_concerned(recorded)) is not None:
                profile = scopes.idp(key[0]).profile
                if (grant := fold_grant(after.get(key), recorded, profile)) is not None:
                    if self.moves.keeps(recorded):
                        turns.append((recorded, after.get(key), grant))
                    after[key] = grant
        changed = {name for name, idp in scopes.idps.items() if idp is not self.scopes.idps.get(name)}
        rejudge = {name for name in changed if _needs_differ(self.scopes.idps.get(name), scopes.idps[name])}
        moves = [self._move_of(turn) for turn in turns]
        lacked = {one.id: one.judgement.status == "missing" for one in self._sets.values() if one.idp in rejudge}
        self.scopes = scopes
        told = [(name, _json.encode(scopes.idps[name])) for name in changed]
        await self._db.executemany("INSERT OR REPLACE INTO idps VALUES (?, ?)", told)
        for key in keys:
            self._kept.forget(key)
        await self._save_grants([(before.get(key), grant) for key, grant in after.items()], rejudge=rejudge)
        if ours and self.moves.keeps(ours[-1]):
            moves += self.moves.of_all(ours[-1], lacked, self._sets.values())
            await self.moves.save([one for one in moves if one is not None])

    async def _remove(self, recorded: Recorded) -> None:
        """Fold an event that changes every grant at an IdP. Users are only on disk: a part of them at a time."""
        idp = recorded.event.idp
        lacked = self.count("missing", idp)
        self.scopes = idp_scopes.fold(self.scopes, recorded)
        await rows.remove_idp(self._db, idp, recorded.cause)
        self._kept.clear()
        async for part in rows.present_at(self._db, idp):
            held = [self.user_grant(idp, *row) for row in part]
            folded = [(one, fold_grant(one, recorded, PLAIN) or one) for one in held]
            await self._save_grants(folded, rejudge=())
        if lacked and self.moves.keeps(recorded):
            await self.moves.save([Move(recorded.seq, idp, "", 0, lacked, recorded.at, recorded.event_id)])

    def _move_of(self, turn: tuple[Recorded, UserGrant | None, UserGrant]) -> Move | None:
        """What an event did to one user; it did nothing to what is needed."""
        recorded, before, after = turn
        lacked, lacks = self._lacks(before), self._lacks(after)
        return of_user(recorded, lacked=lacked, lacks=lacks, key=(after.idp, after.user))

    def _judged(self, grant: UserGrant) -> Judgement:
        """What a grant is worth, which nobody needs to hold."""
        known = self._sets.get((grant.idp, grant_key(grant.grant)))
        return known.judgement if known else judge(self.scopes.idp(grant.idp), grant.grant)

    def _lacks(self, grant: UserGrant | None) -> bool:
        """Is whoever has this grant on the worklist for it?"""
        return grant is not None and grant.present and self._judged(grant).status == "missing"

    async def _held(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], UserGrant]:
        """The grants that are stored for these (IdP, user)."""
        users: dict[str, list[str]] = {}
        for idp, user in keys:
            users.setdefault(idp, []).append(user)
        held = {}
        for idp, wanted in users.items():
            for user, number, content in await rows.of_users(self._db, idp, wanted):
                held[idp, user] = self.user_grant(idp, user, number, content)
        return held

    def user_grant(self, idp: str, user: str, number: int, held: bytes) -> UserGrant:
        """A row of `grants`: what a user has granted."""
        grant = self._sets_by_id[number].grant if number != NOBODYS else Grant((), ())
        return user_grant(idp, user, grant, held)

    async def _save_grants(
        self, moves: Sequence[tuple[UserGrant | None, UserGrant]], *, rejudge: Iterable[str]
    ) -> None:
        """Store the users that changed, count them over from set to set, and judge what must be judged."""
        touched: dict[int, GrantSet] = {}
        moved: dict[tuple[int, Standing], GrantSet] = {}
        stored = []
        for before, grant in moves:
            if before is grant:
                continue
            found = self._grant_set(grant) if grant.present else None
            if before is not None and before.present:
                left = self._sets[grant.idp, grant_key(before.grant)]
                left.users -= 1
                touched[left.id] = left
                if (stood := standing_of(before)) != USUAL:
                    left.standings[stood] -= 1
                    moved[left.id, stood] = left
            if found is not None:
                found.users += 1
                touched[found.id] = found
                if (stands := standing_of(grant)) != USUAL:
                    found.standings[stands] += 1
                    moved[found.id, stands] = found
            stored.append(rows.stored_row(grant, found.id if found is not None else NOBODYS))
        for name in rejudge:
            idp = self.scopes.idps[name]
            needs = requirements(idp)
            for found in [one for one in self._sets.values() if one.idp == name]:
                found.judgement = judge(idp, found.grant, needs)
                touched[found.id] = found
        await rows.save_grants(self._db, stored)
        await standings.save(self._db, {key: one.standings[key[1]] for key, one in moved.items()})
        for one in moved.values():
            one.standings = +one.standings
        await self._save_sets(list(touched.values()))

    def _grant_set(self, grant: UserGrant) -> GrantSet:
        """The set that this grant belongs to, a new one where it is the first of its kind."""
        key = grant_key(grant.grant)
        if (known := self._sets.get((grant.idp, key))) is not None:
            return known
        made = GrantSet(self._next_set_id, grant.idp, key, grant.grant, 0, self._judged(grant))
        self._next_set_id += 1
        self._remember(made)
        return made

    async def _save_sets(self, touched: Sequence[GrantSet]) -> None:
        kept = [one for one in touched if one.users]
        empty = [one for one in touched if not one.users]
        for one in empty:
            del self._sets[one.idp, one.key], self._sets_by_id[one.id]
        await rows.save_sets(self._db, kept, empty)

    async def reached(self, seq: int, timeout_seconds: float) -> bool:
        """Wait until everything up to `seq` is folded; False if that takes longer than the timeout."""

        def there() -> bool:
            return seq <= (self.checkpoint.seq if self.checkpoint else 0)

        try:
            async with asyncio.timeout(timeout_seconds), self._moved:
                await self._moved.wait_for(there)
        except TimeoutError:
            return False
        return True

    def count(self, status: str, idp: str | None = None) -> int:
        """How many users stand at this status (`missing`, `unknown`, `covered`), at one IdP or at all."""
        return sum(
            one.users for one in self._sets.values() if one.judgement.status == status and idp in (None, one.idp)
        )

    def users_with(self, idp: str, scope: str) -> int:
        """How many users' grants at an IdP carry a scope."""
        profile = self.scopes.idp(idp).profile
        sets = (one for one in self._sets.values() if one.idp == idp)
        return sum(one.users for one in sets if carries(profile, one.grant, scope))

    def ungiven(self, idp: str) -> dict[str, int]:
        """What users were asked for in vain at an IdP the last time they came, by canonical name, and how many."""
        counted: Counter[str] = Counter()
        for one in self._sets.values():
            for standing, users in one.standings.items() if one.idp == idp else ():
                counted.update(dict.fromkeys(standing.ungiven, users))
        return dict(sorted(counted.items()))

    async def sets(self, idp: str) -> tuple[int, idp_scopes.State, list[GrantSet]]:
        """Every grant that somebody holds at an IdP, with what IdPs need and the event up to which all that holds."""
        async with self._turn:  # in the middle of a batch the one is ahead of the other
            seq = self.checkpoint.seq if self.checkpoint else 0
            return seq, self.scopes, [replace(one) for one in self._sets.values() if one.idp == idp]

    def grant_sets(self) -> list[GrantSet]:
        """All grant sets, and what they are worth: nobody but this projection changes one."""
        return list(self._sets.values())

    async def grants_in(self, one: GrantSet, sql: str, parameters: Sequence[object]) -> list[UserGrant]:
        """Users of a grant set: those whom `sql`, what comes after `WHERE grant_set = ?`, leaves, in its order."""
        found = await self._db.execute_fetchall(
            f"SELECT user, held FROM grants WHERE grant_set = ? {sql}",  # noqa: S608 (written in this package)
            (one.id, *parameters),
        )
        return [self.user_grant(one.idp, user, one.id, held) for user, held in found]

    async def select(self, sql: str, parameters: Sequence[object]) -> list[Any]:
        """What a question of this package finds in the file."""
        return list(await self._db.execute_fetchall(sql, parameters))

    async def held_by(self, users: Iterable[str]) -> list[UserGrant]:
        """What these users have granted, at every IdP."""
        users = list(users)
        found = await self._held([(idp, user) for idp in sorted({idp for idp, _ in self._sets}) for user in users])
        return [held for held in found.values() if held.present]

    @contextlib.asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """Nothing is folded meanwhile: what is read within holds for one moment."""
        async with self._turn:
            yield

    async def held(self, idp: str, user: str) -> UserGrant | None:
        """What one user has granted at one IdP, as far as the log is folded; nothing, where either is gone."""
        held = await self.known(idp, user)
        return held if held is not None and held.present else None

    async def generation(self, idp: str, user: str) -> int:
        """How many tokens of a user at an IdP the log knows of: also from before the IdP was removed."""
        held = await self.known(idp, user)
        return held.generation if held is not None else 0

    async def known(self, idp: str, user: str) -> UserGrant | None:
        """The same, also of who is gone."""
        key = (idp, user)
        if (kept := self._kept.get(key)) is not None:
            return kept[0]
        async with self._turn:
            held = (await self._held([key])).get(key)
            self._kept.keep(key, (held,))
        return held

    async def lying_idle(self, before: float, limit: int, after: Idle = (0.0, "", "")) -> list[Idle]:
        """Tokens that die unused before this time, in seconds since 1970: those behind `after`, the nearest first."""
        async with self._turn:
            rows = await self._db.execute_fetchall(
                "SELECT idle_end, idp, user FROM grants WHERE idle_end < ? AND (idle_end, idp, user) > (?, ?, ?)"
                " ORDER BY idle_end, idp, user LIMIT ?",
                (before, *after, limit),
            )
        return [(end, idp, user) for end, idp, user in rows]

    async def quarantine(self, limit: int = 1000) -> list[Quarantined]:
        """The messages that no fold may use, oldest first."""
        return await rows.quarantined(self._db, limit)

    async def dump(self) -> AsyncIterator[bytes]:
        """The whole projection in canonical form, a line at a time: equal logs give equal dumps."""
        yield _json.encode(self.checkpoint)
        for sql in DUMP:
            async with self._db.execute(sql) as cursor:
                async for row in cursor:
                    yield _json.encode([part.decode() if isinstance(part, bytes) else part for part in row])
