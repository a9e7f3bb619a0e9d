"""`GET /v1/idps/{idp}/doctor`: everything that can be known to be wrong with an IdP, without a user."""

import secrets
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.doctor import NOT_A_CODE, Check, Probed, examine, facts_of
from scopefold.auth.core.idps import discovery_address
from scopefold.auth.core.login import requested_scopes
from scopefold.auth.web.admin import in_vain, registered_idp
from scopefold.auth.web.moment import standing
from scopefold.auth.web.outgoing import NoAnswer
from scopefold.auth.web.service import Service, callback_address, logout_address, service_of
from scopefold.auth.web.upstream import UpstreamFailed, discovery, exchange
from scopefold.consent.idp_scopes import Idp
from scopefold.contracts.recorded import AsOf
from scopefold.runtime.moment import MomentQuery
from scopefold.runtime.web import json_response, query
from scopefold.scopes.diagnosis import Failure


class DoctorQuery(MomentQuery, frozen=True, kw_only=True):
    """What the operator sees elsewhere, to be compared and recognised; and as of when."""

    callback: (
        Annotated[str, Meta(max_length=2000, description="The callback address as the app's console shows it.")] | None
    ) = None
    seen: (
        Annotated[str, Meta(max_length=8000, description="Words or an address of an error page that somebody saw.")]
        | None
    ) = None
    probe: Annotated[
        bool,
        Meta(
            description="Whether to ask the IdP itself, and look whether its secret is kept. No user is needed, and "
            "none affected. About an earlier moment it is not asked: it would answer of now."
        ),
    ] = True


class Checkup(Struct, frozen=True, kw_only=True):
    """What was looked at, in the order in which to mend it."""

    as_of: AsOf
    idp: str
    wrong: Annotated[int, Meta(description="How many checks found something wrong.")]
    doubtful: Annotated[int, Meta(description="How many found something that is worth a look.")]
    checks: tuple[Check, ...]


async def doctor(request: Request) -> Response:
    """The checkup of a registered IdP."""
    service, asked = service_of(request), query(request, DoctorQuery)
    service.check_ready()
    async with standing(service, asked.at) as (projection, as_of):
        idp = registered_idp(projection, request)
        gave_up = {one.scope: one.why == "not-given" for one in in_vain(projection, idp)}
    facts = facts_of(idp, callback_address(service, idp.idp))
    probed = await _probed(service, idp, probe=asked.probe) if asked.at is None else Probed()
    checks = examine(idp, facts, probed, gave_up, console=asked.callback, seen=asked.seen)
    counts = [check.verdict for check in checks]
    wrong, doubtful = counts.count("wrong"), counts.count("doubtful")
    return json_response(Checkup(as_of=as_of, idp=idp.idp, wrong=wrong, doubtful=doubtful, checks=checks))


async def _probed(service: Service, idp: Idp, *, probe: bool) -> Probed:
    secret = await service.bus.vault.idp_secret(idp.idp)
    if not probe or secret is None:
        return Probed(has_secret=secret is not None)
    fault, tells_logouts = await _discovered(service, idp)
    return Probed(
        has_secret=True,
        token_endpoint=await _answer_to_no_code(service, idp, secret),
        discovery=fault,
        logout_address=logout_address(service, idp) if tells_logouts else "",
    )


async def _answer_to_no_code(service: Service, idp: Idp, secret: str) -> Failure | None:
    """How the token endpoint refuses a code that is none: it looks at who asks first (RFC 6749, section 5.2)."""
    try:
        await exchange(
            service.upstream,
            idp,
            client_secret=secret,
            code=NOT_A_CODE,
            verifier=secrets.token_urlsafe(32),
            redirect_uri=callback_address(service, idp.idp),
            requested=requested_scopes(idp),
        )
    except UpstreamFailed as failure:
        return Failure("token", failure.error, failure.description, failure.status)
    return None


async def _discovered(service: Service, idp: Idp) -> tuple[str | None, bool]:
    """What is wrong with the discovery document, if there is one, and whether it says that the IdP tells of logouts."""
    assert idp.registration is not None
    if not discovery_address(idp.profile, idp.registration.event.endpoints):
        return None, False
    try:
        return "", (await discovery(service.documents, idp)).tells_logouts
    except (NoAnswer, UpstreamFailed) as error:
        return str(error), False
