"""Logins that failed at the IdP: kept in the log, and told to the person in front of it, who can mend it and how."""

import math

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.doctor import WHERE, facts_of
from scopefold.auth.oauth.request import RedirectedError
from scopefold.auth.store.records import Attempt
from scopefold.auth.web.answers import with_error
from scopefold.auth.web.login_log import of_attempt, write
from scopefold.auth.web.pages import page, wants_problem
from scopefold.auth.web.pushed import again
from scopefold.auth.web.service import Service, callback_address, service_of
from scopefold.auth.web.upstream import UpstreamFailed, error_code
from scopefold.consent.idp_scopes import Idp
from scopefold.contracts.events import AuthorizationFailed
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, problem_response
from scopefold.scopes.diagnosis import Diagnosis, Failure, diagnose

log = logger(__name__)


class LoginFailed(Exception):
    """The IdP refused or failed. It is in the log; this is for the person, and through them for the client."""

    def __init__(self, diagnosis: Diagnosis, idp: Idp, attempt: Attempt, *, wait_seconds: float = 0.0) -> None:
        super().__init__(diagnosis.id)
        self.headers = {"retry-after": str(math.ceil(wait_seconds))} if wait_seconds else {}
        self.diagnosis = diagnosis
        self.idp = idp
        self.attempt = attempt


async def keep(service: Service, idp: Idp, attempt: Attempt, failure: UpstreamFailed) -> Diagnosis:
    """Tell the log that and how a login failed, and what that is taken for."""
    facts = facts_of(idp, callback_address(service, idp.idp))
    seen = Failure(WHERE[failure.stage], failure.error, failure.description, failure.status)
    diagnosis = diagnose(idp.profile, seen, facts)
    log.warning("login failed upstream", idp=idp.idp, stage=failure.stage, error=failure.error, diagnosis=diagnosis.id)
    event = AuthorizationFailed(
        attempt=attempt.attempt,
        idp=attempt.idp,
        client=attempt.request.parameters["client_id"],
        user=attempt.user,
        requested=attempt.requested,
        stage=failure.stage,
        error=error_code(failure.error),
        diagnosis=diagnosis.id,
    )
    await write(service, of_attempt(service, attempt.attempt, event))
    return diagnosis


async def told(request: Request, error: Exception) -> Response:
    """Answers a `LoginFailed`: a page that leads on to the client, or problem+json to who asks for it."""
    assert isinstance(error, LoginFailed)
    service = service_of(request)
    diagnosis, asked = error.diagnosis, error.attempt.request.parameters
    title = f"You could not be logged in at {error.idp.profile.title}"
    if wants_problem(request):
        said = f"{diagnosis.what} {diagnosis.cause} {diagnosis.how}"
        return problem_response(
            ProblemError(502, "login-failed", title, said, headers=error.headers, diagnosis=diagnosis)
        )
    code = "temporarily_unavailable" if diagnosis.who == "nobody" else "server_error"
    refused = RedirectedError(asked["redirect_uri"], code, f"{diagnosis.what} ({diagnosis.id})", asked)
    back = with_error(service, refused)
    response = page(
        "failed",
        502,
        title=title,
        diagnosis=diagnosis,
        again=again(service, asked),
        back=back,
        posts_to=back.posts_to,
    )
    response.headers.update(error.headers)
    return response
