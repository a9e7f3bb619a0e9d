"""`python -m scopefold.auth` runs the service; what keeps it from starting is one line on standard error."""

import os
import resource
import sys
from typing import Final

from scopefold.auth.settings import Settings
from scopefold.runtime import logs, settings
from scopefold.runtime.leave import leave
from scopefold.runtime.serve import PortTaken, run

CANNOT_START: Final = 2


def main() -> int:
    """Run the service. Gives the process's exit code: 0 when it was told to stop, 2 when it could not start."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold every token and key that is in memory
    try:
        chosen = settings.load(Settings, os.environ)
        logs.configure("auth", chosen.log_level)
        from scopefold.auth import app  # a bad setting is told before all that takes a second to import

        run(lambda: app.main(chosen))
    except (settings.BadSettings, PortTaken) as error:
        print(f"scopefold auth cannot start: {error}", file=sys.stderr)  # noqa: T201
        return CANNOT_START
    return 0


leave(main)
