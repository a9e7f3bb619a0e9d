"""An nginx with auth_request: one that is there, or one that is installed now; and how to run it for a test.

`python -m tests.support.nginx` installs it where it may. Where it is not, the tests that need it are skipped.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.debian import installed
from tests.support.served import serving

PACKAGES: Final = ("nginx-light",)
WHAT_TO_DO: Final = f"no nginx (Debian: apt-get install {' '.join(PACKAGES)})"


def find() -> str | None:
    """The path of an nginx."""
    return shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin")


@contextmanager
def running(nginx: str, directory: Path, address: str, configuration: str) -> Iterator[None]:
    """Nginx with this configuration, its own files in this directory; it answers at the address."""
    own = " ".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    assert "http {" in configuration
    (directory / "nginx.conf").write_text(configuration.replace("http {", f"http {{\n    access_log off; {own}", 1))
    more = f"daemon off; master_process off; error_log stderr; pid {directory}/nginx.pid;"
    command = [nginx, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", "stderr", "-g", more]
    with serving(command, directory, address, directory / "nginx.stderr"):
        yield


def main() -> int:
    """Make sure of one where that is possible; say so where it is not."""
    if find() is None and installed(PACKAGES, find) is None:
        print(f"{WHAT_TO_DO}: its test will be skipped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
