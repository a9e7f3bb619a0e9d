"""Where IdPs tell that a user has logged out there (OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8)."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.logout_token import LoggedOut, read_logout_token
from scopefold.auth.store.buckets import hashed
from scopefold.auth.store.records import Session
from scopefold.auth.web.answers import AWAY
from scopefold.auth.web.client_request import RequestError, form_in, too_many_for_clients
from scopefold.auth.web.ending import end_sessions
from scopefold.auth.web.rate import TooManyError
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.upstream import UpstreamFailed, by_keys_of
from scopefold.consent.idp_scopes import Idp
from scopefold.runtime.logs import logger
from scopefold.runtime.web import json_response

KEYS_SECONDS: Final = 60.0
"""Anybody can send a token of an unknown key: for none are the IdP's keys read again sooner than that."""

log = logger(__name__)


async def upstream_logout(request: Request) -> Response:
    """`POST /oauth2/backchannel-logout/{idp}`"""
    service, name = service_of(request), request.path_params["idp"]
    try:
        await _end(service, request, name)
    except RequestError as error:
        log.warning("a logout that an IdP tells of is refused", idp=name, reason=str(error))
        return json_response({"error": error.error, "error_description": str(error)}, error.status, error.headers)
    except AWAY as error:  # nothing is remembered of the token, so it may come again
        service.tell_refusal(request.url.path, error)
        told = {"error": "temporarily_unavailable", "error_description": "A part of this server is away. Try again."}
        return json_response(told, 503, {"retry-after": "2"})
    return Response(headers={"cache-control": "no-store"})


async def _end(service: Service, request: Request, name: str) -> None:
    """Raises `RequestError`; then no session has ended."""
    service.check_ready()
    try:
        service.limits.check_client(request, f"idp {name}")
    except TooManyError as error:
        raise too_many_for_clients(error) from None
    idp = service.scopes.idps.get(name)
    if idp is None or idp.registration is None:
        raise _refused("There is no such identity provider.")
    said = await _read(service, request, idp, (await form_in(request)).get("logout_token", ""))
    grants, used = service.bus.grants, f"upstream-logout.{hashed(f'{name} {said.jti}')}"
    if await grants.spent(used):
        raise _refused("The logout token was used before.")
    ended = await end_sessions(service, [(one.user, one.sid) for one in await _meant(service, idp, said)])
    # Last, so that a token whose work failed half-way may come again. Of those that come at once, one is the first.
    if not await grants.spend(used, keep_seconds=int(said.good_until - now().timestamp()) + 1):
        raise _refused("The logout token was used before.")
    log.info("an identity provider told of a logout", idp=name, sessions=len(ended))


async def _read(service: Service, request: Request, idp: Idp, token: str) -> LoggedOut:
    """What the IdP says. Raises `RequestError`."""
    assert idp.registration is not None
    client_id = idp.registration.event.client_id
    if not token:
        raise _refused("Send the logout_token.")
    try:
        return await by_keys_of(
            service.documents,
            idp,
            lambda keys, issuer: read_logout_token(token, keys, issuer=issuer, client_id=client_id, now=now()),
            again_after_seconds=KEYS_SECONDS,
        )
    except UpstreamFailed as error:
        service.limits.client_failed(request, f"idp {idp.idp}")
        raise _refused(f"The logout token cannot be believed: {error.error.removeprefix('id_token_')}.") from None


async def _meant(service: Service, idp: Idp, said: LoggedOut) -> list[Session]:
    """The sessions that a logout token means. None: the user has logged out already, which is fine (section 2.7).

    With a `sid` that session alone, and of the named user's others those of which the IdP did not say its own session.
    Raises `RequestError`.
    """
    sessions, moment = service.bus.sessions, now()
    there = await sessions.from_upstream(idp.idp, said.sid, moment) if said.sid is not None else []
    if said.sub is None:
        return there
    if idp.profile.identity.subject != "sub":  # its users are known here by another name of theirs
        if said.sid is None:
            raise _refused("Users of this identity provider are not known here by their sub: name the sid.")
        return there
    user = await service.bus.vault.linked(idp.idp, said.sub)
    if any(one.user != user for one in there):
        raise _refused("The sid is that of another user than the sub.")
    through_idp = [one for one in await sessions.all_of(user, moment) if idp.idp in one.idps] if user else []
    return [one for one in through_idp if one in there or said.sid is None or idp.idp not in one.upstream]


def _refused(description: str) -> RequestError:
    return RequestError(400, "invalid_request", description)
