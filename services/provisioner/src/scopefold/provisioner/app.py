"""The provisioner, wired by hand."""

from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from uuid import uuid4

from scopefold.provisioner import catalogue, stream, web
from scopefold.provisioner.provisioning import Provisioning
from scopefold.provisioner.settings import Settings
from scopefold.runtime.bus import Bus
from scopefold.runtime.parts import Parts
from scopefold.runtime.serve import check_port, serve


async def main(settings: Settings) -> None:
    """Run until told to stop. Raises `BadManifest` and `PortTaken` before anything else has begun."""
    manifests = catalogue.load(settings.manifests)
    check_port(settings.host, settings.port)
    bus = Bus(settings.nats_url, "provisioner", settings.nats_credentials)
    provisioning = Provisioning(
        bus.log, manifests, tenant=settings.tenant, now=lambda: datetime.now(UTC), new_id=lambda: str(uuid4())
    )
    app = web.build(provisioning, settings.admin_token, version("scopefold-provisioner"))
    commands = partial(stream.subscribe, tenant=settings.tenant, provisioning=provisioning)
    parts = Parts()
    parts.begin(bus.keep_connected, commands)
    try:
        await serve(app, settings.host, settings.port)
    finally:
        await parts.end()
        await bus.close()
