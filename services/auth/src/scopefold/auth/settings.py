"""What an operator sets, and what is refused."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from scopefold.auth.core.egress import networks
from scopefold.auth.core.rate import read_networks
from scopefold.auth.core.stored_token import MOST_RENEWAL_SECONDS
from scopefold.auth.core.webhook import BadSecret, read_secret
from scopefold.auth.core.withholding import Standing
from scopefold.contracts.words import IdpId, Tenant
from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings
from scopefold.scopes.addresses import is_private_way

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
MIN_ADMIN_TOKEN: Final = 24
MOST_BUS_LOGS: Final = 16
NOT_SET: Final = Secret("")
Registration = Literal["off", "token", "open"]
"""Who may register clients by RFC 7591: nobody, who shows an operator's initial access token, or everybody."""


class Settings(Struct, frozen=True, kw_only=True):
    """Read from the environment: `nats_url` from `SCOPEFOLD_NATS_URL`, and so on.

    `keep_alive_days`: upstream tokens that the IdP would end unused within so many days are renewed; 0: none.
    `renewal_seconds`: how long the tries of one renewal at an IdP may take together. Half as long again, a replica that
    died in the middle keeps the others from that user's token. The clocks of replicas must agree within a minute.
    `consent_window_hours`: what connectors newly need sends users who are logged in to consent only when so many hours
    are over since the first of them came, all at once; 0: at once.
    `trusted_proxies` are networks, parted by commas, whose X-Forwarded-For is believed. The limits are per address, of
    failures also per client, and each replica counts for itself.

    `webhook_url` is told who must consent again and who does not any more, signed with `webhook_secret`; a message that
    it does not take is sent `webhook_attempts` times, ever more slowly, and then laid aside.

    `segments` is a directory or s3://… with the log's sealed segments, from which earlier moments are folded.

    `metrics_token` opens `/v1/metrics` and nothing else: for whoever collects them.

    `bus_log` names the log files of the bus's servers, parted by commas, in which they say what they refused.

    `kek` holds the key-encryption keys, one a line: the first is the current one, the others only open what is older.
    `kek_command` prints the same; it runs without a shell.
    """

    admin_token: Secret
    metrics_token: Secret = NOT_SET
    bus_log: str = ""
    kek: Secret = NOT_SET
    kek_command: str = ""
    nats_url: str = "nats://127.0.0.1:4222"
    nats_credentials: Path | None = None
    tenant: Tenant = "default"
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8080
    issuer: str = "http://127.0.0.1:8080"
    data_dir: Path = Path()
    default_idp: IdpId | None = None
    on_suspect: Standing = "tell"
    consent_window_hours: Annotated[int, Meta(ge=0, le=24 * 30)] = 0
    dpop_nonce: Literal["optional", "required"] = "optional"
    key_rotation_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    keep_alive_days: Annotated[int, Meta(ge=0, le=365)] = 0
    trusted_proxies: str = ""
    logins_per_minute: Annotated[int, Meta(ge=1)] = 300
    failures_per_minute: Annotated[int, Meta(ge=1)] = 30
    registration: Registration = "off"
    client_documents: bool = False
    egress_networks: str = ""
    renewal_seconds: Annotated[int, Meta(ge=4, le=MOST_RENEWAL_SECONDS)] = 20
    webhook_url: str = ""
    webhook_secret: Secret = NOT_SET
    webhook_attempts: Annotated[int, Meta(ge=1, le=10)] = 6
    segments: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def projection(self) -> Path:
        """The file of the projection that follows the log."""
        return self.data_dir / "projection.db"

    @property
    def bus_logs(self) -> tuple[Path, ...]:
        """The log files of the bus's servers."""
        return tuple(dict.fromkeys(Path(one.strip()) for one in self.bus_log.split(",") if one.strip()))


def check(settings: Settings) -> None:
    """Refuse what would be unsafe. Raises `BadSettings`."""
    issuer = urlsplit(settings.issuer)
    if issuer.query or issuer.fragment or issuer.path.endswith("/") or not issuer.hostname:
        raise BadSettings("SCOPEFOLD_ISSUER: must be an address without query, fragment or closing slash (RFC 8414)")
    if issuer.scheme != "https" and not (issuer.scheme == "http" and issuer.hostname in LOOPBACK):
        raise BadSettings("SCOPEFOLD_ISSUER: must be https, except on a loopback address (RFC 8414, section 2)")
    if (settings.kek == NOT_SET) != bool(settings.kek_command):
        given = "is given beside SCOPEFOLD_KEK_COMMAND" if settings.kek_command else "is not set"
        raise BadSettings(
            f"SCOPEFOLD_KEK {given}: key-encryption keys come from exactly one of SCOPEFOLD_KEK, SCOPEFOLD_KEK_FILE "
            "and SCOPEFOLD_KEK_COMMAND"
        )
    try:
        networks(settings.egress_networks)
    except ValueError as error:
        raise BadSettings(f"SCOPEFOLD_EGRESS_NETWORKS: must be networks with commas, as 10.0.0.0/8: {error}") from None
    if len(settings.admin_token.reveal()) < MIN_ADMIN_TOKEN:
        raise BadSettings(f"SCOPEFOLD_ADMIN_TOKEN: must have at least {MIN_ADMIN_TOKEN} characters")
    if 0 < len(settings.metrics_token.reveal()) < MIN_ADMIN_TOKEN:
        raise BadSettings(f"SCOPEFOLD_METRICS_TOKEN: must have at least {MIN_ADMIN_TOKEN} characters")
    try:
        read_networks(settings.trusted_proxies)
    except ValueError as error:
        raise BadSettings(
            f"SCOPEFOLD_TRUSTED_PROXIES: networks parted by commas, such as 10.0.0.0/8: {error}"
        ) from None
    if len(settings.bus_logs) > MOST_BUS_LOGS:
        raise BadSettings(f"SCOPEFOLD_BUS_LOG: names more than {MOST_BUS_LOGS} files")
    _check_webhook(settings)
    _check_segments(settings.segments)
    if not settings.data_dir.is_dir():
        raise BadSettings(f"SCOPEFOLD_DATA_DIR: {settings.data_dir} is no directory")


def _check_segments(place: str) -> None:
    if not place:
        return
    bucket = place.startswith("s3://")
    missing = [name for name in ("numpy", "pyarrow", *(["obstore"] if bucket else [])) if find_spec(name) is None]
    if missing:
        told = ", ".join(missing)
        raise BadSettings(
            f"SCOPEFOLD_SEGMENTS: {told} is missing; install it with: pip install 'scopefold-auth[segments]'"
        )
    if not bucket and not Path(place).is_dir():
        raise BadSettings(f"SCOPEFOLD_SEGMENTS: {place} is no directory, and no s3:// address")


def _check_webhook(settings: Settings) -> None:
    if bool(settings.webhook_url) != bool(settings.webhook_secret.reveal()):
        raise BadSettings("SCOPEFOLD_WEBHOOK_URL and SCOPEFOLD_WEBHOOK_SECRET: set both, or neither")
    if not settings.webhook_url:
        return
    if not is_private_way(settings.webhook_url) or "#" in settings.webhook_url:
        raise BadSettings("SCOPEFOLD_WEBHOOK_URL: must be https, except on a loopback address, without user@ and #")
    try:
        read_secret(settings.webhook_secret.reveal())
    except BadSecret as error:
        raise BadSettings(f"SCOPEFOLD_WEBHOOK_SECRET: {error}") from None
