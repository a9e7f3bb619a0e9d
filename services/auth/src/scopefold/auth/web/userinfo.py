"""UserInfo (OpenID Connect Core 1.0, section 5.3): who is it, for a client that holds an access token."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.claims import user_claims
from scopefold.auth.oauth.protected import AccessRefused, Needs
from scopefold.auth.oauth.request import ShownError, form_parameters
from scopefold.auth.web.protected import access_of
from scopefold.auth.web.service import now, service_of
from scopefold.runtime.web import ProblemError, json_response, limited_body

NEEDS: Final = Needs(scopes=("openid",))


async def userinfo(request: Request) -> Response:
    """`GET` or `POST /oauth2/userinfo`; the token in the header or in a form, never in the address (RFC 6750)."""
    service = service_of(request)
    bus = service.bus
    access = await access_of(service, request, NEEDS, authorization=await _authorization(request))
    said = access.claims
    session = await bus.sessions.of(said.sub, said.sid, now()) if said.sid else None
    if session is None:
        description = "The session that the token was issued in has ended."
        raise AccessRefused(401, access.scheme, error="invalid_token", error_description=description)
    stored = await bus.vault.token(said.sub, said.idp or session.idps[-1])
    identity = stored[0].identity if stored else None
    groups = await bus.vault.groups(said.sub)
    return json_response(user_claims(said.sub, identity, groups, said.scopes, said.requested_claims))


async def _authorization(request: Request) -> str | None:
    """The Authorization header, or what would stand there if the form's token were in it. Raises `AccessRefused`."""
    headers = request.headers.getlist("authorization")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and media_type == "application/x-www-form-urlencoded":
        try:
            token = form_parameters(await limited_body(request)).get("access_token")
        except ShownError as error:
            raise _bad_request(400, error.description) from None
        except ProblemError as error:
            raise _bad_request(error.status, str(error)) from None
        headers += [f"Bearer {token}"] if token is not None else []
    if len(headers) > 1:
        raise _bad_request(400, "Send the access token in one way, not in two.")
    return headers[0] if headers else None


def _bad_request(status: int, description: str) -> AccessRefused:
    return AccessRefused(status, "Bearer", error="invalid_request", error_description=description)
