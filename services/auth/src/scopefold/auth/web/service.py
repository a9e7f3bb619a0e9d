"""What every handler works with: the parts of this service, wired once in `app`."""

from collections.abc import Iterable
from datetime import UTC, datetime

import httpx
from starlette.requests import Request

from scopefold.auth.oauth.loaded import Keys, Loaded
from scopefold.auth.settings import Settings
from scopefold.auth.store.buckets import Buckets
from scopefold.auth.store.grants import Grants
from scopefold.auth.store.history import History
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.records import Client
from scopefold.auth.store.vault import Vault
from scopefold.auth.web.clients import Clients
from scopefold.consent.idp_scopes import Idp, State
from scopefold.consent.reconsent import Lack
from scopefold.ledger.log import Log, LogUnavailable
from scopefold.runtime.logs import logger

log = logger(__name__)


class Connected:
    """What exists only while the bus has been reached."""

    def __init__(self, log: Log, buckets: Buckets, vault: Vault, keys: Keys) -> None:
        self.log = log
        self.buckets = buckets
        self.clients = Clients(buckets.clients)
        self.grants = Grants(buckets.grants)
        self.vault = vault
        self.keys = keys


class Service:
    """The auth service. `connected` is None until the bus has been reached for the first time.

    `waiting_for` says what keeps it from serving, and passes by itself; `broken` does not.
    """

    def __init__(self, settings: Settings, projection: Projection, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.projection = projection
        self.http = http
        self.history = History(settings.tenant, settings.data_dir)
        self.connected: Connected | None = None
        self.waiting_for: str | None = "the bus has not been reached yet"
        self.broken: str | None = None
        self._told_in_vain: set[tuple[str, str]] = set()

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
        if self.waiting_for is not None:
            raise LogUnavailable(self.waiting_for)
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
            issuer=self.settings.issuer,
            keys=bus.keys,
            client_secret_key=bus.vault.client_secret_key,
            now=now(),
            client=client,
        )


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    service: Service = request.app.state.service
    return service


def now() -> datetime:
    """The time, in UTC: the shell's only clock."""
    return datetime.now(UTC)
