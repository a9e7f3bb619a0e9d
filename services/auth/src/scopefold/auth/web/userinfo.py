"""UserInfo (OpenID Connect Core 1.0, section 5.3): who is it, for a client that holds an access token."""

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.claims import user_claims
from scopefold.auth.oauth.own_tokens import NotAllowed, read_access_token
from scopefold.auth.oauth.request import ShownError, form_parameters
from scopefold.auth.web.service import now, service_of
from scopefold.auth.web.token_status import live_access_token
from scopefold.runtime.web import ProblemError, json_response, limited_body


async def userinfo(request: Request) -> Response:
    """`GET` or `POST /oauth2/userinfo`; the token in the header or in a form, never in the address (RFC 6750)."""
    service = service_of(request)
    bus = service.bus
    try:
        authorization = await _authorization(request)
        bearer = read_access_token(bus.keys, service.issuer, authorization, "openid")
        token = (authorization or "").partition(" ")[2].strip()
        if await live_access_token(service, token, service.issuer) is None:
            raise NotAllowed(401, "invalid_token", "The access token was revoked.")
        session = await bus.sessions.of(bearer.user, bearer.sid, now()) if bearer.sid else None
        if session is None:
            raise NotAllowed(401, "invalid_token", "The session that the token was issued in has ended.")
    except NotAllowed as error:
        return _refused(error)
    stored = await bus.vault.token(bearer.user, bearer.idp or session.idps[-1])
    identity = stored[0].identity if stored else None
    groups = await bus.vault.groups(bearer.user)
    return json_response(user_claims(bearer.user, identity, groups, bearer.scopes, bearer.claims))


async def _authorization(request: Request) -> str | None:
    """The Authorization header, or what would stand there if the form's token were in it. Raises `NotAllowed`."""
    headers = request.headers.getlist("authorization")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and media_type == "application/x-www-form-urlencoded":
        try:
            token = form_parameters(await limited_body(request)).get("access_token")
        except ShownError as error:
            raise NotAllowed(400, "invalid_request", error.description) from None
        except ProblemError as error:
            raise NotAllowed(error.status, "invalid_request", str(error)) from None
        headers += [f"Bearer {token}"] if token is not None else []
    if len(headers) > 1:
        raise NotAllowed(400, "invalid_request", "Send the access token in one way, not in two.")
    return headers[0] if headers else None


def _refused(error: NotAllowed) -> Response:
    """RFC 6750, section 3: a request without a token is told no error code."""
    said = f', error="{error.error}", error_description="{error.description}"' if error.error else ""
    said += ', scope="openid"' if error.status == 403 else ""
    body = {"error": error.error or "invalid_token", "error_description": error.description}
    return json_response(body, error.status, {"www-authenticate": f'Bearer realm="scopefold"{said}'})
