"""An Apache with mod_auth_openidc: one that is there, or one that is installed now; and how to run it for a test.

`python -m tests.support.apache` installs it where it may. Where it is not, the tests that need it are skipped.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.debian import installed
from tests.support.served import serving

PACKAGES: Final = ("apache2-bin", "libapache2-mod-auth-openidc")
MODULES: Final = Path("/usr/lib/apache2/modules")
WHAT_TO_DO: Final = f"no Apache with mod_auth_openidc (Debian: apt-get install {' '.join(PACKAGES)})"
LOADED: Final = ("mpm_event", "authn_core", "authz_core", "authz_user", "dir", "headers", "auth_openidc")


def find() -> str | None:
    """The path of an Apache that has the module."""
    return shutil.which("apache2") if (MODULES / "mod_auth_openidc.so").exists() else None


@contextmanager
def running(apache: str, directory: Path, port: int, configuration: str) -> Iterator[str]:
    """Apache with this configuration beside what it needs to run at all; its address.

    `directory` must be readable by other users: started by root, Apache serves as another.
    """
    pages = directory / "pages"
    for path in (pages, pages / "admin"):
        path.mkdir(parents=True)
        (path / "index.html").write_text("<h1>The wiki</h1>")
    serves_as = ["User www-data", "Group www-data"] if os.geteuid() == 0 else []
    lines = [
        *(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED),
        *serves_as,
        f"ServerName 127.0.0.1\nListen 127.0.0.1:{port}\nServerRoot {directory}\nDefaultRuntimeDir {directory}",
        f"PidFile {directory}/apache.pid\nErrorLog /dev/stderr\nDocumentRoot {pages}\nDirectoryIndex index.html",
        f"Mutex posixsem\nStartServers 1\n<Directory {pages}>\n    Require all granted\n</Directory>",
        configuration,
    ]
    (directory / "apache.conf").write_text("\n".join(lines))
    command = [apache, "-D", "FOREGROUND", "-f", str(directory / "apache.conf")]
    address = f"http://127.0.0.1:{port}"
    with serving(command, directory, address, directory / "apache.stderr"):
        yield address


def main() -> int:
    """Make sure of one where that is possible; say so where it is not."""
    if find() is None and installed(PACKAGES, find) is None:
        print(f"{WHAT_TO_DO}: its tests will be skipped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
