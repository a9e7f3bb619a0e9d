"""The way back from an IdP: code to token, token to person, person to session, session to the client."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.authentication import fresh_enough
from scopefold.auth.core.idps import from_another_issuer, is_idp_id
from scopefold.auth.core.login import clocks
from scopefold.auth.core.seal import keyed_hash
from scopefold.auth.core.stored_token import Identity, StoredToken, TokenPart
from scopefold.auth.oauth.loaded import GrantedUser
from scopefold.auth.oauth.request import RedirectedError, ShownError, query_parameters
from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.grants import registered_since
from scopefold.auth.store.records import Attempt, attempt_key
from scopefold.auth.web.browser import browser_of, give_session, random_text, session_cookie
from scopefold.auth.web.consent import answered
from scopefold.auth.web.ending import end_if_withdrawn, end_session
from scopefold.auth.web.failures import LoginFailed, keep
from scopefold.auth.web.login_log import of_attempt, stored_event, write
from scopefold.auth.web.pages import error_page
from scopefold.auth.web.pushed import again
from scopefold.auth.web.service import Service, callback_address, go_on_as, now, service_of
from scopefold.auth.web.sites import read_sites
from scopefold.auth.web.upstream import Brought, UpstreamFailed, code_told, exchange, identify
from scopefold.consent.idp_scopes import Idp
from scopefold.contracts.events import ConsentDeclined, UserLoggedIn

STORE_TRIES: Final = 5


async def callback(request: Request) -> Response:
    """`GET /oauth2/callback/{idp}`, and `/oauth2/callback` while exactly one IdP is registered."""
    service = service_of(request)
    parameters = query_parameters(request.scope["query_string"])
    attempt = await _claim(service, request, parameters.get("state", ""))
    service = go_on_as(request, attempt.issuer or service.issuer)
    idp = service.scopes.idps.get(attempt.idp)
    if idp is None or idp.registration is None:
        raise _failure(attempt, "server_error", "The identity provider is not registered any more.")
    if from_another_issuer(idp, parameters.get("iss")):
        raise await _failed(service, idp, attempt, UpstreamFailed("authorize", "issuer_mismatch"))
    if "error" in parameters:
        raise await _refused_upstream(service, idp, attempt, parameters)
    try:
        brought, identity = await _redeem(service, idp, attempt, parameters.get("code", ""))
    except UpstreamFailed as failure:
        raise await _failed(service, idp, attempt, failure) from None
    moment = now()
    authenticated_at = min(brought.authenticated_at or moment, moment)  # they have just come from there
    if not fresh_enough(idp.profile, attempt.fresh_since, brought.authenticated_at):
        await keep(service, idp, attempt, UpstreamFailed("identity", "not_reauthenticated"))
        raise _failure(attempt, "login_required", "The identity provider did not authenticate the user again.")
    if attempt.user is not None and await _holds_another_account(service, attempt.user, idp, identity):
        return await _another_account(service, attempt, idp)
    user = await service.bus.vault.user_of(
        idp.idp, identity.subject, new_user=attempt.user or f"u_{random_text()[:22]}"
    )
    if attempt.user is not None and user != attempt.user:
        return await _another_account(service, attempt, idp)
    if attempt.subject not in (None, user):
        raise _failure(attempt, "login_required", "Somebody else logged in than whom the client asked for.")
    stored, before = await _store(service, idp, attempt, user, (brought, identity))
    event = UserLoggedIn(user=user, idp=idp.idp, client=attempt.request.parameters["client_id"])
    logged_in = of_attempt(service, attempt.attempt, event)
    await write(service, logged_in, stored_event(service, user, idp.idp, stored))
    if before is not None:
        await end_if_withdrawn(service, idp, user, before, stored)
    begun = await service.bus.sessions.begin(
        session_cookie(request),
        user=user,
        idp=idp.idp,
        client=event.client,
        authenticated_at=authenticated_at,
        now=moment,
        issuer=service.issuer,
        upstream_sid=brought.session,
    )
    if begun.before is not None:  # whoever used this browser before is logged out of it
        await end_session(service, begun.before.user, begun.before.sid)
    since = registered_since(idp) or 0
    granted_user = GrantedUser(user, idp.idp, authenticated_at, begun.session.sid, idp_since=since)
    response = await answered(service, request, attempt.request.parameters, granted_user)
    give_session(response, begun.cookie)
    return response


async def _claim(service: Service, request: Request, state: str) -> Attempt:
    """The login that this browser began under this state at this IdP, once. Raises `ShownError`."""
    wrong = ShownError("invalid_state", "This login was not begun here, was finished already, or took too long.")
    flows, browser = service.bus.buckets.flows, browser_of(request)
    idp = _idp_of(service, request.path_params.get("idp"))
    if browser is None or idp is None or not state:
        raise wrong
    key = attempt_key(browser, idp, state)
    found = await flows.get(key, Attempt)
    if found is None:
        raise wrong
    try:
        await flows.take(key, found[1])
    except Taken:
        raise wrong from None
    return found[0]


def _idp_of(service: Service, named: str | None) -> str | None:
    """The IdP that a browser comes from: the one in the path, else the only one there is."""
    if named is not None:  # it need not be registered any more: who comes back to it is told
        return named if is_idp_id(named) else None
    registered = [name for name, idp in service.scopes.idps.items() if idp.registration is not None]
    return registered[0] if len(registered) == 1 else None


async def _redeem(service: Service, idp: Idp, attempt: Attempt, code: str) -> tuple[Brought, Identity]:
    """Swap the IdP's code for tokens, and ask whose they are. Raises `UpstreamFailed`."""
    if not code:
        raise UpstreamFailed("authorize", "no_code")
    secret = await service.bus.recent.vault.idp_secret(idp.idp)
    if secret is None:
        raise UpstreamFailed("token", "no_client_secret")
    brought = await exchange(
        service.upstream,
        idp,
        client_secret=secret,
        code=code,
        verifier=attempt.verifier,
        redirect_uri=callback_address(service, idp.idp),
        requested=attempt.requested,
    )
    identity = await identify(service.upstream, service.documents, idp, brought, nonce=attempt.nonce, now=now())
    return brought, identity


async def _store(
    service: Service, idp: Idp, attempt: Attempt, user: str, came: tuple[Brought, Identity]
) -> tuple[StoredToken, StoredToken | None]:
    """Put the tokens in the vault as the user's next generation; again, where a parallel login was faster.

    The row, and the one that it replaces.
    """
    brought, identity = came
    vault, first, moment = service.bus.vault, brought.tokens[0], now()
    renewable = any((brought.refresh_token, *(one.refresh_token for one in brought.tokens)))
    each = [
        clocks(idp.profile, now=moment, expires_in_seconds=one.expires_in, has_refresh_token=renewable)
        for one in brought.tokens
    ]
    parts = tuple(
        TokenPart(
            one.part,
            one.access_token,
            one.refresh_token if idp.profile.resources is None else None,
            one.scopes,
            times.access_expires_at,
        )
        for one, times in zip(brought.tokens, each, strict=True)
        if one.part
    )
    sites = await read_sites(service, idp, first.access_token)
    for _ in range(STORE_TRIES):
        before = await vault.token(user, idp.idp)
        told = await service.projection.generation(idp.idp, user)
        known = max(before[0].generation if before else 0, told)
        token = StoredToken(
            identity=identity,
            access_token=first.access_token,
            refresh_token=brought.refresh_token,
            requested=attempt.requested,
            granted=brought.granted.scopes,
            evidence=brought.granted.evidence,
            known_by=brought.granted.known_by,
            cause="step-up" if attempt.user is not None else "login",
            generation=known + 1,
            fingerprint=keyed_hash(vault.fingerprint_key, brought.refresh_token or first.access_token),
            predecessor=(before[0].fingerprint or None) if before else None,
            access_expires_at=min((at for one in each if (at := one.access_expires_at) is not None), default=None),
            idle_expires_at=each[0].idle_expires_at,
            absolute_expires_at=each[0].absolute_expires_at,
            parts=parts,
            sites=sites,
        )
        try:
            await vault.put_token(user, idp.idp, token, revision=before[1] if before else 0)
        except Taken:
            continue
        return token, before[0] if before else None
    raise _failure(attempt, "temporarily_unavailable", "Too many logins of this user at once; try again.")


async def _refused_upstream(service: Service, idp: Idp, attempt: Attempt, told: Mapping[str, str]) -> Exception:
    """The IdP sent the browser back with an error: the user said no, or the IdP did."""
    error, client = code_told(told["error"]), attempt.request.parameters["client_id"]
    if error == "access_denied":
        declined = ConsentDeclined(
            attempt=attempt.attempt, idp=attempt.idp, client=client, user=attempt.user, requested=attempt.requested
        )
        await write(service, of_attempt(service, attempt.attempt, declined))
        return _failure(attempt, "access_denied", "The user did not consent at the identity provider.")
    return await _failed(service, idp, attempt, UpstreamFailed("authorize", error, told.get("error_description", "")))


async def _failed(service: Service, idp: Idp, attempt: Attempt, failure: UpstreamFailed) -> LoginFailed:
    diagnosis = await keep(service, idp, attempt, failure)
    return LoginFailed(diagnosis, idp, attempt, wait_seconds=failure.wait_seconds)


async def _holds_another_account(service: Service, user: str, idp: Idp, identity: Identity) -> bool:
    """A user has one account at an IdP: another one, even if nobody has it yet, is another person's."""
    before = await service.bus.vault.token(user, idp.idp)
    if before is None or before[0].identity.subject == identity.subject:
        return False
    # Where the row does not open, the link alone says whose the account is.
    return bool(before[0].identity.subject) or await service.bus.vault.linked(idp.idp, identity.subject) != user


async def _another_account(service: Service, attempt: Attempt, idp: Idp) -> Response:
    """The browser is logged in as one user and came back as another: neither is taken for the other."""
    await keep(service, idp, attempt, UpstreamFailed("identity", "account_mismatch"))
    return error_page(
        409,
        "You logged in as somebody else",
        f"This browser is logged in here as one person, and at {idp.profile.title} you chose an account that belongs "
        "to another. Nothing was changed.",
        code="account_mismatch",
        link=("Log in anew as the other person", again(service, attempt.request.parameters, prompt="login")),
    )


def _failure(attempt: Attempt, error: str, description: str) -> RedirectedError:
    asked = attempt.request.parameters
    return RedirectedError(asked["redirect_uri"], error, description, asked)
