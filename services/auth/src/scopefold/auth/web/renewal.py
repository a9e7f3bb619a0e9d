"""Renewing upstream tokens: one request to the IdP for each, whoever and however many ask, at all replicas together.

Within a process, all who need the same user's token wait for one renewal. Among replicas, the vault's row is the
lease: whoever wrote into it that a renewal has begun is the one who asks the IdP, and stores the answer only where
the row is still that one. A refresh token that is good once must not be sent twice: the IdP would take the second for
a thief's, and end both.
"""

import asyncio
import math
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from scopefold.auth.core.handout import is_dead, must_renew, needs_user, why_ended
from scopefold.auth.core.login import clocks
from scopefold.auth.core.seal import keyed_hash
from scopefold.auth.core.stored_token import (
    STALLED_SECONDS,
    Piece,
    Renewal,
    StoredToken,
    begun,
    given_back,
    renewed,
    stalled,
)
from scopefold.auth.core.tokens import token_of
from scopefold.auth.core.waiting import next_try
from scopefold.auth.store.buckets import Taken
from scopefold.auth.web.browser import random_text
from scopefold.auth.web.clearing import clear
from scopefold.auth.web.login_log import stored_event, write
from scopefold.auth.web.service import Service, callback_address, now
from scopefold.auth.web.turns import RESTS, about
from scopefold.auth.web.upstream import Brought, UpstreamFailed, renew
from scopefold.consent.idp_scopes import Idp
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.crash import crash_point
from scopefold.runtime.logs import logger
from scopefold.scopes.partition import partition

PATIENCE: Final = 2.0
"""How long others wait for a renewal, by how long it may take: past its lease, and a try of their own."""
LOOK_AGAIN_SECONDS: Final = 0.25
TRIES: Final = 3
FIRST_PAUSE_SECONDS: Final = 0.5
STORE_SECONDS: Final = 60.0
"""So long is storing tried while the bus is away. Nobody else begins a renewal in that time: what a replica does not
see of a lease counts for nothing, and a minute passes after its end."""
LONGEST_PAUSE_SECONDS: Final = 4.0
TOO_MANY: Final = 429
log = logger(__name__)


class _NotBrought(Exception):
    """Why the tries of a renewal brought nothing. `unsure`: one of them was not answered, and may have used up the
    refresh token all the same.
    """

    def __init__(self, failure: UpstreamFailed, *, unsure: bool) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.unsure = unsure


class NotRenewed(Exception):
    """The IdP did not renew the token now. It may do so later: after `retry_after` seconds."""

    def __init__(self, error: str, retry_after: float) -> None:
        super().__init__(f"the identity provider gave no token: {error}")
        self.error = error
        self.retry_after = max(1, math.ceil(retry_after))


class WantsUser(NotRenewed):
    """The IdP wants to see the user before it renews the token, which is not dead."""


async def fresh(
    service: Service, user: str, idp: Idp, part: str, *, idle_before: datetime | None = None
) -> StoredToken | None:
    """The user's row once the token of this part need not be renewed, or the row is cleared; None where there is none.

    `idle_before`: it is renewed as well where it dies unused before that. Raises `NotRenewed`, and `LogUnavailable`
    where the bus is away.
    """
    return await service.renewals.join((user, idp.idp, part), lambda: _renew(service, user, idp, part, idle_before))


async def _renew(service: Service, user: str, idp: Idp, part: str, idle_before: datetime | None) -> StoredToken | None:
    """Renew it, or wait until somebody else has."""
    by = random_text()[:22]
    try:
        async with asyncio.timeout(service.settings.renewal_seconds * PATIENCE) as waiting:
            while True:  # bounded by the timeout
                found = await service.bus.vault.token(user, idp.idp)
                if found is None:
                    return None
                row, revision = found
                piece = row.piece(part)
                if row.cleared or piece is None:
                    return row
                if not must_renew(idp.profile, piece, now()) and not row.dies_idle(idle_before):
                    return row
                if piece.refresh_token is None:
                    return row if piece.lives(now()) else await clear(service, user, idp.idp, found, "expired")
                watched = service.renewals.watched(user, idp.idp, row.renewing)
                ends = asyncio.get_running_loop().time() + service.settings.renewal_seconds
                mine = begun(row, by, now(), service.settings.renewal_seconds, watched_seconds=watched)
                if mine is None:
                    await asyncio.sleep(about(LOOK_AGAIN_SECONDS))
                    continue
                if left := row.wants_user(now(), piece.part):
                    raise WantsUser("it wants to see the user", left)
                if left := max(service.renewals.rest(user, idp.idp), row.rests(now())):
                    raise NotRenewed("it did not a moment ago", left)
                try:
                    held = await service.bus.vault.put_token(user, idp.idp, mine, revision=revision)
                except Taken:
                    continue
                waiting.reschedule(None)  # what the IdP is asked has bounds of its own, and its answer must be kept
                begun_before = row.renewing is not None
                return await _ask(service, user, idp, (mine, held), piece, ends=ends, begun_before=begun_before)
    except TimeoutError:
        raise NotRenewed("another renewal of this token takes too long", RESTS[0]) from None


async def _ask(
    service: Service,
    user: str,
    idp: Idp,
    mine: tuple[StoredToken, int],
    piece: Piece,
    *,
    ends: float,
    begun_before: bool,
) -> StoredToken | None:
    """Ask the IdP, and store what came of it. Whatever happens, the lease is given back or runs out.

    From `ends` on, by the event loop's clock, the IdP is not asked any more.
    """
    row, revision = mine
    crash_point("renewal.begun")
    try:
        came = await _answer(service, idp, row, piece, ends)
    except _NotBrought as nothing:
        failure, unsure = nothing.failure, nothing.unsure or begun_before
        if needs_user(idp.profile, failure.error, failure.description):
            service.renewals.came["user-wanted"] += 1
            log.warning("a token is renewed only after the user was seen", idp=idp.idp, error=failure.error)
            with suppress(Taken):
                waits = stalled(row, piece.part, now())
                await service.bus.vault.put_token(user, idp.idp, waits, revision=revision)
            raise WantsUser(failure.error, STALLED_SECONDS) from None
        if is_dead(idp.profile, failure.error, failure.description):
            service.renewals.came["ended"] += 1
            held = await service.projection.held(idp.idp, user)
            known = held.generation if held is not None else 0
            why = why_ended(row, logged_generation=known, begun_before=unsure, now=now())
            return await clear(service, user, idp.idp, mine, why)
        pause = service.renewals.failed(user, idp.idp, at_least_seconds=failure.wait_seconds)
        log.warning("a token was not renewed", idp=idp.idp, error=failure.error, again_in_seconds=round(pause))
        with suppress(Taken):  # somebody logged in anew meanwhile: so much the better
            back = given_back(row, answered=not unsure, now=now(), wait_seconds=failure.wait_seconds)
            await service.bus.vault.put_token(user, idp.idp, back, revision=revision)
        raise NotRenewed(failure.error, pause) from None
    crash_point("renewal.answered")
    after = renewed(idp.profile, row, came)
    _note(service, user, idp, after.piece(piece.part))
    stored = await _keep(service, user, idp.idp, after, revision)
    crash_point("renewal.stored")
    if stored == after:
        await write(service, stored_event(service, user, idp.idp, after))
    return stored


def _note(service: Service, user: str, idp: Idp, brought: Piece | None) -> None:
    """How soon the next renewal may begin. A token that is at its end when it comes must not be renewed at every call,
    each of which the log would keep: it serves for half of what it lives, and one that lives no more is a failure.
    """
    if brought is None or not must_renew(idp.profile, brought, now()):
        service.renewals.succeeded(user, idp.idp)
    elif brought.expires_at is None or not brought.lives(now() + timedelta(seconds=2 * RESTS[0])):
        service.renewals.failed(user, idp.idp)
    else:
        left = (brought.expires_at - now()).total_seconds()
        service.renewals.succeeded(user, idp.idp, rest_seconds=left / 2)


async def _keep(service: Service, user: str, idp: str, after: StoredToken, revision: int) -> StoredToken | None:
    """Store what the IdP gave: again, where the bus does not answer, for its refresh token is nowhere else."""
    clock, pause = asyncio.get_running_loop().time, FIRST_PAUSE_SECONDS
    ends = clock() + STORE_SECONDS
    while clock() < ends:
        with suppress(LogUnavailable):
            return await _store(service, user, idp, after, revision)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(about(pause))
    return await _store(service, user, idp, after, revision)


async def _store(service: Service, user: str, idp: str, after: StoredToken, revision: int) -> StoredToken | None:
    """The row that then stands: another one, where a login was faster or somebody cleared the token."""
    try:
        await service.bus.vault.put_token(user, idp, after, revision=revision)
    except Taken:  # perhaps by ourselves, in a try whose answer was lost
        found = await service.bus.vault.token(user, idp)
        return found[0] if found is not None else None
    return after


async def _answer(service: Service, idp: Idp, row: StoredToken, piece: Piece, ends: float) -> Renewal:
    """What the IdP gives for the refresh token. Raises `_NotBrought`."""
    vault = service.bus.vault  # now: the bus may be away when the answer comes
    secret = await vault.idp_secret(idp.idp)
    assert piece.refresh_token is not None
    if secret is None:
        raise _NotBrought(UpstreamFailed("token", "no_client_secret"), unsure=False)
    scopes = partition(idp.profile, row.requested).get(piece.part, row.requested)
    brought = await _patiently(service, idp, secret, piece.refresh_token, scopes, ends=ends)
    told = brought.id_token.get("sub") if idp.profile.identity.subject == "sub" else None
    if told is not None and str(told) != row.identity.subject:
        # OpenID Connect Core 1.0, section 12.2: the same user
        raise _NotBrought(UpstreamFailed("token", "invalid_grant"), unsure=False)
    assert brought.refresh_token is not None
    token = token_of(idp.profile, piece.part, brought.tokens)
    return Renewal(
        part=piece.part,
        token=token,
        refresh_token=token.refresh_token or brought.refresh_token,
        granted=brought.granted,
        clocks=clocks(idp.profile, now=now(), expires_in_seconds=token.expires_in, has_refresh_token=True),
        fingerprint=keyed_hash(vault.fingerprint_key, token.refresh_token or brought.refresh_token),
    )


async def _patiently(
    service: Service, idp: Idp, secret: str, refresh_token: str, scopes: tuple[str, ...], *, ends: float
) -> Brought:
    """Ask for a renewal, and again where the answer may be another then: as late as the IdP says, or not at all where
    that is too late for this renewal. Raises `_NotBrought`.

    `ends` is counted from before the lease was taken: where the bus was slow since then, or this process was, the lease
    may be over sooner than a renewal that began only now.
    """
    failure, unsure = UpstreamFailed("token", "timeout"), False
    clock = asyncio.get_running_loop().time
    try:
        # shorter than the lease, so that nobody else has begun one meanwhile
        async with asyncio.timeout_at(ends):
            for turn in range(TRIES):
                if turn:
                    pause = next_try(about(FIRST_PAUSE_SECONDS * 2**turn), failure.wait_seconds, ends - clock())
                    if pause is None:
                        break
                    await asyncio.sleep(pause)
                if clock() >= ends:
                    break  # a request may be sent before a timeout that has passed already is noticed
                unsure_before, unsure = unsure, True
                try:
                    return await renew(
                        service.upstream,
                        idp,
                        client_secret=secret,
                        refresh_token=refresh_token,
                        redirect_uri=callback_address(service, idp.idp),
                        scopes=scopes,
                    )
                except UpstreamFailed as error:
                    failure, unsure = error, unsure_before or error.status is None or error.unread
                    if is_dead(idp.profile, error.error, error.description) or not _may_pass(error):
                        break
    except TimeoutError:
        pass
    raise _NotBrought(failure, unsure=unsure)


def _may_pass(failure: UpstreamFailed) -> bool:
    """Is it worth asking again at once? Not where the IdP says what is wrong with the request or the app."""
    return failure.status is None or failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR or failure.status == TOO_MANY
