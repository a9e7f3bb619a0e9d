"""The playground: a small relying party that signs people in with Scopefold and shows what it was told.

A public client: it holds no secret and proves itself with PKCE.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client, oauth2_client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from scopefold.runtime.logs import logger
from scopefold.runtime.trusted import trusted
from scopefold.runtime.web import ProblemError, json_response, problem_response
from scopefold.sandbox.core import playground as core
from scopefold.sandbox.web.pages import page

COOKIE: Final = "playground_flow"
TIMEOUT_SECONDS: Final = 10.0
MOST_FLOWS: Final = 10_000
SIGNING_ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA"]
SHOWN_OF_TOKEN: Final = 12
T = TypeVar("T")
log = logger(__name__)


class Metadata(Struct, frozen=True):
    """What the playground needs of the issuer's metadata (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class Keys(Struct, frozen=True):
    """The issuer's public keys (RFC 7517, section 5)."""

    keys: list[dict[str, Any]]


class TokenAnswer(Struct, frozen=True):
    """What the playground needs of the token endpoint's answer."""

    access_token: str
    id_token: str
    token_type: str
    expires_in: int
    scope: str | None = None


class SignedIn(Struct, frozen=True):
    """What the playground learnt."""

    sub: str
    claims: Mapping[str, Any]
    scope: str
    token_type: str
    expires_in: int


class NotSignedIn(Exception):
    """The sign-in failed; holds the words for it."""

    def __init__(self, refusal: core.Refused) -> None:
        super().__init__(refusal.title)
        self.refusal = refusal


class PlaygroundWeb:
    """The handlers and the sign-ins under way, by the cookie of the browser that began them."""

    def __init__(self, issuer: str, own_address: str, *, now: Callable[[], float], mint: Callable[[], str]) -> None:
        self.issuer = issuer
        self.callback_url = f"{own_address}/playground/callback"
        self.now = now
        self.mint = mint
        self.flows: dict[str, core.Flow] = {}

    def routes(self, prefix: str) -> list[Route]:
        """The playground's pages below `prefix`."""
        return [
            Route(prefix, self.start),
            Route(f"{prefix}/login", self.log_in),
            Route(f"{prefix}/callback", self.callback),
        ]

    async def start(self, _: Request) -> Response:
        """The page to begin from."""
        return page("playground.html", issuer=self.issuer, callback=self.callback_url, scope=core.DEFAULT_SCOPE)

    async def log_in(self, request: Request) -> Response:
        """Send the browser to the authorization endpoint."""
        wanted = request.query_params
        try:
            metadata = await self._metadata()
        except NotSignedIn as error:
            return _failed(request, error.refusal)
        flow = core.Flow(
            state=self.mint(),
            nonce=self.mint(),
            verifier=self.mint(),
            scope=wanted.get("scope") or core.DEFAULT_SCOPE,
            resource=wanted.get("resource") or None,
            expires_at=self.now() + core.FLOW_SECONDS,
        )
        extra = {"resource": flow.resource, "prompt": wanted.get("prompt") or None}
        async with self._client(flow) as client:
            address, _ = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=flow.state,
                nonce=flow.nonce,
                code_verifier=flow.verifier,
                **{name: value for name, value in extra.items() if value is not None},
            )
        answer = RedirectResponse(address, HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            self._remember(flow),
            max_age=core.FLOW_SECONDS,
            path="/playground",
            httponly=True,
            samesite="lax",
            secure=urlsplit(self.callback_url).scheme == "https",
        )
        return answer

    async def callback(self, request: Request) -> Response:
        """Take the authorization response, swap the code, and show who signed in."""
        flow = self.flows.pop(request.cookies.get(COOKIE, ""), None)
        code = core.code_of(flow, request.query_params, issuer=self.issuer, now=self.now())
        if flow is None or isinstance(code, core.Refused):
            return _failed(request, code if isinstance(code, core.Refused) else core.NO_FLOW)
        try:
            metadata = await self._metadata()
            answer = await self._swap(metadata, flow, code)
            claims = await self._verified(metadata, flow, answer.id_token)
        except NotSignedIn as error:
            return _failed(request, error.refusal)
        # An absent scope means "as asked" (RFC 6749, section 5.1).
        granted = answer.scope if answer.scope is not None else flow.scope
        found = SignedIn(str(claims["sub"]), claims, granted, answer.token_type, answer.expires_in)
        if _wants_json(request):
            return json_response(found)
        token = {"start": answer.access_token[:SHOWN_OF_TOKEN], "length": len(answer.access_token)}
        return page("playground_signed_in.html", found=found, token=token, issuer=self.issuer)

    def _client(self, flow: core.Flow) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            client_id=core.CLIENT_ID,
            token_endpoint_auth_method="none",
            code_challenge_method="S256",
            scope=flow.scope,
            redirect_uri=self.callback_url,
            timeout=TIMEOUT_SECONDS,
            verify=trusted(),
        )

    def _remember(self, flow: core.Flow) -> str:
        while len(self.flows) >= MOST_FLOWS:
            del self.flows[next(iter(self.flows))]
        key = self.mint()
        self.flows[key] = flow
        return key

    async def _metadata(self) -> Metadata:
        address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = _decoded(await _fetch(address), Metadata, f"The metadata at {address}")
        if found.issuer != self.issuer:
            detail = f"It calls itself {found.issuer}; the sandbox was told {self.issuer} (SCOPEFOLD_ISSUER)."
            raise NotSignedIn(core.Refused("The metadata is not of this issuer", detail))
        return found

    async def _swap(self, metadata: Metadata, flow: core.Flow, code: str) -> TokenAnswer:
        extra = {} if flow.resource is None else {"resource": flow.resource}
        async with self._client(flow) as client:
            try:
                answer = await client.fetch_token(
                    metadata.token_endpoint, code=code, code_verifier=flow.verifier, grant_type="authorization_code",
                    **extra,
                )  # fmt: skip
            except OAuthError as error:
                detail = f"{error.error}: {error.description or 'no description'}"
                raise NotSignedIn(core.Refused("The code was not taken", detail)) from None
            except (oauth2_client.httpx2.HTTPError, ValueError) as error:  # Authlib's name for its client
                raise NotSignedIn(_silent(metadata.token_endpoint, error)) from None
        return _decoded(msgspec.json.encode(dict(answer)), TokenAnswer, "The token endpoint's answer")

    async def _verified(self, metadata: Metadata, flow: core.Flow, id_token: str) -> dict[str, Any]:
        """The claims of an id_token that passed OpenID Connect Core 1.0, section 3.1.3.7."""
        keys = _decoded(await _fetch(metadata.jwks_uri), Keys, f"The keys at {metadata.jwks_uri}")
        rules = jwt.JWTClaimsRegistry(
            now=int(self.now()),
            leeway=60,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": core.CLIENT_ID},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": flow.nonce},
        )
        try:
            found = jwt.decode(id_token, KeySet.import_key_set({"keys": keys.keys}), algorithms=SIGNING_ALGORITHMS)
            rules.validate(found.claims)
        except (JoseError, ValueError, KeyError) as error:
            raise NotSignedIn(core.Refused("The id_token cannot be trusted", str(error))) from None
        return found.claims


async def _fetch(address: str) -> bytes:
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, verify=trusted()) as client:
            answer = await client.get(address)
            answer.raise_for_status()
    except httpx.HTTPError as error:
        raise NotSignedIn(_silent(address, error)) from None
    return answer.content


def _silent(address: str, error: Exception) -> core.Refused:
    log.warning("no usable answer", address=address, error=type(error).__name__)
    detail = f"{address} gave no usable answer ({type(error).__name__}). Is the auth service running there?"
    return core.Refused("Scopefold's auth service does not answer", detail)


def _decoded(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise NotSignedIn(core.Refused(f"{what} cannot be read", str(error))) from None


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _failed(request: Request, refusal: core.Refused) -> Response:
    log.warning("nobody signed in", reason=refusal.title)
    if _wants_json(request):
        return problem_response(ProblemError(400, "not-signed-in", refusal.title, refusal.detail))
    return page("playground_failed.html", 400, refusal=refusal)
