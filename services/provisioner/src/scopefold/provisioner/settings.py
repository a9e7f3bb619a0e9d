"""The settings of the provisioner, from variables that start with SCOPEFOLD_."""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from scopefold.contracts.words import Tenant
from scopefold.runtime.secret import Secret

MIN_ADMIN_TOKEN_LENGTH: Final = 24


class Settings(Struct, frozen=True, kw_only=True):
    """How one provisioner process runs. `manifests` is a directory with an operator's own connector manifests."""

    admin_token: Secret
    nats_url: str = "nats://127.0.0.1:4222"
    nats_credentials: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8081
    tenant: Tenant = "default"
    manifests: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def __post_init__(self) -> None:
        # An empty credential would let in everyone who sends an empty one.
        if len(self.admin_token.reveal()) < MIN_ADMIN_TOKEN_LENGTH:
            raise ValueError(f"SCOPEFOLD_ADMIN_TOKEN must have at least {MIN_ADMIN_TOKEN_LENGTH} characters")
