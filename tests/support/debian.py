"""Programs of Debian's that some tests run: installed where this may use apt-get, else the tests are skipped."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

INSTALL_SECONDS: Final = 300


def installed(packages: Sequence[str], find: Callable[[], str | None]) -> str | None:
    """What `find` finds, after these packages were installed where it found nothing; None where that cannot be."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return find()
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    get = [apt, "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (get, [apt, "update", "-qq"], get):
        if find() is None:
            subprocess.run(command, env=quiet, timeout=INSTALL_SECONDS, capture_output=True, check=False)
    return find()
