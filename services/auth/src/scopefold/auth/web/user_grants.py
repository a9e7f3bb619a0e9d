"""What operators do about all that apps were granted on behalf of one user."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.web.service import now, service_of
from scopefold.contracts.words import UserId
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError

log = logger(__name__)


async def end_user_grants(request: Request) -> Response:
    """`DELETE /v1/users/{user}/grants`: every app must have this user log in anew. Sessions are not touched."""
    service = service_of(request)
    try:
        user = msgspec.convert(request.path_params["user"], UserId)
    except msgspec.ValidationError:
        raise ProblemError(404, "unknown-user", "There is no such user", "A user id looks like u_7Jt0m1mX.") from None
    await service.bus.grants.end_user(user, now())
    log.warning("an operator ended what apps were granted on behalf of a user", user=user)
    return Response(status_code=204)
