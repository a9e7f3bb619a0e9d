"""What every handler works with: the parts of this service, wired once in `app`."""

import asyncio
import copy
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
from starlette.requests import Request

from scopefold.auth.core.egress import networks
from scopefold.auth.core.idps import discovery_address
from scopefold.auth.oauth.keys import Keys
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.valid_requests import ValidRequests
from scopefold.auth.settings import Settings
from scopefold.auth.store.buckets import Buckets
from scopefold.auth.store.bus_log import BusLogs
from scopefold.auth.store.grants import Grants
from scopefold.auth.store.history import History
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.recent import Changes
from scopefold.auth.store.records import Client, Session
from scopefold.auth.store.sessions import Sessions
from scopefold.auth.store.vault import Vault
from scopefold.auth.web.access_tokens import AccessTokens
from scopefold.auth.web.allowance import Window
from scopefold.auth.web.backchannel import Backchannel
from scopefold.auth.web.browser import session_cookie
from scopefold.auth.web.client_documents import ClientDocuments
from scopefold.auth.web.clients import Clients
from scopefold.auth.web.egress import Egress
from scopefold.auth.web.outgoing import Documents, Http
from scopefold.auth.web.rate import Limits
from scopefold.auth.web.turns import Renewals, Told
from scopefold.auth.web.way import Way, way_to
from scopefold.auth.web.webhook_sender import Sender
from scopefold.consent.idp_scopes import Idp, State
from scopefold.consent.reconsent import Lack
from scopefold.ledger.log import Log, LogUnavailable
from scopefold.runtime.logs import logger
from scopefold.runtime.parts import Parts
from scopefold.runtime.web import ProblemError

log = logger(__name__)


class AsOfLate:
    """What the hottest path reads: as it was a moment ago."""

    def __init__(self, changes: Changes, vault: Vault, grants: Grants) -> None:
        self.changes = changes
        self.vault = vault
        self.grants = grants
        self.access_tokens = AccessTokens()


class Connected:
    """What exists only while the bus has been reached."""

    def __init__(
        self,
        log: Log,
        buckets: Buckets,
        vault: Vault,
        keys: Keys,
        *,
        made: Mapping[str, datetime | None],
        recent: AsOfLate,
        described: ClientDocuments | None = None,
    ) -> None:
        self.log = log
        self.buckets = buckets
        self.sessions = Sessions(buckets.sessions)
        self.clients = Clients(buckets.clients, buckets.dynamic, described)
        self.grants = Grants(buckets.grants)
        self.vault = vault
        self.keys = keys
        self.recent = recent
        self.made = made
        """When each bucket on file was made that this was opened from."""


class Service:
    """The auth service. `connected` is None until the bus has been reached for the first time.

    `waiting_for` says what keeps it from serving, and passes by itself; `broken` does not. `lacking` says which buckets
    are not there. `was_ready` is set once it could serve for the first time.
    """

    def __init__(self, settings: Settings, projection: Projection, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.projection = projection
        self.upstream = Http()
        self.parts = Parts()
        self.limits = Limits(settings)
        self.bus_logs = BusLogs(settings.bus_logs)
        self.documents = Documents(self.upstream)
        self.egress = Egress(networks(settings.egress_networks))
        self.backchannel = Backchannel(http, self.egress)
        self.webhook: Sender | None = None
        if settings.webhook_url:
            secret = settings.webhook_secret.reveal()
            self.webhook = Sender(self.upstream, settings.webhook_url, secret, attempts=settings.webhook_attempts)
        self.registrations = Window()
        self.renewals = Renewals()
        self.told = Told()
        self.valid_requests = ValidRequests()
        self.issuer = settings.issuer
        self.history = History(settings.tenant, settings.data_dir, settings.segments, settings.projection)
        self.connected: Connected | None = None
        self.waiting_for: str | None = "the bus has not been reached yet"
        self.lacking: str | None = None
        self.broken: str | None = None
        self.was_ready = asyncio.Event()
        self._ways: dict[str, Way] = {}
        self._told_in_vain: set[tuple[str, str]] = set()

    def speaking_as(self, issuer: str) -> "Service":
        """The same service under this issuer's name: the organisation's, or its own."""
        if issuer == self.issuer:
            return self
        named = copy.copy(self)
        named.issuer = issuer
        return named

    @property
    def consent_window(self) -> timedelta:
        """How long what connectors newly need is gathered before logins ask for it."""
        return timedelta(hours=self.settings.consent_window_hours)

    @property
    def path(self) -> str:
        """The path of the issuer, with which the addresses of its pages begin."""
        return urlsplit(self.issuer).path

    def way_to(self, idp: Idp) -> Way:
        """The way to an IdP, one for each kept until the fold has another."""
        kept = self._ways.get(idp.idp)
        if kept is None or kept.idp is not idp:
            kept = self._ways[idp.idp] = way_to(idp, callback_address(self, idp.idp))
        return kept

    def tell_in_vain(self, idp: Idp, lacks: Iterable[Lack]) -> None:
        """Tell the operator, once a process and scope, of what users are not asked for another time."""
        for lack in lacks:
            if (idp.idp, lack.scope) not in self._told_in_vain:
                self._told_in_vain.add((idp.idp, lack.scope))
                log.warning(
                    "a scope is needed that asking for does not bring",
                    idp=idp.idp,
                    scope=lack.scope,
                    needed_by=[because.title for because in lack.because],
                    what_to_do=f"scopefold idp doctor {idp.idp}",
                )

    def tell_refusal(self, path: str, error: Exception) -> None:
        """Say once a minute why requests are refused: there may be thousands."""
        told = f"{int(now().timestamp()) // 60}: {error}"
        if not self.told.has(told):
            self.told.note(told)
            log.warning("requests are refused", path=path, reason=str(error))

    @property
    def bus(self) -> Connected:
        """What the bus holds. Raises `LogUnavailable` while this service is not ready to serve."""
        self.check_ready()
        assert self.connected is not None
        return self.connected

    def check_ready(self) -> None:
        """Raises `LogUnavailable` while this service has not read the log, or may not trust it."""
        if self.broken is not None:
            raise LogUnavailable(self.broken)
        if (why := self.waiting_for or self.lacking) is not None:
            raise LogUnavailable(why)
        if self.connected is None or not self.connected.log.nc.is_connected:
            raise LogUnavailable("the connection to the bus is lost")

    @property
    def clients(self) -> Clients:
        """The registered clients. Raises `LogUnavailable` as `bus` does."""
        return self.bus.clients

    @property
    def scopes(self) -> State:
        """What each IdP must be asked for, as far as the log is folded."""
        return self.projection.scopes

    def loaded(self, client: Client | None) -> Loaded:
        """What the OAuth grammar needs of this service for one request."""
        bus = self.bus
        return Loaded(
            issuer=self.issuer,
            keys=bus.keys,
            client_secret_key=bus.vault.client_secret_key,
            now=now(),
            client=client,
            connectors=self.scopes.routes,
            nonce_key=bus.vault.dpop_nonce_key,
            nonce_required=self.settings.dpop_nonce == "required",
        )


def callback_address(service: Service, idp: str) -> str:
    """Where an IdP sends browsers back to: an address of its own per IdP, against mix-up (RFC 9700, section 4.4)."""
    return f"{service.settings.issuer}/oauth2/callback/{idp}"


def logout_address(service: Service, idp: Idp) -> str:
    """Where an IdP can tell of logouts, if it does that; empty where its word could not be verified."""
    assert idp.registration is not None
    if not discovery_address(idp.profile, idp.registration.event.endpoints):
        return ""
    return f"{service.settings.issuer}/oauth2/backchannel-logout/{idp.idp}"


def service_of(request: Request) -> Service:
    """The service that a request came to, under the issuer's name that it was asked by.

    Raises `ProblemError` where there is no such organisation.
    """
    service: Service = request.app.state.service
    state: dict[str, str] = request.scope.get("state", {})  # what `request.state` keeps, read without its wrapper
    issuer = state.get("issuer") or issuer_of(service, request.path_params.get("org"))
    return service.speaking_as(issuer)


def issuer_of(service: Service, organisation: str | None) -> str:
    """The issuer of an organisation; None: the service's own. Raises `ProblemError` where there is no such one."""
    if organisation is None:
        return service.settings.issuer
    if organisation != service.settings.tenant:
        detail = "Look at the address: it names an organisation that this service does not serve."
        raise ProblemError(404, "unknown-organisation", "There is no such organisation", detail)
    return f"{service.settings.issuer}/{organisation}"


def go_on_as(request: Request, issuer: str) -> Service:
    """The service as the issuer that was asked in the beginning, for all that is still to be said to this request."""
    request.state.issuer = issuer
    return service_of(request)


async def session_of(request: Request) -> Session | None:
    """The session that the browser's cookie names, if there is one and it lives."""
    return await service_of(request).bus.sessions.find(session_cookie(request), now())


def now() -> datetime:
    """The time, in UTC: the shell's only clock."""
    return datetime.now(UTC)
