"""The admin API: users' sessions, groups, and what apps were granted on their behalf."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.named import users_named
from scopefold.auth.store.records import Session
from scopefold.auth.store.sessions import SessionId
from scopefold.auth.web.ending import end_session, end_sessions
from scopefold.auth.web.service import Service, now, service_of
from scopefold.contracts.words import UserId
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, json_body, json_response

Group = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+(?![\s\S])")]
TRIES = 5
AT_ONCE: Final = 16
log = logger(__name__)


class SessionView(Struct, frozen=True, kw_only=True):
    """A browser that a user is logged in with."""

    sid: Annotated[str, Meta(description="Its public id, which clients know it by.")]
    created_at: datetime
    authenticated_at: Annotated[datetime, Meta(description="When the user last authenticated at an IdP.")]
    idps: Annotated[tuple[str, ...], Meta(description="The IdPs that the user came through, the latest last.")]
    clients: Annotated[tuple[str, ...], Meta(description="The clients that logged the user in with it.")]


class SessionViews(Struct, frozen=True):
    """Sessions of one user, the latest first."""

    items: tuple[SessionView, ...]


class UserGroups(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The groups that an operator put a user into. Those that an IdP tells join them in tokens."""

    groups: Annotated[tuple[Group, ...], Meta(max_length=200)]


async def list_sessions(request: Request) -> Response:
    """`GET /v1/users/{user}/sessions`"""
    service, user = service_of(request), user_in(request)
    return json_response(_views(await _sessions(service, user)))


async def end_every_session(request: Request) -> Response:
    """`DELETE /v1/users/{user}/sessions`: all of them."""
    service, user = service_of(request), user_in(request)
    found = await _sessions(service, user)
    return json_response(_views(await end_sessions(service, [(user, session.sid) for session in found])))


async def end_one_session(request: Request) -> Response:
    """`DELETE /v1/users/{user}/sessions/{sid}`"""
    service, user = service_of(request), user_in(request)
    try:
        ended = await end_session(service, user, msgspec.convert(request.path_params["sid"], SessionId))
    except msgspec.ValidationError:
        ended = None
    if ended is None:
        raise ProblemError(404, "unknown-session", "There is no such session", "It may have ended meanwhile.")
    return json_response(_view(ended))


async def show_groups(request: Request) -> Response:
    """`GET /v1/users/{user}/groups`"""
    service, user = service_of(request), user_in(request)
    await _check_known(service, user)
    return json_response(UserGroups(groups=await service.bus.vault.groups(user)))


async def put_groups(request: Request) -> Response:
    """`PUT /v1/users/{user}/groups`: these, and no others."""
    service, user, asked = service_of(request), user_in(request), await json_body(request, UserGroups)
    await _check_known(service, user)
    groups = tuple(sorted(set(asked.groups)))
    for _ in range(TRIES):
        try:
            await service.bus.vault.put_groups(user, groups)
        except Taken:
            continue
        return json_response(UserGroups(groups=groups))
    raise ProblemError(503, "busy", "Others change this user's groups", "Try again.", headers={"retry-after": "1"})


async def end_grants(request: Request) -> Response:
    """`DELETE /v1/users/{user}/grants`: every app must have this user log in anew. Sessions are not touched."""
    service, user = service_of(request), user_in(request)
    if not await heard_of(service, [user]):
        raise unknown()
    await service.bus.grants.end_user(user, now())
    log.warning("an operator ended what apps were granted on behalf of a user", user=user)
    return Response(status_code=204)


def user_in(request: Request) -> str:
    """The user that the path names. Raises `ProblemError` where no user can have this id."""
    try:
        return msgspec.convert(request.path_params["user"], UserId)
    except msgspec.ValidationError:
        raise unknown() from None


async def _sessions(service: Service, user: str) -> list[Session]:
    """Those that live. Raises `ProblemError` where nobody has this id: who mistypes it must not believe them ended."""
    found = await service.bus.sessions.all_of(user, now())
    if not found and not await heard_of(service, [user]):
        raise unknown()
    return found


async def heard_of(service: Service, users: Sequence[str]) -> frozenset[str]:
    """Those of these users who are known here, or were and are erased: what is done to them may be repeated."""
    named = await users_named(service.projection, users)
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_vault(user: str) -> bool:
        async with turns:
            return await service.bus.vault.knows(user) or await service.bus.vault.erasure(user) is not None

    others = [user for user in dict.fromkeys(users) if user not in named]
    there = await asyncio.gather(*(in_vault(user) for user in others))
    return named | {user for user, is_there in zip(others, there, strict=True) if is_there}


async def _check_known(service: Service, user: str) -> None:
    if not await service.bus.vault.knows(user):
        raise unknown()


def unknown() -> ProblemError:
    """For a user id that nobody has."""
    return ProblemError(404, "unknown-user", "There is no such user", "Nobody has logged in here under this id.")


def _views(found: list[Session]) -> SessionViews:
    return SessionViews(tuple(_view(session) for session in found))


def _view(session: Session) -> SessionView:
    return SessionView(
        sid=session.sid,
        created_at=session.created_at,
        authenticated_at=session.authenticated_at,
        idps=session.idps,
        clients=session.clients,
    )
