"""`python -m scopefold.sandbox`: serve the sandbox until it is told to stop."""

import os
import sys

from scopefold.runtime import logs, serve, settings
from scopefold.runtime.leave import leave
from scopefold.sandbox.settings import Settings


def main() -> int:
    """Read the settings, start, and end with a sentence if that cannot be done."""
    try:
        chosen = settings.load(Settings, os.environ)
    except settings.BadSettings as error:
        sys.exit(f"scopefold sandbox: {error}")
    logs.configure("sandbox", chosen.log_level)
    from scopefold.sandbox.app import build  # Authlib may warn while it is imported, and that belongs into the log

    async def serving() -> None:
        await serve.serve(build(chosen), chosen.host, chosen.port)

    try:
        serve.run(serving)
    except serve.PortTaken as error:
        sys.exit(f"scopefold sandbox: {error}. Set SCOPEFOLD_PORT to a free port.")
    return 0


if __name__ == "__main__":
    leave(main)
