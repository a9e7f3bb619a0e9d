"""The sandbox's settings."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Settings(Struct, frozen=True, kw_only=True):
    """What the environment says, each as `SCOPEFOLD_` and the name in capitals."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8090
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    issuer: Annotated[str, Meta(pattern=r"^https?://[\x21-\x7e]+$")] = "http://127.0.0.1:8080"
    """The address of Scopefold's auth service, exactly as its metadata spells it."""
    public_url: str = ""
    """Where browsers reach this sandbox. Empty: http://{host}:{port}."""
    callbacks: str = ""
    """The preset apps' callback URLs, parted by commas. Empty: those of the auth service at `issuer`."""

    @property
    def own_address(self) -> str:
        """The sandbox's base address, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    def callbacks_of(self, stand_in: str) -> tuple[str, ...]:
        """The callback URLs of the app that is preset at this stand-in."""
        base = self.issuer.rstrip("/")
        given = tuple(one.strip() for one in self.callbacks.split(",") if one.strip())
        return given or (f"{base}/oauth2/callback/{stand_in}", f"{base}/oauth2/callback")
