"""Which Chromium the browser tests drive: one that is there, or one that is installed now.

`python -m tests.support.chromium` makes sure of one, and says where it is or what to do.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS: Final = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)
INSTALL_SECONDS: Final = 600
QUIET: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
"""Switches that keep Chromium from talking to anybody but the page under test."""


def find() -> str | None:
    """The path of a Chromium: named by CHROMIUM, on PATH, among the applications, or Playwright's own."""
    named = [os.environ.get("CHROMIUM", ""), *(shutil.which(name) or "" for name in NAMES)]
    for path in (*named, *map(str, APPLICATIONS)):
        if path and Path(path).exists():
            return path
    caches = (Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright")
    for cache in caches:
        for pattern in (
            "chromium-*/chrome-linux*/chrome",
            "chromium-*/chrome-mac*/Chromium.app/Contents/MacOS/Chromium",
        ):
            for cached in sorted(cache.glob(pattern), reverse=True):
                return str(cached)
    return None


def install() -> str | None:
    """Install one: Debian's where this may use apt-get, else Playwright's own. None where neither works."""
    apt = shutil.which("apt-get")
    if apt is not None and os.geteuid() == 0:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ([apt, "update", "-qq"], [apt, "install", "-y", "-qq", "--no-install-recommends", "chromium"]):
            subprocess.run(command, env=quiet, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL, check=False)
        if (found := find()) is not None:
            return found
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    subprocess.run(command, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL, check=False)
    return find()


def main() -> int:
    """Make sure of a Chromium; the exit code says whether there is one."""
    found = find()
    if found is None:
        print("installing Chromium for the browser tests ...", file=sys.stderr)
        found = install()
    if found is None:
        print("no Chromium: install one (Debian: apt-get install chromium), or name it in CHROMIUM", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
